//! A request's way through both programs: its spans at a collector, its trace id in logs and
//! problem answers.

#[path = "../../../trace/tests/it/collector.rs"]
mod collector;

use crate::accounts::person::{PASSWORD, Person, client, register};
use crate::accounts::{refused, unlimited};
use crate::client::{Answer, Client};
use collector::{Collector, Seen};
use serde_json::json;
use souk_stack::{Stack, StackBuilder, Watch};
use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use ureq::http::Method;

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// The span of a caller outside.
const CALLER: u64 = 0x00f0_67aa_0ba9_02b7;

/// A stack whose programs export to this address; the front samples this share by itself.
fn traced(url: &str, share: f64) -> StackBuilder {
    unlimited()
        .front_set("tracing.otlp_endpoint", url)
        .front_set("tracing.sample_ratio", share)
        .daemon_set("tracing.otlp_endpoint", url)
}

/// A request of a caller that has a trace.
fn ask(client: &Client, method: Method, path: &str, trace: u128, flags: u8, body: &str) -> Answer {
    let traceparent = format!("00-{trace:032x}-{CALLER:016x}-{flags:02x}");
    let json = ("content-type", "application/json");
    client.send(method, path, &[("traceparent", &traceparent), json], body.as_bytes())
}

/// All spans of a trace, once there is one of each of these names.
fn spans(collector: &Collector, trace: u128, names: &[&str]) -> Vec<Seen> {
    let of = |seen: &[Seen]| -> Vec<Seen> {
        seen.iter().filter(|seen| seen.trace_id() == trace).cloned().collect()
    };
    let has = |seen: &[Seen], name: &str| seen.iter().any(|seen| seen.span.name == name);
    of(&collector.wait(|seen| names.iter().all(|name| has(&of(seen), name))))
}

/// Checks that the spans hang below the caller's: front, daemon, and under it the stores.
fn one_tree(spans: &[Seen], front: &str, daemon: &str) {
    let named =
        |name: &str| -> Vec<&Seen> { spans.iter().filter(|seen| seen.span.name == name).collect() };
    let [root] = named(front)[..] else { panic!("one span of the front: {spans:#?}") };
    assert_eq!((root.parent(), root.service.as_str()), (Some(CALLER), "souk-front"));
    let [server] = named(daemon)[..] else { panic!("one span of the daemon: {spans:#?}") };
    assert_eq!((server.parent(), server.service.as_str()), (Some(root.id()), "soukd"));
    for store in spans.iter().filter(|seen| seen.id() != root.id() && seen.id() != server.id()) {
        assert_eq!((store.parent(), store.service.as_str()), (Some(server.id()), "soukd"));
        assert!(store.number("db.operation.batch.size").is_some_and(|size| size > 0), "{store:?}");
        assert!(store.span.start_time_unix_nano >= server.span.start_time_unix_nano);
    }
    let ids: BTreeSet<u64> = spans.iter().map(Seen::id).collect();
    assert_eq!(ids.len(), spans.len(), "every span has an id of its own");
    assert!(
        spans.iter().all(|seen| seen.span.start_time_unix_nano <= seen.span.end_time_unix_nano)
    );
}

#[test]
fn the_spans_of_one_request_form_one_tree_below_its_callers() {
    let collector = Collector::start();
    let stack = traced(&collector.url(), 0.0).start().expect("the stack starts");
    let client = client(&stack);
    let body = json!({"username": "ada", "password": PASSWORD}).to_string();
    assert_eq!(ask(&client, Method::POST, "/api/v1/users", 1, 1, &body).status, 201);
    let (front, daemon) = ("POST /api/v1/users", "CreateUser");
    let write = spans(&collector, 1, &[front, daemon, "redis batch", "mysql write"]);
    one_tree(&write, front, daemon);

    register(&client, "bea");
    let path = "/api/v1/users/by-name/bea";
    assert_eq!(ask(&client, Method::GET, path, 2, 1, "").status, 200);
    let (front, daemon) = ("GET /api/v1/users/by-name/{username}", "GetUserByName");
    let read = spans(&collector, 2, &[front, daemon, "redis batch"]);
    one_tree(&read, front, daemon);
    let status = |seen: &Seen| seen.number("http.response.status_code");
    assert_eq!(read.iter().find_map(status), Some(200));
    let without = collector.wait(|_| true);
    assert!(
        without.iter().all(|seen| [1, 2].contains(&seen.trace_id())),
        "nothing else is sampled"
    );
}

