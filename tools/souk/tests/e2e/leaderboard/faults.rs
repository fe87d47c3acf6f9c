//! What stays true when a daemon is killed, a store is lost, and two daemons write at once.

use super::{PATIENCE, eventually, operate, page, people, program, rank, rate, rated};
use crate::accounts::person::{Person, client, register};
use crate::accounts::{refused, unlimited};
use crate::client::Client;
use crate::wire::Wire;
use serde_json::json;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// Adds one to the user's rating, over and over, until told to stop; how many were acknowledged,
/// and how many have an outcome that nobody knows.
fn climb(address: &str, token: &str, id: u64, stop: &AtomicBool, all: &AtomicU64) -> (i64, i64) {
    let (mut done, mut unknown) = (0, 0);
    let mut wire = Wire::open(address).expect("accepted");
    while !stop.load(Ordering::Relaxed) {
        let path = format!("PUT /api/v1/users/{id}/rating");
        wire.write_json(&path, token, r#"{"delta":1}"#).expect("taken");
        let heard = wire.hear().expect("answered");
        match heard.status {
            200 => {
                done += 1;
                all.fetch_add(1, Ordering::Relaxed);
            }
            503 | 504 | 401 => unknown += 1,
            _ => panic!("{heard:?}"),
        }
        if heard.last {
            wire = Wire::open(address).expect("accepted");
        }
    }
    (done, unknown)
}

/// Stops those who climb and wander when the test ends, however it does.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn after_more(all: &AtomicU64, more: u64) {
    let goal = all.load(Ordering::Relaxed) + more;
    let end = Instant::now() + PATIENCE;
    while all.load(Ordering::Relaxed) < goal {
        assert!(Instant::now() < end, "no more ratings are acknowledged");
        thread::yield_now();
    }
}

#[test]
fn a_daemon_killed_again_and_again_loses_no_rating_and_miscounts_nobody() {
    let mut stack = unlimited().start().expect("the stack starts");
    let client = client(&stack);
    let ids = people(&client, &["ann", "bob", "cid", "dot"]);
    let token = program(&stack, &client, "service").token;
    let address = stack.address().to_owned();
    let (stop, all) = (AtomicBool::new(false), AtomicU64::new(0));
    let outcomes: Vec<(i64, i64)> = thread::scope(|scope| {
        let _stops = Stops(&stop);
        let climb = |id: u64| climb(&address, &token, id, &stop, &all);
        let climbers: Vec<_> = ids.iter().map(|id| scope.spawn(move || climb(*id))).collect();
        for _ in 0..4 {
            after_more(&all, 40);
            stack.daemons()[0].kill();
            stack.restart_daemon(0).expect("starts again");
        }
        after_more(&all, 40);
        stop.store(true, Ordering::Relaxed);
        climbers.into_iter().map(|climber| climber.join().expect("no failure")).collect()
    });
    for (id, (done, unknown)) in ids.iter().zip(outcomes) {
        let climbed = rank(&client, *id)["rating"].as_i64().expect("a rating") - 1000;
        assert!((done..=done + unknown).contains(&climbed), "{climbed}: {done} and {unknown}");
    }
    assert_eq!(operate(&stack, &["leaderboard", "verify"]), "every count is right");
}

#[test]
fn ratings_go_on_without_redis_and_nobody_sees_an_old_one_afterwards() {
    let mut stack = unlimited().start().expect("the stack starts");
    let client = client(&stack);
    let ids = people(&client, &["ann", "bob"]);
    let service = program(&stack, &client, "service");
    let shown = |name: &str| client.get(&format!("/api/v1/users/by-name/{name}")).json();
    rated(&service, ids[0], 1100);
    assert_eq!(shown("ann")["rating"], 1100);
    stack.redis().kill();
    eventually("ratings go on", || rate(&service, ids[0], &json!({"rating": 1200})).status == 200);
    assert_eq!(rank(&client, ids[0])["rating"], 1200);
    assert_eq!(page(&client, "")["total"], 2);
    stack.redis().restart().expect("starts again");
    for _ in 0..50 {
        assert_eq!(shown("ann")["rating"], 1200);
        assert_eq!(rank(&client, ids[0])["rating"], 1200);
    }
    rated(&service, ids[0], 1300);
    assert_eq!(shown("ann")["rating"], 1300);
}

