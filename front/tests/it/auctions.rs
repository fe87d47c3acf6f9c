//! Auctions and bids: what is asked of the daemon, and what clients see of its answers.

use crate::client::{Answer, Client, token};
use crate::daemon::{Daemon, Event};
use crate::{Front, drivers};
use serde_json::{Value, json};
use souk_proto::auctions::bid_outcome::Outcome as BidResult;
use souk_proto::auctions::{
    Auction, AuctionPage, AuctionRequest, Bid, BidDone, BidOutcome, BidOutcomes, BidPage,
    BidRefused, Bidder, CreateAuctionRequest, EditAuctionRequest, ListAuctionsRequest,
    ListBidsRequest, Notification, NotificationPage, Offer, Outcome, Person, PlaceBidsRequest,
    SetWatchedRequest, Settlement, SoftClose, State, Step,
};
use souk_proto::common::Empty;
use souk_proto::{Code, Failure, Kind, Method};
use std::sync::mpsc::channel;

const END: i64 = 1_800_000_000_000;
const END_TEXT: &str = "2027-01-15T08:00:00.000Z";

fn person(user_id: u64) -> Person {
    let name = format!("user{user_id}");
    Person { user_id, username: name.clone(), nickname: name, picture: String::new() }
}

fn auction() -> Auction {
    Auction {
        id: 3,
        seller: Some(person(7)),
        title: "Lamp".into(),
        description: "Brass".into(),
        picture: "ab".repeat(32),
        currency: "EUR".into(),
        start_price: 1_000,
        increments: vec![Step { from: 0, step: 100 }],
        has_reserve: true,
        price: 1_200,
        minimum: 1_300,
        bids: 2,
        state: State::Live.into(),
        start_at_ms: END - 1_000,
        ends_at_ms: END,
        soft_close: Some(SoftClose { window_s: 30, extensions: 10 }),
        leader: Some(Bidder { pseudonym: "bidder-1".into(), person: None, you: false }),
        head: "cd".repeat(32),
        version: 4,
        created_at_ms: END - 2_000,
        now_ms: END - 500,
        ..Auction::default()
    }
}

/// A daemon that answers each request with this.
fn daemon(answer: impl Fn(&Event) + Send + Sync + 'static) -> Daemon {
    Daemon::start("one", 8, move |event| {
        if event.kind == Kind::Request {
            answer(&event);
        }
    })
}

fn ask(client: &mut Client, line: &str, fields: &str, body: &str) -> Answer {
    let token = token(9);
    let length = body.len();
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    client.send(format!(
        "{line} HTTP/1.1\r\nhost: souk.test\r\nauthorization: Bearer {token}\r\n{fields}{kind}\
         content-length: {length}\r\n\r\n{body}"
    ));
    client.answer()
}

