//! The binary port over real sockets, before daemons that take bids.

mod bids;
mod ends;
mod events;

use crate::client::token;
use crate::daemon::{Daemon, Event, user};
use souk_proto::accounts::User;
use souk_proto::auctions::bid_outcome::Outcome;
use souk_proto::auctions::{BidDone, BidOutcome, BidOutcomes, PlaceBidsRequest};
use souk_proto::tlv::{Asked, Bid, Told, Type};
use souk_proto::{Code, Kind, Method};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for anything; no test gets near it unless something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// The user of every session here.
const USER: u64 = 42;

/// A client of the binary port.
struct Bidder {
    socket: TcpStream,
    read: Vec<u8>,
    used: usize,
}

impl Bidder {
    fn connect(address: SocketAddr) -> Bidder {
        let socket = TcpStream::connect(address).expect("the front listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("settable");
        socket.set_nodelay(true).expect("settable");
        Bidder { socket, read: Vec::new(), used: 0 }
    }

    /// One whose session is known.
    fn open(address: SocketAddr) -> Bidder {
        let mut bidder = Bidder::connect(address);
        bidder.auth();
        assert_eq!(bidder.next(), Some(Told::Auth { version: 1, user: USER }));
        bidder
    }

    fn auth(&mut self) {
        self.ask(&[Asked::Auth(token(USER).as_bytes())]);
    }

    fn ask(&mut self, frames: &[Asked]) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut bytes));
        self.send(&bytes);
    }

    fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the front reads");
    }

    /// No more is sent.
    fn finish(&self) {
        self.socket.shutdown(Shutdown::Write).expect("connected");
    }

    /// The next frame; nothing at the end.
    fn next(&mut self) -> Option<Told<'_>> {
        self.read.drain(..std::mem::take(&mut self.used));
        while Told::decode(&self.read).expect("the front says frames").is_none() {
            let mut chunk = [0; 4096];
            match self.socket.read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) => {
                    assert!(self.read.is_empty(), "the connection ended in a frame");
                    return None;
                }
                Ok(count) => self.read.extend_from_slice(&chunk[..count]),
                Err(error) => panic!("nothing came: {error}"),
            }
        }
        let (told, used) = Told::decode(&self.read).expect("looked at above")?;
        self.used = used;
        Some(told)
    }

    /// The sequence number of the bid that the next frame answers.
    fn placed(&mut self) -> u64 {
        match self.next() {
            Some(Told::Result(placed)) => placed.sequence,
            other => panic!("{other:?}"),
        }
    }

    /// Whether the next frame is BUSY, its code, and what it answers.
    fn refused(&mut self) -> (bool, Code, u8) {
        let (busy, code, of) = match self.next() {
            Some(Told::Busy(busy)) => (true, busy.code, busy.of),
            Some(Told::Error(refused)) => (false, refused.code, refused.of),
            other => panic!("{other:?}"),
        };
        (busy, Code::from_number(code.into()), of)
    }

    fn ends(&mut self) {
        assert_eq!(self.next(), None);
    }
}

fn bid(auction: u64, amount: i64) -> Asked<'static> {
    Asked::Bid(Bid { kind: Type::Bid, auction, user: USER, amount, max: 0, tag: 0 })
}

fn wide(auction: u64, amount: i64, tag: u64) -> Asked<'static> {
    Asked::Bid(Bid { kind: Type::Bid64, auction, user: USER, amount, max: 0, tag })
}

/// Answers whose session it is; true if that was asked.
fn answers_who(event: &Event) -> bool {
    let asked = event.kind == Kind::Request && event.method == Some(Method::GetMe);
    if asked {
        event.answer(&User { id: USER, ..user("ada") });
    }
    asked
}

/// Accepts every bid, with the amount as its sequence number.
fn accept(event: &Event) {
    let asked: PlaceBidsRequest = event.decode();
    let items = asked.offers.iter().map(|offer| {
        let sequence = u64::try_from(offer.amount).expect("positive");
        let auction_id = asked.auction_id;
        let done = BidDone { auction_id, sequence, price: offer.amount, ..BidDone::default() };
        BidOutcome { outcome: Some(Outcome::Done(done)) }
    });
    event.answer(&BidOutcomes { items: items.collect() });
}

/// A daemon that accepts every bid at once.
fn accepting() -> Daemon {
    Daemon::start("one", 2, |event| {
        if !answers_who(&event) && event.kind == Kind::Request {
            assert_eq!(event.method, Some(Method::PlaceBids));
            accept(&event);
        }
    })
}