#[test]
fn without_mysql_the_first_page_is_served_and_marked_as_old() {
    let mut stack = unlimited().own_mariadb().start().expect("the stack starts");
    let client = client(&stack);
    let ids = people(&client, &["ann"]);
    let service = program(&stack, &client, "service");
    eventually("the page is there", || page(&client, "")["total"] == 1);
    stack.mariadb().kill();
    eventually("the page is old", || {
        let answer = client.get("/api/v1/leaderboard");
        answer.status == 200 && answer.json()["stale_ms"].as_u64().is_some_and(|ms| ms > 0)
    });
    let old = client.get("/api/v1/leaderboard");
    assert!(old.header("warning").starts_with("110 "), "{old:?}");
    assert!(old.header("age").parse::<u64>().is_ok(), "{old:?}");
    refused(&rate(&service, ids[0], &json!({"rating": 1500})), 503, "store_unavailable");
    stack.mariadb().restart().expect("starts again");
    eventually("it is of now again", || page(&client, "")["stale_ms"].is_null());
    rated(&service, ids[0], 1500);
}

#[test]
fn two_daemons_write_at_once_and_a_walk_meets_everybody_who_stays_once() {
    let stack =
        unlimited().daemons(2).daemon_set("daemon.shards", 2).start().expect("the stack starts");
    let client = client(&stack);
    let names: Vec<String> = (0..40).map(|number| format!("stays_{number:02}")).collect();
    let staying: HashSet<u64> =
        names.iter().map(|name| register(&client, name)["id"].as_u64().expect("an id")).collect();
    let movers = people(&client, &["mover_a", "mover_b", "mover_c"]);
    let service = program(&stack, &client, "service");
    for (place, id) in staying.iter().enumerate() {
        rated(&service, *id, 900 + 10 * i32::try_from(place).expect("few"));
    }
    let (stop, all) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let (stop, all, address) = (&stop, &all, stack.address());
        let _stops = Stops(stop);
        let token = &service.token;
        for id in &movers {
            scope.spawn(move || wander(address, token, *id, stop, all));
        }
        for round in 0..6 {
            after_more(all, 10);
            let met = walk(&client, round % 2 == 1);
            for id in &staying {
                assert_eq!(met.iter().filter(|other| *other == id).count(), 1, "user {id}");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(operate(&stack, &["leaderboard", "verify"]), "every count is right");
    eventually("both daemons agree with the page", || {
        let page = page(&client, "?limit=500");
        let agree = page["items"].as_array().expect("items").iter().all(|line| {
            rank(&client, line["user_id"].as_u64().expect("an id"))["rank"] == line["rank"]
        });
        agree && page["total"] == 43
    });
}

/// Jumps up and down the board until told to stop.
fn wander(address: &str, token: &str, id: u64, stop: &AtomicBool, all: &AtomicU64) {
    let client = Client::new(address);
    let program = Person { client: &client, id: 0, token: token.to_owned() };
    let mut rating = 100;
    while !stop.load(Ordering::Relaxed) {
        rating = 100 + (rating * 31 + 17) % 2000;
        rated(&program, id, rating);
        all.fetch_add(1, Ordering::Relaxed);
    }
}

/// All ids on the board, page by page from the top, or back from the bottom.
fn walk(client: &Client, back: bool) -> Vec<u64> {
    let id = |line: &serde_json::Value| line["user_id"].as_u64().expect("an id");
    let (mut met, mut query) = (Vec::new(), "?limit=7".to_owned());
    let mut last = None;
    loop {
        let page = page(client, &query);
        met.extend(page["items"].as_array().expect("items").iter().map(id));
        let Some(next) = page["next_cursor"].as_str() else { break };
        last = Some(next.to_owned());
        query = format!("?limit=7&cursor={next}");
    }
    let Some(last) = last.filter(|_| back) else { return met };
    // From the last page back to the top, unless everybody has left that page meanwhile.
    let behind = page(client, &format!("?limit=7&cursor={last}"));
    let behind_ids: Vec<u64> = behind["items"].as_array().expect("items").iter().map(id).collect();
    if behind_ids.is_empty() {
        return met;
    }
    met = behind_ids;
    let mut cursor = behind["previous_cursor"].as_str().map(str::to_owned);
    while let Some(previous) = cursor {
        let page = page(client, &format!("?limit=7&direction=previous&cursor={previous}"));
        met.extend(page["items"].as_array().expect("items").iter().map(id));
        cursor = page["previous_cursor"].as_str().map(str::to_owned);
    }
    met
}
