//! Rate limits and the budgets against guessing.

use super::person::{PASSWORD, Person, client, log_in, register};
use super::{refused, stack};
use souk_stack::Stack;
use ureq::http::Method;

#[test]
fn too_many_requests_of_one_address_are_told_to_wait() {
    let stack = Stack::builder()
        .daemon_set("limits.read_per_s", 1)
        .daemon_set("limits.read_burst", 5)
        .start()
        .expect("the stack starts");
    let client = client(&stack);
    let answers: Vec<_> = (0..10).map(|_| client.get("/api/v1/users/by-name/nobody")).collect();
    assert_eq!(answers[0].status, 404);
    let last = answers.last().expect("ten");
    refused(last, 429, "rate_limited");
    let pause: u64 = last.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&pause));
    assert_eq!(client.get("/health").status, 200, "health is never limited");
}

#[test]
fn a_stranger_can_neither_guess_on_nor_lock_the_owner_out() {
    let stack = stack();
    let client = client(&stack);
    register(&client, "ada");
    let known = log_in(&client, "ada", PASSWORD);
    let device = known
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|cookie| cookie.to_str().ok()?.split(';').next())
        .find(|cookie| cookie.starts_with("souk_device="))
        .expect("a device cookie")
        .to_owned();
    let mut refusal = None;
    for _ in 0..200 {
        let answer = log_in(&client, "ada", "guessed wrong");
        if answer.status == 429 {
            refusal = Some(answer);
            break;
        }
        refused(&answer, 401, "wrong_credentials");
    }
    let refusal = refusal.expect("guessing ends");
    refused(&refusal, 429, "too_many_failures");
    assert!(refusal.header("retry-after").parse::<u64>().is_ok());
    refused(&log_in(&client, "ada", PASSWORD), 429, "too_many_failures");
    let headers = [("cookie", device.as_str()), ("content-type", "application/json")];
    let body = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
    let owner = client.send(Method::POST, "/api/v1/login", &headers, body.as_bytes());
    assert_eq!(owner.status, 200, "the owner's device is not affected: {owner:?}");
}

#[test]
fn lifting_the_limits_lifts_all_rates() {
    let stack = stack();
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    for _ in 0..500 {
        assert_eq!(ada.get("/api/v1/me").status, 200);
    }
}
