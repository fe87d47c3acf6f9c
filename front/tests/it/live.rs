//! Those who watch a board, over event streams and WebSockets.

use crate::client::Client;
use crate::daemon::{Daemon, Event};
use crate::leaderboard::line;
use crate::{Front, drivers};
use serde_json::{Value, json};
use souk_proto::leaderboard::{BoardNews, Entry, Rank, WatchBoardRequest};
use souk_proto::{Code, Failure, Kind, Method};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Error, Message};

pub const UPGRADE: &str = "upgrade: websocket\r\nconnection: Upgrade\r\n\
                           sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn news(version: u64, items: Vec<Entry>) -> BoardNews {
    BoardNews { version, total: items.len() as u64, items, stale_ms: 0 }
}

/// A daemon that leaves every answer to the test.
pub fn daemon() -> (Daemon, Receiver<Event>) {
    let (sender, received) = channel();
    let daemon = Daemon::start("one", 1, move |event| {
        // The test may be over.
        let _ = sender.send(event);
    });
    (daemon, received)
}

/// The next request to watch, once it is begun.
fn watched(received: &Receiver<Event>) -> Event {
    let event = received.recv().expect("the front asks");
    assert_eq!((event.kind, event.method), (Kind::Request, Some(Method::WatchBoard)));
    event.begin_items();
    event
}

pub fn cancelled(received: &Receiver<Event>, id: u64) {
    let event = received.recv().expect("the front says so");
    assert_eq!((event.kind, event.id), (Kind::Cancel, id));
}

struct Reader(Client);

impl Reader {
    fn connect(address: SocketAddr, query: &str) -> Reader {
        let mut client = Client::connect(address);
        client.ask("GET", &format!("/api/v1/leaderboard/live{query}"));
        Reader(client)
    }

    fn begin(&mut self) {
        let head = self.0.head();
        assert_eq!(head.status, 200, "{}", head.head);
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        assert_eq!(head.header("content-length"), None);
        assert!(head.has("connection: close"));
        assert_eq!(self.0.until(b"\n\n"), b"retry: 2000\n\n");
    }

    fn next(&mut self) -> Value {
        let event = self.0.until(b"\n\n");
        let text = String::from_utf8(event).expect("text");
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
        let data: Value = serde_json::from_str(data).expect("JSON");
        if let Some(version) = data.get("version") {
            assert!(text.starts_with(&format!("id: {version}\n")), "{text}");
        }
        data
    }
}

fn socket(address: SocketAddr, query: &str) -> Client {
    asking(address, &format!("/api/v1/leaderboard/live{query}"), "")
}

/// A client that asks for a WebSocket here, with these fields besides.
pub fn asking(address: SocketAddr, path: &str, fields: &str) -> Client {
    let mut client = Client::connect(address);
    client.send(format!("GET {path} HTTP/1.1\r\nhost: souk.test\r\n{UPGRADE}{fields}\r\n"));
    client
}

/// A client's WebSocket, once the handshake is done.
pub fn opened(mut client: Client) -> WebSocket<TcpStream> {
    let head = client.head();
    assert_eq!(head.status, 101, "{}", head.head);
    assert!(head.has("connection: upgrade") && head.has("upgrade: websocket"));
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(head.header("content-length"), None);
    let (socket, rest) = client.into_parts();
    WebSocket::from_partially_read(socket, rest, Role::Client, None)
}

