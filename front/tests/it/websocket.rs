//! The WebSocket of a live route against frames made and read by another library than the front's:
//! the parts of RFC 6455 that a server which is never asked anything has to keep.

use crate::client::Client;
use crate::daemon::Daemon;
use crate::{Front, drivers};
use soketto::Parsing;
use soketto::base::{Codec, Header, OpCode};
use souk_proto::leaderboard::BoardNews;
use souk_proto::{Kind, Method};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Longest message that a watcher may send, as in the front's limits.
const MESSAGE_MAX: usize = souk_front::limits::WEBSOCKET_MESSAGE_MAX;

/// A frame of a client: masked, whole, unless it is changed.
fn frame(opcode: OpCode, payload: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut header = Header::new(opcode);
    header.set_masked(true).set_mask(0x1234_5678).set_payload_len(payload.len());
    change(&mut header);
    let mut payload = payload.to_vec();
    Codec::apply_mask(&header, &mut payload);
    let mut codec = Codec::new();
    [codec.encode_header(&header), &payload].concat()
}

fn whole(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    frame(opcode, payload, |_| {})
}

fn part(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    frame(opcode, payload, |header| {
        header.set_fin(false);
    })
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    whole(OpCode::Close, &[&code.to_be_bytes(), reason].concat())
}

