//! A reader of admin listeners: one GET.

use crate::admin::Stream;
use crate::limits::{ADMIN_HEADERS_MAX, ANSWER_MAX};
use crate::settings::Place;
use std::io::{self, Read, Write};
use std::time::Duration;

/// Asks an admin listener for a path and gives the body of its answer. `wait` bounds each pause of
/// the other side.
///
/// # Errors
/// If nobody listens there, the answer is none, or its status is not 200: the error's text says
/// what the listener said.
pub fn get(place: &Place, path: &str, wait: Duration) -> io::Result<String> {
    let mut stream = Stream::connect(place)?;
    stream.set_timeout(wait)?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: souk\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut headers = [httparse::EMPTY_HEADER; ADMIN_HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head.parse(&answer).map_err(|error| wrong(&format!("no HTTP: {error}")))?;
    let httparse::Status::Complete(start) = parsed else { return Err(wrong("the answer is cut")) };
    let length = head.headers.iter().find(|header| header.name == "content-length");
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    if length != Some(answer.len() - start) {
        return Err(wrong("the answer is cut"));
    }
    let code = head.code;
    let body = answer.split_off(start);
    let body = String::from_utf8(body).map_err(|_| wrong("the answer is no text"))?;
    match code {
        Some(200) => Ok(body),
        _ => Err(io::Error::other(body.trim().to_owned())),
    }
}
