//! What the programs say of themselves, against what was really asked of them.

use crate::accounts::person::{Person, client, log_in, register};
use crate::accounts::{refused, unlimited};
use crate::auctions;
use crate::client::raw;
use crate::command::souk;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use nom_openmetrics::parser::openmetrics;
use serde_json::json;
use souk_meter::{Latency, Place};
use souk_stack::Stack;
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

const BY_NAME: &str = "GET /api/v1/users/by-name/{username}";

fn read(admin: &str, path: &str) -> String {
    let place = Place::parse(admin).expect("a place");
    souk_meter::client::get(&place, path, PATIENCE).expect(path)
}

/// The sum of a metric over all samples with these labels.
fn metric(admin: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let text = read(admin, "/metrics");
    let (rest, families) = openmetrics(&text).expect("OpenMetrics");
    assert_eq!(rest, "");
    let samples = families.iter().flat_map(|family| &family.samples);
    let fits = |sample: &nom_openmetrics::Sample, label: &(&str, &str)| {
        sample.labels().iter().any(|it| it.name == label.0 && it.value == label.1)
    };
    samples
        .filter(|it| it.name() == name && labels.iter().all(|label| fits(it, label)))
        .map(nom_openmetrics::Sample::number)
        .sum()
}

/// How often each stage of a route was met.
fn stages(admin: &str, route: &str) -> HashMap<String, u64> {
    let report = Latency::parse(&read(admin, "/latency")).expect("a report");
    let route = report.routes.into_iter().find(|it| it.route == route);
    let stages = route.into_iter().flat_map(|route| route.stages);
    stages.map(|it| (it.stage.clone(), it.histogram().expect("sound").len())).collect()
}

/// Waits until `check` gives this. A client has its answer a moment before the front has counted
/// that.
#[track_caller]
fn becomes<T: PartialEq + std::fmt::Debug>(expected: &T, check: impl Fn() -> T) {
    let until = Instant::now() + PATIENCE;
    let mut seen = check();
    while seen != *expected && Instant::now() < until {
        seen = check();
    }
    assert_eq!(&seen, expected);
}

fn counts(met: &[(&str, u64)]) -> HashMap<String, u64> {
    met.iter().map(|(stage, count)| ((*stage).to_owned(), *count)).collect()
}

