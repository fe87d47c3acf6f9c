//! Subscriptions.

use super::{Bidder, accept, answers_who, bid};
use crate::daemon::{Daemon, Event};
use crate::{Front, drivers};
use souk_proto::auctions::{AuctionNews, Bidder as Person, State};
use souk_proto::tlv::{self, Asked, EVENT_LEADING, EVENT_OUTBID, EVENT_PAUSED, Told, UNSUBSCRIBE};
use souk_proto::{Code, Failure, Kind, Method};
use std::sync::mpsc::{Receiver, channel};

const AUCTION: u64 = 7;

/// A daemon that knows one auction; the test tells its news.
fn daemon() -> (Daemon, Receiver<Event>) {
    let (sender, received) = channel();
    let daemon = Daemon::start("one", 1, move |event| {
        if answers_who(&event) {
            return;
        }
        match (event.kind, event.method) {
            (Kind::Request, Some(Method::PlaceBids)) => accept(&event),
            (Kind::Request, Some(Method::GetBidder)) => {
                let asked: souk_proto::auctions::AuctionRequest = event.decode();
                if asked.auction_id == AUCTION {
                    event.answer(&Person { pseudonym: "bidder-1".into(), ..Person::default() });
                } else {
                    event.fail(&Failure::new(Code::AuctionNotFound));
                }
            }
            _ => sender.send(event).expect("the test waits"),
        }
    });
    (daemon, received)
}

fn news(sequence: u64, leader: &str) -> AuctionNews {
    AuctionNews {
        auction_id: AUCTION,
        sequence,
        price: 100 + sequence as i64,
        minimum: 110 + sequence as i64,
        leader: leader.into(),
        state: State::Live as i32,
        start_at_ms: 1,
        ends_at_ms: 1_700_000_100_000,
        now_ms: 1_700_000_000_000,
        ..AuctionNews::default()
    }
}

fn event(bidder: &mut Bidder) -> tlv::Event {
    match bidder.next() {
        Some(Told::Event(event)) => event,
        other => panic!("{other:?}"),
    }
}

fn begun(received: &Receiver<Event>) -> Event {
    let stream = received.recv().expect("the news are asked for");
    assert_eq!((stream.kind, stream.method), (Kind::Request, Some(Method::WatchAuction)));
    stream.begin_items();
    stream
}

#[test]
fn subscribers_of_an_auction_share_one_stream_and_are_told_where_it_stands() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let mut one = Bidder::open(front.bids_address());
        one.ask(&[Asked::Subscribe { auction: AUCTION, after: 3 }]);
        let stream = begun(&received);
        stream.item(&news(5, "bidder-1"));
        let first = event(&mut one);
        assert_eq!((first.auction, first.sequence, first.since), (AUCTION, 5, 3));
        assert_eq!((first.price, first.minimum, first.state), (105, 115, 1));
        assert_eq!(first.ends_at_ms, 1_700_000_100_000);
        assert!(first.now_ms >= 1_700_000_000_000);
        assert_eq!(first.flags, EVENT_LEADING);
        let mut other = Bidder::open(front.bids_address());
        other.ask(&[Asked::Subscribe { auction: AUCTION, after: 0 }, bid(AUCTION, 9)]);
        let mut told = [None, None];
        for _ in 0..2 {
            match other.next() {
                Some(Told::Event(event)) => told[0] = Some(event.sequence),
                Some(Told::Result(placed)) => told[1] = Some(placed.sequence),
                next => panic!("{next:?}"),
            }
        }
        assert_eq!(told, [Some(5), Some(9)]);
        stream.item(&news(6, "bidder-2"));
        for bidder in [&mut one, &mut other] {
            let next = event(bidder);
            assert_eq!((next.sequence, next.since, next.flags), (6, 5, EVENT_OUTBID));
        }
        one.ask(&[Asked::Subscribe { auction: AUCTION, after: UNSUBSCRIBE }, Asked::Ping(b"")]);
        assert_eq!(one.next(), Some(Told::Pong(b"")));
        stream.item(&news(7, "bidder-2"));
        assert_eq!(event(&mut other).sequence, 7);
        one.ask(&[Asked::Ping(b"")]);
        assert_eq!(one.next(), Some(Told::Pong(b"")), "no event came");
        // Nobody watches any more: the stream ends.
        drop(other);
        assert_eq!(received.recv().expect("the end").kind, Kind::Cancel);
    }
}

#[test]
fn an_auction_that_is_not_there_is_told_and_a_lost_stream_is_a_pause() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let mut bidder = Bidder::open(front.bids_address());
        bidder.ask(&[Asked::Subscribe { auction: 99, after: 0 }]);
        match bidder.next() {
            Some(Told::Error(error)) => {
                let code = Code::AuctionNotFound as u16;
                assert_eq!((error.code, error.of, error.auction), (code, 7, 99));
            }
            other => panic!("{other:?}"),
        }
        bidder.ask(&[Asked::Subscribe { auction: AUCTION, after: 0 }]);
        let stream = begun(&received);
        stream.item(&news(5, "bidder-2"));
        assert_eq!(event(&mut bidder).flags & EVENT_PAUSED, 0);
        stream.link.cut();
        let paused = event(&mut bidder);
        assert_eq!((paused.sequence, paused.flags & EVENT_PAUSED), (5, EVENT_PAUSED));
        begun(&received).item(&news(6, "bidder-2"));
        let resumed = event(&mut bidder);
        assert_eq!((resumed.sequence, resumed.flags & EVENT_PAUSED), (6, 0));
    }
}

#[test]
fn a_subscriber_that_reads_nothing_sees_the_latest_in_the_end() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let mut slow = Bidder::open(front.bids_address());
        let mut quick = Bidder::open(front.bids_address());
        for bidder in [&mut slow, &mut quick] {
            bidder.ask(&[Asked::Subscribe { auction: AUCTION, after: 0 }]);
        }
        let stream = begun(&received);
        let follow = |bidder: &mut Bidder, last: &mut u64, end: u64| {
            while *last < end {
                let next = event(bidder);
                assert!(next.sequence > *last && next.since == *last, "each tells what was before");
                *last = next.sequence;
            }
        };
        let (mut seen, mut late) = (0, 0);
        for step in 0..30 {
            // A stream has room for this many.
            (1..=10).for_each(|item| stream.item(&news(step * 10 + item, "")));
            follow(&mut quick, &mut seen, step * 10 + 10);
        }
        follow(&mut slow, &mut late, 300);
    }
}