/// The next message. A signal that comes while it waits changes nothing.
pub fn heard(socket: &mut WebSocket<TcpStream>) -> Result<Message, Error> {
    loop {
        match socket.read() {
            Err(Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

pub fn told(socket: &mut WebSocket<TcpStream>) -> Value {
    match heard(socket).expect("a message") {
        Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_who_watch_share_one_stream_and_are_told_the_whole_then_what_changed() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let mut reader = Reader::connect(front.address(), "?season=3");
        let stream = watched(&received);
        assert_eq!(stream.decode::<WatchBoardRequest>().board, 3);
        stream.item(&news(1, vec![line(1, 7, 1200), line(2, 8, 1100)]));
        reader.begin();
        let whole = reader.next();
        assert_eq!((&whole["type"], &whole["total"]), (&json!("board"), &json!(2)));
        let mut socket = opened(socket(front.address(), "?season=3"));
        assert_eq!(told(&mut socket), whole);
        stream.item(&news(2, vec![line(1, 9, 1300), line(2, 7, 1200)]));
        let delta = reader.next();
        assert_eq!(told(&mut socket), delta);
        assert_eq!((&delta["type"], &delta["version"]), (&json!("delta"), &json!(2)));
        let changed: Vec<_> =
            delta["items"].as_array().expect("items").iter().map(|it| &it["user_id"]).collect();
        assert_eq!(changed, [&json!(9), &json!(7)]);
        assert_eq!(delta["gone"], json!([8]));
        // The last who leaves ends the stream; the first who comes begins another.
        drop(reader);
        socket.close(None).expect("open");
        while heard(&mut socket).is_ok() {}
        cancelled(&received, stream.id);
        let mut reader = Reader::connect(front.address(), "?season=3");
        watched(&received).item(&news(3, vec![line(1, 9, 1300)]));
        reader.begin();
        assert_eq!(reader.next()["version"], 3);
    }
}

#[test]
fn news_that_come_fast_are_told_as_one() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let mut reader = Reader::connect(front.address(), "");
        let stream = watched(&received);
        stream.item(&news(1, vec![line(1, 7, 1000)]));
        reader.begin();
        assert_eq!(reader.next()["version"], 1);
        for version in 2..=20 {
            stream.item(&news(
                version,
                vec![line(1, 7, 1000 + i32::try_from(version).expect("small"))],
            ));
        }
        let mut told = 0;
        while reader.next()["version"] != 20 {
            told += 1;
        }
        assert!(told < 18, "{told}");
    }
}

#[test]
fn a_lost_daemon_pauses_the_news_and_its_return_resumes_them() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let mut socket = {
            let client = socket(front.address(), "");
            watched(&received).item(&news(1, vec![line(1, 7, 1000)]));
            opened(client)
        };
        assert_eq!(told(&mut socket)["type"], "board");
        let address = daemon.stop();
        assert_eq!(told(&mut socket), json!({"type": "paused"}));
        let (sender, received) = channel();
        let _daemon = Daemon::start_at(address, "one", 1, move |event| {
            let _ = sender.send(event);
        });
        watched(&received).item(&news(1, vec![line(1, 7, 1000)]));
        let whole = told(&mut socket);
        assert_eq!((&whole["type"], &whole["version"]), (&json!("board"), &json!(1)));
    }
}

#[test]
fn the_own_rank_is_told_when_it_changed() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let mut reader = Reader::connect(front.address(), "?user_id=77");
        let stream = watched(&received);
        let top = || vec![line(1, 7, 1200)];
        stream.item(&news(1, top()));
        reader.begin();
        assert_eq!(reader.next()["type"], "board");
        let asked = || {
            let event = received.recv().expect("the front asks");
            assert_eq!(event.method, Some(Method::GetRank));
            event
        };
        let at = |rank| Rank { rank, rating: 900, ties: 0, total: 101 };
        asked().answer(&at(51));
        let rank = reader.next();
        let expected = json!({"type": "rank", "rank": 51, "rating": 900, "ties": 0, "total": 101,
            "percentile": 50.0});
        assert_eq!(rank, expected);
        // The board changed below its top: no delta, and here not even the rank.
        stream.item(&news(2, top()));
        asked().answer(&at(51));
        stream.item(&news(3, top()));
        asked().fail(&Failure::new(Code::Busy));
        stream.item(&news(4, top()));
        asked().answer(&at(52));
        assert_eq!(reader.next()["rank"], 52);
        stream.item(&news(5, top()));
        asked().fail(&Failure::new(Code::NotRanked));
        let gone = reader.next();
        assert_eq!((&gone["type"], &gone["rank"]), (&json!("rank"), &json!(null)));
    }
}

#[test]
fn a_board_that_is_not_there_is_404_before_anything_is_upgraded() {
    for driver in drivers() {
        let daemon = Daemon::start("one", 1, |event| {
            if event.kind == Kind::Request {
                event.fail(&Failure::new(Code::BoardNotFound));
            }
        });
        let front = Front::start(driver, &[&daemon]);
        let mut client = socket(front.address(), "?season=9");
        assert_eq!(client.answer().status, 404);
        // The connection is still one of HTTP.
        assert_eq!(client.get("/api/v1/leaderboard/live?season=9").status, 404);
        assert_eq!(client.get("/api/v1/leaderboard/live?season=x").status, 400);
        assert_eq!(client.get("/health").status, 200);
    }
}

