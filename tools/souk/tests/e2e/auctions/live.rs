//! Those who watch: over an event stream and over a WebSocket.

use super::{PATIENCE, accepted, auction, in_ms, open};
use crate::accounts::person::{Person, client};
use crate::accounts::{stack, unlimited};
use serde_json::{Value, json};
use souk_stack::Stack;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

/// Events of a stream, one after the other.
pub struct Events(BufReader<TcpStream>);

impl Events {
    pub fn open(address: &str, auction: u64, query: &str) -> Events {
        let mut stream = TcpStream::connect(address).expect("accepted");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let head = format!(
            "GET /api/v1/auctions/{auction}/live{query} HTTP/1.1\r\nHost: souk\r\n\
             Accept: text/event-stream\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("taken");
        Events(BufReader::new(stream))
    }

    /// The next event's data.
    pub fn next(&mut self) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).expect("in time") > 0, "the stream ended");
            if let Some(data) = line.strip_prefix("data:") {
                return serde_json::from_str(data.trim()).expect("JSON");
            }
        }
    }

    /// All up to the one that fits.
    pub fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut all = Vec::new();
        while !all.last().is_some_and(&fits) {
            all.push(self.next());
        }
        all
    }
}

/// A WebSocket of a client that is not ours.
fn socket(stack: &Stack, auction: u64, token: Option<&str>) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(stack.address()).expect("accepted");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let url = format!("ws://{}/api/v1/auctions/{auction}/live", stack.address());
    let mut request = url.into_client_request().expect("a request");
    if let Some(token) = token {
        let bearer = format!("Bearer {token}").parse().expect("a value");
        request.headers_mut().insert("authorization", bearer);
    }
    let (socket, response) = tungstenite::client(request, stream).expect("a handshake");
    assert_eq!(response.status(), 101);
    socket
}

fn hear(socket: &mut WebSocket<TcpStream>) -> Value {
    loop {
        if let Message::Text(text) = socket.read().expect("in time") {
            return serde_json::from_str(&text).expect("JSON");
        }
    }
}

fn hear_until(socket: &mut WebSocket<TcpStream>, fits: impl Fn(&Value) -> bool) -> Value {
    loop {
        let said = hear(socket);
        if fits(&said) {
            return said;
        }
    }
}

/// Sequence numbers of the bids that messages tell of, in order.
fn told(messages: &[Value]) -> Vec<u64> {
    let bids = messages.iter().filter_map(|message| message["bids"].as_array()).flatten();
    bids.map(|bid| bid["sequence"].as_u64().expect("a number")).collect()
}

#[test]
fn watchers_hear_every_bid_once_and_come_back_where_they_left() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    let mut events = Events::open(stack.address(), id, "");
    let first = events.next();
    assert_eq!((&first["type"], &first["sequence"]), (&json!("snapshot"), &json!(0)), "{first}");
    for round in 0..10 {
        accepted(
            if round % 2 == 0 { &ann } else { &bob },
            id,
            &json!({"amount": 200 + 50 * round}),
        );
    }
    let heard = events.until(|message| message["sequence"] == 10);
    assert_eq!(told(&heard), (1..=10).collect::<Vec<_>>());
    assert!(!Value::from(heard).to_string().contains("\"ann\""), "pseudonyms alone");

    let mut again = Events::open(stack.address(), id, "?after=7");
    let heard = again.until(|message| message["sequence"] == 10);
    assert_eq!(told(&heard), [8, 9, 10], "{heard:?}");
    let mut late = Events::open(stack.address(), id, "");
    let whole = late.next();
    assert_eq!((&whole["type"], &whole["sequence"]), (&json!("snapshot"), &json!(10)), "{whole}");
    assert_eq!(whole["head"], auction(&client, id)["head"]);
}

#[test]
fn who_is_outbid_is_told_over_the_own_websocket_and_nobody_else_is() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    accepted(&ann, id, &json!({"amount": 200}));
    let mut of_ann = socket(&stack, id, Some(&ann.token));
    let mut of_bob = socket(&stack, id, Some(&bob.token));
    let snapshot = hear(&mut of_ann);
    assert_eq!(snapshot["you"], snapshot["leader"], "{snapshot}");
    hear(&mut of_bob);
    accepted(&bob, id, &json!({"amount": 300}));
    let outbid = hear_until(&mut of_ann, |said| said["type"] == "outbid");
    assert_eq!((&outbid["price"], &outbid["minimum"]), (&json!(300), &json!(310)), "{outbid}");
    accepted(&ann, id, &json!({"amount": 400}));
    let mut before = Vec::new();
    loop {
        let said = hear(&mut of_bob);
        if said["type"] == "outbid" {
            break;
        }
        before.push(said);
    }
    assert!(told(&before).contains(&2), "{before:?}");
}

