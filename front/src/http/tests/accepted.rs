//! Requests that are unusual but say one thing only.

use super::{Outcome, Seen, read_both_ways};
use crate::http::{Framing, Method, Version, head};

fn one(request: &str) -> Seen {
    let Outcome { mut requests, refused, left } = read_both_ways(request.as_bytes());
    assert_eq!((refused, left, requests.len()), (None, 0, 1), "{}", request.escape_default());
    requests.remove(0)
}

#[test]
fn a_plain_get_is_read_in_full() {
    let seen = one(
        "GET /users/7?full=1&x=? HTTP/1.1\r\nHost: souk.example:8080\r\nX-A:  b\t \r\nX-E:\r\n\r\n",
    );
    assert_eq!((seen.method, seen.version), (Method::Get, Version::Http11));
    assert_eq!((seen.path.as_str(), seen.query.as_deref()), ("/users/7", Some("full=1&x=?")));
    assert_eq!((seen.host.as_str(), seen.framing), ("souk.example:8080", Framing::None));
    assert!(seen.persistent && !seen.expect_continue);
    let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    assert_eq!(
        seen.fields,
        [field("host", "souk.example:8080"), field("x-a", "b"), field("x-e", "")]
    );
}

#[test]
fn targets_are_reduced_to_path_query_and_host() {
    for (target, path, query, host) in [
        ("/", "/", None, "h"),
        ("/?", "/", Some(""), "h"),
        ("//double//slash", "//double//slash", None, "h"),
        ("/a%2Fb/%E2%82%AC", "/a%2Fb/%E2%82%AC", None, "h"),
        ("/a|b^c`{d}[e]\\f", "/a|b^c`{d}[e]\\f", None, "h"),
        ("/s?q=100%", "/s", Some("q=100%"), "h"),
        ("/s?u=http://b/", "/s", Some("u=http://b/"), "h"),
        ("http://b/x?y", "/x", Some("y"), "b"),
        ("HTTPS://b:443/x", "/x", None, "b:443"),
        ("http://b:/x", "/x", None, "b"),
        ("http://b", "/", None, "b"),
        ("http://b?y", "/", Some("y"), "b"),
        ("http://[::1]:80/", "/", None, "[::1]:80"),
    ] {
        let seen = one(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let expected = (path, query, host);
        assert_eq!((&*seen.path, seen.query.as_deref(), &*seen.host), expected, "{target}");
    }
    for target in ["*", "http://h"] {
        assert_eq!(one(&format!("OPTIONS {target} HTTP/1.1\r\nHost: h\r\n\r\n")).path, "*");
    }
    assert_eq!(one("OPTIONS http://h/ HTTP/1.1\r\nHost: h\r\n\r\n").path, "/");
    for host in ["a", "A-b.c_d~1", "1.2.3.4", "1.2.3.4:0", "[2001:db8::1]", "[::1]:65535"] {
        assert_eq!(one(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).host, host);
    }
    assert_eq!(one("GET / HTTP/1.1\r\nHost: a:\r\n\r\n").host, "a");
    assert_eq!(one("GET / HTTP/1.0\r\n\r\n").host, "");
}

#[test]
fn every_known_method_is_known_by_its_own_name() {
    for method in Method::ALL {
        let request = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", method.name());
        assert_eq!(one(&request).method, method);
    }
}

#[test]
fn connections_persist_as_version_and_connection_say() {
    for (version, connection, persistent) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: Close\r\n", false),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: x, close , y\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: disclose\r\n", true),
        ("1.1", "Connection:\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let seen = one(&format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n"));
        assert_eq!(seen.persistent, persistent, "{version} {connection}");
    }
}

#[test]
fn a_client_waits_for_continue_only_if_it_has_a_body_and_speaks_1_1() {
    for (version, fields, waits) in [
        ("1.1", "Expect: 100-Continue\r\nContent-Length: 2\r\n", true),
        ("1.1", "Content-Length: 2\r\n", false),
        ("1.0", "Expect: 100-continue\r\nContent-Length: 2\r\n", false),
        ("1.0", "Expect: the unexpected\r\nContent-Length: 2\r\n", false),
    ] {
        let seen = one(&format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\nhi"));
        assert_eq!(seen.expect_continue, waits, "{version} {fields}");
    }
    for fields in ["", "Content-Length: 0\r\n"] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{fields}\r\n");
        assert!(!one(&request).expect_continue);
    }
}

#[test]
fn bodies_end_where_their_framing_says() {
    for (framing, body, expected) in [
        ("Content-Length: 0", "", ""),
        ("Content-Length: 5", "hello", "hello"),
        ("Content-Length: 0005", "hello", "hello"),
        ("Content-Length: 00000000000000000000000005", "hello", "hello"),
        ("Transfer-Encoding: chunked", "0\r\n\r\n", ""),
        ("transfer-encoding: CHUNKED", "5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("Transfer-Encoding: chunked", "05\r\nhello\r\n000\r\n\r\n", "hello"),
        (
            "Transfer-Encoding: chunked",
            "A\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
            "0\r\n\r\n0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked",
            "2;a=b\r\nhe\r\n3 \t; c=\"d;e\"\r\nllo\r\n0;f\r\n\r\n",
            "hello",
        ),
        ("Transfer-Encoding: chunked", "1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", "x"),
    ] {
        let seen = one(&format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}"));
        assert_eq!(seen.body, expected.as_bytes(), "{framing} {body}");
    }
}

#[test]
fn pipelined_requests_are_told_apart() {
    let outcome = read_both_ways(
        b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
          \r\nPOST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\
          \r\n\r\n\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\nGET /4 HTT",
    );
    let paths: Vec<_> = outcome.requests.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!((paths, outcome.refused), (vec!["/1", "/2", "/3"], None));
    assert_eq!(outcome.left, b"GET /4 HTT".len());
}

#[test]
fn a_head_outlives_its_buffer_and_shows_no_secrets() {
    let mut buffer =
        b"GET /me HTTP/1.1\r\nHost: a\r\nCookie: a=s3cret\r\ncOOKIE: b=s3cret\r\nX: \xff\r\n\r\n"
            .to_vec();
    let (head, used) = head::parse(&buffer).unwrap().unwrap();
    assert_eq!(used, buffer.len());
    buffer.fill(0);
    let cookies: Vec<_> = head.headers("cookie").collect();
    assert_eq!(cookies, [b"a=s3cret", b"b=s3cret"]);
    assert_eq!(head.header("cookie"), Some(&b"a=s3cret"[..]));
    assert_eq!(head.header("x"), Some(&b"\xff"[..]));
    assert_eq!(head.header_str("x"), None);
    assert_eq!(head.header_str("host"), Some("a"));
    assert_eq!(head.header("cookies"), None);
    assert!(!format!("{head:?}").contains("s3cret"));
}
