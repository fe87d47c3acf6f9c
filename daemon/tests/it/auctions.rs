//! Auctions over links: news across daemons, and what happens while a store is away.

use crate::client::{Client, Frame};
use souk_proto::auctions::bid_outcome::Outcome as Outcomes;
use souk_proto::auctions::{
    Auction, AuctionNews, AuctionRequest, BidDone, BidOutcomes, CreateAuctionRequest, Offer,
    Outcome, PlaceBidsRequest, State, Step,
};
use souk_proto::common::Caller;
use souk_proto::{Code, Failure, Flags, Kind, Method};
use souk_stack::{Stack, StackBuilder};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn builder() -> StackBuilder {
    Stack::builder().fronts(0).daemon_set("daemon.shards", 1).daemon_arg("--no-limits")
}

fn connect(stack: &Stack, daemon: usize) -> Client {
    let secret = std::fs::read(stack.link_secret_file()).expect("the secret");
    Client::connect(stack.daemons()[daemon].address(), &secret).0
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("soon")
}

fn put_up(client: &mut Client, seller: &Caller, length_ms: i64) -> Auction {
    let request = CreateAuctionRequest {
        caller: Some(seller.clone()),
        title: "A lamp".into(),
        currency: "EUR".into(),
        start_price: 1_000,
        increments: vec![Step { from: 0, step: 1 }],
        end_at_ms: now_ms() + length_ms,
        ..CreateAuctionRequest::default()
    };
    client.call(Method::CreateAuction, &request).expect("put up")
}

fn get(client: &mut Client, auction_id: u64) -> Auction {
    let request = AuctionRequest { caller: None, auction_id };
    client.call(Method::GetAuction, &request).expect("an auction")
}

fn bid(client: &mut Client, who: &Caller, id: u64, amount: i64) -> Result<BidDone, Failure> {
    let caller = Some(who.clone());
    let offers = vec![Offer { amount, ..Offer::default() }];
    let request = PlaceBidsRequest { caller, auction_id: id, offers, user_id: 0 };
    let mut answer: BidOutcomes = client.call(Method::PlaceBids, &request)?;
    match answer.items.remove(0).outcome.expect("an outcome") {
        Outcomes::Done(done) => Ok(done),
        Outcomes::Refused(refused) => Err(refused.error.expect("an error").into()),
    }
}

/// Begins to watch; the head has come.
fn watch(client: &mut Client, auction_id: u64) -> u64 {
    let request = AuctionRequest { caller: None, auction_id };
    let id = client.ask_within(Method::WatchAuction, Flags::NONE, 60_000, &request);
    let head = client.next_of_requests();
    assert!(head.header.kind == Kind::Response && head.header.flags.has(Flags::STREAM), "{head:?}");
    id
}

fn news(frame: &Frame) -> AuctionNews {
    assert!(frame.header.kind == Kind::Push && !frame.header.flags.has(Flags::ERROR), "{frame:?}");
    prost::Message::decode(&frame.payload[..]).expect("news")
}

/// News until some fulfil this; all of them.
fn until(client: &mut Client, wanted: impl Fn(&AuctionNews) -> bool) -> Vec<AuctionNews> {
    let (mut all, begun) = (Vec::new(), Instant::now());
    loop {
        let next = news(&client.next_of_requests());
        let found = wanted(&next);
        all.push(next);
        if found {
            return all;
        }
        assert!(begun.elapsed() < PATIENCE, "{all:?}");
    }
}

/// Asks again and again until there is an answer.
fn soon<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A number that the daemon's `/metrics` has.
fn metric(stack: &Stack, daemon: usize, line: &str) -> u64 {
    let text = admin(&stack.daemon_admin(daemon), "/metrics");
    let found = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
    let value = found.unwrap_or_else(|| panic!("no {line} in {text}"));
    value.split('.').next().and_then(|it| it.parse().ok()).expect("a number")
}

fn admin(place: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let socket = place.strip_prefix("unix:").expect("a socket");
    let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("connect");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("write");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("read");
    text
}

