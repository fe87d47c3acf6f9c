//! One connection's frames, without its socket: bytes come in, what the daemons are to be asked
//! comes out, and then the answers, in the order of the bids.
//!
//! At most one request for each auction is under way; the bids that come meanwhile go together in
//! the next one. So their order is the order of the frames, and a burst costs few requests.

mod answers;
mod input;
#[cfg(test)]
mod tests;

use super::times::{Out, Timed};
use crate::limits::{TLV_BIDS_MAX, TLV_READ, TLV_WRITE_HIGH};
use foldhash::fast::RandomState;
use souk_proto::auctions::Offer;
use souk_proto::tlv::{Bid, Told};
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

/// Places for bids that an idle connection keeps.
const SLOTS_KEPT: usize = 16;

/// What a daemon, or the live news, are to be asked.
#[derive(Debug)]
pub enum Ask {
    /// Whose session is this? Answered by [`Session::authenticated`].
    Who {
        /// The token.
        token: String,
    },
    /// Place these bids. Answered by [`Session::answered`].
    Bids {
        /// At which auction.
        auction: u64,
        /// In this order.
        offers: Vec<Offer>,
    },
    /// Tell how this auction stands, from now on.
    Subscribe {
        /// Which one.
        auction: u64,
    },
    /// No more of that.
    Unsubscribe {
        /// Which one.
        auction: u64,
    },
}

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    /// Whose session it is, and its token, once it is found valid.
    user: Option<(u64, String)>,
    /// What was read; before `start` it is used.
    input: Vec<u8>,
    start: usize,
    /// Whether reading waits for an answer or for the socket to take some.
    blocked: bool,
    /// The bids whose answers are not encoded, oldest first.
    slots: VecDeque<Slot>,
    /// Number of the first of them; they are numbered on and on.
    first: u64,
    /// Auctions with bids that have no answer.
    lanes: HashMap<u64, Lane, RandomState>,
    /// Auctions among them whose next request can be made.
    due: VecDeque<u64>,
    /// What else is to be asked.
    asks: VecDeque<Ask>,
    /// The subscriptions, and what they were told last.
    known: HashMap<u64, Known, RandomState>,
    /// Encoded frames that no write has taken yet.
    output: Vec<u8>,
    times: Out,
    writing: bool,
    /// Whether events are encoded that no write has taken, and whether some are being written.
    events: (bool, bool),
    /// Bytes that may still be read and dropped.
    linger: u64,
    /// The client sends no more.
    ended: bool,
    /// The socket is lost.
    broken: bool,
}

#[derive(Debug)]
enum Phase {
    /// Nobody knows whose connection this is.
    Fresh,
    /// A daemon is asked whose it is.
    Checking(Timed),
    /// Its user is known.
    Open,
    /// Nothing more is read. When all bids are answered, this is the last that is said.
    Ending(Vec<u8>),
    /// It is said.
    Over,
}

/// A bid without an answer.
#[derive(Debug)]
struct Slot {
    bid: Bid,
    state: State,
    timed: Timed,
}

#[derive(Debug)]
enum State {
    /// It has to be asked, or is.
    Waits,
    /// It waits for the answers before it.
    Ready(Told<'static>),
}

/// The bids of one auction: numbers of slots.
#[derive(Debug, Default)]
struct Lane {
    /// Those that a daemon is being asked to place.
    asked: Vec<u64>,
    /// Those that go next.
    waiting: VecDeque<u64>,
}

/// What a subscriber knows of an auction.
#[derive(Clone, Copy, Debug)]
struct Known {
    sequence: u64,
    leading: bool,
}

impl Default for Session {
    fn default() -> Session {
        Session::new()
    }
}

impl Session {
    /// A connection that has sent nothing yet.
    pub fn new() -> Session {
        Session {
            phase: Phase::Fresh,
            user: None,
            input: Vec::new(),
            start: 0,
            blocked: false,
            slots: VecDeque::new(),
            first: 0,
            lanes: HashMap::default(),
            due: VecDeque::new(),
            asks: VecDeque::new(),
            known: HashMap::default(),
            output: Vec::new(),
            times: Out::default(),
            writing: false,
            events: (false, false),
            linger: 0,
            ended: false,
            broken: false,
        }
    }

