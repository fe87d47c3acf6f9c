//! Malformed and ambiguous requests, each with the status and the code it is refused with.

use super::read_both_ways;
use crate::routes;
use souk_proto::Code::{
    self, BadRequest, ExpectationFailed, HeadTooLarge, NotImplemented, PayloadTooLarge,
    TargetTooLong, VersionNotSupported,
};

fn check(table: &[(&str, u16, Code)]) {
    for (request, status, code) in table {
        let outcome = read_both_ways(request.as_bytes());
        assert_eq!(outcome.refused, Some(*code), "{}", request.escape_default());
        assert_eq!(routes::status(*code), *status, "{}", request.escape_default());
        assert!(outcome.requests.is_empty(), "{}", request.escape_default());
    }
}

#[test]
fn request_lines_that_are_not_exactly_method_target_version_are_refused() {
    check(&[
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("\tGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /\r\n\r\n", 400, BadRequest),
        ("GET\r\n\r\n", 400, BadRequest),
        ("/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\nHost: a\n\n", 400, BadRequest),
        ("GET / HTTP/1.1\rHost: a\r\r", 400, BadRequest),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("G\0T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET: / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("\"GET\" / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}", 400, BadRequest), // TLS to a plain port
        ("é / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
    ]);
}

#[test]
fn unknown_methods_are_not_implemented() {
    check(&[
        ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501, NotImplemented),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", 501, NotImplemented),
        ("Get / HTTP/1.1\r\nHost: a\r\n\r\n", 501, NotImplemented),
        ("GETS / HTTP/1.1\r\nHost: a\r\n\r\n", 501, NotImplemented),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501, NotImplemented),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501, NotImplemented),
        ("PROPFIND / HTTP/1.0\r\n\r\n", 501, NotImplemented),
    ]);
}

#[test]
fn versions_other_than_1_0_and_1_1_are_not_supported_and_non_versions_are_bad() {
    check(&[
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, VersionNotSupported),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, VersionNotSupported),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, VersionNotSupported),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, VersionNotSupported),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, VersionNotSupported),
        ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/01.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP 1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET / HTTPS/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\0\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/+1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
    ]);
}

#[test]
fn targets_that_are_neither_path_nor_address_are_refused() {
    check(&[
        ("GET users HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET ?q HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET http:/a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET http://a:http/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /#top HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /é HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /<b> HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /\r/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /% HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET http://a/%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadRequest),
    ]);
}

#[test]
fn fields_that_parsers_read_differently_are_refused() {
    check(&[
        ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\n\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{b}b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{7f}\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\n\tfolded\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nX;Y: b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nÉ: b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\n\"X\": b\r\n\r\n", 400, BadRequest),
    ]);
}

#[test]
fn a_1_1_request_names_exactly_one_valid_host() {
    check(&[
        ("GET / HTTP/1.1\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", 400, BadRequest),
        ("GET http://a/ HTTP/1.1\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a:80:81\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: a:-1\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: [zz]\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.1\r\nHost: é\r\n\r\n", 400, BadRequest),
        ("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400, BadRequest),
    ]);
}

#[test]
fn lengths_that_are_not_one_plain_number_are_refused() {
    for value in [
        "",
        "+5",
        "-5",
        "5,5",
        "5, 5",
        "5,6",
        "5 5",
        "0x5",
        "5.0",
        "5e0",
        "five",
        "5;",
        "5\t5",
        "\"5\"",
        "18446744073709551616",
        "99999999999999999999999",
        "5\u{a0}",
        "٥",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {value}\r\n\r\nhello");
        check(&[(&request, 400, BadRequest)]);
    }
    check(&[
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            400,
            BadRequest,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\nhello",
            400,
            BadRequest,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65\r\n\r\n", 413, PayloadTooLarge),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n",
            413,
            PayloadTooLarge,
        ),
    ]);
}