#[test]
fn handshakes_of_other_sites_or_versions_are_refused() {
    for driver in drivers() {
        let (daemon, _received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let ask = |fields: &str| {
            let mut client = Client::connect(front.address());
            client.send(format!(
                "GET /api/v1/leaderboard/live HTTP/1.1\r\nhost: souk.test\r\n{fields}\r\n"
            ));
            client.answer()
        };
        assert_eq!(ask(&format!("{UPGRADE}origin: https://evil.example\r\n")).status, 403);
        let old = ask(&UPGRADE.replace("version: 13", "version: 8"));
        assert_eq!((old.status, old.header("sec-websocket-version")), (400, Some("13")));
    }
}

#[test]
fn a_websocket_that_breaks_the_rules_is_closed_with_the_reason() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        // It keeps the stream open.
        let mut reader = Reader::connect(front.address(), "");
        watched(&received).item(&news(1, vec![line(1, 7, 1000)]));
        reader.begin();
        #[rustfmt::skip]
        let table: &[(&[u8], CloseCode)] = &[
            (b"\x81\x01a", CloseCode::Protocol),                         // not masked
            (b"\x83\x80\0\0\0\0", CloseCode::Protocol),                  // no such kind
            (b"\x80\x80\0\0\0\0", CloseCode::Protocol),                  // the end of nothing
            (b"\x09\x80\0\0\0\0", CloseCode::Protocol),                  // a ping in pieces
            (b"\xc1\x80\0\0\0\0", CloseCode::Protocol),                  // a bit for an extension
            (b"\x81\x81\0\0\0\0\xff", CloseCode::Invalid),               // no UTF-8
            (b"\x81\xfe\x20\0\0\0\0\0", CloseCode::Size),                // 8 KiB
            (b"\x81\xff\x7f\0\0\0\0\0\0\0\0\0\0\0", CloseCode::Size),    // far too much
        ];
        for (bytes, code) in table {
            let mut socket = opened(socket(front.address(), ""));
            assert_eq!(told(&mut socket)["type"], "board");
            socket.get_mut().write_all(bytes).expect("the front reads");
            let Ok(Message::Close(Some(frame))) = heard(&mut socket) else { panic!("{bytes:?}") };
            assert_eq!(frame.code, *code, "{bytes:?}");
        }
        // Pings are answered, and texts are nobody's business.
        let mut socket = opened(socket(front.address(), ""));
        assert_eq!(told(&mut socket)["type"], "board");
        socket.send(Message::text("hello")).expect("open");
        socket.send(Message::Ping("there?".into())).expect("open");
        assert!(matches!(heard(&mut socket), Ok(Message::Pong(bytes)) if bytes == "there?"));
    }
}

#[test]
fn watchers_are_told_when_the_front_ends() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let mut reader = Reader::connect(front.address(), "");
        watched(&received).item(&news(1, vec![line(1, 7, 1000)]));
        reader.begin();
        reader.next();
        let mut socket = opened(socket(front.address(), ""));
        assert_eq!(told(&mut socket)["type"], "board");
        let stopping = std::thread::spawn(move || front.stop());
        let Ok(Message::Close(Some(frame))) = heard(&mut socket) else { panic!("no close") };
        assert_eq!(frame.code, CloseCode::Away);
        while let Ok(_) | Err(Error::Io(_)) = heard(&mut socket) {}
        drop(socket);
        reader.0.ends();
        stopping.join().expect("no panic");
    }
}

#[test]
fn who_reads_nothing_keeps_nobody_else_waiting_and_sees_the_latest_in_the_end() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let mut slow = Reader::connect(front.address(), "");
        let stream = watched(&received);
        let top = |version: u64| {
            let mut first = line(1, 7, i32::try_from(version).expect("small"));
            first.nickname = "n".repeat(200_000);
            vec![first]
        };
        stream.item(&news(1, top(1)));
        slow.begin();
        let mut quick = Reader::connect(front.address(), "");
        quick.begin();
        assert_eq!(quick.next()["version"], 1);
        for version in 2..=8 {
            stream.item(&news(version, top(version)));
            while quick.next()["version"] != version {}
        }
        let mut seen = vec![];
        while seen.last() != Some(&8) {
            seen.push(slow.next()["version"].as_u64().expect("a version"));
        }
        assert!(seen.is_sorted(), "{seen:?}");
    }
}
