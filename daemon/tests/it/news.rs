//! News of a board over a link.

use crate::client::{Client, Frame};
use souk_proto::leaderboard::{BoardNews, WatchBoardRequest};
use souk_proto::{Flags, Kind, Method};
use souk_stack::Stack;
use std::time::Duration;

fn daemon() -> Stack {
    let builder = Stack::builder().fronts(0).daemon_set("daemon.shards", 1);
    builder.daemon_arg("--no-limits").start().expect("a daemon")
}

fn connect(stack: &Stack) -> Client {
    let secret = std::fs::read(stack.link_secret_file()).expect("the secret");
    Client::connect(stack.daemons()[0].address(), &secret).0
}

/// Begins to watch the board of all time; the head and the first news have come.
fn watch(client: &mut Client, deadline_ms: u32) -> (u64, BoardNews) {
    let request = WatchBoardRequest { caller: None, board: 0 };
    let id = client.ask_within(Method::WatchBoard, Flags::NONE, deadline_ms, &request);
    let head = next_of(client, id);
    assert!(head.header.kind == Kind::Response && head.header.flags.has(Flags::STREAM));
    (id, news(&next_of(client, id)))
}

fn next_of(client: &mut Client, id: u64) -> Frame {
    loop {
        let frame = client.next_of_requests();
        if frame.header.request_id == id {
            return frame;
        }
    }
}

fn news(frame: &Frame) -> BoardNews {
    assert!(frame.header.kind == Kind::Push && !frame.header.flags.has(Flags::ERROR), "{frame:?}");
    prost::Message::decode(&frame.payload[..]).expect("news")
}

/// Reads on to the end of the stream, which must be a good one.
fn ends_well(client: &mut Client, id: u64) {
    loop {
        let frame = next_of(client, id);
        if frame.header.flags.has(Flags::END) {
            assert!(!frame.header.flags.has(Flags::ERROR), "{frame:?}");
            return;
        }
        news(&frame);
    }
}

#[test]
fn news_follow_a_change_and_end_before_the_deadline_or_when_they_are_cancelled() {
    let stack = daemon();
    let mut client = connect(&stack);
    let (id, first) = watch(&mut client, 30_000);
    assert_eq!((first.total, first.items.len()), (0, 0));
    client.register("ann");
    let after = news(&next_of(&mut client, id));
    assert!(after.version > first.version);
    assert_eq!((after.total, after.items[0].username.as_str()), (1, "ann"));
    client.cancel(id);
    let (short, _) = watch(&mut client, 1_000);
    ends_well(&mut client, short);
    assert!(client.ready().database);
}

#[test]
fn a_daemon_that_stops_ends_the_news_and_waits_for_nobody_who_watches() {
    let stack = daemon();
    let mut client = connect(&stack);
    let (id, _) = watch(&mut client, 60_000);
    stack.daemons()[0].terminate();
    ends_well(&mut client, id);
    let status = stack.daemons()[0].wait(Duration::from_secs(30)).expect("it ends");
    assert!(status.success(), "{status}");
}
