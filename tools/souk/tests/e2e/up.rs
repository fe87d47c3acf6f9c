//! `souk up` serves, stops cleanly, keeps its data, and never leaves half of itself running.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;
use souk_stack::{PrivateDir, Program, ProgramSpec, Stack};
use ureq::http::Method;

use crate::client::{Client, raw};
use crate::command::{souk, souk_command};

/// Only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub fn up(dir: &Path, flags: &[&str]) -> Program {
    up_with(dir, flags, &[])
}

fn up_with(dir: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Program {
    // Whoever runs the tests may have us ignore SIGHUP.
    let mut spec = ProgramSpec::new("souk", "/usr/bin/env".into())
        .arg("--default-signal=HUP")
        .arg(env!("CARGO_BIN_EXE_souk"))
        .arg("up")
        .arg("--http")
        .arg("127.0.0.1:0")
        .arg("--dir")
        .arg(dir);
    spec.args.extend(flags.iter().map(Into::into));
    spec.ready = "souk ready ".into();
    spec.inherit_settings = false;
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    spec.environment = environment.iter().map(owned).collect();
    Program::start(&spec).unwrap()
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

/// The process ids of the children of `parent` that run `program`.
fn children(parent: u32, program: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(number) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        // "1234 (soukd) S 1200 …"
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, rest)) = stat.split_once(&format!("({program}) ")) else { continue };
        if rest.split(' ').nth(1) == Some(&parent.to_string()) {
            found.push(number);
        }
    }
    found
}

#[test]
fn up_serves_a_demo_login_and_keeps_data_and_sessions_between_runs() {
    let home = PrivateDir::new().unwrap();
    let dir = home.path().join("var");
    let first = up(&dir, &["--users", "20", "--shards", "1", "--front-threads", "1"]);
    let client = Client::new(first.address());
    assert_eq!(client.get("/health").status, 200);
    let login = client.post("/api/v1/login", &json!({"username": "user1", "password": "password"}));
    assert_eq!(login.status, 200, "{login:?}");
    let token = login.json()["token"].as_str().unwrap().to_owned();
    let fresh = json!({"username": "leyla", "password": "a few words in a row"});
    assert_eq!(client.post("/api/v1/users", &fresh).status, 201);

    let programs = ["mariadbd", "redis-server", "soukd", "souk-front"];
    let started: Vec<u32> =
        programs.iter().flat_map(|program| children(first.pid(), program)).collect();
    assert_eq!(started.len(), programs.len());
    // SIGINT is what Ctrl-C sends.
    kill_process(pid(first.pid()), Signal::INT).unwrap();
    assert_eq!(first.wait(PATIENCE).unwrap().code(), Some(0), "{}", first.log());
    for child in started {
        assert!(test_kill_process(pid(child)).is_err(), "process {child} is still there");
    }

    let second = up(&dir, &["--users", "20"]);
    let client = Client::new(second.address());
    assert_eq!(client.post("/api/v1/login", &fresh).status, 200);
    let bearer = format!("Bearer {token}");
    let me = client.send(Method::GET, "/api/v1/me", &[("authorization", &bearer)], &[]);
    assert_eq!(me.json()["username"], "user1");
    assert_ne!(me.header("etag"), "");
    // SIGHUP is what a closed terminal sends.
    kill_process(pid(second.pid()), Signal::HUP).unwrap();
    assert_eq!(second.wait(PATIENCE).unwrap().code(), Some(0), "{}", second.log());
}

#[test]
fn a_second_up_in_the_same_directory_is_refused_and_the_first_goes_on() {
    let home = PrivateDir::new().unwrap();
    let first = up(home.path(), &["--users", "0"]);
    let dir = home.path().to_str().unwrap();
    let second = souk(&["up", "--dir", dir, "--http", "127.0.0.1:0"]);
    assert_eq!(second.code, Some(1));
    let running = format!("(process {})", first.pid());
    assert!(second.stderr.contains(&running) && second.stderr.contains("--dir"), "{second:?}");
    let request = b"GET /health HTTP/1.1\r\nHost: souk\r\nConnection: close\r\n\r\n";
    assert!(raw(first.address(), request).starts_with("HTTP/1.1 200 "));
}

