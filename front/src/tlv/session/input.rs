//! What comes in: frames become bids that wait for their answers.

use super::super::Route;
use super::super::times::count;
use super::answers::{about, refused};
use super::{Ask, Known, Phase, Session, Slot, State};
use crate::limits::{LINGER_BYTES, TLV_MONEY_MAX, TLV_OFFERS_MAX, TLV_SUBSCRIPTIONS_MAX};
use crate::routes::user_of_token;
use souk_proto::auctions::Offer;
use souk_proto::tlv::{Asked, Bid, Broken, Told, Type, UNSUBSCRIBE};
use souk_proto::{Code, Failure};

/// A frame, without the bytes that it was read from.
enum Frame {
    Bid(Bid),
    /// A token, if it can be one.
    Auth(Option<String>),
    Subscribe {
        auction: u64,
        after: u64,
    },
    Ping,
}

impl Session {
    /// Uses the input as far as possible.
    pub(super) fn advance(&mut self) {
        self.blocked = false;
        while matches!(self.phase, Phase::Fresh | Phase::Checking(_) | Phase::Open) {
            // What follows a token waits for what that is worth.
            if matches!(self.phase, Phase::Checking(_)) || !self.has_room() {
                self.blocked = self.start < self.input.len();
                break;
            }
            match Asked::decode(&self.input[self.start..]) {
                Ok(None) => break,
                Ok(Some((asked, used))) => {
                    let frame = match asked {
                        Asked::Bid(bid) => Frame::Bid(bid),
                        Asked::Auth(token) => {
                            let token = std::str::from_utf8(token).ok();
                            let token = token.filter(|token| user_of_token(token).is_some());
                            Frame::Auth(token.map(str::to_owned))
                        }
                        Asked::Subscribe { auction, after } => Frame::Subscribe { auction, after },
                        Asked::Ping(bytes) => {
                            Told::Pong(bytes).encode(&mut self.output);
                            Frame::Ping
                        }
                    };
                    self.start += used;
                    self.take(frame, used);
                }
                Err(broken) => self.fall_out(broken),
            }
        }
        if matches!(self.phase, Phase::Ending(_) | Phase::Over) {
            let dropped = (self.input.len() - self.start) as u64;
            self.linger = self.linger.saturating_sub(dropped);
            self.start = self.input.len();
        }
        self.encode();
    }

    fn take(&mut self, frame: Frame, used: usize) {
        match (frame, &self.phase) {
            (Frame::Ping, _) => count(Route::Ping, None),
            (Frame::Auth(token), Phase::Fresh) => self.check(token, used),
            (_, Phase::Fresh) => self.end_with(Code::Unauthenticated, 0),
            (Frame::Auth(_), _) => {
                count(Route::Auth, Some(Code::Forbidden));
                let told = refused(&Failure::new(Code::Forbidden), Type::Auth as u8);
                told.encode(&mut self.output);
            }
            (Frame::Bid(bid), _) => self.bid(bid, used),
            (Frame::Subscribe { auction, after }, _) => self.subscribe(auction, after),
        }
    }

    fn check(&mut self, token: Option<String>, used: usize) {
        // What cannot be a token needs no daemon.
        let Some(token) = token else {
            count(Route::Auth, Some(Code::Unauthenticated));
            return self.end_with(Code::Unauthenticated, Type::Auth as u8);
        };
        self.phase = Phase::Checking(self.times.begin(Route::Auth, used));
        self.asks.push_back(Ask::Who { token });
    }

    fn bid(&mut self, bid: Bid, used: usize) {
        let route = if bid.kind == Type::Bid { Route::Bid } else { Route::Bid64 };
        let mut timed = self.times.begin(route, used);
        let state = match self.form(&bid) {
            Ok(()) => {
                let lane = self.lanes.entry(bid.auction).or_default();
                if lane.asked.is_empty() && lane.waiting.is_empty() {
                    self.due.push_back(bid.auction);
                }
                lane.waiting.push_back(self.first + self.slots.len() as u64);
                State::Waits
            }
            Err(code) => {
                timed.code = Some(code);
                State::Ready(about(&Failure::new(code), &bid, None))
            }
        };
        self.slots.push_back(Slot { bid, state, timed });
    }