#[test]
fn two_framings_or_an_unknown_one_never_pass() {
    let bodies = "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    for framing in [
        // One of the two would be believed by one parser and the other one by the next.
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "content-length: 5\r\nTRANSFER-ENCODING: CHUNKED\r\n",
        // A coding that one parser takes for chunked and the next one does not.
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunkedx\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: 'chunked'\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: cow\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\u{85}\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding: chunked\u{c}\r\n",
        "Transfer-Encoding: chunked\0\r\n",
        // A field that one parser sees and the next one does not.
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding\r\n: chunked\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
        "X: y\r\n\tTransfer-Encoding: chunked\r\n",
        "\0Transfer-Encoding: chunked\r\n",
        "Content-Length : 5\r\n",
        "Content-Length: 5\nContent-Length: 0\r\n",
        "X: y\rContent-Length: 5\r\n",
    ] {
        for method in ["GET", "POST"] {
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n{framing}\r\n{bodies}");
            check(&[(&request, 400, BadRequest)]);
        }
    }
    check(&[("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, BadRequest)]);
}

#[test]
fn chunks_that_parsers_read_differently_are_refused() {
    for (body, status, code) in [
        ("\r\n", 400, BadRequest),
        (";x\r\n", 400, BadRequest),
        ("g\r\n", 400, BadRequest),
        ("-1\r\n", 400, BadRequest),
        ("+5\r\nhello\r\n0\r\n\r\n", 400, BadRequest),
        ("0x5\r\nhello\r\n0\r\n\r\n", 400, BadRequest),
        (" 5\r\nhello\r\n0\r\n\r\n", 400, BadRequest),
        ("5 \r\nhello\r\n0\r\n\r\n", 400, BadRequest),
        ("5 5\r\nhello\r\n0\r\n\r\n", 400, BadRequest),
        ("5_\r\nhello\r\n0\r\n\r\n", 400, BadRequest),
        ("5\nhello\r\n0\r\n\r\n", 400, BadRequest),
        ("5\rhello\r\n0\r\n\r\n", 400, BadRequest),
        ("5\r\r\nhello\r\n0\r\n\r\n", 400, BadRequest),
        ("5;x\nhello\r\n0\r\n\r\n", 400, BadRequest),
        ("5;x\ry\r\nhello\r\n0\r\n\r\n", 400, BadRequest),
        ("5;x\0\r\nhello\r\n0\r\n\r\n", 400, BadRequest),
        ("5\r\nhello0\r\n\r\n", 400, BadRequest),
        ("5\r\nhello\n0\r\n\r\n", 400, BadRequest),
        ("5\r\nhello\r0\r\n\r\n", 400, BadRequest),
        ("5\r\nhello!\r\n0\r\n\r\n", 400, BadRequest),
        ("5\r\nhello!\n0\r\n\r\n", 400, BadRequest),
        ("5\r\nhello\n\n0\r\n\r\n", 400, BadRequest),
        ("4\r\nhello\r\n0\r\n\r\n", 400, BadRequest),
        ("0\r\n\n", 400, BadRequest),
        ("0\r\n\rx", 400, BadRequest),
        ("0\r\n: y\r\n\r\n", 400, BadRequest),
        ("0\r\n folded\r\n\r\n", 400, BadRequest),
        ("0\r\nX : y\r\n\r\n", 400, BadRequest),
        ("0\r\nX\r\n\r\n", 400, BadRequest),
        ("0\r\nX: y\n\r\n", 400, BadRequest),
        ("0\r\nX: \0\r\n\r\n", 400, BadRequest),
        ("00000000000000005\r\nhello\r\n0\r\n\r\n", 400, BadRequest),
        ("10000000000000000\r\n", 400, BadRequest),
        ("ffffffffffffffff\r\n", 413, PayloadTooLarge),
        ("41\r\n", 413, PayloadTooLarge),
        ("1\r\na\r\n40\r\n", 413, PayloadTooLarge),
    ] {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&[(&format!("{head}{body}"), status, code)]);
    }
}

#[test]
fn expectations_other_than_100_continue_fail() {
    for value in ["200-ok", "", "100-continue, x", "100-continue, 100-continue", "100"] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: {value}\r\nContent-Length: 1\r\n\r\n");
        check(&[(&request, 417, ExpectationFailed)]);
    }
}

#[test]
fn the_size_of_a_head_is_bounded_as_soon_as_it_is_known() {
    let path = |length: usize| format!("/{}", "a".repeat(length - 1));
    let line = |length| format!("GET {} HTTP/1.1\r\n", path(length));
    let padded = |total: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(total - start.len() - 4))
    };
    let many = |count| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count));
    check(&[
        (&line(8193), 414, TargetTooLong),
        (&format!("GET {}", path(8193)), 414, TargetTooLong),
        (&format!("BREW {}", path(8193)), 414, TargetTooLong),
        (&format!("GET {}", path(60_000)), 414, TargetTooLong),
        (&format!("GET {}\n", path(8193)), 414, TargetTooLong),
        (&padded(16 * 1024 + 1), 431, HeadTooLarge),
        (&padded(64 * 1024), 431, HeadTooLarge),
        (&"A".repeat(16 * 1024 + 1), 431, HeadTooLarge),
        (&format!("\r\n{}", padded(16 * 1024 - 1)), 431, HeadTooLarge),
        (&format!("{}X: y\n", padded(16 * 1024 + 9).trim_end()), 431, HeadTooLarge),
        (&many(100), 431, HeadTooLarge),
        (&many(3000), 431, HeadTooLarge),
    ]);
    let accepted = |request: String| {
        let outcome = read_both_ways(request.as_bytes());
        assert_eq!((outcome.refused, outcome.requests.len(), outcome.left), (None, 1, 0));
    };
    accepted(format!("{}Host: a\r\n\r\n", line(8192)));
    accepted(padded(16 * 1024));
    accepted(many(99));
}

#[test]
fn the_size_of_extensions_and_trailers_is_bounded() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extended = |length: usize| {
        // The semicolon counts too; two chunks share one bound.
        format!("{head}1;{}\r\na\r\n0;{}\r\n\r\n", "x".repeat(1000), "x".repeat(length - 1002))
    };
    let trailed = |length: usize| format!("{head}0\r\nX:{}\r\n\r\n", "y".repeat(length - 4));
    check(&[(&extended(4097), 400, BadRequest), (&trailed(8193), 431, HeadTooLarge)]);
    for request in [extended(4096), trailed(8192)] {
        let outcome = read_both_ways(request.as_bytes());
        assert_eq!((outcome.refused, outcome.requests.len(), outcome.left), (None, 1, 0));
    }
}