    /// The buffer for the next read, or nothing while there is input that cannot be used yet. Read
    /// behind its length; there is room.
    pub fn lend(&mut self) -> Option<Vec<u8>> {
        if self.blocked || self.broken || self.ended || self.is_over() {
            return None;
        }
        let mut buffer = std::mem::take(&mut self.input);
        if buffer.capacity() == 0 {
            buffer.reserve_exact(TLV_READ);
        }
        buffer.drain(..std::mem::take(&mut self.start));
        Some(buffer)
    }

    /// Takes the lent buffer back, longer by what was read at `read_at`, and uses what can be used.
    pub fn restore(&mut self, buffer: Vec<u8>, read_at: Option<Instant>) {
        self.input = buffer;
        self.times.read(read_at);
        self.advance();
    }

    /// The client sends no more; `late` if it was not let.
    pub fn ended(&mut self, buffer: Vec<u8>, late: bool) {
        self.input = buffer;
        self.ended = true;
        self.linger = 0;
        self.end_of_input(late);
        self.encode();
    }

    /// The socket is lost: nobody gets what is still owed.
    pub fn lost(&mut self, slow: &souk_trace::Slow) {
        self.broken = true;
        self.phase = Phase::Over;
        self.times.lost(self.slots.drain(..).map(|slot| slot.timed), slow);
        self.lanes.clear();
        self.due.clear();
        self.asks.clear();
        self.output.clear();
    }

    /// What has to be asked next; it goes with this trace.
    pub fn next_ask(&mut self, trace: u128) -> Option<Ask> {
        if let Some(ask) = self.asks.pop_front() {
            if let Phase::Checking(timed) = &mut self.phase {
                timed.asked(trace);
            }
            return Some(ask);
        }
        let auction = self.due.pop_front()?;
        Some(self.gather(auction, trace))
    }

    /// Whether there is nothing left to do but to close.
    pub fn is_over(&self) -> bool {
        self.broken || self.is_said() && self.linger == 0
    }

    /// Whether the last frame is out and the client may still be sending.
    pub fn lingers(&self) -> bool {
        !self.broken && self.is_said() && self.linger > 0
    }

    fn is_said(&self) -> bool {
        matches!(self.phase, Phase::Over) && self.output.is_empty() && !self.writing
    }

    /// Whether the user is still unknown, and nobody is being asked.
    pub fn is_fresh(&self) -> bool {
        matches!(self.phase, Phase::Fresh)
    }

    /// The user and the token of the session, once it is found valid.
    pub fn user(&self) -> Option<&(u64, String)> {
        self.user.as_ref()
    }

    /// What is to be written now, if no write is in flight.
    pub fn take_output(&mut self) -> Option<Vec<u8>> {
        if self.writing || self.output.is_empty() {
            return None;
        }
        self.writing = true;
        self.events = (false, self.events.0);
        self.times.taken();
        Some(std::mem::take(&mut self.output))
    }

    /// The write is done.
    pub fn written(&mut self, slow: &souk_trace::Slow) {
        self.writing = false;
        self.events.1 = false;
        self.times.written(slow);
        self.go_on();
    }

    /// Whether events can be sent: none waits, so what is sent is the latest, and whoever reads
    /// slowly has at most one of each subscription waiting.
    pub fn wants_events(&self) -> bool {
        let room = self.output.len() < TLV_WRITE_HIGH && self.events == (false, false);
        room && matches!(self.phase, Phase::Open)
    }

    /// Whether nothing more is taken from the client.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ending(_) | Phase::Over)
    }

    fn has_room(&self) -> bool {
        self.slots.len() < TLV_BIDS_MAX && self.output.len() < TLV_WRITE_HIGH
    }
}
