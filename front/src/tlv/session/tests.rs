mod properties;

use super::{Ask, Session};
use crate::limits::{TLV_OFFERS_MAX, TLV_SUBSCRIPTIONS_MAX};
use data_encoding::BASE64URL_NOPAD;
use souk_proto::auctions::bid_outcome::Outcome;
use souk_proto::auctions::{BidDone, BidOutcome, BidRefused};
use souk_proto::tlv::{Asked, Bid, EVENT_LEADING, EVENT_OUTBID, Event, Told, Type, UNSUBSCRIBE};
use souk_proto::{Code, Failure};
use souk_trace::Slow;

const USER: u64 = 42;

/// Lengths of whole frames.
const RESULT: usize = 76;
const ERROR: usize = 37;

fn token() -> String {
    let mut bytes = vec![1];
    bytes.extend(USER.to_be_bytes());
    bytes.resize(49, 0);
    BASE64URL_NOPAD.encode(&bytes)
}

fn bytes_of(frames: &[Asked]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut bytes));
    bytes
}

fn auth() -> Vec<u8> {
    bytes_of(&[Asked::Auth(token().as_bytes())])
}

fn bid(auction: u64, amount: i64) -> Asked<'static> {
    Asked::Bid(Bid { kind: Type::Bid, auction, user: USER, amount, max: 0, tag: 0 })
}

fn wide(auction: u64, amount: i64, max: i64, tag: u64) -> Asked<'static> {
    Asked::Bid(Bid { kind: Type::Bid64, auction, user: USER, amount, max, tag })
}

/// Gives bytes to a session as a socket would: as many as there is room for. What is not taken
/// stays.
fn feed(session: &mut Session, bytes: &mut Vec<u8>) {
    while !bytes.is_empty() {
        let Some(mut buffer) = session.lend() else { return };
        let room = buffer.capacity() - buffer.len();
        assert!(room > 0, "a read without room looks like the end");
        buffer.extend(bytes.drain(..room.min(bytes.len())));
        session.restore(buffer, None);
    }
}

fn send(session: &mut Session, frames: &[Asked]) {
    let mut bytes = bytes_of(frames);
    feed(session, &mut bytes);
    assert!(bytes.is_empty(), "there was room");
}

fn end(session: &mut Session, late: bool) {
    let buffer = session.lend().unwrap_or_default();
    session.ended(buffer, late);
}

/// What the session says now, as if the socket took all of it.
fn said(session: &mut Session) -> Vec<u8> {
    let mut said = Vec::new();
    while let Some(bytes) = session.take_output() {
        assert!(session.take_output().is_none(), "one write at a time");
        said.extend(bytes);
        session.written(&Slow::new(0));
    }
    said
}

/// The frames in these bytes, as people read them.
fn told(bytes: &[u8]) -> Vec<Told<'_>> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while let Some((told, used)) = Told::decode(rest).expect("we say frames") {
        frames.push(told);
        rest = &rest[used..];
    }
    assert!(rest.is_empty(), "half a frame");
    frames
}

/// A session whose user is known.
fn opened() -> Session {
    let mut session = Session::new();
    feed(&mut session, &mut auth());
    let Some(Ask::Who { token }) = session.next_ask(1) else { panic!("nobody was asked") };
    session.authenticated(Ok((USER, token)));
    let said = said(&mut session);
    assert_eq!(told(&said), [Told::Auth { version: 1, user: USER }]);
    session
}

fn asked(session: &mut Session) -> Option<(u64, Vec<i64>)> {
    match session.next_ask(1)? {
        Ask::Bids { auction, offers } => {
            Some((auction, offers.iter().map(|offer| offer.amount).collect()))
        }
        other => panic!("{other:?}"),
    }
}

/// A bid of this amount was accepted, with the amount as its sequence number.
fn done(amount: i64) -> BidOutcome {
    let sequence = u64::try_from(amount).expect("positive");
    let done = BidDone { sequence, price: amount, leading: true, ..BidDone::default() };
    BidOutcome { outcome: Some(Outcome::Done(done)) }
}

