//! Responses and their bytes.
//!
//! [`encode_head`] appends to the caller's buffer, so that the answers to several pipelined
//! requests leave in one write. Header fields are kept as the bytes they will be sent as: adding
//! one allocates nothing once the block is there.

use super::head::Version;
use bytes::Bytes;
use souk_proto::Failure;
use std::fmt::{self, Display, Write as _};
use std::future::Future;
use std::pin::Pin;

/// An answer: the routes make it, the connection sends it.
#[derive(Debug, Default)]
pub struct Response {
    /// The status code, 200 to 599, or 101.
    pub status: u16,
    /// The response's own header fields. Date, Content-Length, Connection and the fields that every
    /// response has are added when it is encoded.
    pub headers: Headers,
    /// What follows the head.
    pub body: Body,
    /// Whether it is a page of the site: its policy lets the site's own scripts and styles load.
    pub page: bool,
}

impl Response {
    /// A response without header fields of its own and without a body.
    pub fn new(status: u16) -> Response {
        Response { status, headers: Headers::default(), body: Body::Empty, page: false }
    }

    /// The same response with a body of this media type.
    pub fn with(mut self, media_type: &str, body: impl Into<Body>) -> Response {
        self.headers.push("content-type", media_type);
        self.body = body.into();
        self
    }

    /// The same response with one more header field.
    pub fn header(mut self, name: &'static str, value: impl Display) -> Response {
        self.headers.push(name, value);
        self
    }
}

/// Header fields in sending order, stored as `name: value CRLF` lines.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    lines: String,
}

impl Headers {
    /// Adds a field. Control characters in the value become spaces, so that no value can end its
    /// line and start another.
    ///
    /// The names are the program's own, in lower case; Date, Content-Length, Transfer-Encoding and
    /// Connection are not for callers to set.
    pub fn push(&mut self, name: &'static str, value: impl Display) {
        debug_assert!(
            !name.is_empty() && name.bytes().all(super::is_token_byte),
            "{name} is no field name"
        );
        if self.lines.capacity() == 0 {
            self.lines.reserve(USUAL_BLOCK);
        }
        self.lines.push_str(name);
        self.lines.push_str(": ");
        write!(Line(&mut self.lines), "{value}").expect("writing to a string does not fail");
        self.lines.push_str("\r\n");
    }

    /// The value of the first field of this (lower case) name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Every field in sending order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.split_terminator("\r\n").filter_map(|line| line.split_once(": "))
    }

    /// The fields as they are sent, each line with its CRLF.
    pub fn as_bytes(&self) -> &[u8] {
        self.lines.as_bytes()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.iter()).finish()
    }
}

/// First size of a header block in bytes: Content-Type, ETag and Cache-Control fit.
const USUAL_BLOCK: usize = 192;

/// Writes text into a header line, with control characters replaced.
struct Line<'a>(&'a mut String);

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            self.0.extend(text.chars().map(|c| if c.is_ascii_control() { ' ' } else { c }));
        } else {
            self.0.push_str(text);
        }
        Ok(())
    }
}

/// What follows the head of a response.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes made for this response.
    Bytes(Vec<u8>),
    /// Bytes that are part of the program.
    Static(&'static [u8]),
    /// Bytes that other responses have too.
    Shared(Bytes),
    /// Bytes that arrive while they are being sent.
    Stream {
        /// How many bytes in all: they are announced in Content-Length.
        length: u64,
        /// Where they come from.
        source: Box<dyn BodySource>,
    },
    /// Bytes that come for as long as they may: no length is announced, and the connection ends
    /// with them.
    Endless(Box<dyn BodySource>),
    /// Another protocol has the connection from now on (status 101).
    Upgrade(Takeover),
}

/// Makes the bytes that a connection sends from those that it receives.
pub type Takeover = Box<dyn FnOnce(Box<dyn BodySource>) -> Box<dyn BodySource>>;

