//! Keep-alive connections by hand: many at once, without a thread each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection to a front.
pub struct Wire {
    stream: BufReader<TcpStream>,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Heard {
    pub status: u16,
    pub body: String,
    /// The answer said that the connection ends with it.
    pub last: bool,
}

impl Wire {
    /// Connects.
    pub fn open(address: &str) -> std::io::Result<Wire> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Wire { stream: BufReader::with_capacity(1024, stream) })
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Asks for a path.
    pub fn get(&mut self, path: &str) -> std::io::Result<()> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: souk\r\n\r\n").as_bytes())
    }

    /// Sends a JSON body with a session.
    pub fn write_json(&mut self, line: &str, token: &str, body: &str) -> std::io::Result<()> {
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.1\r\nHost: souk\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.send(head.as_bytes())
    }

    /// The next answer.
    pub fn hear(&mut self) -> std::io::Result<Heard> {
        let invalid = |text: &str| std::io::Error::other(format!("no HTTP answer: {text:?}"));
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.get(9..12).and_then(|text| text.parse().ok());
        let status = status.ok_or_else(|| invalid(&line))?;
        let (mut length, mut last) = (0, false);
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let lower = line.trim().to_ascii_lowercase();
            if lower.is_empty() {
                break;
            }
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| invalid(&lower))?;
            }
            last |= lower == "connection: close";
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Heard { status, body: String::from_utf8_lossy(&body).into_owned(), last })
    }
}
