//! What goes out: the answers in the order of the bids, and events between them.

use super::super::Route;
use super::super::times::count;
use super::{Known, Phase, SLOTS_KEPT, Session, Slot, State};
use crate::limits::{TLV_WRITE_HIGH, UNAVAILABLE_RETRY};
use souk_proto::auctions::bid_outcome::Outcome;
use souk_proto::auctions::{BidOutcome, BidRefused};
use souk_proto::error::Retry;
use souk_proto::tlv::{
    Bid, EVENT_LEADING, EVENT_OUTBID, Event, NotNow, Placed, Refused, Told, Type, VERSION,
};
use souk_proto::{Code, Failure};
use std::collections::VecDeque;

/// Whether this is said of the moment, and not of what was asked.
fn is_busy(code: Code) -> bool {
    // That an auction has not begun is an answer to the bid.
    code.retry() == Retry::Later && code != Code::AuctionNotStarted
}

fn pause_ms(failure: &Failure) -> u32 {
    let usual = u32::try_from(UNAVAILABLE_RETRY.as_millis()).unwrap_or(u32::MAX);
    if failure.retry_after_ms == 0 { usual } else { failure.retry_after_ms }
}

/// The answer to a bid that was not placed.
pub(super) fn about(failure: &Failure, bid: &Bid, refused: Option<&BidRefused>) -> Told<'static> {
    let (code, of) = (failure.code as u16, bid.kind as u8);
    let (auction, tag) = (bid.auction, bid.tag);
    if is_busy(failure.code) {
        let retry_after_ms = pause_ms(failure);
        return Told::Busy(NotNow { retry_after_ms, code, of, auction, tag });
    }
    let (price, minimum) = refused.map_or((0, 0), |refused| (refused.price, refused.minimum));
    Told::Error(Refused { code, of, price, minimum, auction, tag })
}

/// The answer to what was no bid; `of` is the number of its type.
pub(super) fn refused(failure: &Failure, of: u8) -> Told<'static> {
    let code = failure.code as u16;
    if is_busy(failure.code) {
        let retry_after_ms = pause_ms(failure);
        return Told::Busy(NotNow { retry_after_ms, code, of, ..NotNow::default() });
    }
    Told::Error(Refused { code, of, ..Refused::default() })
}

fn outcome_of(outcome: Option<BidOutcome>, bid: &Bid) -> (Told<'static>, Option<Code>) {
    match outcome.and_then(|outcome| outcome.outcome) {
        Some(Outcome::Done(done)) => {
            let placed = Placed {
                sequence: done.sequence,
                price: done.price,
                leading: done.leading,
                repeated: done.repeated,
                ends_at_ms: done.ends_at_ms,
                auction: bid.auction,
                tag: bid.tag,
                // A daemon always sends it whole.
                head: done.head.try_into().unwrap_or_default(),
            };
            (Told::Result(placed), None)
        }
        Some(Outcome::Refused(refused)) => {
            let failure = Failure::from(refused.error.clone().unwrap_or_default());
            (about(&failure, bid, Some(&refused)), Some(failure.code))
        }
        // A daemon that answers fewer than it was asked has a defect.
        None => (about(&Code::Internal.into(), bid, None), Some(Code::Internal)),
    }
}

impl Session {
    /// What a connection is told that is not served at all.
    pub fn refusal(code: Code) -> Vec<u8> {
        let mut bytes = Vec::new();
        refused(&code.into(), 0).encode(&mut bytes);
        bytes
    }