#[test]
fn every_request_is_counted_once_with_its_stages_in_both_programs() {
    let builder = unlimited().front_set("http.threads", 2).daemon_set("daemon.shards", 2);
    let stack = builder.start().expect("the stack starts");
    let (front, daemon) = (stack.front_admin(0), stack.daemon_admin(0));
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    const READS: u64 = 50;
    for _ in 0..READS {
        assert_eq!(client.get("/api/v1/users/by-name/ada").status, 200);
    }
    for _ in 0..3 {
        assert_eq!(client.get("/api/v1/users/by-name/nobody").status, 404);
    }
    ada.me();
    assert_eq!(client.get("/api/v1/nothing").status, 404);
    assert!(raw(stack.address(), b"nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));

    let all = READS + 3;
    let met = ["head", "parse", "queue", "link", "encode", "write", "total"];
    becomes(&counts(&met.map(|stage| (stage, all))), || stages(&front, BY_NAME));
    let requests =
        |code| metric(&front, "souk_requests_total", &[("route", BY_NAME), ("code", code)]);
    assert_eq!((requests("200"), requests("404")), (READS as f64, 3.0));
    let misfits = [("route", "(none)")];
    becomes(&2.0, || metric(&front, "souk_requests_total", &misfits));
    assert!(
        metric(&front, "souk_response_bytes_total", &[("route", BY_NAME)]) > 100.0 * all as f64
    );

    let served = stages(&daemon, "GetUserByName");
    for stage in ["decode", "queue", "logic", "encode", "total"] {
        assert_eq!(served[stage], all, "{stage}: {served:?}");
    }
    let stores = ["redis", "mysql_queue", "mysql"].map(|stage| served[stage]);
    assert!(stores.iter().all(|count| (1..=all).contains(count)), "{served:?}");
    let outcome = |code| {
        metric(&daemon, "souk_requests_total", &[("route", "GetUserByName"), ("code", code)])
    };
    assert_eq!((outcome("ok"), outcome("user_not_found")), (READS as f64, 3.0));
    let hits = metric(&daemon, "souk_cache_reads_total", &[("outcome", "hit")]);
    assert!(hits >= READS as f64 - 10.0, "{hits}");
    assert!(metric(&daemon, "souk_batch_size_count", &[("store", "mysql_write")]) >= 1.0);
    assert!(metric(&front, "souk_batch_size_sum", &[("store", "link")]) >= all as f64);
    assert!(metric(&front, "souk_ring_submissions_total", &[]) >= all as f64);
    assert!(metric(&front, "souk_loop_turns_total", &[]) > 0.0);
    assert!(metric(&daemon, "souk_loop_turns_total", &[]) > 0.0);
    assert!(metric(&front, "souk_open_connections", &[]) >= 1.0);
    assert_eq!(metric(&front, "souk_links", &[]), 4.0, "two threads, two shards");
}

#[test]
fn a_login_shows_its_hash_and_the_next_one_the_memo() {
    let stack = unlimited().start().expect("the stack starts");
    let daemon = stack.daemon_admin(0);
    let client = client(&stack);
    register(&client, "ada");
    let password = crate::accounts::person::PASSWORD;
    for _ in 0..3 {
        assert_eq!(log_in(&client, "ada", password).status, 200);
    }
    let served = stages(&daemon, "Login");
    assert_eq!((served["total"], served["argon2"], served["argon2_queue"]), (3, 1, 1));
    let lookups = |outcome| metric(&daemon, "souk_memo_lookups_total", &[("outcome", outcome)]);
    assert_eq!((lookups("miss"), lookups("hit")), (1.0, 2.0));
}

#[test]
fn a_store_that_is_down_is_shown_as_down() {
    let mut stack = unlimited().own_mariadb().start().expect("the stack starts");
    let daemon = stack.daemon_admin(0);
    let client = client(&stack);
    let up = |store| metric(&daemon, "souk_store_up", &[("store", store)]);
    becomes(&(1.0, 1.0), || (up("redis"), up("mysql")));
    stack.redis().kill();
    stack.mariadb().kill();
    becomes(&(0.0, 0.0), || {
        client.get("/ready");
        (up("redis"), up("mysql"))
    });
}

#[test]
fn a_replica_that_replicates_nothing_is_endlessly_behind_and_no_replica_is_not_behind() {
    let mut stack = unlimited().own_mariadb().start().expect("the stack starts");
    let daemon = stack.daemon_admin(0);
    let is_told = || read(&daemon, "/metrics").contains("souk_replica_lag_seconds");
    assert!(!is_told());
    let change = "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_USER = 'nobody'";
    stack.mariadb().sql(change).expect("it has a primary, on paper");
    becomes(&true, is_told);
    assert_eq!(metric(&daemon, "souk_replica_lag_seconds", &[]), f64::INFINITY);
}

#[test]
fn at_the_end_the_interval_logs_hold_every_request() {
    let home = tempfile::tempdir().expect("a directory");
    let file = |name: &str| home.path().join(name).display().to_string();
    let stack: Stack = unlimited()
        .front_set("latency.log_file", file("front.hlog"))
        .daemon_set("latency.log_file", file("soukd.hlog"))
        .daemon_set("latency.log_every_s", 1)
        .start()
        .expect("the stack starts");
    let client = client(&stack);
    register(&client, "ada");
    for _ in 0..40 {
        assert_eq!(client.get("/api/v1/users/by-name/ada").status, 200);
    }
    drop(client);
    assert!(stack.fronts()[0].stop().expect("stops").success());
    assert!(stack.daemons()[0].stop().expect("stops").success());
    let front = logged(Path::new(&file("front.hlog")));
    assert_eq!(front["GET_/api/v1/users/by-name/{username}|total"], 40);
    assert_eq!(front["GET_/api/v1/users/by-name/{username}|link"], 40);
    assert_eq!(front["POST_/api/v1/users|total"], 1);
    let daemon = logged(Path::new(&file("soukd.hlog")));
    assert_eq!((daemon["GetUserByName|total"], daemon["CreateUser|argon2"]), (40, 1));
}

/// How often each tag's stage was met, over all intervals of a log.
fn logged(file: &Path) -> HashMap<String, u64> {
    let bytes = std::fs::read(file).expect("a log");
    let mut counts = HashMap::new();
    for entry in IntervalLogIterator::new(&bytes) {
        let LogEntry::Interval(interval) = entry.expect("a sound line") else { continue };
        let tag = interval.tag().expect("every line has a tag").as_str().to_owned();
        let packed = data_encoding::BASE64.decode(interval.encoded_histogram().as_bytes());
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut packed.expect("base64").as_slice())
            .expect("a histogram");
        *counts.entry(tag).or_default() += histogram.len();
    }
    counts
}

#[test]
fn frames_of_the_binary_port_are_measured_as_routes_are() {
    let stack = unlimited().start().expect("the stack starts");
    let (client, front) = (client(&stack), stack.front_admin(0));
    let ada = Person::new(&client, "ada");
    let port = ["--connect", stack.bids_address(), "--token", &ada.token];
    souk(&[&["bid", "7", "100"][..], &port].concat());
    souk(&[&["bid", "7", "100", "--tag", "5"][..], &port].concat());
    souk(&["bid", "7", "100", "--connect", stack.bids_address(), "--token", "none"]);
    for (route, count) in [("TLV AUTH", 2), ("TLV BID", 1), ("TLV BID64", 1)] {
        for stage in ["parse", "queue", "link", "encode", "write", "total"] {
            becomes(&Some(count), || stages(&front, route).get(stage).copied());
        }
    }
    let refused = [("route", "TLV AUTH"), ("code", "401")];
    becomes(&1.0, || metric(&front, "souk_requests_total", &refused));
}

#[test]
fn a_bid_waits_for_redis_until_it_is_decided_and_then_for_its_commit() {
    let stack = unlimited().start().expect("the stack starts");
    let (client, daemon) = (client(&stack), stack.daemon_admin(0));
    let [sam, ada] = ["sam", "ada"].map(|name| Person::new(&client, name));
    let id = auctions::open(&sam, &json!({}));
    let waited = |stage: &str| stages(&daemon, "PlaceBids").get(stage).copied();
    auctions::accepted(&ada, id, &json!({"amount": 500}));
    for stage in ["redis", "mysql", "total"] {
        becomes(&Some(1), || waited(stage));
    }
    // Who is refused has waited for no commit.
    refused(&auctions::bid(&sam, id, &json!({"amount": 900})), 403, "own_auction");
    becomes(&Some(2), || waited("total"));
    assert_eq!(waited("mysql"), Some(1));
}
