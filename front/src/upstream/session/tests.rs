use super::{Loss, Session, Shape, Trouble, unavailable};
use crate::limits::STREAM_ITEMS_MAX;
use crate::upstream::CallContext;
use proptest::prelude::*;
use prost::Message;
use souk_proto::accounts::User;
use souk_proto::common::{Empty, GoAway, Hello};
use souk_proto::limits::{HELLO_TIMEOUT, PING_EVERY, PROTOCOL_VERSION, SILENCE_MAX, STREAM_CHUNK};
use souk_proto::{Code, Failure, Flags, Header, Inbox, Kind, Method, Outbox};
use souk_trace::Context;
use std::num::NonZeroU64;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

fn hello(shard: u32) -> Hello {
    Hello { version: PROTOCOL_VERSION, secret: Vec::new(), node: "daemon".into(), shard, shards: 2 }
}

const TRACE: Context = Context { trace_id: 7, span: NonZeroU64::new(9) };

/// What a daemon sends, as bytes.
fn sent(fill: impl FnOnce(&mut Outbox)) -> Vec<u8> {
    let mut outbox = Outbox::new();
    fill(&mut outbox);
    outbox.take().expect("something was queued")
}

fn receive(session: &mut Session, bytes: &[u8]) -> Result<(), Loss> {
    let mut buffer = session.lend();
    buffer.extend_from_slice(bytes);
    session.receive(buffer)
}

/// The frames that the session has queued.
fn queued(session: &mut Session) -> Vec<(Header, Vec<u8>)> {
    let Poll::Ready(Some(bytes)) = session.poll_write(Waker::noop()) else { return Vec::new() };
    let mut inbox = Inbox::new();
    inbox.extend(&bytes);
    let mut frames = Vec::new();
    while let Some(frame) = inbox.next().expect("frames") {
        frames.push((frame.header, frame.payload.to_vec()));
    }
    frames
}

fn open(now: Instant) -> Session {
    let mut session = Session::new("front", b"secret", 1, now);
    assert!(!session.is_open());
    let bytes = sent(|outbox| outbox.push(&Header::new(Kind::Hello, 0), &hello(1)).expect("fits"));
    receive(&mut session, &bytes).expect("a good HELLO");
    assert!(session.is_open());
    assert_eq!(queued(&mut session)[0].0.kind, Kind::Hello);
    session
}

fn start(session: &mut Session, shape: Shape, now: Instant, left: Duration) -> u64 {
    let context = CallContext { deadline: now + left, trace: TRACE };
    session.start(Method::GetUser, &Empty {}, shape, context, now).expect("it takes requests")
}

