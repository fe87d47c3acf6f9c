//! The binary port, byte by byte: `front/TLV.md` says what these are.

use super::{PATIENCE, accepted, all_is_right, auction, in_ms, open};
use crate::accounts::person::{Person, client};
use crate::accounts::stack;
use data_encoding::HEXLOWER;
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

const RESULT: u8 = 2;
const ERROR: u8 = 3;
const AUTH: u8 = 4;
const PONG: u8 = 6;
const EVENT: u8 = 8;
const BUSY: u8 = 10;

/// A client of the binary port.
pub struct Port(pub TcpStream);

impl Port {
    pub fn connect(address: &str) -> Port {
        let stream = TcpStream::connect(address).expect("accepted");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_nodelay(true).expect("set");
        Port(stream)
    }

    /// Connects and says who it is.
    pub fn of(address: &str, person: &Person<'_>) -> Port {
        let mut port = Port::connect(address);
        port.send(AUTH, person.token.as_bytes());
        let (kind, payload) = port.hear();
        assert_eq!((kind, number(&payload[1..9])), (AUTH, person.id), "{payload:?}");
        port
    }

    pub fn send(&mut self, kind: u8, payload: &[u8]) {
        self.0.write_all(&frame(kind, payload)).expect("taken");
    }

    /// The next frame.
    pub fn hear(&mut self) -> (u8, Vec<u8>) {
        self.try_hear().expect("a frame in time")
    }

    pub fn try_hear(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head)?;
        let mut payload = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut payload)?;
        Ok((head[0], payload))
    }

    /// Whether the server closes without another word.
    fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(0) => true,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
            Ok(_) => false,
        }
    }
}

pub fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    [&[kind, length], payload].concat()
}

/// BID: auction u32, user u32, amount i64.
fn bid(auction: u64, user: u64, amount: i64) -> Vec<u8> {
    let id = |id: u64| u32::try_from(id).expect("small").to_be_bytes();
    frame(1, &[&id(auction)[..], &id(user), &amount.to_be_bytes()].concat())
}

/// BID64: auction, user, amount, maximum, tag.
pub fn bid64(auction: u64, user: u64, amount: i64, max: i64, tag: u64) -> Vec<u8> {
    let fields = [auction, user, amount.cast_unsigned(), max.cast_unsigned(), tag];
    frame(9, &fields.map(u64::to_be_bytes).concat())
}

/// A number of up to eight bytes.
pub fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Sequence and price of a RESULT.
fn result(heard: (u8, Vec<u8>)) -> (u64, u64) {
    let (kind, payload) = heard;
    assert_eq!((kind, payload[0]), (RESULT, 1), "{payload:?}");
    (number(&payload[1..9]), number(&payload[9..17]))
}

/// Code, price and minimum of an ERROR.
fn error(heard: (u8, Vec<u8>)) -> (u64, u64, u64) {
    let (kind, payload) = heard;
    assert_eq!(kind, ERROR, "{payload:?}");
    (number(&payload[..2]), number(&payload[3..11]), number(&payload[11..19]))
}

#[test]
fn bids_over_the_binary_port_are_those_of_http() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    let mut port = Port::of(stack.bids_address(), &ann);
    let frame = bid(id, ann.id, 200);
    assert_eq!(frame.len(), 18);
    port.0.write_all(&frame).expect("taken");
    assert_eq!(result(port.hear()), (1, 200));
    accepted(&bob, id, &json!({"amount": 300}));
    port.0.write_all(&bid(id, ann.id, 305)).expect("taken");
    assert_eq!(error(port.hear()), (55, 300, 310), "bid_too_low with what would do");
    port.0.write_all(&bid64(id, ann.id, 310, 900, 7)).expect("taken");
    let (kind, payload) = port.hear();
    let head = HEXLOWER.encode(&payload[42..74]);
    assert_eq!(head, auction(&client, id)["head"], "the end of the chain");
    assert_eq!(result((kind, payload)), (3, 310));
    port.0.write_all(&bid64(id, ann.id, 310, 900, 7)).expect("taken");
    assert_eq!(result(port.hear()), (3, 310), "the same tag has the first answer");
    assert_eq!(auction(&client, id)["bids"], 3);
    port.0.write_all(&bid(id, bob.id, 1000)).expect("taken");
    assert_eq!(error(port.hear()).0, 60, "wrong_bidder");
    port.0.write_all(&bid(999_999, ann.id, 1000)).expect("taken");
    assert_eq!(error(port.hear()).0, 50, "auction_not_found");
    port.0.write_all(&bid(id, ann.id, -5)).expect("taken");
    assert_eq!(error(port.hear()).0, 32, "invalid_field");
    port.send(5, b"still there?");
    assert_eq!(port.hear(), (PONG, b"still there?".to_vec()), "none of that ended it");
    all_is_right(&stack);
}

#[test]
fn pipelined_bids_are_decided_and_answered_in_their_order() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({"increment": 1}));
    let mut ports = [&ann, &bob].map(|who| Port::of(stack.bids_address(), who));
    let mut seen = 0;
    for round in 0..20_i64 {
        let port = &mut ports[usize::try_from(round % 2).expect("0 or 1")];
        let user = if round % 2 == 0 { ann.id } else { bob.id };
        let amounts = (1..=50).map(|step| 100 + round * 100 + step);
        // Each raises the own maximum, so all of them are accepted.
        let frames: Vec<u8> =
            amounts.flat_map(|amount| bid64(id, user, amount, amount + 1, 0)).collect();
        port.0.write_all(&frames).expect("taken");
        for _ in 0..50 {
            let (sequence, _) = result(port.hear());
            assert!(sequence > seen, "{sequence} after {seen}");
            seen = sequence;
        }
    }
    assert_eq!(auction(&client, id)["bids"], 1000);
    all_is_right(&stack);
}

