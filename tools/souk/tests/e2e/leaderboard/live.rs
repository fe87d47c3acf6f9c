//! Live boards: over an event stream and over a WebSocket.

use super::{eventually, page, people, program, rated};
use crate::accounts::person::client;
use crate::accounts::stack;
use serde_json::Value;
use souk_stack::Stack;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use tungstenite::Message;

/// Events of a stream, one after the other.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(stack: &Stack, query: &str) -> Events {
        let mut stream = TcpStream::connect(stack.address()).expect("accepted");
        stream.set_read_timeout(Some(super::PATIENCE)).expect("set");
        let head = format!(
            "GET /api/v1/leaderboard/live{query} HTTP/1.1\r\nHost: souk\r\n\
             Accept: text/event-stream\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("taken");
        Events(BufReader::new(stream))
    }

    /// The next event's data.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).expect("in time") > 0, "the stream ended");
            if let Some(data) = line.strip_prefix("data:") {
                return serde_json::from_str(data.trim()).expect("JSON");
            }
        }
    }
}

#[test]
fn an_event_stream_begins_with_the_board_and_goes_on_with_what_changes() {
    let stack = stack();
    let client = client(&stack);
    let ids = people(&client, &["ann", "bob"]);
    let service = program(&stack, &client, "service");
    eventually("both are seen", || page(&client, "")["total"] == 2);
    let mut events = Events::open(&stack, &format!("?user_id={}", ids[1]));
    let first = events.next();
    assert_eq!((&first["type"], &first["total"]), (&"board".into(), &2.into()), "{first}");
    rated(&service, ids[1], 1500);
    let (mut moved, mut ranked) = (false, false);
    while !(moved && ranked) {
        let event = events.next();
        let items = event["items"].as_array().cloned().unwrap_or_default();
        moved |= items.iter().any(|line| line["username"] == "bob" && line["rank"] == 1);
        ranked |= event["type"] == "rank" && event["rank"] == 1 && event["rating"] == 1500;
    }
}

#[test]
fn a_websocket_says_the_same_and_ends_with_a_close() {
    let stack = stack();
    let client = client(&stack);
    let ids = people(&client, &["ann", "bob"]);
    let service = program(&stack, &client, "service");
    eventually("both are seen", || page(&client, "")["total"] == 2);
    let stream = TcpStream::connect(stack.address()).expect("accepted");
    stream.set_read_timeout(Some(super::PATIENCE)).expect("set");
    let url = format!("ws://{}/api/v1/leaderboard/live", stack.address());
    let (mut socket, response) = tungstenite::client(url, stream).expect("a handshake");
    assert_eq!(response.status(), 101);
    let next = |socket: &mut tungstenite::WebSocket<TcpStream>| loop {
        if let Message::Text(text) = socket.read().expect("in time") {
            return serde_json::from_str::<Value>(&text).expect("JSON");
        }
    };
    assert_eq!(next(&mut socket)["type"], "board");
    rated(&service, ids[0], 1500);
    let moved = |event: &Value| {
        let items = event["items"].as_array().cloned().unwrap_or_default();
        items.iter().any(|line| line["username"] == "ann" && line["rating"] == 1500)
    };
    while !moved(&next(&mut socket)) {}
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
