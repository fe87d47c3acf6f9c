//! What a link promises its front.

use crate::client::{Client, Frame, hello};
use souk_proto::accounts::{
    CallerRequest, GetPictureRequest, GetUserByNameRequest, GetUserRequest, SetPictureRequest, User,
};
use souk_proto::common::{Caller, Hello};
use souk_proto::limits::REQUESTS_IN_FLIGHT_MAX;
use souk_proto::{Code, Flags, Header, Kind, Method};
use souk_stack::Stack;
use std::io::Write;
use std::sync::OnceLock;

/// The daemon of all tests here, with two shards.
fn stack() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    STACK.get_or_init(|| {
        let builder = Stack::builder().fronts(0).daemon_set("daemon.shards", 2);
        let builder = builder.daemon_set("passwords.memory_kib", 64).daemon_arg("--no-limits");
        builder.start().expect("a daemon")
    })
}

fn address() -> &'static str {
    stack().daemons()[0].address()
}

fn secret() -> Vec<u8> {
    std::fs::read(stack().link_secret_file()).expect("the secret")
}

fn connect() -> Client {
    Client::connect(address(), &secret()).0
}

/// Starts an upload whose body never ends by itself.
fn begin_upload(client: &mut Client, caller: &Caller, deadline_ms: u32) -> u64 {
    let request = SetPictureRequest { caller: Some(caller.clone()), length: 0 };
    client.ask_within(Method::SetPicture, Flags::STREAM, deadline_ms, &request)
}

#[test]
fn a_right_hello_learns_the_node_and_its_shards() {
    for shard in 0..2 {
        let mut client = Client::open(address());
        client.send(&Header::new(Kind::Hello, 0), &Hello { shard, ..hello(&secret()) });
        let answer = client.next().expect("a frame");
        assert_eq!(answer.header.kind, Kind::Hello);
        let answer: Hello = prost::Message::decode(&answer.payload[..]).expect("a HELLO");
        assert_eq!((answer.node.as_str(), answer.shard, answer.shards), ("daemon-0", shard, 2));
        assert!(answer.secret.is_empty());
        let ready = client.ready();
        assert!(ready.database && ready.redis);
    }
}

#[test]
fn a_wrong_hello_is_told_why_and_closed() {
    let right = hello(&secret());
    let wrong = [
        (Hello { version: 99, ..right.clone() }, "protocol 99"),
        (Hello { secret: b"not the secret at all, no".to_vec(), ..right.clone() }, "secret"),
        (Hello { shard: 2, ..right.clone() }, "shard 2"),
        (Hello { node: String::new(), ..right }, "node name"),
    ];
    for (sent, why) in wrong {
        let mut client = Client::open(address());
        client.send(&Header::new(Kind::Hello, 0), &sent);
        let reason = client.next().expect("a GOAWAY").reason();
        assert!(reason.contains(why), "{reason}");
        assert!(client.next().is_none());
    }
}

#[test]
fn what_is_not_a_hello_is_told_so_and_closed() {
    let mut silent = Client::open(address());
    let mut early = Client::open(address());
    early.send_bytes(&Header::new(Kind::Ping, 1), &[]);
    assert!(early.next().expect("a GOAWAY").reason().contains("HELLO"));
    assert!(early.next().is_none());
    let mut garbage = Client::open(address());
    garbage.socket.write_all(&[0xff; 100]).expect("write");
    assert!(garbage.next().expect("a GOAWAY").reason().contains("HELLO"));
    assert!(silent.next().expect("a GOAWAY").reason().contains("no HELLO came"));
    assert!(silent.next().is_none());
}

#[test]
fn what_follows_the_hello_in_the_same_packet_is_served() {
    let mut outbox = souk_proto::Outbox::new();
    outbox.push(&Header::new(Kind::Hello, 0), &hello(&secret())).expect("fits");
    outbox.push_bytes(&Header::new(Kind::Ping, 77), &[]).expect("fits");
    let mut client = Client::open(address());
    client.socket.write_all(&outbox.take().expect("queued")).expect("write");
    assert_eq!(client.next().expect("a frame").header.kind, Kind::Hello);
    let pong = client.next().expect("a frame").header;
    assert_eq!((pong.kind, pong.request_id), (Kind::Pong, 77));
}