    /// Whose session it is, or why that is not known.
    pub fn authenticated(&mut self, outcome: Result<(u64, String), Failure>) {
        let Phase::Checking(_) = self.phase else { return };
        let fresh = std::mem::replace(&mut self.phase, Phase::Fresh);
        let Phase::Checking(mut timed) = fresh else { return };
        timed.answered();
        timed.code = outcome.as_ref().err().map(|failure| failure.code);
        let before = self.output.len();
        match outcome {
            Ok((user, token)) => {
                self.phase = Phase::Open;
                self.user = Some((user, token));
                Told::Auth { version: VERSION, user }.encode(&mut self.output);
            }
            Err(failure) if is_busy(failure.code) => {
                refused(&failure, Type::Auth as u8).encode(&mut self.output);
            }
            Err(failure) => self.end_with(failure.code, Type::Auth as u8),
        }
        timed.sent(self.output.len() - before);
        self.times.encoded(timed);
        self.go_on();
    }

    /// The outcome of an auction's request: of each bid, or of all.
    pub fn answered(&mut self, auction: u64, outcome: Result<Vec<BidOutcome>, Failure>) {
        let Some(lane) = self.lanes.get_mut(&auction) else { return };
        let asked = std::mem::take(&mut lane.asked);
        if lane.waiting.is_empty() {
            self.lanes.remove(&auction);
        } else {
            self.due.push_back(auction);
        }
        let (outcomes, failure) = match outcome {
            Ok(outcomes) => (outcomes, None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        let mut outcomes = outcomes.into_iter();
        for number in asked {
            let index = usize::try_from(number - self.first).unwrap_or(usize::MAX);
            let Some(slot) = self.slots.get_mut(index) else { continue };
            let (told, code) = match &failure {
                Some(failure) => (about(failure, &slot.bid, None), Some(failure.code)),
                None => outcome_of(outcomes.next(), &slot.bid),
            };
            slot.timed.answered();
            slot.timed.code = code;
            slot.state = State::Ready(told);
        }
        if failure.is_some_and(|failure| failure.code == Code::Unauthenticated) {
            // The session is over, and so is what else it was used for.
            self.end_with(Code::Unauthenticated, 0);
        }
        self.go_on();
    }

    /// There may be room for what waits.
    pub(super) fn go_on(&mut self) {
        self.encode();
        if self.ended {
            self.end_of_input(false);
        } else {
            self.advance();
        }
    }

    /// Encodes the answers at the front, as far as they are there and there is room.
    pub(super) fn encode(&mut self) {
        while self.output.len() < TLV_WRITE_HIGH {
            let Some(Slot { state: State::Ready(told), .. }) = self.slots.front() else { break };
            let before = self.output.len();
            told.encode(&mut self.output);
            let sent = self.output.len() - before;
            self.first += 1;
            if let Some(slot) = self.slots.pop_front() {
                slot.timed.sent(sent);
                self.times.encoded(slot.timed);
            }
        }
        self.times.all_encoded();
        if !self.slots.is_empty() {
            return;
        }
        if self.slots.capacity() > SLOTS_KEPT {
            self.slots = VecDeque::new();
        }
        if let Phase::Ending(last) = &mut self.phase {
            self.output.append(last);
            self.phase = Phase::Over;
        }
    }

    /// Tells how an auction stands, if that is still wanted.
    pub fn tell(&mut self, mut event: Event) {
        let Some(known) = self.known.get_mut(&event.auction) else { return };
        let leading = event.flags & EVENT_LEADING != 0;
        event.since = known.sequence;
        if known.leading && !leading {
            event.flags |= EVENT_OUTBID;
        }
        *known = Known { sequence: event.sequence, leading };
        self.events.0 = true;
        count(Route::Event, None);
        Told::Event(event).encode(&mut self.output);
    }

    /// A subscription could not be begun, or kept.
    pub fn unsubscribed(&mut self, auction: u64, failure: &Failure) {
        self.known.remove(&auction);
        count(Route::Subscribe, Some(failure.code));
        let told = match refused(failure, Type::Subscribe as u8) {
            Told::Busy(busy) => Told::Busy(NotNow { auction, ..busy }),
            Told::Error(error) => Told::Error(Refused { auction, ..error }),
            other => other,
        };
        told.encode(&mut self.output);
    }
}