    /// Whether a bid can go with others: a daemon refuses a request as a whole that holds what can
    /// be no bid.
    fn form(&self, bid: &Bid) -> Result<(), Code> {
        if self.user.as_ref().map(|(user, _)| *user) != Some(bid.user) {
            return Err(Code::WrongBidder);
        }
        let amount = (1..=TLV_MONEY_MAX).contains(&bid.amount);
        let max = bid.max == 0 || (bid.amount..=TLV_MONEY_MAX).contains(&bid.max);
        if amount && max { Ok(()) } else { Err(Code::InvalidField) }
    }

    /// The next request for an auction.
    pub(super) fn gather(&mut self, auction: u64, trace: u128) -> Ask {
        let lane = self.lanes.entry(auction).or_default();
        let count = lane.waiting.len().min(TLV_OFFERS_MAX);
        lane.asked.extend(lane.waiting.drain(..count));
        let mut offers = Vec::with_capacity(count);
        for number in &lane.asked {
            let index = usize::try_from(number - self.first).unwrap_or(usize::MAX);
            let Some(slot) = self.slots.get_mut(index) else { continue };
            slot.timed.asked(trace);
            let Bid { amount, max, tag, .. } = slot.bid;
            let bid_id = if tag == 0 { String::new() } else { format!("tlv-{tag}") };
            offers.push(Offer { amount, max_amount: max, bid_id, currency: String::new() });
        }
        Ask::Bids { auction, offers }
    }

    fn subscribe(&mut self, auction: u64, after: u64) {
        if after == UNSUBSCRIBE {
            count(Route::Subscribe, None);
            if self.known.remove(&auction).is_some() {
                self.asks.push_back(Ask::Unsubscribe { auction });
            }
            return;
        }
        let known = Known { sequence: after, leading: false };
        if self.known.len() >= TLV_SUBSCRIPTIONS_MAX && !self.known.contains_key(&auction) {
            return self.unsubscribed(auction, &Code::Busy.into());
        }
        count(Route::Subscribe, None);
        // Again is anew: the state is told once more, as to somebody who knows this much.
        self.known.insert(auction, known);
        self.asks.push_back(Ask::Subscribe { auction });
    }

    /// Ends the connection for what is no frame.
    fn fall_out(&mut self, broken: Broken) {
        let (code, number) = match broken {
            Broken::Unknown(number) => (Code::UnknownFrame, number),
            Broken::Length(number) => (Code::MalformedFrame, number),
        };
        count(Route::Nothing, Some(code));
        self.end_with(code, number);
    }

    /// Reads nothing more, says why when all bids before are answered, and ends.
    pub(super) fn end_with(&mut self, code: Code, of: u8) {
        let mut last = Vec::new();
        refused(&code.into(), of).encode(&mut last);
        self.end(last);
    }

    fn end(&mut self, last: Vec<u8>) {
        if matches!(self.phase, Phase::Ending(_) | Phase::Over) {
            return;
        }
        self.phase = Phase::Ending(last);
        self.linger = if self.ended { 0 } else { LINGER_BYTES };
        self.blocked = false;
        self.asks.clear();
        self.known.clear();
    }

    /// Uses what came before the client's end.
    pub(super) fn end_of_input(&mut self, late: bool) {
        self.advance();
        if self.blocked || matches!(self.phase, Phase::Checking(_)) {
            // The end has to wait for what is before it.
            return;
        }
        match self.input.get(self.start) {
            _ if late => self.end_with(Code::RequestTimeout, 0),
            Some(&cut_off) => self.end_with(Code::MalformedFrame, cut_off),
            None => self.end(Vec::new()),
        }
        self.start = self.input.len();
        self.encode();
    }

    /// This process ends: what was read is answered, and the client told to go.
    pub fn drain(&mut self) {
        self.end(Session::refusal(Code::Unavailable));
        self.advance();
    }
}