#[test]
fn garbage_closes_its_own_link_and_no_other() {
    let (mut bad, mut good) = (connect(), connect());
    bad.socket.write_all(&[0xff; 64]).expect("write");
    assert!(bad.next().is_none());
    let mut reused = connect();
    let (caller, _) = reused.register("reused");
    let id = begin_upload(&mut reused, &caller, 30_000);
    let header = Header { method: 1, deadline_ms: 1_000, ..Header::new(Kind::Request, id) };
    reused.send_bytes(&header, &[]);
    assert!(reused.next().is_none());
    assert!(good.ready().database);
}

#[test]
fn a_ping_is_answered_and_an_idle_front_is_asked() {
    let mut client = connect();
    client.send_bytes(&Header::new(Kind::Ping, 42), &[]);
    let pong = client.next().expect("a frame").header;
    assert_eq!((pong.kind, pong.request_id), (Kind::Pong, 42));
    assert_eq!(client.next().expect("a frame").header.kind, Kind::Ping);
}

#[test]
fn a_front_that_never_answers_is_lost() {
    let mut client = connect();
    let mut asked = 0;
    while let Some(frame) = client.next() {
        assert_eq!(frame.header.kind, Kind::Ping);
        asked += 1;
    }
    assert!(asked > 0);
}

#[test]
fn a_request_that_came_too_late_is_dropped() {
    let mut client = connect();
    let request = GetUserRequest { caller: None, id: 1 };
    let id = client.ask_within(Method::GetUser, Flags::NONE, 0, &request);
    let answer = client.next_of_requests();
    assert_eq!(answer.header.request_id, id);
    assert_eq!(answer.failure().code, Code::DeadlineExceeded);
}

#[test]
fn a_request_that_takes_too_long_is_answered_at_its_deadline() {
    let mut client = connect();
    let (caller, _) = client.register("too.late");
    let id = begin_upload(&mut client, &caller, 300);
    let answer = client.next_of_requests();
    assert_eq!(answer.header.request_id, id);
    assert_eq!(answer.failure().code, Code::DeadlineExceeded);
    assert!(client.ready().database);
}

#[test]
fn unknown_methods_and_malformed_messages_are_answered_as_such() {
    let mut client = connect();
    let header = Header { method: 9_999, deadline_ms: 1_000, ..Header::new(Kind::Request, 900) };
    client.send_bytes(&header, &[]);
    assert_eq!(client.next_of_requests().failure().code, Code::UnknownMethod);
    let method = Method::GetUser as u16;
    client.send_bytes(&Header { method, ..header }, b"\xff\xff\xff");
    assert_eq!(client.next_of_requests().failure().code, Code::MalformedMessage);
    assert!(client.ready().database);
}

#[test]
fn a_cancelled_request_is_never_answered_and_its_work_ends() {
    let mut client = connect();
    let (caller, user) = client.register("cancels");
    let id = begin_upload(&mut client, &caller, 30_000);
    client.item(id, Flags::NONE, b"\x89PNG");
    client.cancel(id);
    let request = CallerRequest { caller: Some(caller) };
    let me: User = client.call(Method::GetMe, &request).expect("served, and nothing before it");
    assert_eq!((me.id, me.picture.as_str()), (user.id, ""));
}