fn too_low(minimum: i64) -> BidOutcome {
    let error = Some((&Failure::new(Code::BidTooLow)).into());
    let refused = BidRefused { error, price: minimum - 1, minimum, ends_at_ms: 0 };
    BidOutcome { outcome: Some(Outcome::Refused(refused)) }
}

fn sequences(bytes: &[u8]) -> Vec<u64> {
    let frames = told(bytes).into_iter();
    frames
        .map(|frame| match frame {
            Told::Result(placed) => placed.sequence,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn codes(bytes: &[u8]) -> Vec<(bool, u16, u8)> {
    let frames = told(bytes).into_iter();
    frames
        .map(|frame| match frame {
            Told::Error(refused) => (false, refused.code, refused.of),
            Told::Busy(busy) => (true, busy.code, busy.of),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn bids_of_an_auction_that_wait_go_together_and_answers_keep_the_order_of_the_bids() {
    let mut session = opened();
    send(&mut session, &[bid(7, 1)]);
    assert_eq!(asked(&mut session), Some((7, vec![1])));
    send(&mut session, &[bid(7, 2), bid(8, 3), bid(7, 4)]);
    assert_eq!(asked(&mut session), Some((8, vec![3])), "another auction does not wait");
    assert_eq!(asked(&mut session), None, "one request of an auction at a time");
    session.answered(8, Ok(vec![done(3)]));
    assert!(said(&mut session).is_empty(), "two bids before it have no answer");
    session.answered(7, Ok(vec![done(1)]));
    assert_eq!(sequences(&said(&mut session)), [1]);
    assert_eq!(asked(&mut session), Some((7, vec![2, 4])));
    session.answered(7, Ok(vec![done(2), done(4)]));
    assert_eq!(sequences(&said(&mut session)), [2, 3, 4]);
    assert_eq!(asked(&mut session), None);
    assert!(session.lanes.is_empty(), "nothing is kept of an auction without bids");
}

#[test]
fn a_burst_goes_in_requests_of_as_many_bids_as_a_daemon_takes() {
    let mut session = opened();
    let amounts: Vec<i64> = (1..=TLV_OFFERS_MAX as i64 + 5).collect();
    let frames: Vec<Asked> = amounts.iter().map(|amount| bid(7, *amount)).collect();
    send(&mut session, &frames);
    let (first, rest) = amounts.split_at(TLV_OFFERS_MAX);
    assert_eq!(asked(&mut session), Some((7, first.to_vec())));
    session.answered(7, Ok(first.iter().map(|amount| done(*amount)).collect()));
    assert_eq!(asked(&mut session), Some((7, rest.to_vec())));
}

#[test]
fn a_bid64_carries_its_maximum_and_its_tag_and_the_answer_has_the_tag() {
    let mut session = opened();
    send(&mut session, &[wide(1 << 40, 5, 9, 77), wide(1 << 40, 6, 0, 0)]);
    let Some(Ask::Bids { auction, offers }) = session.next_ask(1) else { panic!("no bids") };
    assert_eq!(auction, 1 << 40);
    assert_eq!((offers[0].max_amount, &*offers[0].bid_id), (9, "tlv-77"));
    assert_eq!((offers[1].max_amount, &*offers[1].bid_id), (0, ""));
    session.answered(auction, Ok(vec![too_low(10), done(6)]));
    let said = said(&mut session);
    let frames = told(&said);
    let Told::Error(refused) = frames[0] else { panic!("{frames:?}") };
    assert_eq!((refused.code, refused.of), (Code::BidTooLow as u16, 9));
    assert_eq!((refused.price, refused.minimum), (9, 10));
    assert_eq!((refused.auction, refused.tag), (1 << 40, 77));
    let Told::Result(placed) = frames[1] else { panic!("{frames:?}") };
    assert_eq!((placed.auction, placed.tag, placed.leading), (1 << 40, 0, true));
}

#[test]
fn what_can_be_no_bid_is_refused_in_its_place_and_spoils_no_other() {
    let mut session = opened();
    let stranger =
        Asked::Bid(Bid { kind: Type::Bid, auction: 7, user: 43, amount: 1, max: 0, tag: 0 });
    let most = 1_000_000_000_000_000;
    let frames = [bid(7, 1), stranger, bid(7, 0), bid(7, -5), bid(7, i64::MIN), bid(7, most + 1)];
    send(&mut session, &frames);
    send(
        &mut session,
        &[wide(7, 5, 4, 1), wide(7, 5, -1, 2), wide(7, 5, most + 1, 3), bid(7, most)],
    );
    assert_eq!(asked(&mut session), Some((7, vec![1, most])));
    session.answered(7, Ok(vec![too_low(2), done(most)]));
    let said = said(&mut session);
    let (refused, last) = said.split_at(said.len() - RESULT);
    let invalid = Code::InvalidField as u16;
    let mut expected =
        vec![(false, Code::BidTooLow as u16, 1), (false, Code::WrongBidder as u16, 1)];
    expected.extend([(false, invalid, 1); 4]);
    expected.extend([(false, invalid, 9); 3]);
    assert_eq!(codes(refused), expected);
    assert_eq!(sequences(last), [most as u64]);
    assert!(session.lend().is_some(), "the connection goes on");
}

#[test]
fn a_request_without_an_answer_is_busy_or_an_error_for_each_of_its_bids_and_the_next_goes_on() {
    #[rustfmt::skip]
    let table = [
        (Code::Busy, true), (Code::Unavailable, true), (Code::StoreUnavailable, true),
        (Code::DeadlineExceeded, true), (Code::RateLimited, true), (Code::ClockSkew, true),
        (Code::AuctionNotFound, false), (Code::AuctionNotStarted, false),
        (Code::AuctionEnded, false), (Code::Internal, false),
    ];
    for (code, busy) in table {
        let mut session = opened();
        send(&mut session, &[bid(7, 1), bid(7, 2)]);
        assert_eq!(asked(&mut session), Some((7, vec![1, 2])));
        send(&mut session, &[bid(7, 3)]);
        session.answered(7, Err(code.into()));
        assert_eq!(codes(&said(&mut session)), [(busy, code as u16, 1); 2]);
        assert_eq!(asked(&mut session), Some((7, vec![3])));
        // A daemon that answers less than it was asked.
        session.answered(7, Ok(vec![]));
        assert_eq!(codes(&said(&mut session)), [(false, Code::Internal as u16, 1)]);
    }
}

#[test]
fn nothing_but_pings_comes_before_auth() {
    let unauthenticated = Code::Unauthenticated as u16;
    let malformed = Code::MalformedFrame as u16;
    let unknown = Code::UnknownFrame as u16;
    let other = bytes_of(&[Asked::Auth(b"no token")]);
    let table: Vec<(Vec<u8>, (u16, u8))> = vec![
        (bytes_of(&[bid(7, 1)]), (unauthenticated, 0)),
        (bytes_of(&[Asked::Subscribe { auction: 7, after: 0 }]), (unauthenticated, 0)),
        (other, (unauthenticated, 4)),
        (vec![4, 3, 0xff, 0xff, 0xff], (unauthenticated, 4)),
        (vec![4, 0], (malformed, 4)),
        (vec![1, 255], (malformed, 1)),
        (vec![0], (unknown, 0)),
        (vec![2, 42], (unknown, 2)),
        (b"GET / HTTP/1.1\r\n".to_vec(), (unknown, b'G')),
        (vec![255, 255], (unknown, 255)),
    ];
    for (bytes, (code, of)) in table {
        let mut session = Session::new();
        send(&mut session, &[Asked::Ping(b"?")]);
        assert_eq!(told(&said(&mut session)), [Told::Pong(b"?")]);
        // What follows is not looked at.
        feed(&mut session, &mut [bytes.clone(), auth()].concat());
        assert_eq!(codes(&said(&mut session)), [(false, code, of)], "{bytes:?}");
        assert!(session.next_ask(1).is_none());
        assert!(session.lingers() && !session.is_over(), "the client can read why");
        end(&mut session, false);
        assert!(session.is_over());
    }
}

#[test]
fn what_is_sent_behind_auth_waits_for_it_and_a_busy_daemon_can_be_asked_again() {
    let mut session = Session::new();
    let mut bytes = [auth(), bytes_of(&[bid(7, 1)])].concat();
    feed(&mut session, &mut bytes);
    assert!(matches!(session.next_ask(1), Some(Ask::Who { .. })));
    assert!(session.next_ask(1).is_none() && session.lend().is_none());
    session.authenticated(Ok((USER, token())));
    assert_eq!(asked(&mut session), Some((7, vec![1])));

    let mut session = Session::new();
    feed(&mut session, &mut auth());
    session.next_ask(1).expect("whose session");
    session.authenticated(Err(Code::Unavailable.into()));
    assert_eq!(codes(&said(&mut session)), [(true, Code::Unavailable as u16, 4)]);
    feed(&mut session, &mut auth());
    assert!(matches!(session.next_ask(1), Some(Ask::Who { .. })));
    session.authenticated(Err(Code::Unauthenticated.into()));
    assert_eq!(codes(&said(&mut session)), [(false, Code::Unauthenticated as u16, 4)]);
    assert!(session.lingers());

    let mut session = opened();
    feed(&mut session, &mut auth());
    assert_eq!(codes(&said(&mut session)), [(false, Code::Forbidden as u16, 4)]);
    assert!(session.lend().is_some(), "the connection goes on");

    let mut session = Session::new();
    end(&mut session, true);
    assert_eq!(codes(&said(&mut session)), [(false, Code::RequestTimeout as u16, 0)]);
}

/// What may end a connection, by name.
type Ending = (&'static str, fn(&mut Session));

#[test]
fn all_bids_before_the_end_are_answered_whatever_ends_the_connection() {
    let ends: [Ending; 4] = [
        ("the client's end", |session| end(session, false)),
        ("half a frame and the end", |session| {
            let mut bytes = vec![1, 16, 0];
            feed(session, &mut bytes);
            end(session, false);
        }),
        ("no frame", |session| feed(session, &mut vec![99])),
        ("a drain", Session::drain),
    ];
    let lasts = [
        vec![],
        vec![(false, Code::MalformedFrame as u16, 1)],
        vec![(false, Code::UnknownFrame as u16, 99)],
        vec![(true, Code::Unavailable as u16, 0)],
    ];
    for ((what, end), last) in ends.into_iter().zip(lasts) {
        let mut session = opened();
        send(&mut session, &[bid(7, 1)]);
        assert_eq!(asked(&mut session), Some((7, vec![1])));
        send(&mut session, &[bid(7, 2)]);
        end(&mut session);
        assert!(said(&mut session).is_empty() && !session.is_over(), "{what}");
        session.answered(7, Ok(vec![done(1)]));
        assert_eq!(asked(&mut session), Some((7, vec![2])), "{what}");
        session.answered(7, Ok(vec![done(2)]));
        let said = said(&mut session);
        assert_eq!(sequences(&said[..2 * RESULT]), [1, 2], "{what}");
        assert_eq!(codes(&said[2 * RESULT..]), last, "{what}");
        assert!(session.is_over() || session.lingers(), "{what}");
    }
}

#[test]
fn a_session_that_was_ended_ends_the_connection() {
    let mut session = opened();
    send(&mut session, &[bid(7, 1), bid(8, 2), Asked::Subscribe { auction: 7, after: 0 }]);
    assert!(matches!(session.next_ask(1), Some(Ask::Subscribe { auction: 7 })));
    assert_eq!(asked(&mut session), Some((7, vec![1])));
    assert_eq!(asked(&mut session), Some((8, vec![2])));
    session.answered(7, Err(Code::Unauthenticated.into()));
    session.tell(Event { auction: 7, ..Event::default() });
    session.answered(8, Ok(vec![done(2)]));
    let said = said(&mut session);
    let code = Code::Unauthenticated as u16;
    assert_eq!(codes(&said[..ERROR]), [(false, code, 1)]);
    assert_eq!(sequences(&said[ERROR..ERROR + RESULT]), [2]);
    assert_eq!(codes(&said[ERROR + RESULT..]), [(false, code, 0)]);
    assert!(session.lingers());
}

#[test]
fn events_say_what_changed_and_wait_for_the_socket() {
    let mut session = opened();
    send(&mut session, &[Asked::Subscribe { auction: 7, after: 3 }]);
    assert!(matches!(session.next_ask(1), Some(Ask::Subscribe { auction: 7 })));
    let event = |sequence, flags| Event { auction: 7, sequence, flags, ..Event::default() };
    let mut next = |event| {
        assert!(session.wants_events());
        session.tell(event);
        assert!(!session.wants_events(), "one waits already");
        let said = said(&mut session);
        match told(&said)[..] {
            [Told::Event(event)] => (event.since, event.sequence, event.flags),
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(next(event(5, EVENT_LEADING)), (3, 5, EVENT_LEADING));
    assert_eq!(next(event(9, 0)), (5, 9, EVENT_OUTBID));
    assert_eq!(next(event(10, 0)), (9, 10, 0));
    send(&mut session, &[Asked::Subscribe { auction: 7, after: UNSUBSCRIBE }]);
    assert!(matches!(session.next_ask(1), Some(Ask::Unsubscribe { auction: 7 })));
    session.tell(event(11, 0));
    assert!(said(&mut session).is_empty(), "it is not wanted any more");
}

#[test]
fn a_bidder_without_a_pause_is_told_events_too() {
    let mut session = opened();
    send(&mut session, &[Asked::Subscribe { auction: 7, after: 0 }, bid(8, 1)]);
    session.next_ask(1).expect("a subscription");
    assert_eq!(asked(&mut session), Some((8, vec![1])));
    for amount in 2..50 {
        send(&mut session, &[bid(8, amount)]);
        session.answered(8, Ok(vec![done(amount - 1)]));
        assert!(session.wants_events(), "though an answer waits");
        session.tell(Event { auction: 7, ..Event::default() });
        assert!(!session.wants_events(), "one waits already");
        assert_eq!(asked(&mut session), Some((8, vec![amount])));
        let before = session.take_output().expect("an answer and an event");
        assert_eq!(told(&before).len(), 2);
        assert!(!session.wants_events(), "it is not written yet");
        session.written(&Slow::new(0));
        assert!(session.wants_events());
    }
}

#[test]
fn subscriptions_are_bounded_and_make_room_again() {
    let mut session = opened();
    let most = TLV_SUBSCRIPTIONS_MAX as u64;
    for auction in 1..=most {
        send(&mut session, &[Asked::Subscribe { auction, after: 0 }]);
        session.next_ask(1).expect("a subscription");
    }
    send(&mut session, &[Asked::Subscribe { auction: most + 1, after: 0 }]);
    assert!(session.next_ask(1).is_none());
    assert_eq!(codes(&said(&mut session)), [(true, Code::Busy as u16, 7)]);
    send(&mut session, &[Asked::Subscribe { auction: 1, after: 0 }]);
    session.next_ask(1).expect("the same one anew");
    session.unsubscribed(1, &Code::AuctionNotFound.into());
    assert_eq!(codes(&said(&mut session)), [(false, Code::AuctionNotFound as u16, 7)]);
    send(&mut session, &[Asked::Subscribe { auction: most + 1, after: 0 }]);
    session.next_ask(1).expect("there is room");
}