#[test]
fn watchers_hear_of_extensions_and_of_the_end() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann] = ["sam", "ann"].map(|name| Person::new(&client, name));
    let soft = json!({"window_s": 2, "extensions": 1});
    let id = open(&sam, &json!({"end_at": in_ms(1_500), "soft_close": soft}));
    let mut events = Events::open(stack.address(), id, "");
    accepted(&ann, id, &json!({"amount": 200}));
    let heard = events.until(|message| message["outcome"] == "sold");
    let notices: Vec<&str> = heard
        .iter()
        .filter_map(|message| message["notices"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    assert!(notices.contains(&"extended") && notices.contains(&"ended"), "{heard:?}");
}

#[test]
fn watchers_are_told_once_when_the_last_minute_begins() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann] = ["sam", "ann"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({"end_at": in_ms(64_000)}));
    let mut events = Events::open(stack.address(), id, "");
    let soon = |message: &Value| message["notices"].to_string().contains("ending_soon");
    let first = events.next();
    assert!(!soon(&first), "more than a minute is left: {first}");
    events.until(soon);
    accepted(&ann, id, &json!({"amount": 200}));
    let after = events.until(|message| message["sequence"] == 1);
    assert!(!after.iter().any(soon), "{after:?}");
}

#[test]
fn a_websocket_answers_pings_and_ends_with_a_close() {
    let stack = stack();
    let client = client(&stack);
    let sam = Person::new(&client, "sam");
    let id = open(&sam, &json!({}));
    let mut socket = socket(&stack, id, None);
    assert_eq!(hear(&mut socket)["type"], "snapshot");
    socket.send(Message::Ping(vec![1, 2, 3].into())).expect("taken");
    loop {
        if let Message::Pong(echo) = socket.read().expect("in time") {
            assert_eq!(&echo[..], [1, 2, 3]);
            break;
        }
    }
    stack.fronts()[0].terminate();
    let end = loop {
        match socket.read() {
            Ok(Message::Close(frame)) => break frame,
            Ok(_) => {}
            Err(error) => panic!("cut off without a close: {error}"),
        }
    };
    assert_eq!(end.map(|frame| u16::from(frame.code)), Some(1001), "going away");
}

#[test]
fn who_watches_through_another_daemon_hears_the_same() {
    let stack =
        unlimited().daemons(2).fronts(2).daemon_set("daemon.shards", 2).start().expect("starts");
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    // Some lie with each daemon and shard.
    let ids: Vec<u64> = (0..8).map(|_| open(&sam, &json!({}))).collect();
    let mut watching: Vec<(u64, Events)> = ids
        .iter()
        .flat_map(|id| stack.fronts().iter().map(|front| (*id, front.address().to_owned())))
        .map(|(id, address)| (id, Events::open(&address, id, "")))
        .collect();
    for (_, events) in &mut watching {
        assert_eq!(events.next()["type"], "snapshot");
    }
    for id in &ids {
        accepted(&ann, *id, &json!({"amount": 200}));
        accepted(&bob, *id, &json!({"amount": 300}));
    }
    for (id, events) in &mut watching {
        let heard = events.until(|message| message["sequence"] == 2);
        assert_eq!(told(&heard), [1, 2], "auction {id}");
    }
}

#[test]
fn one_who_reads_nothing_keeps_no_other_watcher_from_the_last_bid() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    let mut watching: Vec<Events> =
        (0..300).map(|_| Events::open(stack.address(), id, "")).collect();
    let _deaf = Events::open(stack.address(), id, "");
    for round in 0..40 {
        accepted(
            if round % 2 == 0 { &ann } else { &bob },
            id,
            &json!({"amount": 200 + 50 * round}),
        );
    }
    for events in &mut watching {
        events.until(|message| message["sequence"] == 40);
    }
}