#[test]
fn over_the_bound_in_flight_is_busy_at_once_and_cancels_make_room() {
    let mut client = connect();
    let (caller, _) = client.register("very.busy");
    let mut ids = Vec::new();
    while ids.len() < REQUESTS_IN_FLIGHT_MAX {
        ids.extend((0..256).map(|_| begin_upload(&mut client, &caller, 60_000)));
    }
    let extra = GetUserRequest { caller: None, id: u64::from(u32::MAX) };
    let id = client.ask(Method::GetUser, Flags::NONE, &extra);
    let refused = client.next_of_requests();
    assert_eq!(refused.header.request_id, id, "{refused:?}");
    let failure = refused.failure();
    assert_eq!(failure.code, Code::Busy);
    assert!(failure.retry_after_ms > 0);
    for id in ids {
        client.cancel(id);
    }
    // The places are free once the cancelled work has noticed; until then the answer is "busy".
    loop {
        let id = client.ask(Method::GetUser, Flags::NONE, &extra);
        let answer = client.next_of_requests();
        assert_eq!(answer.header.request_id, id, "a cancelled request is never answered");
        match answer.failure().code {
            Code::Busy => {}
            code => break assert_eq!(code, Code::UserNotFound),
        }
    }
}

#[test]
fn answers_go_to_the_front_that_asked() {
    let asked = 300;
    let ask = |name: &'static str| {
        move || {
            let mut client = connect();
            let (caller, user) = client.register(name);
            let request = CallerRequest { caller: Some(caller.clone()) };
            let by_name = GetUserByNameRequest { caller: Some(caller), username: name.into() };
            let mut waiting = std::collections::HashSet::new();
            for _ in 0..asked {
                waiting.insert(client.ask(Method::GetMe, Flags::NONE, &request));
                waiting.insert(client.ask(Method::GetUserByName, Flags::NONE, &by_name));
            }
            while !waiting.is_empty() {
                let answer = client.next_of_requests();
                assert!(!answer.header.flags.has(Flags::ERROR), "{}", answer.failure());
                assert!(waiting.remove(&answer.header.request_id));
                let got: User = prost::Message::decode(&answer.payload[..]).expect("a user");
                assert_eq!((got.id, got.username.as_str()), (user.id, name));
            }
        }
    };
    let threads = ["first.front", "second.front"].map(|name| std::thread::spawn(ask(name)));
    for thread in threads {
        thread.join().expect("its own answers");
    }
}

/// A picture of half transparent noise, so that it is stored as PNG and long: several items.
fn noise() -> Vec<u8> {
    let mut state = 1u32;
    let picture = image::RgbaImage::from_fn(256, 256, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [_, red, green, blue] = state.to_be_bytes();
        image::Rgba([red, green, blue, 0x80])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).expect("encoded");
    bytes.into_inner()
}

#[test]
fn a_picture_goes_in_and_comes_out_as_streams() {
    let mut client = connect();
    let (caller, _) = client.register("streams");
    let id = begin_upload(&mut client, &caller, 30_000);
    for chunk in noise().chunks(1_000) {
        client.item(id, Flags::NONE, chunk);
    }
    client.item(id, Flags::END, &[]);
    let answer = client.next_of_requests();
    assert!(!answer.header.flags.has(Flags::ERROR), "{}", answer.failure());
    let user: User = prost::Message::decode(&answer.payload[..]).expect("a user");

    let request = GetPictureRequest { caller: Some(caller), hash: user.picture.clone(), size: 256 };
    let id = client.ask(Method::GetPicture, Flags::NONE, &request);
    let head: Frame = client.next_of_requests();
    assert!(head.header.flags.has(Flags::STREAM) && !head.header.flags.has(Flags::ERROR));
    let head: souk_proto::accounts::PictureHead =
        prost::Message::decode(&head.payload[..]).expect("a head");
    let (mut bytes, mut items) = (Vec::new(), 0);
    loop {
        let item = client.next_of_requests();
        assert_eq!((item.header.kind, item.header.request_id), (Kind::Push, id));
        bytes.extend_from_slice(&item.payload);
        items += 1;
        if item.header.flags.has(Flags::END) {
            break;
        }
    }
    assert!(items > 2, "{} bytes in {items} items", bytes.len());
    assert_eq!(bytes.len() as u64, head.length);
    assert_eq!(blake3::hash(&bytes).to_hex().as_str(), user.picture);
}
