//! When a store is away bids are told so at once, and auctions end later by as much.

use super::{accepted, all_is_right, auction, bid, eventually, open};
use crate::accounts::person::{Person, client};
use crate::accounts::unlimited;
use jiff::Timestamp;
use serde_json::{Value, json};
use souk_stack::Stack;
use std::thread;
use std::time::{Duration, Instant};

fn ends_at(auction: &Value) -> Timestamp {
    auction["ends_at"].as_str().expect("a time").parse().expect("RFC 3339")
}

/// Takes a store away for a while under an auction.
fn without(away: impl Fn(&mut Stack), back: impl Fn(&mut Stack)) {
    let mut stack = unlimited().own_mariadb().start().expect("the stack starts");
    let address = stack.address().to_owned();
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    accepted(&ann, id, &json!({"amount": 200}));
    let before = ends_at(&auction(&client, id));
    let mut watching = super::live::Events::open(&address, id, "");
    assert_eq!(watching.next()["type"], "snapshot");
    away(&mut stack);
    let since = Instant::now();
    eventually("bids are told at once", || {
        let answer = bid(&bob, id, &json!({"amount": 300, "bid_id": "during"}));
        assert!([503, 401].contains(&answer.status) || answer.status == 201, "{answer:?}");
        answer.status == 503 && answer.json()["code"] == "busy"
    });
    let busy = bid(&bob, id, &json!({"amount": 300, "bid_id": "during"}));
    assert!(!busy.header("retry-after").is_empty(), "{busy:?}");
    thread::sleep(Duration::from_secs(4).saturating_sub(since.elapsed()));
    let least = since.elapsed();
    back(&mut stack);
    let body = json!({"amount": 300, "bid_id": "during"});
    eventually("bids are taken again", || [200, 201].contains(&bid(&bob, id, &body).status));
    // Reads have connections of their own, which may be back a moment later.
    let path = format!("/api/v1/auctions/{id}");
    eventually("it can be read again", || client.get(&path).status == 200);
    let after = auction(&client, id);
    let added = ends_at(&after).as_millisecond() - before.as_millisecond();
    assert_eq!(after["outage_ms"], added, "{after}");
    let least = i64::try_from(least.as_millis()).expect("seconds");
    assert!(added >= least - 1_500, "{added} ms were added, {least} ms were lost");
    assert_eq!(after["bids"], 2);
    watching.until(|message| {
        let notices = message["notices"].as_array().cloned().unwrap_or_default();
        notices.contains(&json!("outage"))
    });
    all_is_right(&stack);
}

#[test]
fn without_redis_bids_are_told_at_once_and_the_end_waits() {
    without(|stack| stack.redis().kill(), |stack| stack.redis().restart().expect("starts again"));
}

#[test]
fn without_mysql_bids_are_told_at_once_and_the_end_waits() {
    without(
        |stack| stack.mariadb().kill(),
        |stack| stack.mariadb().restart().expect("starts again"),
    );
}

#[test]
fn while_no_daemon_runs_no_auction_ends() {
    let mut stack = unlimited().start().expect("the stack starts");
    let client = client(&stack);
    let [sam, ann] = ["sam", "ann"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({"end_at": super::in_ms(3_000)}));
    stack.daemons()[0].kill();
    thread::sleep(Duration::from_secs(5));
    stack.restart_daemon(0).expect("starts again");
    eventually("the auction goes on", || {
        bid(&ann, id, &json!({"amount": 200, "bid_id": "late"})).status / 100 == 2
    });
    assert!(auction(&client, id)["outage_ms"].as_i64().is_some_and(|ms| ms > 3_000));
    eventually("it ends all the same", || auction(&client, id)["outcome"] == "sold");
}
