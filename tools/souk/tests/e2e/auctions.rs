//! Auctions on the whole stack: what may be set and bid, what watchers are told, how auctions come
//! out, and what happens when something dies.

mod bids;
mod faults;
mod listings;
mod live;
mod outages;
mod port;
mod settled;
mod site;

use crate::accounts::person::Person;
use crate::client::{Answer, Client};
use crate::command::{Outcome, souk};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use souk_stack::Stack;
use std::time::{Duration, Instant};
use ureq::http::Method;

/// How long something may take to be seen before the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A time so far from now, as the API has it.
pub fn in_ms(ms: i64) -> String {
    format!("{:.3}", Timestamp::now() + SignedDuration::from_millis(ms))
}

/// What a seller sends, with these fields in place of the usual ones.
fn terms(changes: &Value) -> Value {
    let mut terms = json!({
        "title": "A lamp", "description": "It is green.", "currency": "EUR",
        "start_price": 100, "increment": 10, "end_at": in_ms(3_600_000),
    });
    for (key, value) in changes.as_object().expect("an object") {
        terms[key] = value.clone();
    }
    terms
}

/// Opens an auction; its id.
#[track_caller]
pub fn open(seller: &Person<'_>, changes: &Value) -> u64 {
    let answer = seller.json(Method::POST, "/api/v1/auctions", &terms(changes));
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_u64().expect("an id")
}

pub fn bid(bidder: &Person<'_>, auction: u64, body: &Value) -> Answer {
    bidder.json(Method::POST, &format!("/api/v1/auctions/{auction}/bids"), body)
}

/// Bids what has to be accepted.
#[track_caller]
pub fn accepted(bidder: &Person<'_>, auction: u64, body: &Value) -> Value {
    let answer = bid(bidder, auction, body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

#[track_caller]
fn auction(client: &Client, id: u64) -> Value {
    let answer = client.get(&format!("/api/v1/auctions/{id}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs `souk auction verify` on the stack's database.
fn verify(stack: &Stack, args: &[&str]) -> Outcome {
    let url = stack.mysql_url();
    souk(&[&["auction", "verify"], args, &["--mysql", &url]].concat())
}

#[track_caller]
fn all_is_right(stack: &Stack) {
    let outcome = verify(stack, &["--all"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}
