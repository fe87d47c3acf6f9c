//! What every route shares: paths, methods, headers, cross-site writes, health, the API's document.

use super::person::client;
use super::{refused, stack};
use crate::client::raw;
use souk_stack::Stack;
use ureq::http::Method;

#[test]
fn unknown_paths_and_methods_are_told_apart() {
    let stack = stack();
    let client = client(&stack);
    refused(&client.get("/api/v1/nothing"), 404, "route_not_found");
    let wrong =
        client.send(Method::PUT, "/api/v1/login", &[("content-type", "application/json")], b"{}");
    refused(&wrong, 405, "method_not_allowed");
    assert!(wrong.header("allow").contains("POST"));
    let answer = raw(stack.address(), b"BREW /health HTTP/1.1\r\nHost: souk\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
}

#[test]
fn pages_and_answers_carry_the_security_headers() {
    let stack = stack();
    let client = client(&stack);
    for path in ["/", "/login", "/register", "/profile", "/health", "/api/v1/nothing"] {
        let answer = client.get(path);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert!(!answer.header("referrer-policy").is_empty(), "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src") && !policy.contains("unsafe-inline"), "{path}");
        assert_eq!(answer.header("strict-transport-security"), "", "not behind TLS");
        assert!(!answer.header("date").is_empty());
    }
    let page = client.get("/login");
    let tag = page.header("etag");
    let same = client.send(Method::GET, "/login", &[("if-none-match", tag)], &[]);
    assert_eq!(same.status, 304);
    let packed = raw(
        stack.address(),
        b"GET /login HTTP/1.1\r\nHost: s\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n",
    );
    assert!(packed.to_lowercase().contains("content-encoding: gzip"), "{packed}");
}

#[test]
fn writes_from_other_sites_are_refused() {
    let stack = stack();
    let client = client(&stack);
    let send = |headers: &[(&str, &str)]| {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        client.send(Method::POST, "/api/v1/login", &all, b"{}")
    };
    refused(&send(&[("origin", "https://evil.example")]), 403, "cross_site");
    refused(&send(&[("sec-fetch-site", "cross-site")]), 403, "cross_site");
    refused(&send(&[("origin", "null")]), 403, "cross_site");
    let own = format!("http://{}", stack.address());
    assert_eq!(send(&[("origin", &own), ("sec-fetch-site", "same-origin")]).status, 400);
}

#[test]
fn behind_tls_cookies_are_secure_and_transport_is_strict() {
    let stack = Stack::builder().front_set("http.behind_tls", true).start().expect("starts");
    let client = client(&stack);
    super::person::register(&client, "ada");
    let answer = super::person::log_in(&client, "ada", super::person::PASSWORD);
    let cookies: Vec<_> =
        answer.headers.get_all("set-cookie").iter().filter_map(|it| it.to_str().ok()).collect();
    assert!(cookies.iter().any(|cookie| cookie.starts_with("__Host-souk_session=")));
    assert!(cookies.iter().all(|cookie| cookie.contains("Secure")), "{cookies:?}");
    assert!(answer.header("strict-transport-security").contains("max-age="));
}

#[test]
fn cors_is_off_by_default_and_an_allow_list_when_on() {
    let asked = |stack: &Stack, origin: &str| {
        client(stack)
            .send(Method::GET, "/health", &[("origin", origin)], &[])
            .header("access-control-allow-origin")
            .to_owned()
    };
    let off = stack();
    assert_eq!(asked(&off, "https://shop.example"), "");
    let on = super::unlimited()
        .front_set("http.cors_origins", vec!["https://shop.example"])
        .start()
        .expect("starts");
    assert_eq!(asked(&on, "https://shop.example"), "https://shop.example");
    assert_eq!(asked(&on, "https://evil.example"), "");
}

#[test]
fn health_says_alive_and_ready_says_what_is_up() {
    let mut stack = super::unlimited().own_mariadb().start().expect("starts");
    let client = client(&stack);
    assert_eq!(client.get("/health").json()["status"], "ok");
    let ready = client.get("/ready");
    assert_eq!(ready.status, 200);
    let body = ready.json();
    assert_eq!((&body["status"], &body["database"]), (&"ok".into(), &"up".into()));
    assert!(body["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
    stack.mariadb().kill();
    let ready = client.get("/ready");
    assert_eq!((ready.status, &ready.json()["database"]), (503, &"down".into()));
    assert_eq!(client.get("/health").status, 200);
    stack.daemons()[0].stop().expect("stops");
    assert_eq!(client.get("/ready").status, 503);
    assert_eq!(client.get("/health").status, 200, "the front itself lives");
}

#[test]
fn the_api_document_is_served() {
    let stack = stack();
    let document = client(&stack).get("/openapi.json").json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    assert!(document["paths"]["/api/v1/login"]["post"].is_object());
}