impl Body {
    /// How many bytes follow the head, as far as that is known.
    pub fn length(&self) -> u64 {
        match self {
            Body::Empty | Body::Endless(_) | Body::Upgrade(_) => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Static(bytes) => bytes.len() as u64,
            Body::Shared(bytes) => bytes.len() as u64,
            Body::Stream { length, .. } => *length,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Empty => out.write_str("Empty"),
            Body::Bytes(bytes) => write!(out, "Bytes({})", bytes.len()),
            Body::Static(bytes) => write!(out, "Static({})", bytes.len()),
            Body::Shared(bytes) => write!(out, "Shared({})", bytes.len()),
            Body::Stream { length, .. } => write!(out, "Stream({length})"),
            Body::Endless(_) => out.write_str("Endless"),
            Body::Upgrade(_) => out.write_str("Upgrade"),
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body::Bytes(bytes)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body::Shared(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        Body::Bytes(text.into_bytes())
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Body {
        Body::Static(bytes)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Body {
        Body::Static(text.as_bytes())
    }
}

/// The next piece of a streamed body: `None` at its end, a failure when it cannot be finished.
pub type NextChunk<'a> = Pin<Box<dyn Future<Output = Option<Result<Vec<u8>, Failure>>> + 'a>>;

/// A body that arrives piece by piece: a request's on its way in, or a response's on its way out.
///
/// The consumer asks for the next piece only when it has room, which is the back-pressure. After
/// the end or a failure it asks no more. Dropping the source cancels what feeds it.
pub trait BodySource {
    /// Waits for the next piece; pieces are not empty.
    fn next(&mut self) -> NextChunk<'_>;
}

/// How a response is put on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Encoding<'a> {
    /// The current time, from [`super::Date::text`].
    pub date: &'a [u8; 29],
    /// Whether the connection stays open afterwards.
    pub persistent: bool,
    /// The version of the request.
    pub version: Version,
    /// Whether the request was HEAD: the head says what GET would have said, no body follows.
    pub head_only: bool,
    /// Header fields that every response has, encoded, each line with its CRLF.
    pub common: &'a [u8],
}

/// Appends the head of a response, and its body unless that is a stream (or the request was HEAD).
pub fn encode(response: &Response, how: &Encoding<'_>, out: &mut Vec<u8>) {
    let body: &[u8] = match &response.body {
        _ if how.head_only || !has_body(response.status) => &[],
        Body::Empty | Body::Stream { .. } | Body::Endless(_) | Body::Upgrade(_) => &[],
        Body::Bytes(bytes) => bytes,
        Body::Static(bytes) => bytes,
        Body::Shared(bytes) => bytes,
    };
    out.reserve(HEAD_OVERHEAD + how.common.len() + response.headers.lines.len() + body.len());
    encode_head(response, how, out);
    out.extend_from_slice(body);
}

/// Appends the head of a response alone. The caller sends the body, for example from where it is.
pub fn encode_head(response: &Response, how: &Encoding<'_>, out: &mut Vec<u8>) {
    push_status_line(response.status, out);
    out.extend_from_slice(b"date: ");
    out.extend_from_slice(how.date);
    if has_body(response.status) && !matches!(response.body, Body::Endless(_)) {
        out.extend_from_slice(b"\r\ncontent-length: ");
        push_decimal(response.body.length(), out);
    }
    // A 1.1 connection persists unless someone says otherwise, a 1.0 one only if both say so.
    out.extend_from_slice(match (how.persistent, how.version) {
        _ if response.status == 101 => b"\r\nconnection: upgrade\r\n",
        (false, _) => b"\r\nconnection: close\r\n",
        (true, Version::Http10) => b"\r\nconnection: keep-alive\r\n",
        (true, Version::Http11) => b"\r\n",
    });
    out.extend_from_slice(how.common);
    out.extend_from_slice(response.headers.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The interim answer to `Expect: 100-continue`: the body may come.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Bytes of a head besides its header blocks, rounded up.
const HEAD_OVERHEAD: usize = 160;

/// Whether a response with this status has a Content-Length and possibly a body.
pub fn has_body(status: u16) -> bool {
    !(status < 200 || status == 204 || status == 304)
}

fn push_status_line(status: u16, out: &mut Vec<u8>) {
    // The status of almost every answer goes out in one copy.
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    push_decimal(u64::from(status), out);
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The reason phrase; empty for a status that Souk does not use, which RFC 9112 allows.
pub fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

fn push_decimal(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        // The remainder of a division by ten is one digit.
        digits[at] = b'0' + u8::try_from(rest % 10).expect("a decimal digit fits a byte");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::{Body, Encoding, Headers, Response, encode, push_decimal, reason};
    use crate::http::Version;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    const HOW: Encoding<'_> = Encoding {
        date: b"Sun, 06 Nov 1994 08:49:37 GMT",
        persistent: true,
        version: Version::Http11,
        head_only: false,
        common: b"x-content-type-options: nosniff\r\n",
    };

    fn encoded(response: &Response, how: &Encoding<'_>) -> String {
        let mut out = Vec::new();
        encode(response, how, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_response_is_status_date_length_fields_and_body() {
        let response = Response::new(200)
            .with("application/json", b"{}".to_vec())
            .header("etag", format_args!("\"{}\"", 7));
        assert_eq!(
            encoded(&response, &HOW),
            "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 2\r\n\
             x-content-type-options: nosniff\r\ncontent-type: application/json\r\netag: \"7\"\r\n\
             \r\n{}"
        );
        assert_eq!(response.headers.get("etag"), Some("\"7\""));
        assert_eq!(response.headers.get("age"), None);
        assert_eq!(response.headers.iter().count(), 2);
    }

    #[test]
    fn responses_follow_each_other_in_one_buffer() {
        let mut out = Vec::new();
        encode(&Response::new(404).with("text/plain", "no"), &HOW, &mut out);
        let first = out.len();
        encode(&Response::new(204), &HOW, &mut out);
        assert!(out[..first].ends_with(b"\r\n\r\nno"));
        assert!(out[first..].starts_with(b"HTTP/1.1 204 No Content\r\n"));
    }

    #[test]
    fn the_connection_field_is_there_when_the_version_does_not_imply_it() {
        let with = |persistent, version| {
            encoded(&Response::new(200), &Encoding { persistent, version, ..HOW })
        };
        assert!(!with(true, Version::Http11).contains("connection"));
        assert!(with(false, Version::Http11).contains("\r\nconnection: close\r\n"));
        assert!(with(false, Version::Http10).contains("\r\nconnection: close\r\n"));
        assert!(with(true, Version::Http10).contains("\r\nconnection: keep-alive\r\n"));
    }

    #[test]
    fn head_says_what_get_says_but_for_the_body() {
        let response = Response::new(200).with("text/plain", "hello");
        let get = encoded(&response, &HOW);
        let head = encoded(&response, &Encoding { head_only: true, ..HOW });
        assert_eq!(format!("{head}hello"), get);
        assert!(head.contains("content-length: 5\r\n"));
    }

    #[test]
    fn a_length_is_announced_unless_the_status_has_no_body() {
        assert!(encoded(&Response::new(303), &HOW).contains("\r\ncontent-length: 0\r\n"));
        for status in [204, 304] {
            let mut response = Response::new(status);
            response.body = Body::Static(b"never sent");
            let text = encoded(&response, &HOW);
            assert!(!text.contains("content-length") && text.ends_with("\r\n\r\n"), "{text}");
        }
    }

    #[test]
    fn a_status_without_a_known_reason_is_still_a_valid_line() {
        assert_eq!(reason(299), "");
        assert!(encoded(&Response::new(299), &HOW).starts_with("HTTP/1.1 299 \r\n"));
    }

    proptest! {
        #[test]
        fn no_value_can_add_a_line(
            value in vec(select(vec!['\r', '\n', '\0', '\x7f', ':', ' ', 'a', 'é']), 0..8),
        ) {
            let value = String::from_iter(value);
            let mut headers = Headers::default();
            headers.push("location", format_args!("/{value}?{value}"));
            headers.push("x", 1);
            let text = std::str::from_utf8(headers.as_bytes()).unwrap();
            prop_assert_eq!(text.matches(['\r', '\n']).count(), 4);
            prop_assert!(!text.contains(['\0', '\x7f']));
            prop_assert_eq!(headers.iter().count(), 2);
            prop_assert_eq!(headers.get("x"), Some("1"));
        }

        #[test]
        fn decimals_are_those_of_the_standard_library(number: u64) {
            let mut out = Vec::new();
            push_decimal(number, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