#[test]
fn a_subscriber_is_told_how_the_auction_stands() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann] = ["sam", "ann"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({"end_at": in_ms(3_000)}));
    let mut port = Port::of(stack.bids_address(), &sam);
    port.send(7, &[id, 0].map(u64::to_be_bytes).concat());
    accepted(&ann, id, &json!({"amount": 250}));
    let (mut priced, mut ended) = (false, false);
    while !(priced && ended) {
        let (kind, payload) = port.hear();
        assert_eq!((kind, number(&payload[..8])), (EVENT, id));
        priced |= number(&payload[24..32]) == 250;
        ended |= payload[68] == 2;
    }
}

#[test]
fn what_breaks_the_protocol_ends_its_own_connection_alone() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann] = ["sam", "ann"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    let address = stack.bids_address();
    let mut calm = Port::of(address, &ann);
    for (bytes, code) in [
        (bid(id, ann.id, 200), 33),
        (frame(AUTH, b"no token"), 33),
        (frame(77, b""), 80),
        (frame(1, b"short"), 79),
        (frame(RESULT, &[0; 41]), 80),
    ] {
        let mut port = Port::connect(address);
        port.0.write_all(&bytes).expect("taken");
        assert_eq!(error(port.hear()).0, code, "{bytes:?}");
        assert!(port.is_closed(), "{bytes:?}");
    }
    let mut cut = Port::of(address, &ann);
    cut.0.write_all(&bid(id, ann.id, 200)[..9]).expect("taken");
    cut.0.shutdown(Shutdown::Write).expect("shut");
    while cut.try_hear().is_ok() {}
    for piece in bid(id, ann.id, 200).chunks(1) {
        calm.0.write_all(piece).expect("taken");
    }
    assert_eq!(result(calm.hear()), (1, 200));
    assert_eq!(auction(&client, id)["bids"], 1, "half a bid is none");
}

#[test]
fn an_ended_session_bids_no_more() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann] = ["sam", "ann"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    let mut port = Port::of(stack.bids_address(), &ann);
    port.0.write_all(&bid(id, ann.id, 200)).expect("taken");
    assert_eq!(result(port.hear()), (1, 200));
    assert_eq!(ann.json(ureq::http::Method::POST, "/api/v1/logout", &json!({})).status / 100, 2);
    port.0.write_all(&bid(id, ann.id, 300)).expect("taken");
    assert_eq!(error(port.hear()).0, 33);
    assert_eq!(auction(&client, id)["bids"], 1);
}

#[test]
fn a_thousand_connections_at_once_are_served_and_idle_ones_stay() {
    souk_process::raise_open_files().expect("the limit of open files can be raised");
    let stack = stack();
    let client = client(&stack);
    let [sam, ann] = ["sam", "ann"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    let address = stack.bids_address();
    let open_some = || (0..50).map(|_| Port::of(address, &ann)).collect::<Vec<_>>();
    let mut ports: Vec<Port> = thread::scope(|scope| {
        let all: Vec<_> = (0..20).map(|_| scope.spawn(open_some)).collect();
        all.into_iter().flat_map(|one| one.join().expect("all are served")).collect()
    });
    assert_eq!(ports.len(), 1000);
    // At whatever cadence somebody speaks, nobody is closed.
    for pause in [0, 20, 700, 3_000] {
        thread::sleep(Duration::from_millis(pause));
        for port in &mut ports {
            port.send(5, b"x");
        }
        for port in &mut ports {
            assert_eq!(port.hear(), (PONG, b"x".to_vec()));
        }
    }
    ports[999].0.write_all(&bid(id, ann.id, 200)).expect("taken");
    assert_eq!(result(ports[999].hear()), (1, 200));
}

#[test]
fn each_of_a_burst_of_bids_is_answered() {
    let stack = stack();
    let client = client(&stack);
    let sam = Person::new(&client, "sam");
    let people: Vec<Person<'_>> =
        (0..10).map(|number| Person::new(&client, &format!("bidder_{number}"))).collect();
    let ids: Vec<u64> = (0..100).map(|_| open(&sam, &json!({"increment": 1}))).collect();
    let address = stack.bids_address();
    let outcomes: Vec<(usize, usize, usize)> = thread::scope(|scope| {
        let senders: Vec<_> = people
            .iter()
            .map(|person| {
                let ids = &ids;
                scope.spawn(move || {
                    let mut port = Port::of(address, person);
                    let amount = |round: usize| i64::try_from(100 + 10 * round).expect("small");
                    let burst: Vec<u8> = (0..500)
                        .flat_map(|round| bid(ids[round % ids.len()], person.id, amount(round)))
                        .collect();
                    port.0.write_all(&burst).expect("taken");
                    let mut seen = (0, 0, 0);
                    for _ in 0..500 {
                        match port.hear().0 {
                            RESULT => seen.0 += 1,
                            ERROR => seen.1 += 1,
                            BUSY => seen.2 += 1,
                            other => panic!("frame {other}"),
                        }
                    }
                    seen
                })
            })
            .collect();
        senders.into_iter().map(|one| one.join().expect("all are answered")).collect()
    });
    let accepted: usize = outcomes.iter().map(|seen| seen.0).sum();
    let stored = stack.sql("SELECT COUNT(*) FROM bids").expect("counted");
    assert_eq!(stored.trim(), accepted.to_string(), "{outcomes:?}");
    assert!(accepted >= 100, "{outcomes:?}");
    all_is_right(&stack);
}