fn parsed(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[test]
fn an_auction_is_made_read_changed_and_listed() {
    let (sender, received) = channel();
    let daemon = daemon(move |event| {
        let method = event.method.expect("known");
        sender.send((method, event.payload.clone())).expect("the test waits");
        match method {
            Method::ListAuctions => {
                event.answer(&AuctionPage { items: vec![auction()], next_cursor: "more".into() });
            }
            Method::SetWatched => event.answer(&Empty {}),
            _ => event.answer(&auction()),
        }
    });
    let front = Front::start(drivers()[0], &[&daemon]);
    let mut client = Client::connect(front.address());
    let body = r#"{"title":"Lamp","start_price":1000,"currency":"EUR","reserve":5000,
        "increment":[{"from":0,"step":100},{"from":5000,"step":500}],
        "end_at":"2027-01-15T09:00:00+01:00","soft_close":{"window_s":30,"extensions":10}}"#;
    let made = ask(&mut client, "POST /api/v1/auctions", "", body);
    assert_eq!((made.status, made.header("location")), (201, Some("/api/v1/auctions/3")));
    let (_, sent) = received.recv().expect("asked");
    let sent = <CreateAuctionRequest as prost::Message>::decode(&*sent).expect("a request");
    assert_eq!((sent.start_at_ms, sent.end_at_ms), (0, END));
    assert_eq!(sent.increments[1], Step { from: 5_000, step: 500 });
    assert_eq!((sent.reserve, sent.buy_now), (Some(5_000), None));

    let found = ask(&mut client, "GET /api/v1/auctions/3", "", "");
    assert_eq!(found.header("etag"), Some("\"3-4\""));
    let seller = json!({"id": 7, "username": "user7", "nickname": "user7", "picture": null});
    let whole = json!({"id": 3, "seller": seller, "title": "Lamp", "description": "Brass",
        "picture": format!("/pictures/{}", "ab".repeat(32)), "currency": "EUR",
        "start_price": 1000, "increment": 100, "has_reserve": true, "reserve_met": false,
        "buy_now": null, "price": 1200, "minimum": 1300, "bids": 2, "state": "live",
        "outcome": null, "start_at": "2027-01-15T07:59:59.000Z", "ends_at": END_TEXT,
        "soft_close": {"window_s": 30, "extensions": 10}, "extended": 0, "outage_ms": 0,
        "leader": {"pseudonym": "bidder-1", "you": false}, "head": "cd".repeat(32), "version": 4,
        "created_at": "2027-01-15T07:59:58.000Z", "watched": false,
        "now": "2027-01-15T07:59:59.500Z"});
    assert_eq!(parsed(&found), whole);

    let change = r#"{"title":"Old lamp","reserve":null,"soft_close":null}"#;
    received.recv().expect("asked");
    let changed = ask(&mut client, "PATCH /api/v1/auctions/3", "if-match: \"3-4\"\r\n", change);
    assert_eq!(changed.status, 200);
    let (_, sent) = received.recv().expect("asked");
    let sent = <EditAuctionRequest as prost::Message>::decode(&*sent).expect("a request");
    assert_eq!((sent.if_version, sent.reserve, sent.buy_now), (Some(4), Some(0), None));
    assert_eq!(sent.soft_close, Some(SoftClose::default()));
    let foreign = ask(&mut client, "PATCH /api/v1/auctions/3", "if-match: \"4-4\"\r\n", change);
    assert_eq!(foreign.status, 412);

    let list = ask(&mut client, "GET /api/v1/auctions?list=bidding&limit=5&cursor=c", "", "");
    let (_, sent) = received.recv().expect("asked");
    let sent = <ListAuctionsRequest as prost::Message>::decode(&*sent).expect("a request");
    assert_eq!((sent.list, sent.limit, &*sent.cursor), (3, 5, "c"));
    let body = parsed(&list);
    assert_eq!(body["next_cursor"], "more");
    assert_eq!(body["items"][0].get("description"), None);
    for (line, watched) in [("PUT", true), ("DELETE", false)] {
        assert_eq!(
            ask(&mut client, &format!("{line} /api/v1/auctions/3/watch"), "", "").status,
            204
        );
        let (method, sent) = received.recv().expect("asked");
        let sent = <SetWatchedRequest as prost::Message>::decode(&*sent).expect("a request");
        assert_eq!((method, sent.watched), (Method::SetWatched, watched));
    }
    assert_eq!(ask(&mut client, "POST /api/v1/auctions/3/cancel", "", "").status, 200);
    assert_eq!(received.recv().expect("asked").0, Method::CancelAuction);
}

