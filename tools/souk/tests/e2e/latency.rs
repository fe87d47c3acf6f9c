//! `souk latency` shows what really happened, of every program that it finds.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use souk_stack::{PrivateDir, Stack};

use crate::client::Client;
use crate::command::{souk, souk_command};

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends `count` requests for a user that does not exist: each is one in the front and one in the
/// daemon.
fn ask(stack: &Stack, count: usize) {
    let client = Client::new(stack.address());
    for _ in 0..count {
        assert_eq!(client.get("/api/v1/users/by-name/nobody").status, 404);
    }
}

/// Reads the programs in `dir` until this route was met so often: a client has its answer a moment
/// before that is counted.
fn read_until(dir: &str, program: &str, route: &str, count: u64) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let flags = ["latency", "--dir", dir, "--interval", "0.1", "--json", "--route", route];
        let outcome = souk(&flags);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let reading: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let rows = rows(&reading, "since_start", program);
        if rows.len() == 1 && rows[0]["count"] == count {
            return reading;
        }
        assert!(Instant::now() < until, "{reading}");
    }
}

fn rows<'a>(reading: &'a Value, when: &str, program: &str) -> Vec<&'a Value> {
    let rows = reading[when].as_array().unwrap().iter();
    rows.filter(|row| row["program"] == program && row["stage"] == "total").collect()
}

#[test]
fn every_request_is_counted_by_route_in_front_and_daemon_and_fronts_are_merged() {
    let stack = Stack::builder().fronts(2).start().unwrap();
    ask(&stack, 20);
    let other = Client::new(stack.fronts()[1].address());
    assert_eq!(other.get("/api/v1/users/by-name/nobody").status, 404);
    let dir = stack.dir().to_str().unwrap();
    read_until(dir, "souk-front", "by-name", 21);
    let reading = read_until(dir, "souk-front", "by-name", 21);
    assert_eq!(reading["programs"].as_array().unwrap().len(), 3);
    let front = rows(&reading, "since_start", "souk-front");
    assert_eq!(front[0]["route"], "GET /api/v1/users/by-name/{username}");
    assert!(front[0]["p50_ns"].as_u64() <= front[0]["max_ns"].as_u64());
    // Nothing happened between the two readings.
    assert!(rows(&reading, "interval", "souk-front").is_empty(), "{reading}");

    let outcome = souk(&["latency", "--dir", dir, "--interval", "0.1"]);
    for part in ["souk-front 0.1.0 (2 programs), soukd 0.1.0", "since the start", "  total "] {
        assert!(outcome.stdout.contains(part), "{part}: {}", outcome.stdout);
    }
    assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 80), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("soukd  GetUserByName"), "{}", outcome.stdout);
}

#[test]
fn a_named_listener_is_read_alone_and_one_that_is_gone_is_said() {
    let stack = Stack::builder().start().unwrap();
    ask(&stack, 1);
    read_until(stack.dir().to_str().unwrap(), "soukd", "GetUserByName", 1);
    let daemon = stack.daemon_admin(0);
    let gone = format!("unix:{}/gone.sock", stack.dir().display());
    let outcome =
        souk(&["latency", "--interval", "0.1", "--json", "--admin", &daemon, "--admin", &gone]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let reading: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(reading["programs"].as_array().unwrap().len(), 1);
    assert_eq!(reading["silent"].as_array().unwrap().len(), 1);
    assert_eq!(rows(&reading, "since_start", "soukd")[0]["count"], json!(1));
    assert!(outcome.stderr.contains("gone.sock"), "{outcome:?}");
}

#[test]
fn without_a_program_the_error_says_where_it_looked_and_what_to_do() {
    let home = PrivateDir::new().unwrap();
    let socket = format!("unix:{}/none.sock", home.path().display());
    let outcome = souk(&["latency", "--admin", &socket]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains(&socket) && outcome.stderr.contains("listen"), "{outcome:?}");
    for wrong in [["--interval", "0"], ["--admin", "9101"]] {
        let outcome = souk(&[&["latency"][..], &wrong].concat());
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
    }
}

#[test]
fn watching_goes_on_until_nobody_reads() {
    let stack = Stack::builder().start().unwrap();
    let dir = stack.dir().to_str().unwrap();
    let flags = ["latency", "--dir", dir, "--watch", "--json", "--interval", "0.1"];
    let mut child = souk_command(&flags).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let line = lines.next().unwrap().unwrap();
        serde_json::from_str::<Value>(&line).unwrap();
    }
    drop(lines);
    assert!(child.wait().unwrap().success());
}
