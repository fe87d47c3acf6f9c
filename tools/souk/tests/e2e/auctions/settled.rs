//! How auctions come out: once, and the seller and the winner know.

use super::{PATIENCE, accepted, all_is_right, auction, bid, eventually, in_ms, open};
use crate::accounts::person::{Person, client};
use crate::accounts::{refused, stack, unlimited};
use serde_json::{Value, json};
use souk_stack::Stack;
use std::thread;
use ureq::http::Method;

fn settled(client: &crate::client::Client, id: u64) -> Value {
    eventually("it is settled", || !auction(client, id)["outcome"].is_null());
    auction(client, id)
}

fn notifications(person: &Person<'_>) -> Vec<(String, u64)> {
    let page = person.get("/api/v1/notifications").json();
    let items = page["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| {
            let kind = item["kind"].as_str().expect("a kind").to_owned();
            (kind, item["auction_id"].as_u64().expect("an id"))
        })
        .collect()
}

#[test]
fn the_highest_bid_wins_and_both_sides_have_a_record() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let end = json!({"end_at": in_ms(2_000)});
    let sold = open(&sam, &end);
    let kept = open(&sam, &json!({"end_at": in_ms(2_000), "reserve": 1_000}));
    let alone = open(&sam, &end);
    accepted(&ann, sold, &json!({"amount": 200}));
    accepted(&bob, sold, &json!({"amount": 300}));
    accepted(&ann, kept, &json!({"amount": 200}));
    let of = |id| settled(&client, id);
    assert_eq!((&of(sold)["state"], &of(sold)["outcome"]), (&json!("ended"), &json!("sold")));
    assert_eq!(of(kept)["outcome"], "reserve_not_met");
    assert_eq!(of(alone)["outcome"], "no_bids");
    refused(&bid(&ann, sold, &json!({"amount": 900})), 409, "auction_ended");

    let path = format!("/api/v1/auctions/{sold}/settlement");
    for who in [&sam, &bob] {
        let record = who.get(&path).json();
        assert_eq!((&record["outcome"], &record["price"]), (&json!("sold"), &json!(300)));
        assert_eq!(record["winner"]["username"], "bob", "{record}");
        assert_eq!(record["seller"]["username"], "sam", "{record}");
    }
    refused(&ann.get(&path), 403, "forbidden");
    assert_eq!(notifications(&bob), [("won".to_owned(), sold)]);
    assert_eq!(notifications(&ann), []);
    let mut told = notifications(&sam);
    told.sort();
    let mut wanted = [("sold", sold), ("not_sold", kept), ("not_sold", alone)]
        .map(|(kind, id)| (kind.to_owned(), id));
    wanted.sort();
    assert_eq!(told, wanted);
    let unread = |who: &Person<'_>| who.get("/api/v1/notifications").json()["unread"].clone();
    assert_eq!(unread(&bob), 1);
    let newest = bob.get("/api/v1/notifications").json()["items"][0]["id"].clone();
    let read = bob.json(Method::POST, "/api/v1/notifications/read", &json!({"up_to": newest}));
    assert_eq!(read.status / 100, 2, "{read:?}");
    assert_eq!(unread(&bob), 0);
    all_is_right(&stack);
}

#[test]
fn who_pays_the_price_to_buy_now_ends_the_auction() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({"buy_now": 5_000}));
    accepted(&ann, id, &json!({"amount": 4_995}));
    let low = refused(&bid(&bob, id, &json!({"amount": 4_999})), 409, "bid_too_low");
    assert_eq!((&low["price"], &low["minimum"]), (&json!(4_995), &json!(5_000)), "{low}");
    let bought = accepted(&bob, id, &json!({"amount": 7_000}));
    assert_eq!((&bought["price"], &bought["leading"]), (&json!(5_000), &json!(true)), "{bought}");
    assert_eq!(settled(&client, id)["outcome"], "sold");
    refused(&bid(&ann, id, &json!({"amount": 9_000})), 409, "auction_ended");
    assert_eq!(notifications(&bob), [("won".to_owned(), id)]);
}

/// How often each of a stack's auctions was settled, as `id\tcount` lines.
fn counts(stack: &Stack) -> String {
    let counts = "SELECT a.id, COUNT(s.auction_id) FROM auctions a \
                  LEFT JOIN settlements s ON s.auction_id = a.id GROUP BY a.id";
    stack.sql(counts).expect("counted")
}

#[test]
fn two_daemons_settle_each_auction_once_also_when_one_dies() {
    let mut stack =
        unlimited().daemons(2).daemon_set("daemon.shards", 2).start().expect("the stack starts");
    let client = client(&stack);
    let [sam, ann] = ["sam", "ann"].map(|name| Person::new(&client, name));
    let end = json!({"end_at": in_ms(3_000)});
    let ids: Vec<u64> = (0..30).map(|_| open(&sam, &end)).collect();
    for id in &ids {
        let placed = bid(&ann, *id, &json!({"amount": 200}));
        assert!([201, 409].contains(&placed.status), "{placed:?}");
    }
    eventually("some are settled", || counts(&stack).contains("\t1"));
    stack.daemons()[0].kill();
    stack.restart_daemon(0).expect("starts again");
    eventually("all are settled", || !counts(&stack).contains("\t0"));
    thread::sleep(PATIENCE / 60);
    assert!(counts(&stack).lines().all(|line| line.ends_with("\t1")), "{}", counts(&stack));
    all_is_right(&stack);
}
