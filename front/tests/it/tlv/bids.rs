//! Bids and their answers.

use super::{Bidder, USER, accept, accepting, answers_who, bid, wide};
use crate::client::token;
use crate::daemon::{Daemon, Event};
use crate::{Front, drivers};
use souk_proto::auctions::PlaceBidsRequest;
use souk_proto::tlv::{Asked, Bid, Told, Type};
use souk_proto::{Code, Kind, Method};
use std::io::Write;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A daemon whose bids the test answers.
fn asking() -> (Daemon, Receiver<Event>) {
    let (sender, received) = channel();
    let daemon = Daemon::start("one", 1, move |event| {
        if !answers_who(&event) && event.kind == Kind::Request {
            sender.send(event).expect("the test waits");
        }
    });
    (daemon, received)
}

fn amounts(event: &Event) -> Vec<i64> {
    event.decode::<PlaceBidsRequest>().offers.iter().map(|offer| offer.amount).collect()
}

#[test]
fn a_bid_goes_over_the_link_with_its_session_and_its_answer_comes_back() {
    for driver in drivers() {
        let (daemon, received) = asking();
        let front = Front::start(driver, &[&daemon]);
        let mut bidder = Bidder::open(front.bids_address());
        let asked =
            Bid { kind: Type::Bid64, auction: 1 << 40, user: USER, amount: 5, max: 9, tag: 77 };
        bidder.ask(&[Asked::Bid(asked)]);
        let event = received.recv().expect("the bid");
        assert_eq!(event.method, Some(Method::PlaceBids));
        let request: PlaceBidsRequest = event.decode();
        let caller = request.caller.as_ref().expect("whose bid it is");
        assert_eq!((&*caller.token, &*caller.address), (&*token(USER), &[127, 0, 0, 1][..]));
        assert_eq!((request.auction_id, request.user_id), (1 << 40, USER));
        let [offer] = &request.offers[..] else { panic!("{request:?}") };
        assert_eq!((offer.amount, offer.max_amount, &*offer.bid_id), (5, 9, "tlv-77"));
        accept(&event);
        match bidder.next() {
            Some(Told::Result(placed)) => {
                assert_eq!((placed.auction, placed.tag, placed.sequence), (1 << 40, 77, 5));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_comes_while_an_auction_is_asked_goes_in_its_next_request_and_answers_keep_their_order() {
    for driver in drivers() {
        let (daemon, received) = asking();
        let front = Front::start(driver, &[&daemon]);
        let mut bidder = Bidder::open(front.bids_address());
        bidder.ask(&[bid(7, 1)]);
        let first = received.recv().expect("the first bid");
        bidder.ask(&[bid(7, 2), bid(8, 3), bid(7, 4)]);
        let other = received.recv().expect("another auction");
        assert_eq!(amounts(&other), [3]);
        accept(&other);
        accept(&first);
        assert_eq!(bidder.placed(), 1);
        let rest = received.recv().expect("the rest");
        assert_eq!(amounts(&rest), [2, 4]);
        accept(&rest);
        assert_eq!([bidder.placed(), bidder.placed(), bidder.placed()], [2, 3, 4]);
    }
}

#[test]
fn frames_may_be_cut_anywhere() {
    for driver in drivers() {
        let daemon = accepting();
        let front = Front::start(driver, &[&daemon]);
        let mut bidder = Bidder::connect(front.bids_address());
        let mut bytes = Vec::new();
        let token = token(USER);
        for frame in [Asked::Auth(token.as_bytes()), bid(7, 1), wide(8, 2, 3), Asked::Ping(b"ab")] {
            frame.encode(&mut bytes);
        }
        for byte in bytes {
            bidder.send(&[byte]);
            // Else the kernel joins them.
            std::thread::sleep(Duration::from_micros(300));
        }
        assert_eq!(bidder.next(), Some(Told::Auth { version: 1, user: USER }));
        let mut rest = vec![];
        for _ in 0..3 {
            rest.push(match bidder.next() {
                Some(Told::Result(placed)) => placed.sequence,
                Some(Told::Pong(b"ab")) => 0,
                other => panic!("{other:?}"),
            });
        }
        // A PONG waits for no bid.
        rest.retain(|sequence| *sequence != 0);
        assert_eq!(rest, [1, 2]);
    }
}

#[test]
fn a_client_that_takes_no_answers_is_not_read_and_loses_nothing() {
    for driver in drivers() {
        let daemon = accepting();
        let front = Front::start(driver, &[&daemon]);
        let mut bidder = Bidder::open(front.bids_address());
        let mut writer = bidder.socket.try_clone().expect("files");
        writer.set_write_timeout(Some(Duration::from_millis(300))).expect("settable");
        let mut chunk = Vec::new();
        let mut sent = 0_i64;
        // Until the socket takes no more: then neither does the front.
        let cut = loop {
            chunk.clear();
            for amount in sent + 1..=sent + 500 {
                bid(7, amount).encode(&mut chunk);
            }
            let mut at = 0;
            while at < chunk.len() {
                match writer.write(&chunk[at..]) {
                    Ok(count) => at += count,
                    Err(_) => break,
                }
            }
            if at < chunk.len() {
                break chunk[at..].to_vec();
            }
            sent += 500;
            assert!(sent < 10_000_000, "the front reads without end");
        };
        sent += 500;
        let rest = std::thread::spawn(move || {
            writer.set_write_timeout(None).expect("settable");
            writer.write_all(&cut).expect("the front reads on");
        });
        for expected in 1..=sent {
            assert_eq!(bidder.placed(), expected as u64);
        }
        rest.join().expect("no panic");
    }
}

#[test]
fn without_a_daemon_bids_are_busy_and_the_connection_goes_on() {
    for driver in drivers() {
        let daemon = accepting();
        let front = Front::start(driver, &[&daemon]);
        let mut bidder = Bidder::open(front.bids_address());
        let mut late = Bidder::connect(front.bids_address());
        let address = daemon.stop();
        // The front may not have seen yet that the link is gone: then the bid is lost with it.
        bidder.ask(&[bid(7, 1), wide(8, 2, 9)]);
        assert_eq!(bidder.refused(), (true, Code::Unavailable, 1));
        match bidder.next() {
            Some(Told::Busy(busy)) => {
                assert_eq!((busy.of, busy.auction, busy.tag), (9, 8, 9));
                assert!(busy.retry_after_ms > 0);
            }
            other => panic!("{other:?}"),
        }
        late.auth();
        assert_eq!(late.refused(), (true, Code::Unavailable, 4));
        let _daemon = Daemon::start_at(address, "one", 2, |event| {
            if !answers_who(&event) && event.kind == Kind::Request {
                accept(&event);
            }
        });
        for bidder in [&mut bidder, &mut late] {
            loop {
                bidder.auth();
                match bidder.next() {
                    Some(Told::Auth { .. }) => break,
                    // Known already.
                    Some(Told::Error(error)) if error.code == Code::Forbidden as u16 => break,
                    Some(Told::Busy(_)) => std::thread::sleep(Duration::from_millis(20)),
                    other => panic!("{other:?}"),
                }
            }
            loop {
                bidder.ask(&[bid(7, 3)]);
                match bidder.next() {
                    Some(Told::Result(placed)) => break assert_eq!(placed.sequence, 3),
                    Some(Told::Busy(_)) => std::thread::sleep(Duration::from_millis(20)),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

#[test]
fn a_thousand_connections_at_once_are_all_served() {
    souk_process::raise_open_files().expect("the hard limit is ours");
    for driver in drivers() {
        let daemon = accepting();
        let front = Front::start_with(driver, &[daemon.address()], |settings| {
            settings.http.threads = 2;
        });
        let mut bidders: Vec<_> =
            (0..1000).map(|_| Bidder::connect(front.bids_address())).collect();
        bidders.iter_mut().for_each(Bidder::auth);
        for (bidder, amount) in bidders.iter_mut().zip(1..) {
            bidder.ask(&[bid(amount as u64 % 10 + 1, amount), wide(3, amount + 1, 5)]);
        }
        for (bidder, amount) in bidders.iter_mut().zip(1..) {
            assert_eq!(bidder.next(), Some(Told::Auth { version: 1, user: USER }));
            assert_eq!([bidder.placed(), bidder.placed()], [amount, amount + 1]);
        }
    }
}

#[test]
fn a_burst_of_5000_bids_is_answered_whole() {
    for driver in drivers() {
        let daemon = accepting();
        let front = Front::start(driver, &[&daemon]);
        let mut bidder = Bidder::open(front.bids_address());
        let mut writer = bidder.socket.try_clone().expect("files");
        let mut burst = Vec::new();
        (1..=5000).for_each(|amount| bid(7, amount).encode(&mut burst));
        let sending = std::thread::spawn(move || writer.write_all(&burst));
        for expected in 1..=5000 {
            assert_eq!(bidder.placed(), expected);
        }
        sending.join().expect("no panic").expect("all of it is taken");
    }
}
