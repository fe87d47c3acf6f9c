//! How connections end, and how they do not.

use super::{Bidder, USER, accept, accepting, answers_who, bid, wide};
use crate::client::token;
use crate::daemon::{Daemon, Event};
use crate::{Front, drivers};
use souk_proto::tlv::{Asked, Bid, Told, Type};
use souk_proto::{Code, Failure, Kind};
use std::sync::mpsc::channel;
use std::time::Duration;

#[test]
fn what_is_no_frame_is_told_after_all_answers_and_ends_that_connection_alone() {
    for driver in drivers() {
        let daemon = accepting();
        let front = Front::start(driver, &[&daemon]);
        let mut other = Bidder::open(front.bids_address());
        for (garbage, code, of) in [
            (&[1, 15, 0, 0][..], Code::MalformedFrame, 1),
            (&[9, 16], Code::MalformedFrame, 9),
            (&[2, 42], Code::UnknownFrame, 2),
            (&[77], Code::UnknownFrame, 77),
            (&[255; 3000], Code::UnknownFrame, 255),
        ] {
            let mut bidder = Bidder::open(front.bids_address());
            bidder.ask(&[bid(7, 1), bid(8, 2)]);
            bidder.send(garbage);
            assert_eq!([bidder.placed(), bidder.placed()], [1, 2]);
            assert_eq!(bidder.refused(), (false, code, of));
            bidder.ends();
        }
        let mut early = Bidder::connect(front.bids_address());
        early.ask(&[bid(7, 1)]);
        assert_eq!(early.refused(), (false, Code::Unauthenticated, 0));
        early.ends();
        let mut cut = Bidder::open(front.bids_address());
        cut.ask(&[bid(7, 3)]);
        cut.send(&[1, 16, 0, 0]);
        cut.finish();
        assert_eq!(cut.placed(), 3);
        assert_eq!(cut.refused(), (false, Code::MalformedFrame, 1));
        cut.ends();
        // What is only wrong ends nothing.
        let stranger =
            Asked::Bid(Bid { kind: Type::Bid, auction: 7, user: 43, amount: 1, max: 0, tag: 0 });
        other.ask(&[stranger, bid(7, -1), wide(7, 0, 5), bid(7, 4)]);
        assert_eq!(other.refused(), (false, Code::WrongBidder, 1));
        assert_eq!(other.refused(), (false, Code::InvalidField, 1));
        assert_eq!(other.refused(), (false, Code::InvalidField, 9));
        assert_eq!(other.placed(), 4);
        other.finish();
        other.ends();
    }
}

#[test]
fn a_client_that_does_not_say_who_it_is_is_ended_and_one_that_did_may_be_silent() {
    for driver in drivers() {
        let daemon = accepting();
        let front = Front::start_with(driver, &[daemon.address()], |settings| {
            settings.timeouts.head_s = 1;
            settings.timeouts.idle_s = 1;
            settings.timeouts.body_progress_s = 1;
        });
        let mut known = Bidder::open(front.bids_address());
        // Half a frame, for as long as it likes.
        let mut bytes = Vec::new();
        bid(7, 1).encode(&mut bytes);
        known.send(&bytes[..5]);
        let mut silent = Bidder::connect(front.bids_address());
        let mut pinging = Bidder::connect(front.bids_address());
        pinging.ask(&[Asked::Ping(b"?")]);
        assert_eq!(pinging.next(), Some(Told::Pong(b"?")));
        for bidder in [&mut silent, &mut pinging] {
            assert_eq!(bidder.refused(), (false, Code::RequestTimeout, 0));
            bidder.ends();
        }
        // These took longer than any pause that is allowed elsewhere.
        known.send(&bytes[5..]);
        assert_eq!(known.placed(), 1);
    }
}

#[test]
fn a_token_that_is_not_valid_and_a_session_that_was_ended_end_the_connection() {
    for driver in drivers() {
        let daemon = Daemon::start("one", 1, |event| {
            if event.kind != Kind::Request {
                return;
            }
            let valid = event.payload.windows(66).any(|part| part == token(USER).as_bytes());
            if !valid || !answers_who(&event) {
                event.fail(&Failure::new(Code::Unauthenticated));
            }
        });
        let front = Front::start(driver, &[&daemon]);
        let mut stranger = Bidder::connect(front.bids_address());
        stranger.ask(&[Asked::Auth(token(7).as_bytes()), bid(7, 1)]);
        assert_eq!(stranger.refused(), (false, Code::Unauthenticated, 4));
        stranger.ends();
        let mut ended = Bidder::open(front.bids_address());
        ended.ask(&[bid(7, 1), bid(7, 2)]);
        assert_eq!(ended.refused(), (false, Code::Unauthenticated, 1));
        assert!(matches!(ended.refused(), (false, Code::Unauthenticated, 0 | 1)));
        while ended.next().is_some() {}
    }
}

