//! The leaderboard on the whole stack: exact pages and ranks, who may change ratings, and what
//! happens when something dies.

mod boards;
mod faults;
mod live;
mod ratings;
mod reads;
mod site;

use crate::accounts::person::{Person, register};
use crate::client::{Answer, Client};
use crate::command::souk;
use serde_json::{Value, json};
use souk_stack::Stack;
use std::time::{Duration, Instant};
use ureq::http::Method;

/// How long something may take to be seen before the test has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `souk` on the stack's database; what it printed.
fn operate(stack: &Stack, args: &[&str]) -> String {
    let url = stack.mysql_url();
    let outcome = souk(&[args, &["--mysql", &url]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.stdout.trim().to_owned()
}

/// A program with a token of this role.
fn program<'a>(stack: &Stack, client: &'a Client, role: &str) -> Person<'a> {
    let token = operate(stack, &["token", "--role", role]);
    assert_eq!(token.lines().count(), 1, "{token}");
    let program = Person { client, id: 0, token };
    eventually("the token is known", || rate(&program, 0, &json!({"rating": 1})).status != 401);
    program
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn rate(program: &Person<'_>, id: u64, change: &Value) -> Answer {
    program.json(Method::PUT, &format!("/api/v1/users/{id}/rating"), change)
}

#[track_caller]
fn rated(program: &Person<'_>, id: u64, rating: i32) {
    let answer = rate(program, id, &json!({"rating": rating}));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["rating"], rating);
}

/// Registers users of these names; their ids.
fn people(client: &Client, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| register(client, name)["id"].as_u64().expect("an id")).collect()
}

fn rank(client: &Client, id: u64) -> Value {
    let answer = client.get(&format!("/api/v1/users/{id}/rank"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[track_caller]
fn page(client: &Client, query: &str) -> Value {
    let answer = client.get(&format!("/api/v1/leaderboard{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Rank, name and rating of each line.
fn lines(page: &Value) -> Vec<(u64, String, i64)> {
    let items = page["items"].as_array().expect("items");
    items
        .iter()
        .map(|line| {
            let name = line["username"].as_str().expect("a name").to_owned();
            (line["rank"].as_u64().expect("a rank"), name, line["rating"].as_i64().expect("one"))
        })
        .collect()
}

fn line(rank: u64, name: &str, rating: i64) -> (u64, String, i64) {
    (rank, name.to_owned(), rating)
}
