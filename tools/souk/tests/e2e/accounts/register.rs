//! `POST /api/v1/users` and `POST /api/v1/login`.

use super::person::{PASSWORD, client, log_in, register};
use super::{refused, refused_field, stack};
use serde_json::json;
use ureq::http::Method;

#[test]
fn registering_gives_a_user_and_refuses_what_is_not_one() {
    let stack = stack();
    let client = client(&stack);
    let body = json!({"username": "Ada.L", "password": PASSWORD, "nickname": "Ada 🦊"});
    let answer = client.post("/api/v1/users", &body);
    assert_eq!(answer.status, 201, "{answer:?}");
    let user = answer.json();
    assert_eq!(user["username"], "ada.l");
    assert_eq!(user["nickname"], "Ada 🦊");
    assert_eq!(user["picture"], json!(null));
    assert_eq!(user["rating"], 1000);
    let created = user["created_at"].as_str().expect("a time");
    assert!(created.len() == 24 && created.ends_with('Z'), "{created}");
    assert_eq!(register(&client, "plain")["nickname"], "plain");

    refused(&client.post("/api/v1/users", &body), 409, "username_taken");
    let with = |username: &str, password: &str, nickname: &str| {
        let body = json!({"username": username, "password": password, "nickname": nickname});
        client.post("/api/v1/users", &body)
    };
    for bad in ["", "ab", "a b c", "käthe", &"a".repeat(33), "a/b", "x'; drop table users"] {
        refused_field(&with(bad, PASSWORD, "n"), "username");
    }
    for bad in ["", "short", &"p".repeat(257)] {
        refused_field(&with("someone", bad, "n"), "password");
    }
    for bad in ["", "  ", "a\nb", &"n".repeat(65)] {
        refused_field(&with("someone", PASSWORD, bad), "nickname");
    }
    let missing = client.post("/api/v1/users", &json!({"username": "someone"}));
    refused_field(&missing, "password");
    let unknown = json!({"username": "someone", "password": PASSWORD, "admin": true});
    refused_field(&client.post("/api/v1/users", &unknown), "admin");
    let wrong = json!({"username": 7, "password": PASSWORD});
    refused_field(&client.post("/api/v1/users", &wrong), "username");
}

#[test]
fn bodies_that_are_not_json_are_refused() {
    let stack = stack();
    let client = client(&stack);
    let send = |kind: &str, body: &[u8]| {
        client.send(Method::POST, "/api/v1/users", &[("content-type", kind)], body)
    };
    refused(&send("application/json", b"{\"username\":"), 400, "malformed_body");
    refused(&send("application/json", b"[1]"), 400, "malformed_body");
    refused(&send("application/json", b"\xff\xfe"), 400, "malformed_body");
    refused(&send("text/plain", b"hello"), 415, "unsupported_media_type");
    refused(&send("application/json", &[b' '; 70_000]), 413, "payload_too_large");
}

#[test]
fn logging_in_gives_a_session_and_tells_nothing_when_it_fails() {
    let stack = stack();
    let client = client(&stack);
    register(&client, "ada");
    let answer = log_in(&client, "ADA", PASSWORD);
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["user"]["username"], "ada");
    assert!(body["expires_at"].as_str().expect("a time").ends_with('Z'));
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    let session = cookies
        .iter()
        .filter_map(|cookie| cookie.to_str().ok())
        .find(|cookie| cookie.starts_with("souk_session="))
        .expect("the session's cookie");
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(session.contains(attribute), "{session}");
    }
    let cookie = session.split(';').next().expect("a value");
    let me = client.send(Method::GET, "/api/v1/me", &[("cookie", cookie)], &[]);
    assert_eq!(me.status, 200, "the cookie works as well as the token");

    let wrong = refused(&log_in(&client, "ada", "wrong password"), 401, "wrong_credentials");
    let nobody = refused(&log_in(&client, "nobody", "wrong password"), 401, "wrong_credentials");
    assert_eq!(wrong["detail"], nobody["detail"]);
}

#[test]
fn html_forms_register_and_log_in_and_come_back_with_the_error() {
    let stack = stack();
    let client = client(&stack);
    let form = |path: &str, body: &str| {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        client.send(Method::POST, path, &kind, body.as_bytes())
    };
    register(&client, "ada");
    let welcome = form("/login", "username=ada&password=correct+horse");
    assert_eq!((welcome.status, welcome.header("location")), (303, "/profile"));
    assert!(welcome.headers.contains_key("set-cookie"));
    let back = form("/login", "username=ada&password=nonsense1");
    assert_eq!(back.status, 303);
    let location = back.header("location");
    assert!(location.starts_with("/login?") && location.contains("error=wrong_credentials"));
    let page = client.get(location);
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
}