#[test]
fn when_a_child_dies_it_is_named_and_everything_else_is_stopped() {
    let home = PrivateDir::new().unwrap();
    let souk = up(home.path(), &["--users", "0"]);
    let daemon = children(souk.pid(), "soukd");
    let mariadb = children(souk.pid(), "mariadbd");
    kill_process(pid(daemon[0]), Signal::KILL).unwrap();
    assert_eq!(souk.wait(PATIENCE).unwrap().code(), Some(1));
    assert!(souk.log().contains("soukd ended"), "{}", souk.log());
    assert!(test_kill_process(pid(mariadb[0])).is_err());
}

#[test]
fn an_address_in_use_is_told_before_anything_starts() {
    let home = PrivateDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = home.path().to_str().unwrap();
    let outcome = souk(&["up", "--dir", dir, "--http", &address, "--users", "0"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains(&address) && outcome.stderr.contains("--http"), "{outcome:?}");
    assert!(!home.path().join("mariadb").exists());
}

#[test]
fn stores_that_run_already_are_used_and_none_are_started() {
    let stack = Stack::stores().unwrap();
    let home = PrivateDir::new().unwrap();
    let (mysql, redis) = (stack.mysql_url(), stack.redis_url());
    let souk = up(home.path(), &["--mysql", &mysql, "--redis", &redis, "--users", "5"]);
    assert_eq!(Client::new(souk.address()).get("/ready").json()["database"], "up");
    assert!(!home.path().join("mariadb").exists() && !home.path().join("redis").exists());
    assert_eq!(stack.sql("SELECT COUNT(*) FROM users").unwrap().trim(), "5");
    assert!(souk.stop().unwrap().success());
    assert_eq!(stack.sql("SELECT COUNT(*) FROM users").unwrap().trim(), "5");
}

#[test]
fn the_environment_overrides_neither_the_stores_nor_the_flags() {
    let home = PrivateDir::new().unwrap();
    let environment = [
        ("SOUK_MYSQL_URL", "mysql://root@localhost/other?socket=/nowhere/sock"),
        ("SOUK_MYSQL_URL_FILE", "/nowhere/url"),
        ("SOUK_REDIS_URL", "unix:///nowhere/sock"),
        ("SOUK_LINK_SECRET_FILE", "/nowhere/secret"),
        ("SOUK_HTTP_LISTEN", "nowhere"),
        ("SOUK_DAEMON_SHARDS", "0"),
    ];
    let souk = up_with(home.path(), &["--users", "1", "--shards", "1"], &environment);
    let client = Client::new(souk.address());
    let login = json!({"username": "user1", "password": "password"});
    assert_eq!(client.post("/api/v1/login", &login).status, 200);
    assert!(souk.log().contains("SOUK_MYSQL_URL is not used"), "{}", souk.log());
    assert!(souk.stop().unwrap().success());
}

#[test]
fn print_config_takes_what_no_flag_says_from_the_environment() {
    let output = souk_command(&["up", "--print-config", "--shards", "3"])
        .env("SOUK_PASSWORDS_MEMO_TTL_S", "0")
        .env("SOUK_MYSQL_URL", "mysql://elsewhere/x")
        .env("SOUK_DAEMON_SHARDS", "7")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("memo_ttl_s = 0\n") && printed.contains("shards = 3\n"), "{printed}");
    assert!(!printed.contains("elsewhere"), "{printed}");
}

#[test]
fn print_config_shows_what_the_flags_come_to_and_starts_nothing() {
    let home = PrivateDir::new().unwrap();
    let dir = home.path().join("var");
    let flags = ["up", "--print-config", "--no-cache", "--no-limits", "--shards", "3"];
    let outcome = souk(&[&flags[..], &["--dir", dir.to_str().unwrap()]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for part in ["# soukd\n", "# souk-front\n", "shards = 3\n", "enabled = false\n"] {
        assert!(outcome.stdout.contains(part), "{part}: {outcome:?}");
    }
    assert!(!dir.exists());
}