#[test]
fn who_watches_on_one_daemon_is_told_of_all_bids_on_another_and_of_the_end() {
    let stack = builder().daemons(2).start().expect("two daemons");
    let (mut here, mut there) = (connect(&stack, 0), connect(&stack, 1));
    let (seller, _) = here.register("sal");
    let (ann, _) = here.register("ann");
    let (bob, _) = here.register("bob");
    let put = put_up(&mut there, &seller, 5_000);
    watch(&mut here, put.id);
    assert_eq!(until(&mut here, |_| true)[0].sequence, 0);
    for number in 0..20 {
        let who = if number % 2 == 0 { &ann } else { &bob };
        bid(&mut there, who, put.id, 1_000 + number).expect("accepted");
    }
    let told = until(&mut here, |it| it.sequence == 20);
    let bids: Vec<u64> = told.iter().flat_map(|it| &it.recent).map(|it| it.sequence).collect();
    assert_eq!(bids, (1..=20).collect::<Vec<_>>());
    let last = told.last().expect("news");
    assert_eq!((last.price, last.state()), (1_019, State::Live));
    // Nobody asks for it: the daemons settle by themselves, one of them.
    let over = until(&mut here, |it| it.outcome() == Outcome::Sold);
    assert!(over.iter().any(|it| it.state() == State::Ended && it.outcome() == Outcome::None));
    let settled = |daemon| metric(&stack, daemon, "souk_auctions_settled_total");
    assert_eq!(settled(0) + settled(1), 1);
    let rows = stack.sql("SELECT COUNT(*) FROM settlements").expect("a count");
    assert_eq!(rows.trim(), "1");
}

/// Bids until bidding is paused. What is told in between is a store that fails.
fn bid_until_paused(client: &mut Client, who: [&Caller; 2], id: u64) {
    let mut price = 2_000;
    soon("bidding is not paused", || {
        let done = bid(client, who[usize::try_from(price % 2).expect("0 or 1")], id, price);
        match done {
            Ok(_) => price += 1,
            Err(failure) if failure.code == Code::Busy => {
                assert!(failure.retry_after_ms > 0 && failure.text().contains("end later"));
                return Some(());
            }
            Err(failure) => assert_eq!(failure.code, Code::StoreUnavailable, "{failure}"),
        }
        None
    });
}

/// Bids until one is accepted or turns out to have been.
fn bid_until_taken(client: &mut Client, who: &Caller, id: u64, amount: i64) {
    soon("bids are not taken again", || match bid(client, who, id, amount) {
        Ok(_) => Some(()),
        Err(failure) if failure.code == Code::AlreadyLeading => Some(()),
        Err(failure) => {
            let later = [Code::Busy, Code::StoreUnavailable, Code::DeadlineExceeded];
            assert!(later.contains(&failure.code), "{failure}");
            None
        }
    });
}

/// A store goes and comes back: bids are refused at once meanwhile, then taken again, the auction
/// ends later by the time between, and who watches is told. What was accepted is there.
fn an_outage(fail: impl FnOnce(&mut Stack), mend: impl FnOnce(&mut Stack)) {
    let mut stack = builder().own_mariadb().start().expect("a daemon");
    let (mut client, mut watcher) = (connect(&stack, 0), connect(&stack, 0));
    let (seller, _) = client.register("sal");
    let (ann, _) = client.register("ann");
    let (bob, _) = client.register("bob");
    let put = put_up(&mut client, &seller, 3_600_000);
    bid(&mut client, &ann, put.id, 1_000).expect("accepted");
    bid(&mut client, &bob, put.id, 1_001).expect("accepted");
    watch(&mut watcher, put.id);
    assert_eq!(until(&mut watcher, |it| it.sequence == 2)[0].outage_ms, 0);
    fail(&mut stack);
    bid_until_paused(&mut client, [&ann, &bob], put.id);
    assert!(metric(&stack, 0, "souk_bid_breaker") > 0);
    // Longer than what is no outage yet.
    std::thread::sleep(Duration::from_secs(2));
    mend(&mut stack);
    bid_until_taken(&mut client, &ann, put.id, 9_000);
    bid_until_taken(&mut client, &bob, put.id, 9_001);
    let told = until(&mut watcher, |it| it.price >= 9_001 && it.outage_ms > 0);
    let last = told.last().expect("news");
    assert!(last.outage_ms >= 1_500, "{last:?}");
    assert_eq!(last.ends_at_ms, put.ends_at_ms + last.outage_ms);
    let seen = get(&mut client, put.id);
    assert_eq!((seen.outage_ms, seen.ends_at_ms), (last.outage_ms, last.ends_at_ms));
    let rows = stack.sql("SELECT COUNT(*), MAX(sequence), MIN(sequence) FROM bids").expect("rows");
    let numbers: Vec<u64> =
        rows.split_whitespace().map(|it| it.parse().expect("a number")).collect();
    assert_eq!(numbers, [seen.bids, seen.bids, 1]);
    soon("the breaker does not close", || {
        (metric(&stack, 0, "souk_bid_breaker") == 0).then_some(())
    });
    assert!(metric(&stack, 0, "souk_bid_outages_total") >= 1);
    assert!(metric(&stack, 0, "souk_bids_total{outcome=\"busy\"}") >= 1);
}