#[test]
fn at_the_end_bids_in_flight_are_answered_and_clients_told() {
    for driver in drivers() {
        let (sender, received) = channel::<Event>();
        let daemon = Daemon::start("one", 1, move |event| {
            if !answers_who(&event) && event.kind == Kind::Request {
                sender.send(event).expect("the test waits");
            }
        });
        let front = Front::start(driver, &[&daemon]);
        let address = front.bids_address();
        let mut idle = Bidder::open(address);
        let mut fresh = Bidder::connect(address);
        fresh.ask(&[Asked::Ping(b"")]);
        assert_eq!(fresh.next(), Some(Told::Pong(b"")));
        let mut busy = Bidder::open(address);
        busy.ask(&[bid(7, 1), bid(8, 2)]);
        let events = [received.recv().expect("a bid"), received.recv().expect("a bid")];
        let stopping = std::thread::spawn(move || front.stop());
        for bidder in [&mut idle, &mut fresh] {
            assert_eq!(bidder.refused(), (true, Code::Unavailable, 0));
            bidder.ends();
        }
        // What crosses the end is not placed, and costs no answer.
        let _ = std::io::Write::write_all(&mut busy.socket, &[1, 16]);
        events.iter().for_each(accept);
        assert_eq!([busy.placed(), busy.placed()], [1, 2]);
        assert_eq!(busy.refused(), (true, Code::Unavailable, 0));
        busy.ends();
        drop((idle, fresh, busy));
        stopping.join().expect("no panic");
        std::net::TcpStream::connect(address).expect_err("nobody listens any more");
    }
}

#[test]
fn a_client_killed_within_a_frame_or_before_its_answer_disturbs_nobody() {
    for driver in drivers() {
        let (sender, received) = channel();
        let daemon = Daemon::start("one", 1, move |event| {
            if answers_who(&event) {
                return;
            }
            if event.kind == Kind::Request
                && event.decode::<souk_proto::auctions::PlaceBidsRequest>().auction_id == 7
            {
                accept(&event);
            } else {
                sender.send(event.kind).expect("the test waits");
            }
        });
        let front = Front::start(driver, &[&daemon]);
        let mut alive = Bidder::open(front.bids_address());
        for _ in 0..20 {
            let mut cut = Bidder::open(front.bids_address());
            cut.send(&[1, 16, 0, 0, 0]);
            let mut waits = Bidder::open(front.bids_address());
            waits.ask(&[bid(9, 1)]);
            assert_eq!(received.recv(), Ok(Kind::Request));
            for bidder in [cut, waits] {
                let now = Some(Duration::ZERO);
                rustix::net::sockopt::set_socket_linger(&bidder.socket, now).expect("settable");
            }
            assert_eq!(received.recv(), Ok(Kind::Cancel));
            alive.ask(&[bid(7, 5)]);
            assert_eq!(alive.placed(), 5);
        }
    }
}

#[test]
fn connections_over_a_limit_are_told_so() {
    for driver in drivers() {
        let daemon = accepting();
        for (max, per_address, code) in [(2, 100, Code::Busy), (100, 2, Code::TooManyConnections)] {
            let front = Front::start_with(driver, &[daemon.address()], |settings| {
                settings.connections.max = max;
                settings.connections.per_address = per_address;
            });
            let mut first = Bidder::open(front.bids_address());
            let _second = Bidder::open(front.bids_address());
            let mut third = Bidder::connect(front.bids_address());
            assert_eq!(third.refused(), (true, code, 0));
            third.ends();
            // A place that is free again is given away again.
            first.finish();
            first.ends();
            drop(first);
            loop {
                let mut next = Bidder::connect(front.bids_address());
                next.auth();
                if let Some(Told::Auth { .. }) = next.next() {
                    break;
                }
            }
        }
    }
}