#[test]
fn a_read_past_the_cache_shows_the_query_that_it_shared() {
    let collector = Collector::start();
    let stack =
        traced(&collector.url(), 0.0).daemon_arg("--no-cache").start().expect("the stack starts");
    let client = client(&stack);
    register(&client, "ada");
    assert_eq!(ask(&client, Method::GET, "/api/v1/users/by-name/ada", 3, 1, "").status, 200);
    let (front, daemon) = ("GET /api/v1/users/by-name/{username}", "GetUserByName");
    let read = spans(&collector, 3, &[front, daemon, "mysql read"]);
    one_tree(&read, front, daemon);
    assert_eq!(ask(&client, Method::GET, "/api/v1/users/search?username=a", 4, 1, "").status, 200);
    let (front, daemon) = ("GET /api/v1/users/search", "SearchUsers");
    one_tree(&spans(&collector, 4, &[front, daemon, "mysql search"]), front, daemon);
}

#[test]
fn a_caller_that_does_not_sample_is_followed_and_new_traces_go_by_the_ratio() {
    let collector = Collector::start();
    let stack = traced(&collector.url(), 1.0).start().expect("the stack starts");
    let client = client(&stack);
    let path = "/api/v1/users/by-name/nobody";
    refused(&ask(&client, Method::GET, path, 5, 0, ""), 404, "user_not_found");
    let problem = refused(&client.get(path), 404, "user_not_found");
    let begun = problem["trace_id"].as_str().expect("a trace id");
    let begun = u128::from_str_radix(begun, 16).expect("in hexadecimal");
    let daemon = "GetUserByName";
    let spans = spans(&collector, begun, &["GET /api/v1/users/by-name/{username}", daemon]);
    let roots = spans.iter().filter(|seen| seen.parent().is_none()).count();
    assert_eq!(roots, 1, "a trace that begins here has one root: {spans:#?}");
    assert!(collector.wait(|_| true).iter().all(|seen| seen.trace_id() != 5));
}

#[test]
fn every_problem_answer_names_its_trace() {
    let stack = unlimited().start().expect("the stack starts");
    let client = client(&stack);
    let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    let text = json!(format!("{trace:032x}"));
    for (method, path, status, code, body) in [
        (Method::GET, "/api/v1/users/by-name/nobody", 404, "user_not_found", ""),
        (Method::GET, "/api/v1/me", 401, "unauthenticated", ""),
        (Method::GET, "/nowhere", 404, "route_not_found", ""),
        (Method::PATCH, "/health", 405, "method_not_allowed", ""),
        (Method::POST, "/api/v1/login", 400, "malformed_body", "{"),
    ] {
        let answer = refused(&ask(&client, method, path, trace, 0, body), status, code);
        assert_eq!(answer["trace_id"], text, "{path}");
    }
    // What is no request has a trace id, too.
    let raw = crate::client::raw(stack.address(), b"GET / HTTP/9.9\r\n\r\n");
    assert!(raw.contains("\"trace_id\":\""), "{raw}");
}

/// Keeps all log lines.
#[derive(Default)]
pub struct Lines(Mutex<Vec<(String, String)>>, Condvar);

impl Watch for Lines {
    fn line(&self, label: &str, line: &str) {
        self.0.lock().unwrap().push((label.to_owned(), line.to_owned()));
        self.1.notify_all();
    }
}

