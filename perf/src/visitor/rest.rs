//! How a request is put together.

use super::Play;
use std::io::Write;

/// Writes the rest of a request behind its first words.
pub struct Rest<'a> {
    play: &'a Play,
    pub out: &'a mut Vec<u8>,
}

impl<'a> Rest<'a> {
    pub fn new(play: &'a Play, out: &'a mut Vec<u8>) -> Rest<'a> {
        Rest { play, out }
    }

    pub fn get(&mut self, path: std::fmt::Arguments<'_>, user: Option<u64>) {
        write!(self.out, "GET {path} HTTP/1.1\r\n").expect("memory takes it");
        self.fields(user);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Asks for an auction's news over a WebSocket (RFC 6455, section 4.1).
    pub fn watch(&mut self, auction: u64) {
        write!(
            self.out,
            "GET /api/v1/auctions/{auction}/live HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.play.host
        )
        .expect("memory takes it");
    }

    /// JSON from a program with a token.
    pub fn service_json(&mut self, line: &str, body: std::fmt::Arguments<'_>) {
        let token = &self.play.cast.service;
        let text = body.to_string();
        write!(
            self.out,
            "{line} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            self.play.host,
            text.len()
        )
        .expect("memory takes it");
    }

    pub fn json(&mut self, line: &str, user: Option<u64>, body: std::fmt::Arguments<'_>) {
        let mut text = Vec::with_capacity(96);
        text.write_fmt(body).expect("memory takes it");
        self.body(line, user, "application/json", &text);
    }

    pub fn body(&mut self, line: &str, user: Option<u64>, kind: &str, body: &[u8]) {
        write!(self.out, "{line} HTTP/1.1\r\n").expect("memory takes it");
        self.fields(user);
        let length = body.len();
        write!(self.out, "Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n")
            .expect("memory takes it");
        self.out.extend_from_slice(body);
    }

    fn fields(&mut self, user: Option<u64>) {
        let out = &mut *self.out;
        out.extend_from_slice(b"Host: ");
        out.extend_from_slice(self.play.host.as_bytes());
        out.extend_from_slice(b"\r\n");
        if let Some(user) = user {
            out.extend_from_slice(b"Authorization: Bearer ");
            let index = usize::try_from(user - 1).expect("members are few");
            out.extend_from_slice(self.play.cast.tokens[index].as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}