#[test]
fn while_redis_is_away_bidding_is_paused_and_auctions_are_extended() {
    an_outage(|stack| stack.redis().kill(), |stack| stack.redis().restart().expect("Redis again"));
}

#[test]
fn while_the_database_is_away_bidding_is_paused_and_auctions_are_extended() {
    an_outage(
        |stack| stack.mariadb().kill(),
        |stack| stack.mariadb().restart().expect("the database again"),
    );
}

#[test]
fn a_daemon_that_dies_and_comes_back_extends_auctions_and_goes_on() {
    let mut stack = builder().start().expect("a daemon");
    let mut client = connect(&stack, 0);
    let (seller, _) = client.register("sal");
    let (ann, _) = client.register("ann");
    let (bob, _) = client.register("bob");
    let put = put_up(&mut client, &seller, 3_600_000);
    bid(&mut client, &ann, put.id, 1_000).expect("accepted");
    stack.daemons()[0].kill();
    stack.daemons()[0].wait(PATIENCE).expect("it is dead");
    std::thread::sleep(Duration::from_secs(2));
    stack.restart_daemon(0).expect("a daemon again");
    let mut client = connect(&stack, 0);
    bid_until_taken(&mut client, &bob, put.id, 1_001);
    let seen = soon("the auction is not extended", || {
        Some(get(&mut client, put.id)).filter(|it| it.outage_ms > 0)
    });
    assert_eq!((seen.bids, seen.price), (2, 1_001));
    assert_eq!(seen.ends_at_ms, put.ends_at_ms + seen.outage_ms);
}

#[test]
fn a_daemon_that_stops_ends_the_news_and_each_shard_settles_its_share() {
    let builder = Stack::builder().fronts(0).daemon_set("daemon.shards", 2);
    let stack = builder.daemon_arg("--no-limits").start().expect("a daemon");
    let mut client = connect(&stack, 0);
    let (seller, _) = client.register("sal");
    let ids: Vec<u64> = (0..4).map(|_| put_up(&mut client, &seller, 2_500).id).collect();
    for id in &ids {
        soon("it is not settled", || {
            (get(&mut client, *id).outcome() == Outcome::NoBids).then_some(())
        });
    }
    soon("settlements are not counted", || {
        (metric(&stack, 0, "souk_auctions_settled_total") == 4).then_some(())
    });
    let id = watch(&mut client, ids[0]);
    assert_eq!(until(&mut client, |_| true)[0].state(), State::Ended);
    stack.daemons()[0].terminate();
    let end = soon("the news do not end", || {
        let frame = client.next_of_requests();
        (frame.header.kind == Kind::Push && frame.header.flags.has(Flags::END)).then_some(frame)
    });
    assert!(end.header.request_id == id && !end.header.flags.has(Flags::ERROR), "{end:?}");
    let status = stack.daemons()[0].wait(PATIENCE).expect("it ends");
    assert!(status.success(), "{status}");
}
