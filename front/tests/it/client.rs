//! A plain HTTP client that shows every byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for anything; no test gets near it unless something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Client {
    socket: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    /// Whether the head has this line, in any case.
    pub fn has(&self, line: &str) -> bool {
        self.head.lines().any(|each| each.eq_ignore_ascii_case(line))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).expect("the front listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("settable");
        socket.set_nodelay(true).expect("settable");
        Client { socket, read: Vec::new() }
    }

    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("the front reads");
    }

    /// Sends what the front may no longer want to read.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends a request without a body.
    pub fn ask(&mut self, method: &str, path: &str) {
        self.send(format!("{method} {path} HTTP/1.1\r\nhost: souk.test\r\n\r\n"));
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path);
        self.answer()
    }

    /// The next answer, to a request that was not HEAD.
    pub fn answer(&mut self) -> Answer {
        let head = self.head();
        self.finish(head)
    }

    /// The next head, without what follows it.
    pub fn head(&mut self) -> Answer {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.fill(), "the connection ended in a head: {:?}", self.shown());
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        let head = String::from_utf8(head).expect("a head is text");
        let status = head.get(9..12).and_then(|code| code.parse().ok()).expect("a status line");
        Answer { status, head, body: Vec::new() }
    }

    /// Reads the body that this head announces.
    pub fn finish(&mut self, mut answer: Answer) -> Answer {
        let length =
            answer.header("content-length").map_or(0, |text| text.parse().expect("number"));
        while self.read.len() < length {
            assert!(self.fill(), "the connection ended in a body");
        }
        answer.body = self.read.drain(..length).collect();
        answer
    }

    /// What comes up to and with these bytes.
    pub fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let found = self.read.windows(end.len()).position(|bytes| bytes == end);
            if let Some(at) = found {
                return self.read.drain(..at + end.len()).collect();
            }
            assert!(self.fill(), "the connection ended: {:?}", self.shown());
        }
    }

    /// The socket and what was read from it but not used.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.socket, self.read)
    }

    /// Everything up to the end of the connection, which may be a reset.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.read)
    }

    /// Checks that the front ends the connection and says no more.
    pub fn ends(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "more came: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Checks that the front says no more and ends the connection in order, without a reset.
    pub fn ends_in_order(&mut self) {
        let mut rest = std::mem::take(&mut self.read);
        self.socket.read_to_end(&mut rest).expect("no reset");
        assert!(rest.is_empty(), "more came: {:?}", String::from_utf8_lossy(&rest));
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        let result = loop {
            match self.socket.read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        match result {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&chunk[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}

/// A session token of this user, well-formed; the daemons here do not check its MAC.
pub fn token(user: u64) -> String {
    let mut bytes = vec![1];
    bytes.extend(user.to_be_bytes());
    bytes.resize(49, 0);
    data_encoding::BASE64URL_NOPAD.encode(&bytes)
}