struct Socket {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Socket {
    /// A WebSocket that was told the first news.
    fn open(address: SocketAddr) -> Socket {
        let mut client = Client::connect(address);
        client.send(
            "GET /api/v1/leaderboard/live HTTP/1.1\r\nhost: souk.test\r\nupgrade: websocket\r\n\
             connection: Upgrade\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        assert_eq!(client.head().status, 101);
        let (socket, read) = client.into_parts();
        let mut socket = Socket { socket, read };
        let (opcode, news) = socket.next().expect("the first news");
        assert_eq!(opcode, OpCode::Text);
        assert!(news.starts_with(b"{"), "{news:?}");
        socket
    }

    fn send(&mut self, bytes: &[u8], cut: usize) {
        for piece in bytes.chunks(cut) {
            // What breaks the rules may have ended it already.
            let _ = self.socket.write_all(piece);
        }
    }

    /// The next frame; nothing at the end, which may be a reset after an error.
    fn next(&mut self) -> Option<(OpCode, Vec<u8>)> {
        loop {
            let parsed = Codec::new().decode_header(&self.read).expect("the front says frames");
            if let Parsing::Done { value: header, offset } = parsed
                && self.read.len() >= offset + header.payload_len()
            {
                assert!(header.is_fin() && !header.is_masked(), "a server's frame");
                let rest = self.read.split_off(offset + header.payload_len());
                let frame = std::mem::replace(&mut self.read, rest);
                return Some((header.opcode(), frame[offset..].to_vec()));
            }
            let mut chunk = [0; 4096];
            match self.socket.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.read.extend_from_slice(&chunk[..count]),
            }
        }
    }
}

/// What has to follow.
enum Follows {
    /// Nothing, and it goes on.
    Nothing,
    /// These bytes in a pong, and it goes on.
    Pong(&'static [u8]),
    /// A close with this code, and the end.
    Close(u16),
    /// A close without a code, and the end.
    BareClose,
}

/// By name: what is sent, and what has to follow.
#[rustfmt::skip]
fn cases() -> Vec<(&'static str, Vec<u8>, Follows)> {
    use Follows::{BareClose, Close, Nothing, Pong};
    use OpCode::{Binary, Continue, Ping, Text};
    let most = vec![b'*'; MESSAGE_MAX];
    let half = vec![b'*'; MESSAGE_MAX / 2];
    let more = vec![b'*'; MESSAGE_MAX / 2 + 1];
    let rsv = |change: fn(&mut Header)| frame(Text, b"a", change);
    let mut cases = vec![
        // Framing, messages of all the lengths at which the head changes.
        ("an empty text", whole(Text, b""), Nothing),
        ("125 bytes", whole(Text, &[b'*'; 125]), Nothing),
        ("126 bytes", whole(Text, &[b'*'; 126]), Nothing),
        ("the longest", whole(Text, &most), Nothing),
        ("the longest in bytes", whole(Binary, &most), Nothing),
        ("one more", whole(Text, &[&most[..], b"*"].concat()), Close(1009)),
        ("64 KiB", whole(Binary, &[0; 65_536]), Close(1009)),
        // Pings.
        ("a ping", whole(Ping, b""), Pong(b"")),
        ("a ping with text", whole(Ping, b"Hello"), Pong(b"Hello")),
        ("a ping with bytes", whole(Ping, b"\x00\xff\xfe\xfd"), Pong(b"\x00\xff\xfe\xfd")),
        ("the longest ping", whole(Ping, &[7; 125]), Pong(&[7; 125])),
        ("a ping that is too long", whole(Ping, &[7; 126]), Close(1002)),
        ("a pong that nobody asked for", whole(OpCode::Pong, b"?"), Nothing),
        ("a ping in parts", part(Ping, b""), Close(1002)),
        // Reserved bits.
        ("reserved bit 1", rsv(|header| { header.set_rsv1(true); }), Close(1002)),
        ("reserved bit 2", rsv(|header| { header.set_rsv2(true); }), Close(1002)),
        ("reserved bit 3", rsv(|header| { header.set_rsv3(true); }), Close(1002)),
        ("a reserved bit in a ping", frame(Ping, b"", |header| { header.set_rsv1(true); }), Close(1002)),
        // Masks.
        ("no mask", frame(Text, b"a", |header| { header.set_masked(false).set_mask(0); }), Close(1002)),
        ("a mask of zeros", frame(Text, b"a", |header| { header.set_mask(0); }), Nothing),
        // Fragments.
        ("two parts", [part(Text, &half), whole(Continue, &half)].concat(), Nothing),
        ("too long in parts", [part(Text, &more), whole(Continue, &more)].concat(), Close(1009)),
        ("empty parts", [part(Text, b""), part(Continue, b""), whole(Continue, b"")].concat(), Nothing),
        ("a ping between parts", [part(Text, b"a"), whole(Ping, b"p"), whole(Continue, b"b")].concat(), Pong(b"p")),
        ("a rest without a start", whole(Continue, b"a"), Close(1002)),
        ("a part without a start", part(Continue, b"a"), Close(1002)),
        ("a rest after the end", [whole(Text, b"a"), whole(Continue, b"b")].concat(), Close(1002)),
        ("a text within a text", [part(Text, b"a"), whole(Text, b"b")].concat(), Close(1002)),
        ("bytes within a text", [part(Text, b"a"), part(Binary, b"b")].concat(), Close(1002)),
        // UTF-8.
        ("Greek", whole(Text, "κόσμε".as_bytes()), Nothing),
        ("the last character", whole(Text, "\u{10ffff}".as_bytes()), Nothing),
        ("a character in parts", [part(Text, b"\xce"), whole(Continue, b"\xba")].concat(), Nothing),
        ("a byte that never is", whole(Text, b"\xff"), Close(1007)),
        ("half a character", whole(Text, b"\xce"), Close(1007)),
        ("a long form", whole(Text, b"\xc0\xaf"), Close(1007)),
        ("a surrogate", whole(Text, b"\xed\xa0\x80"), Close(1007)),
        ("past the last character", whole(Text, b"\xf4\x90\x80\x80"), Close(1007)),
        ("half a character in parts", [part(Text, b"\xce"), whole(Continue, b"")].concat(), Close(1007)),
        ("no text at all as bytes", whole(Binary, b"\xff\xce"), Nothing),
        // Closes.
        ("a close", close(1000, b""), Close(1000)),
        ("a close with a reason", close(1000, b"bye"), Close(1000)),
        ("the longest reason", close(1000, &[b'*'; 123]), Close(1000)),
        ("a close without a code", whole(OpCode::Close, b""), BareClose),
        ("a code of the application", close(3000, b""), Close(3000)),
        ("a code of one's own", close(4999, b""), Close(4999)),
        ("a close of one byte", whole(OpCode::Close, b"\x03"), Close(1002)),
        ("a close that is too long", close(1000, &[b'*'; 124]), Close(1002)),
        ("a reason that is no text", close(1000, b"\xff"), Close(1007)),
        ("a ping after the close", [close(1000, b""), whole(Ping, b"late")].concat(), Close(1000)),
    ];
    for reserved in [0_u16, 999, 1004, 1005, 1006, 1015, 5000, 65_535] {
        cases.push(("a code that may not be sent", close(reserved, b""), Close(1002)));
    }
    for number in [3_u8, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let opcode = OpCode::try_from(number).expect("all numbers are");
        cases.push(("an opcode that is none", whole(opcode, b""), Close(1002)));
    }
    cases
}

#[test]
fn what_another_library_sends_is_taken_or_refused_as_the_standard_says() {
    for driver in drivers() {
        let daemon = Daemon::start("one", 1, |event| {
            if event.kind == Kind::Request && event.method == Some(Method::WatchBoard) {
                event.begin_items();
                event.item(&BoardNews { version: 1, ..BoardNews::default() });
            }
        });
        let front = Front::start(driver, &[&daemon]);
        for (name, bytes, follows) in cases() {
            // In one piece, and in pieces that cut every head.
            for cut in [usize::MAX, 3] {
                if cut == 3 && bytes.len() > 300 {
                    continue;
                }
                let mut socket = Socket::open(front.address());
                socket.send(&bytes, cut);
                let closes = |socket: &mut Socket, payload: &[u8]| {
                    let said = socket
                        .next()
                        .map(|(opcode, said)| (opcode, said[..said.len().min(2)].to_vec()));
                    assert_eq!(said, Some((OpCode::Close, payload.to_vec())), "{name}");
                    assert_eq!(socket.next(), None, "{name}: more after the close");
                };
                match follows {
                    Follows::Close(code) => closes(&mut socket, &code.to_be_bytes()),
                    Follows::BareClose => closes(&mut socket, &[]),
                    Follows::Nothing | Follows::Pong(_) => {
                        if let Follows::Pong(payload) = follows {
                            let pong = Some((OpCode::Pong, payload.to_vec()));
                            assert_eq!(socket.next(), pong, "{name}");
                        }
                        socket.send(&whole(OpCode::Ping, b"still there"), cut);
                        let pong = Some((OpCode::Pong, b"still there".to_vec()));
                        assert_eq!(socket.next(), pong, "{name}: it does not go on");
                        socket.send(&close(1000, b""), cut);
                        closes(&mut socket, &1000_u16.to_be_bytes());
                    }
                }
            }
        }
    }
}