#[test]
fn a_bid_is_accepted_repeated_or_refused_with_what_it_has_to_be() {
    let (sender, received) = channel::<PlaceBidsRequest>();
    let daemon = daemon(move |event| {
        assert_eq!(event.method, Some(Method::PlaceBids));
        let request: PlaceBidsRequest = event.decode();
        let Offer { amount, bid_id, .. } = request.offers[0].clone();
        sender.send(request).expect("the test waits");
        let outcome = if amount < 1_000 {
            let error = Some((&Failure::new(Code::BidTooLow)).into());
            BidResult::Refused(BidRefused { error, price: 900, minimum: 1_000, ends_at_ms: END })
        } else {
            BidResult::Done(BidDone {
                auction_id: 3,
                repeated: bid_id == "again",
                bid_id,
                sequence: 17,
                price: 1_000,
                leading: true,
                ends_at_ms: END,
                head: vec![0xcd; 32],
            })
        };
        event.answer(&BidOutcomes { items: vec![BidOutcome { outcome: Some(outcome) }] });
    });
    let front = Front::start(drivers()[0], &[&daemon]);
    let mut client = Client::connect(front.address());
    let mut bid = |body: &str| {
        let answer = ask(&mut client, "POST /api/v1/auctions/3/bids", "", body);
        (answer.status, parsed(&answer))
    };
    let (status, body) =
        bid(r#"{"amount":1000,"max_amount":2000,"bid_id":"b-1","currency":"EUR"}"#);
    let accepted = json!({"auction_id": 3, "bid_id": "b-1", "sequence": 17, "price": 1000,
        "leading": true, "ends_at": END_TEXT, "durability": "committed",
        "head": "cd".repeat(32)});
    assert_eq!((status, body), (201, accepted));
    let sent = received.recv().expect("asked");
    let offer =
        Offer { amount: 1_000, max_amount: 2_000, bid_id: "b-1".into(), currency: "EUR".into() };
    assert_eq!((sent.auction_id, sent.user_id, sent.offers), (3, 0, vec![offer]));
    assert_eq!(bid(r#"{"amount":1000,"bid_id":"again"}"#).0, 200);
    assert_eq!(bid(r#"{"amount":1000}"#).1["bid_id"], json!(null));
    let (status, body) = bid(r#"{"amount":999}"#);
    assert_eq!((status, &body["code"]), (409, &json!("bid_too_low")));
    assert_eq!((&body["price"], &body["minimum"]), (&json!(900), &json!(1_000)));
    assert_eq!(body["ends_at"], END_TEXT);
}

/// A front whose daemon must not be asked, and what refuses a body there.
fn refusing(check: impl FnOnce(&mut dyn FnMut(&str, &str, &str, &str))) {
    let daemon = daemon(|event| panic!("{:?} came through", event.method));
    let front = Front::start(drivers()[0], &[&daemon]);
    let mut client = Client::connect(front.address());
    check(&mut |line, body, code, field| {
        let answer = ask(&mut client, line, "", body);
        let found = parsed(&answer);
        let place = found.get("field").and_then(Value::as_str).unwrap_or_default();
        assert_eq!((found["code"].as_str(), place), (Some(code), field), "{line} {body}");
    });
}

#[test]
fn a_bad_bid_is_refused_by_its_field_before_a_daemon_is_asked() {
    #[rustfmt::skip]
    let bids: &[(&str, &str)] = &[
        ("{}", "amount"),
        (r#"{"amount":0}"#, "amount"),
        (r#"{"amount":-1}"#, "amount"),
        (r#"{"amount":1.0}"#, "amount"),
        (r#"{"amount":1e3}"#, "amount"),
        (r#"{"amount":"100"}"#, "amount"),
        (r#"{"amount":null}"#, "amount"),
        (r#"{"amount":[1]}"#, "amount"),
        (r#"{"amount":9223372036854775808}"#, "amount"),
        (r#"{"amount":99999999999999999999}"#, "amount"),
        (r#"{"amount":1000000000000001}"#, "amount"),
        (r#"{"amount":1,"amount":2}"#, "amount"),
        (r#"{"amount":5,"max_amount":4}"#, "max_amount"),
        (r#"{"amount":5,"max_amount":0}"#, "max_amount"),
        (r#"{"amount":5,"max_amount":"6"}"#, "max_amount"),
        (r#"{"amount":5,"bid_id":""}"#, "bid_id"),
        (r#"{"amount":5,"bid_id":"a b"}"#, "bid_id"),
        (r#"{"amount":5,"bid_id":7}"#, "bid_id"),
        (r#"{"amount":5,"currency":""}"#, "currency"),
        (r#"{"amount":5,"currency":"eur"}"#, "currency"),
        (r#"{"amount":5,"user_id":7}"#, "user_id"),
    ];
    refusing(|check| {
        for (body, field) in bids {
            check("POST /api/v1/auctions/3/bids", body, "invalid_field", field);
        }
        let long = format!(r#"{{"amount":5,"bid_id":"{}"}}"#, "x".repeat(65));
        check("POST /api/v1/auctions/3/bids", &long, "invalid_field", "bid_id");
        check("POST /api/v1/auctions/3/bids", "[5]", "malformed_body", "");
        check("POST /api/v1/auctions/x/bids", r#"{"amount":5}"#, "auction_not_found", "");
    });
}

#[test]
fn bad_terms_are_refused_by_their_field_before_a_daemon_is_asked() {
    let good = json!({"title": "a", "start_price": 1, "currency": "EUR", "increment": 1,
        "end_at": "2027-01-15T08:00:00Z"});
    #[rustfmt::skip]
    let terms: &[(&str, Value, &str)] = &[
        ("title", json!(7), "title"),
        ("start_price", json!(-5), "start_price"),
        ("start_price", json!(1.5), "start_price"),
        ("increment", json!(0), "increment"),
        ("increment", json!("1"), "increment"),
        ("increment", json!([]), "increment"),
        ("increment", json!([{"from": 1, "step": 1}]), "increment"),
        ("increment", json!([{"from": 0, "step": 1}, {"from": 0, "step": 2}]), "increment"),
        ("increment", json!([{"from": 0}]), "increment"),
        ("increment", json!([{"from": 0, "step": 1, "x": 1}]), "increment"),
        ("increment", json!([7]), "increment"),
        ("increment", json!(vec![json!({"from": 0, "step": 1}); 17]), "increment"),
        ("reserve", json!(0), "reserve"),
        ("buy_now", json!(1_000_000_000_000_001_u64), "buy_now"),
        ("end_at", json!(1_800_000_000_000_u64), "end_at"),
        ("end_at", json!("2027-01-15T08:00:00"), "end_at"),
        ("end_at", json!("1970-01-01T00:00:00Z"), "end_at"),
        ("start_at", json!("tomorrow"), "start_at"),
        ("soft_close", json!(30), "soft_close"),
        ("soft_close", json!({"window_s": 30}), "extensions"),
        ("soft_close", json!({"window_s": 0, "extensions": 1}), "window_s"),
        ("soft_close", json!({"window_s": 1, "extensions": 4_294_967_296_u64}), "extensions"),
        ("soft_close", json!({"window_s": 1, "extensions": 1, "x": 1}), "x"),
        ("seller", json!(7), "seller"),
    ];
    refusing(|check| {
        for (name, value, field) in terms {
            let mut body = good.clone();
            body[*name] = value.clone();
            check("POST /api/v1/auctions", &body.to_string(), "invalid_field", field);
        }
        for name in ["title", "start_price", "currency", "increment", "end_at"] {
            let mut body = good.clone();
            body.as_object_mut().expect("an object").remove(name);
            check("POST /api/v1/auctions", &body.to_string(), "invalid_field", name);
        }
        let twice = good.to_string().replace(
            "\"increment\":1",
            r#""increment":1,"soft_close":{"window_s":1,"window_s":2,"extensions":1}"#,
        );
        check("POST /api/v1/auctions", &twice, "invalid_field", "window_s");
    });
}

#[test]
fn a_bad_query_is_refused_by_its_parameter_and_strangers_have_no_lists() {
    refusing(|check| {
        for (path, field) in [
            ("?list=mine", "list"),
            ("?limit=101", "limit"),
            ("/3/bids?after=-1", "after"),
            ("/3/bids?after=1&before=2", "before"),
            ("/3/bids?before=0", "before"),
            ("/3/bids?limit=501", "limit"),
            ("/3/live?after=x", "after"),
        ] {
            check(&format!("GET /api/v1/auctions{path}"), "", "invalid_field", field);
        }
        check("POST /api/v1/notifications/read", r#"{"up_to":-1}"#, "invalid_field", "up_to");
    });
    let daemon = daemon(|event| panic!("{:?} came through", event.method));
    let front = Front::start(drivers()[0], &[&daemon]);
    let mut stranger = Client::connect(front.address());
    for path in ["/api/v1/auctions?list=selling", "/api/v1/notifications"] {
        assert_eq!(stranger.get(path).status, 401, "{path}");
    }
    assert_eq!(stranger.get("/api/v1/auctions/3/settlement").status, 401);
}

#[test]
fn history_settlement_and_notifications_are_shown() {
    let daemon = daemon(|event| match event.method.expect("known") {
        Method::ListBids => {
            let request: ListBidsRequest = event.decode();
            assert_eq!((request.after, request.before, request.limit), (Some(1), 0, 100));
            let bidder =
                Bidder { pseudonym: "bidder-1".into(), person: Some(person(9)), you: true };
            let leader = Some(bidder.clone());
            let (at_ms, ends_at_ms) = (END - 100, END);
            let (bidder, sequence) = (Some(bidder), 2);
            let (amount, price) = (1_500, 1_200);
            let bid = Bid { sequence, bidder, amount, price, leader, at_ms, ends_at_ms };
            event.answer(&BidPage { items: vec![bid], bids: 2, head: "cd".repeat(32) });
        }
        Method::GetSettlement => event.answer(&Settlement {
            auction_id: 3,
            outcome: Outcome::NoBids.into(),
            currency: "EUR".into(),
            seller: Some(person(7)),
            settled_at_ms: END,
            head: "cd".repeat(32),
            ..Settlement::default()
        }),
        Method::ListNotifications => {
            let items =
                vec![Notification { id: 5, title: "Lamp".into(), ..Notification::default() }];
            event.answer(&NotificationPage { items, unread: 1 });
        }
        Method::ReadNotifications => event.answer(&Empty {}),
        other => panic!("{other:?}"),
    });
    let front = Front::start(drivers()[0], &[&daemon]);
    let mut client = Client::connect(front.address());
    let page = parsed(&ask(&mut client, "GET /api/v1/auctions/3/bids?after=1", "", ""));
    let user = json!({"id": 9, "username": "user9", "nickname": "user9", "picture": null});
    let bidder = json!({"pseudonym": "bidder-1", "you": true, "user": user});
    let bid = json!({"sequence": 2, "bidder": bidder, "amount": 1500, "price": 1200,
        "leader": bidder, "at": "2027-01-15T07:59:59.900Z", "ends_at": END_TEXT});
    assert_eq!(page, json!({"items": [bid], "bids": 2, "head": "cd".repeat(32)}));
    let settled = parsed(&ask(&mut client, "GET /api/v1/auctions/3/settlement", "", ""));
    assert_eq!((&settled["outcome"], &settled["price"]), (&json!("no_bids"), &json!(null)));
    assert_eq!((&settled["winner"], &settled["settled_at"]), (&json!(null), &json!(END_TEXT)));
    let told = parsed(&ask(&mut client, "GET /api/v1/notifications", "", ""));
    assert_eq!((&told["unread"], &told["items"][0]["kind"]), (&json!(1), &json!("won")));
    let read = ask(&mut client, "POST /api/v1/notifications/read", "", r#"{"up_to":5}"#);
    assert_eq!(read.status, 204);
}

#[test]
fn all_that_is_asked_of_one_auction_goes_to_one_shard() {
    let (sender, received) = channel();
    let daemon = daemon(move |event| {
        let id = match event.method.expect("known") {
            Method::PlaceBids => event.decode::<PlaceBidsRequest>().auction_id,
            Method::ListBids => event.decode::<ListBidsRequest>().auction_id,
            _ => event.decode::<AuctionRequest>().auction_id,
        };
        sender.send((id, event.shard)).expect("the test waits");
        event.fail(&Failure::new(Code::AuctionNotFound));
    });
    let front = Front::start(drivers()[0], &[&daemon]);
    let mut client = Client::connect(front.address());
    for id in 1..=20 {
        let path = format!("/api/v1/auctions/{id}");
        ask(&mut client, &format!("POST {path}/bids"), "", r#"{"amount":5}"#);
        for what in ["", "/bids", "/settlement"] {
            ask(&mut client, &format!("GET {path}{what}"), "", "");
        }
        // Nobody is logged in here, so that the stream itself is asked for.
        assert_eq!(Client::connect(front.address()).get(&format!("{path}/live")).status, 404);
    }
    let mut shards = std::collections::BTreeMap::new();
    for (id, shard) in received.try_iter() {
        assert_eq!(*shards.entry(id).or_insert(shard), shard, "auction {id}");
    }
    let used: std::collections::BTreeSet<_> = shards.values().collect();
    assert!(shards.len() == 20 && used.len() > 2, "{shards:?}");
}
