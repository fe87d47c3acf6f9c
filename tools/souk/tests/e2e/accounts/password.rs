//! `PUT /api/v1/me/password`.

use super::person::{PASSWORD, Person, client, log_in};
use super::{refused, refused_field, stack};
use serde_json::json;
use ureq::http::Method;

#[test]
fn a_changed_password_ends_the_old_one_and_the_other_sessions() {
    let stack = stack();
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    let phone = Person::again(&client, "ada");
    let change = |current: &str, new: &str| {
        ada.json(Method::PUT, "/api/v1/me/password", &json!({"current": current, "new": new}))
    };
    refused(&change("not the one", "battery staple"), 403, "wrong_password");
    refused_field(&change(PASSWORD, "short"), "new");
    assert_eq!(phone.me()["username"], "ada", "nothing happened yet");
    assert_eq!(change(PASSWORD, "battery staple").status, 204);
    assert_eq!(ada.me()["username"], "ada", "this session goes on");
    refused(&phone.get("/api/v1/me"), 401, "unauthenticated");
    refused(&log_in(&client, "ada", PASSWORD), 401, "wrong_credentials");
    assert_eq!(log_in(&client, "ada", "battery staple").status, 200);
}

#[test]
fn no_password_and_no_hash_ever_reaches_redis_or_the_log() {
    let stack = stack();
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    ada.me();
    let hash = stack.sql("SELECT password_hash FROM users").expect("a row");
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    let secret = hash.trim().rsplit('$').next().expect("the hash itself");
    let mut log = std::fs::read_dir(stack.dir().join("r")).expect("Redis' directory");
    let files: Vec<_> = log.by_ref().filter_map(Result::ok).map(|entry| entry.path()).collect();
    let mut bytes = Vec::new();
    for file in walk(files) {
        bytes.extend(std::fs::read(file).unwrap_or_default());
    }
    let dump = String::from_utf8_lossy(&bytes);
    assert!(dump.contains("sessions"), "the append-only file is there");
    for program in stack.daemons().iter().chain(stack.fronts()) {
        let log = program.log();
        for word in [PASSWORD, secret, ada.token.as_str()] {
            assert!(!log.contains(word), "{log}");
        }
    }
    for word in [PASSWORD, secret] {
        assert!(!dump.contains(word), "the append-only file has {word}");
    }
}

fn walk(paths: Vec<std::path::PathBuf>) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let inner = std::fs::read_dir(path).expect("readable").filter_map(Result::ok);
            files.extend(walk(inner.map(|entry| entry.path()).collect()));
        } else {
            files.push(path);
        }
    }
    files
}