impl Lines {
    /// Every line so far.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    /// All lines of a program with these words, once there is one.
    fn wait(&self, label: &str, words: &[&str]) -> Vec<String> {
        let found = |lines: &Vec<(String, String)>| -> Vec<String> {
            let fits = |(of, line): &&(String, String)| {
                of == label && words.iter().all(|word| line.contains(word))
            };
            lines.iter().filter(fits).map(|(_, line)| line.clone()).collect()
        };
        let lines = self.0.lock().unwrap();
        let none = |lines: &mut Vec<(String, String)>| found(lines).is_empty();
        let (lines, late) = self.1.wait_timeout_while(lines, PATIENCE, none).unwrap();
        assert!(!late.timed_out(), "{label} never said {words:?}: {lines:#?}");
        found(&lines)
    }
}

/// Starts a stack, and keeps what its programs log.
pub fn logged(stack: StackBuilder) -> (Stack, Arc<Lines>) {
    let lines = Arc::new(Lines::default());
    let stack = stack.watch(lines.clone()).start().expect("the stack starts");
    (stack, lines)
}

#[test]
fn a_log_line_that_belongs_to_a_request_carries_its_trace_id() {
    let (mut stack, lines) = logged(unlimited().daemon_set("log.level", "debug"));
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    stack.redis().kill();
    let traceparent = format!("00-{:032x}-{CALLER:016x}-00", 0xabc);
    let answer = ada.send(Method::GET, "/api/v1/me", &[("traceparent", &traceparent)], &[]);
    refused(&answer, 503, "store_unavailable");
    let said = lines.wait("soukd-0", &["a store is away"]);
    let line: serde_json::Value = serde_json::from_str(&said[0]).expect("a line is JSON");
    assert_eq!(line["trace_id"], format!("{:032x}", 0xabc));
}

#[test]
fn a_slow_request_is_logged_once_in_each_program_with_its_stages_and_its_trace_id() {
    let slow = unlimited().front_set("log.slow_ms", 1).daemon_set("log.slow_ms", 1);
    let (stack, lines) = logged(slow);
    let client = client(&stack);
    // It pays Argon2, which takes longer than that anywhere.
    let body = json!({"username": "ada", "password": PASSWORD}).to_string();
    assert_eq!(ask(&client, Method::POST, "/api/v1/users", 0xabc, 0, &body).status, 201);
    let trace = format!("{:032x}", 0xabc);
    for (label, route, outcome, stage) in [
        ("souk-front-0", "POST /api/v1/users", "201", "link "),
        ("soukd-0", "CreateUser", "ok", "argon2 "),
    ] {
        let said = lines.wait(label, &["slow request", &trace]);
        assert_eq!(said.len(), 1, "{said:?}");
        let line: serde_json::Value = serde_json::from_str(&said[0]).expect("a line is JSON");
        assert_eq!((&line["route"], &line["outcome"]), (&json!(route), &json!(outcome)));
        assert!(line["total_ms"].as_f64().is_some_and(|ms| ms >= 1.0), "{line}");
        assert!(line["stages"].as_str().is_some_and(|list| list.contains(stage)), "{line}");
    }
}

#[test]
fn a_collector_that_is_away_costs_no_request_and_no_orderly_end() {
    // Nothing listens at this port: it is reserved for a service that died out.
    let (stack, lines) = logged(traced("http://127.0.0.1:1", 1.0));
    let client = client(&stack);
    register(&client, "ada");
    for _ in 0..200 {
        assert_eq!(client.get("/api/v1/users/by-name/ada").status, 200);
    }
    for label in ["souk-front-0", "soukd-0"] {
        let said = lines.wait(label, &["the collector does not take spans"]);
        assert_eq!(said.len(), 1, "once for the whole outage: {said:?}");
    }
    assert_eq!(stack.fronts()[0].stop().expect("it stops").code(), Some(0));
    assert_eq!(stack.daemons()[0].stop().expect("it stops").code(), Some(0));
}
