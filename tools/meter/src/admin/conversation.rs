//! One connection of the admin listener: a GET request and its answer.

use super::listening::Stream;
use crate::limits::{
    ADMIN_ANSWER_TIME, ADMIN_HEAD_MAX, ADMIN_HEAD_TIME, ADMIN_HEADERS_MAX, ADMIN_WRITE_TIME,
};
use std::io::{self, Read, Write};
use std::time::Instant;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    path: String,
    parameters: Vec<(String, String)>,
}

impl Query {
    fn new(target: &str) -> Query {
        let (path, parameters) = target.split_once('?').unwrap_or((target, ""));
        let parameters = parameters.split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        };
        Query { path: path.to_owned(), parameters: parameters.map(pair).collect() }
    }

    /// The path, as it was sent.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A parameter behind the path, as it was sent.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Answer {
    /// An answer with this HTTP status, type and body.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Answer {
        Answer { status, content_type, body: body.into() }
    }

    /// An answer in words.
    pub fn text(status: u16, text: &str) -> Answer {
        Answer::new(status, "text/plain; charset=utf-8", text)
    }

    /// The answer as HTTP.
    fn bytes(&self) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            _ => "",
        };
        let allow = if self.status == 405 { "allow: GET\r\n" } else { "" };
        let mut bytes = format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: {}\r\ncontent-length: {}\r\n{allow}\
             cache-control: no-store\r\nconnection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Reads a request, lets it be answered, and ends the connection.
pub(super) fn serve(mut stream: Stream, answer: impl Fn(&Query) -> Answer) {
    let answer = match read_head(&mut stream) {
        Ok(Ok(query)) => answer(&query),
        Ok(Err(refusal)) => refusal,
        // The client is gone, which is its own affair.
        Err(_) => return,
    };
    if let Err(error) = write(&mut stream, &answer.bytes()) {
        tracing::debug!(%error, "an admin client did not take its answer");
    }
}

fn read_head(stream: &mut Stream) -> io::Result<Result<Query, Answer>> {
    let until = Instant::now() + ADMIN_HEAD_TIME;
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Err(Answer::text(408, "the request did not come in time\n")));
        }
        stream.set_timeout(left)?;
        match stream.read(&mut piece) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => head.extend_from_slice(&piece[..count]),
            Err(error) if is_late(&error) => continue,
            Err(error) => return Err(error),
        }
        if let Some(asked) = parse(&head) {
            return Ok(asked);
        }
        if head.len() > ADMIN_HEAD_MAX {
            return Ok(Err(Answer::text(431, "the request's head is too long\n")));
        }
    }
}

/// What a head asks for; nothing while it is not whole.
fn parse(head: &[u8]) -> Option<Result<Query, Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; ADMIN_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Partial) => None,
        Ok(httparse::Status::Complete(_)) => Some(match (request.method, request.path) {
            (Some("GET"), Some(target)) => Ok(Query::new(target)),
            _ => Err(Answer::text(405, "only GET is known here\n")),
        }),
        Err(httparse::Error::TooManyHeaders) => {
            Some(Err(Answer::text(431, "the request has too many headers\n")))
        }
        Err(error) => Some(Err(Answer::text(400, &format!("this is no HTTP: {error}\n")))),
    }
}

fn write(stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
    let until = Instant::now() + ADMIN_ANSWER_TIME;
    stream.set_timeout(ADMIN_WRITE_TIME)?;
    while !bytes.is_empty() {
        match stream.write(bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => bytes = &bytes[count..],
        }
        if Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

fn is_late(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::{Query, parse};

    #[test]
    fn a_path_and_its_parameters_are_told_apart() {
        let query = Query::new("/profile?seconds=5&hz=99&&odd");
        assert_eq!(query.path(), "/profile");
        assert_eq!(query.parameter("seconds"), Some("5"));
        assert_eq!(query.parameter("odd"), Some(""));
        assert_eq!(query.parameter("none"), None);
    }

    #[test]
    fn only_whole_get_requests_are_answered() {
        assert!(parse(b"GET /metrics HT").is_none());
        assert!(matches!(parse(b"GET /metrics HTTP/1.1\r\n\r\n"), Some(Ok(_))));
        let refused = |head: &[u8]| parse(head).expect("whole").expect_err("refused").status;
        assert_eq!(refused(b"POST /metrics HTTP/1.1\r\n\r\n"), 405);
        assert_eq!(refused(b"\x16\x03\x01\x02\x00\r\n\r\n"), 400);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(40));
        assert_eq!(refused(many.as_bytes()), 431);
    }
}