fn answer(session: &mut Session, id: u64) -> Poll<Result<Vec<u8>, Trouble>> {
    session.poll_answer(id, Waker::noop())
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_link_without_a_good_hello_takes_no_requests_and_ends() {
    let now = Instant::now();
    let context = CallContext { deadline: now + SECOND, trace: TRACE };
    let mut session = Session::new("front", b"secret", 1, now);
    let refused = session.start(Method::GetUser, &Empty {}, Shape::Plain, context, now);
    assert_eq!(refused, Err(Trouble::Lost));
    assert_eq!(session.tick(now + HELLO_TIMEOUT), Err(Loss::NoHello));

    let wrong_shard =
        sent(|outbox| outbox.push(&Header::new(Kind::Hello, 0), &hello(0)).expect("fits"));
    let no_hello =
        sent(|outbox| outbox.push_bytes(&Header::new(Kind::Pong, 0), &[]).expect("fits"));
    for bytes in [wrong_shard, no_hello, vec![0xff; 64]] {
        let mut session = Session::new("front", b"secret", 1, now);
        assert!(matches!(receive(&mut session, &bytes), Err(Loss::Protocol(_))));
    }
}

#[test]
fn a_deadline_that_passes_ends_the_request_and_tells_the_daemon() {
    for shape in [Shape::Plain, Shape::Upload, Shape::Download] {
        let now = Instant::now();
        let mut session = open(now);
        let id = start(&mut session, shape, now, SECOND);
        let frames = queued(&mut session);
        assert_eq!((frames[0].0.kind, frames[0].0.deadline_ms), (Kind::Request, 1000));
        session.tick(now + SECOND / 2).expect("not silent yet");
        assert!(answer(&mut session, id).is_pending());
        session.tick(now + SECOND).expect("not silent yet");
        let late = Trouble::Failed(Code::DeadlineExceeded.into());
        assert_eq!(answer(&mut session, id), Poll::Ready(Err(late)));
        let frames = queued(&mut session);
        assert_eq!((frames[0].0.kind, frames[0].0.request_id), (Kind::Cancel, id));
        assert!(session.is_idle());
    }
}

#[test]
fn a_request_carries_its_trace() {
    let now = Instant::now();
    let mut session = open(now);
    start(&mut session, Shape::Plain, now, SECOND);
    let header = queued(&mut session)[0].0;
    assert_eq!((header.trace_id, header.parent_span), (7, NonZeroU64::new(9)));
}

#[test]
fn a_request_without_time_left_is_not_sent() {
    let now = Instant::now();
    let mut session = open(now);
    let context = CallContext { deadline: now, trace: TRACE };
    let late = session.start(Method::GetUser, &Empty {}, Shape::Plain, context, now);
    assert_eq!(late, Err(Trouble::Failed(Code::DeadlineExceeded.into())));
    assert!(queued(&mut session).is_empty());
}

#[test]
fn a_quiet_daemon_is_asked_and_a_silent_one_given_up() {
    let now = Instant::now();
    let mut session = open(now);
    session.tick(now).expect("just heard");
    session.tick(now + PING_EVERY).expect("only quiet");
    assert_eq!(queued(&mut session)[0].0.kind, Kind::Ping);
    session.tick(now + PING_EVERY).expect("only quiet");
    assert!(queued(&mut session).is_empty(), "one PING per pause");
    let pong = sent(|outbox| outbox.push_bytes(&Header::new(Kind::Pong, 1), &[]).expect("fits"));
    receive(&mut session, &pong).expect("a PONG");
    let heard = now + PING_EVERY + SECOND;
    session.tick(heard).expect("just heard");
    session.tick(heard + SILENCE_MAX - SECOND).expect("only quiet");
    assert_eq!(session.tick(heard + SILENCE_MAX), Err(Loss::Silent));
    // The socket's end is what the read loop sees, but not the reason.
    assert_eq!(session.lose(Loss::Closed), Loss::Silent);
}

#[test]
fn a_ping_is_answered_with_its_number() {
    let mut session = open(Instant::now());
    let ping = sent(|outbox| outbox.push_bytes(&Header::new(Kind::Ping, 99), &[]).expect("fits"));
    receive(&mut session, &ping).expect("a PING");
    let frames = queued(&mut session);
    assert_eq!((frames[0].0.kind, frames[0].0.request_id), (Kind::Pong, 99));
}

#[test]
fn a_lost_link_fails_everything_in_flight() {
    let now = Instant::now();
    let mut session = open(now);
    let plain = start(&mut session, Shape::Plain, now, SECOND);
    let download = start(&mut session, Shape::Download, now, SECOND);
    let head = sent(|outbox| {
        let header = Header::new(Kind::Response, download).flags(Flags::STREAM);
        outbox.push_bytes(&header, &[]).expect("fits");
    });
    receive(&mut session, &head).expect("an answer");
    assert_eq!(answer(&mut session, download), Poll::Ready(Ok(Vec::new())));
    session.lose(Loss::Closed);
    assert_eq!(answer(&mut session, plain), Poll::Ready(Err(Trouble::Lost)));
    let item = session.poll_item(download, Waker::noop());
    assert_eq!(item, Poll::Ready(Some(Err(Code::Unavailable.into()))));
    assert_eq!(session.poll_write(Waker::noop()), Poll::Ready(None));
    assert_eq!(unavailable().code, Code::Unavailable);
}

#[test]
fn a_leaving_daemon_gets_nothing_new_and_is_left_when_the_last_answer_is_there() {
    let now = Instant::now();
    let mut session = open(now);
    let id = start(&mut session, Shape::Plain, now, SECOND);
    let reason = GoAway { reason: "draining".into() };
    let bytes = sent(|outbox| outbox.push(&Header::new(Kind::GoAway, 0), &reason).expect("fits"));
    receive(&mut session, &bytes).expect("one is in flight");
    assert!(!session.is_open() && !session.has_left());
    let context = CallContext { deadline: now + SECOND, trace: TRACE };
    let refused = session.start(Method::GetUser, &Empty {}, Shape::Plain, context, now);
    assert_eq!(refused, Err(Trouble::Lost));
    let bytes =
        sent(|outbox| outbox.push_bytes(&Header::new(Kind::Response, id), b"x").expect("fits"));
    receive(&mut session, &bytes).expect("the answer");
    assert_eq!(answer(&mut session, id), Poll::Ready(Ok(b"x".to_vec())));
    assert!(session.has_left());
    assert_eq!(session.lose(Loss::Closed), Loss::GoAway("draining".into()));
}

#[test]
fn a_stream_that_nobody_reads_is_cut_and_holds_a_bounded_number_of_items() {
    let now = Instant::now();
    let mut session = open(now);
    let id = start(&mut session, Shape::Download, now, SECOND);
    queued(&mut session);
    let bytes = sent(|outbox| {
        let head = Header::new(Kind::Response, id).flags(Flags::STREAM);
        outbox.push_bytes(&head, &[]).expect("fits");
        for _ in 0..=STREAM_ITEMS_MAX {
            outbox.push_bytes(&Header::new(Kind::Push, id), b"item").expect("fits");
        }
    });
    receive(&mut session, &bytes).expect("frames");
    assert_eq!(queued(&mut session)[0].0.kind, Kind::Cancel);
    for _ in 0..STREAM_ITEMS_MAX {
        let item = session.poll_item(id, Waker::noop());
        assert_eq!(item, Poll::Ready(Some(Ok(b"item".to_vec()))));
    }
    let end = session.poll_item(id, Waker::noop());
    assert_eq!(end, Poll::Ready(Some(Err(Code::Busy.into()))));
    assert!(session.is_idle());
}

#[test]
fn an_answer_without_items_is_a_stream_that_has_ended() {
    let now = Instant::now();
    let mut session = open(now);
    let id = start(&mut session, Shape::Download, now, SECOND);
    let bytes =
        sent(|outbox| outbox.push_bytes(&Header::new(Kind::Response, id), &[]).expect("fits"));
    receive(&mut session, &bytes).expect("the answer");
    assert_eq!(answer(&mut session, id), Poll::Ready(Ok(Vec::new())));
    assert_eq!(session.poll_item(id, Waker::noop()), Poll::Ready(None));
}

#[test]
fn a_body_is_cut_into_items_and_its_end_is_marked_once() {
    let now = Instant::now();
    let mut session = open(now);
    let id = start(&mut session, Shape::Upload, now, SECOND);
    session.send_body(id, &vec![1; 2 * STREAM_CHUNK + 5], false).expect("room");
    session.send_body(id, &[], true).expect("room");
    let frames = queued(&mut session);
    assert!(frames[0].0.flags.has(Flags::STREAM));
    let lengths: Vec<_> = frames[1..].iter().map(|(_, payload)| payload.len()).collect();
    assert_eq!(lengths, [STREAM_CHUNK, STREAM_CHUNK, 5, 0]);
    let ends: Vec<_> = frames[1..].iter().map(|(header, _)| header.flags.has(Flags::END)).collect();
    assert_eq!(ends, [false, false, false, true]);
}

proptest! {
    /// Answers in any order and in any pieces reach whoever asked; what was given up is cancelled
    /// and its answer dropped.
    #[test]
    fn every_answer_reaches_its_request(
        order in Just((0..20usize).collect::<Vec<_>>()).prop_shuffle(),
        given_up in proptest::collection::vec(any::<bool>(), 20),
        failed in proptest::collection::vec(any::<bool>(), 20),
        piece in 1usize..200,
    ) {
        let now = Instant::now();
        let mut session = open(now);
        let ids: Vec<u64> =
            (0..20).map(|_| start(&mut session, Shape::Plain, now, SECOND)).collect();
        queued(&mut session);
        for (id, _) in ids.iter().zip(&given_up).filter(|(_, given_up)| **given_up) {
            session.give_up(*id);
        }
        let cancelled: Vec<u64> =
            queued(&mut session).iter().map(|(header, _)| header.request_id).collect();
        let expected: Vec<u64> =
            ids.iter().zip(&given_up).filter(|(_, up)| **up).map(|(id, _)| *id).collect();
        prop_assert_eq!(cancelled, expected);
        let bytes = sent(|outbox| {
            for at in &order {
                let header = Header::new(Kind::Response, ids[*at]);
                if failed[*at] {
                    outbox.push_failure(ids[*at], &Failure::field("f", at.to_string()))
                } else {
                    outbox.push(&header, &User { id: *at as u64, ..User::default() })
                }
                .expect("fits");
            }
        });
        for part in bytes.chunks(piece) {
            receive(&mut session, part).expect("frames");
        }
        for at in (0..20).filter(|at| !given_up[*at]) {
            let Poll::Ready(outcome) = answer(&mut session, ids[at]) else {
                return Err(TestCaseError::fail("an answer is missing"));
            };
            if failed[at] {
                let failure = Failure::field("f", at.to_string());
                prop_assert_eq!(outcome, Err(Trouble::Failed(failure)));
            } else {
                let user = User::decode(&*outcome.expect("answered")).expect("a user");
                prop_assert_eq!(user.id, at as u64);
            }
        }
        prop_assert!(session.is_idle());
    }

    /// Whatever a daemon sends, the session ends or goes on; it never panics.
    #[test]
    fn garbage_never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        header in (1u8..9, 0u8..8, 0u64..3),
    ) {
        let now = Instant::now();
        let mut session = open(now);
        start(&mut session, Shape::Download, now, SECOND);
        let mut frame = vec![0; 40];
        frame[..4].copy_from_slice(&u32::try_from(bytes.len()).expect("short").to_be_bytes());
        (frame[4], frame[5]) = (header.0, header.1);
        frame[8..16].copy_from_slice(&(1u64 << 32 | header.2).to_be_bytes());
        frame.extend(&bytes);
        let _ = receive(&mut session, &frame);
        let _ = receive(&mut session, &bytes);
        let _ = session.tick(now);
    }
}
