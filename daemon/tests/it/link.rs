//! What a link promises its front.

use crate::client::{Client, Frame, hello};
use souk_proto::accounts::{
    CallerRequest, GetPictureRequest, GetUserByNameRequest, GetUserRequest, SetPictureRequest, User,
};
use souk_proto::common::{Caller, Empty, Hello};
use souk_proto::limits::REQUESTS_IN_FLIGHT_MAX;
use souk_proto::{Code, Flags, Header, Kind, Method};
use souk_stack::Stack;
use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

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
    // Two uploads each, which is what one user may have.
    let callers = client.register_many("very.busy", REQUESTS_IN_FLIGHT_MAX / 2);
    let mut ids = Vec::new();
    for caller in callers.iter().chain(&callers) {
        ids.push(begin_upload(&mut client, caller, 60_000));
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

/// Uploads a long picture and returns its hash.
fn upload_noise(client: &mut Client, caller: &Caller) -> String {
    let id = begin_upload(client, caller, 30_000);
    for chunk in noise().chunks(30_000) {
        client.item(id, Flags::NONE, chunk);
    }
    client.item(id, Flags::END, &[]);
    let answer = client.next_of_requests();
    assert!(!answer.header.flags.has(Flags::ERROR), "{}", answer.failure());
    let user: User = prost::Message::decode(&answer.payload[..]).expect("a user");
    user.picture
}

#[test]
fn a_third_upload_of_one_user_is_busy_and_takes_nothing_from_others() {
    let mut client = connect();
    let (caller, _) = client.register("hoards");
    let ids: Vec<_> = (0..3).map(|_| begin_upload(&mut client, &caller, 60_000)).collect();
    let refused = client.next_of_requests();
    assert_eq!(refused.failure().code, Code::Busy);
    assert!(refused.failure().retry_after_ms > 0);
    let (other, _) = client.register("patient");
    upload_noise(&mut client, &other);
    for id in ids.into_iter().filter(|id| *id != refused.header.request_id) {
        client.item(id, Flags::END, &[]);
        assert_eq!(client.next_of_requests().failure().code, Code::PictureInvalid);
    }
    upload_noise(&mut client, &caller);
}

#[test]
fn a_session_that_is_ended_during_its_upload_changes_nothing() {
    let mut client = connect();
    let (caller, user) = client.register("revoked");
    let id = begin_upload(&mut client, &caller, 30_000);
    let request = CallerRequest { caller: Some(caller) };
    let _: Empty = client.call(Method::Logout, &request).expect("out, though the upload goes on");
    for chunk in noise().chunks(30_000) {
        client.item(id, Flags::NONE, chunk);
    }
    client.item(id, Flags::END, &[]);
    let answer = client.next_of_requests();
    assert_eq!(answer.header.request_id, id);
    assert_eq!(answer.failure().code, Code::Unauthenticated);
    let request = GetUserRequest { caller: None, id: user.id };
    let user: User = client.call(Method::GetUser, &request).expect("a user");
    assert_eq!(user.picture, "");
}

#[test]
fn a_stream_has_one_head_and_one_end_however_late_it_is() {
    let mut client = connect();
    let (caller, _) = client.register("slow.reader");
    let hash = upload_noise(&mut client, &caller);
    // Far more than the sockets hold, so that the last ones cannot be in time.
    let request = GetPictureRequest { caller: None, hash, size: 256 };
    let mut open: std::collections::HashMap<_, bool> = (0..200)
        .map(|_| (client.ask_within(Method::GetPicture, Flags::NONE, 500, &request), false))
        .collect();
    // Another one's deadline says that theirs have passed.
    let mut clock = connect();
    let waits = begin_upload(&mut clock, &caller, 1_000);
    assert_eq!(clock.next_of_requests().header.request_id, waits);
    let mut late = 0;
    while !open.is_empty() {
        let frame = client.next_of_requests();
        let (id, flags) = (frame.header.request_id, frame.header.flags);
        let begun = open.get_mut(&id).expect("nothing comes after the end");
        let head = frame.header.kind == Kind::Response;
        assert_eq!(head, !*begun, "a head, then items: {:?}", frame.header);
        *begun = true;
        late += usize::from(flags.has(Flags::ERROR) && !head);
        if flags.has(Flags::END) || (head && flags.has(Flags::ERROR)) {
            open.remove(&id);
        }
    }
    assert!(late > 0, "some were cut off in the middle");
    assert!(client.ready().database);
}

#[test]
fn cancelled_pictures_leave_no_file_open() {
    let mut client = connect();
    let (caller, _) = client.register("fickle");
    let request =
        GetPictureRequest { caller: None, hash: upload_noise(&mut client, &caller), size: 256 };
    for _ in 0..300 {
        let id = client.ask(Method::GetPicture, Flags::NONE, &request);
        client.cancel(id);
    }
    let files = format!("/proc/{}/fd", stack().daemons()[0].pid());
    let open = || {
        let files = std::fs::read_dir(&files).expect("descriptors");
        let paths = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        paths.filter(|path| path.to_string_lossy().contains("/pictures/")).count()
    };
    let give_up = Instant::now() + Duration::from_secs(30);
    while open() > 0 {
        assert!(Instant::now() < give_up, "{} pictures stay open", open());
        client.send_bytes(&Header::new(Kind::Ping, 1), &[]);
        client.next().expect("the link is open");
    }
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
