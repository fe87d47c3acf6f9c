//! The baseline gives Souk's answers: else a comparison with it would be worth nothing.

use serde_json::{Value, json};
use souk_stack::{PrivateDir, Program, ProgramSpec, Redis, Stack, sibling};
use ureq::http::Method;

use super::with_users;
use crate::client::{Answer, Client};

fn baseline(stack: &Stack, redis: &Redis, flags: &[&str]) -> Program {
    let mut spec = ProgramSpec::new("baseline", sibling("souk-baseline").expect("built"))
        .arg("--mysql")
        .arg(stack.mysql_url())
        .arg("--redis")
        .arg(redis.url());
    spec.args.extend(flags.iter().map(Into::into));
    Program::start(&spec).expect("the baseline starts")
}

/// Two answers are the same but for what differs each time.
fn same(souk: &Answer, other: &Answer) {
    assert_eq!(souk.status, other.status, "{souk:?} {other:?}");
    for name in ["content-type", "etag", "cache-control"] {
        assert_eq!(souk.header(name), other.header(name), "{name}");
    }
    let strip = |answer: &Answer| {
        let mut body: Value = answer.json();
        let members = body.as_object_mut().expect("an object");
        members.retain(|name, _| !["token", "expires_at"].contains(&name.as_str()));
        body
    };
    assert_eq!(strip(souk), strip(other));
}

#[test]
fn the_baseline_answers_as_souk_does() {
    let stack = with_users(20);
    let home = PrivateDir::new().expect("a directory");
    let redis = Redis::start(home.path().join("r")).expect("Redis starts");
    for flags in [&[][..], &["--no-cache"]] {
        let program = baseline(&stack, &redis, flags);
        let (souk, other) = (Client::new(stack.address()), Client::new(program.address()));
        for path in ["/api/v1/users/by-name/user7", "/api/v1/users/by-name/USER7"] {
            // Twice: from the database, then from the cache if there is one.
            for _ in 0..2 {
                same(&souk.get(path), &other.get(path));
            }
        }
        let credentials = json!({ "username": "user3", "password": "password" });
        let (a, b) =
            (souk.post("/api/v1/login", &credentials), other.post("/api/v1/login", &credentials));
        same(&a, &b);
        let call = |client: &Client, login: &Answer, method: Method, body: &str| {
            let bearer = format!("Bearer {}", login.json()["token"].as_str().expect("a token"));
            let fields = [("authorization", &bearer[..]), ("content-type", "application/json")];
            client.send(method, "/api/v1/me", &fields, body.as_bytes())
        };
        same(&call(&souk, &a, Method::GET, ""), &call(&other, &b, Method::GET, ""));
        let edit = r#"{"nickname":"Another"}"#;
        assert_eq!(call(&other, &b, Method::PATCH, edit).json()["nickname"], "Another");
        let me = call(&other, &b, Method::GET, "");
        assert_eq!(me.json()["nickname"], "Another", "the cache forgets what was changed");
        // Souk caches what the other changed behind its back: put its own row right again.
        assert_eq!(call(&souk, &a, Method::PATCH, edit).status, 200);
        let found = other.get("/api/v1/users/search?username=user1&limit=3");
        assert_eq!(found.json()["items"][0]["username"], "user1");
        assert_eq!(found.json()["items"].as_array().map(Vec::len), Some(3));
        let name = if flags.is_empty() { "fresh1" } else { "fresh2" };
        let fresh = json!({ "username": name, "password": "a few words in a row" });
        assert_eq!(other.post("/api/v1/users", &fresh).status, 201);
        assert_eq!(other.post("/api/v1/users", &fresh).status, 409);
        assert_eq!(souk.get(&format!("/api/v1/users/by-name/{name}")).status, 200);

        let wrong = json!({ "username": "user3", "password": "not it" });
        assert_eq!(other.post("/api/v1/login", &wrong).status, 401);
        assert_eq!(other.get("/api/v1/me").status, 401);
        assert_eq!(other.get("/api/v1/users/by-name/nobody").status, 404);
        assert_eq!(other.post("/api/v1/login", &json!({})).status, 400);
        assert!(program.stop().expect("it stops").success());
    }
}
