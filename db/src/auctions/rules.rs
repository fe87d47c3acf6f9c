//! Which bid is accepted, and what it does: the twin of `lua/bid.lua`, which decides. A test holds
//! the two together over random histories; the operator's audit checks recorded bids with this one.
//!
//! Proxy bidding: the engine bids for the leader up to a maximum, no more than is needed. Equal
//! maxima go to the earlier bid. The price that ends the auction at once is never exceeded.

/// From this price on a bid must exceed the price by this much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Price, minor units.
    pub from: i64,
    /// At least 1.
    pub step: i64,
}

/// What the rules need to know of an auction that does not change with bids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Who may not bid.
    pub seller_id: u64,
    /// The first bid's minimum.
    pub start_price: i64,
    /// Not empty, rising; the first is from 0.
    pub increments: Vec<Step>,
    /// The least for which it is sold; 0 for any price.
    pub reserve: i64,
    /// A price that ends the auction; 0 for none.
    pub buy_now: i64,
    /// Unix time in milliseconds.
    pub start_at_ms: i64,
    /// Milliseconds before the end in which a bid moves it; 0 for none.
    pub soft_window_ms: i64,
    /// So often at most.
    pub extensions_max: u32,
}

/// What changes with bids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Accepted bids.
    pub sequence: u64,
    /// 0 without bids.
    pub price: i64,
    /// 0 without bids.
    pub leader_id: u64,
    /// Up to which the leader bids.
    pub leader_max: i64,
    /// The effective end, Unix time in milliseconds: from this moment on it is over.
    pub ends_at_ms: i64,
    /// Extensions so far.
    pub extended: u32,
    /// Time of the last bid.
    pub last_at_ms: i64,
}

/// Who offers what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bid {
    /// Who.
    pub bidder_id: u64,
    /// At least 1.
    pub amount: i64,
    /// Up to which the engine bids; the amount itself for no more than that.
    pub max_amount: i64,
}

/// Why a bid is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has not begun.
    NotStarted,
    /// It is over.
    Ended {
        /// Since when.
        ends_at_ms: i64,
    },
    /// The bidder sells it.
    OwnAuction,
    /// The bidder leads, and offers no higher maximum.
    AlreadyLeading,
    /// Below the minimum.
    TooLow {
        /// The price now; 0 without bids.
        price: i64,
        /// The least that is accepted.
        minimum: i64,
    },
    /// The caller's clock is behind that of the last bid by more than [`CLOCK_BEHIND_MAX_MS`].
    ClockBehind,
}

/// By how much a bid's clock may be behind that of the bid before, milliseconds. It counts as of
/// the same moment then: clocks of several daemons are never quite equal.
pub const CLOCK_BEHIND_MAX_MS: i64 = 1_000;

impl Rules {
    /// By how much a bid must exceed this price.
    pub fn increment(&self, price: i64) -> i64 {
        let row = self.increments.iter().rev().find(|row| row.from <= price);
        row.map_or(1, |row| row.step)
    }

    /// The least that is accepted next.
    pub fn minimum(&self, state: &State) -> i64 {
        if state.sequence == 0 {
            self.start_price
        } else {
            state.price + self.increment(state.price)
        }
    }

    /// Decides a bid that came now, Unix time in milliseconds, and changes the state if it is
    /// accepted; the time at which it counts.
    ///
    /// # Errors
    /// Why it is refused; the state is as before.
    pub fn decide(&self, state: &mut State, bid: Bid, now_ms: i64) -> Result<i64, Refusal> {
        if now_ms + CLOCK_BEHIND_MAX_MS < state.last_at_ms {
            return Err(Refusal::ClockBehind);
        }
        let at_ms = now_ms.max(state.last_at_ms);
        if at_ms < self.start_at_ms {
            return Err(Refusal::NotStarted);
        }
        if at_ms >= state.ends_at_ms {
            return Err(Refusal::Ended { ends_at_ms: state.ends_at_ms });
        }
        if bid.bidder_id == self.seller_id {
            return Err(Refusal::OwnAuction);
        }
        self.resolve(state, bid)?;
        state.sequence += 1;
        state.last_at_ms = at_ms;
        if self.buy_now > 0 && state.price >= self.buy_now {
            state.ends_at_ms = at_ms;
        } else if state.ends_at_ms - at_ms < self.soft_window_ms
            && state.extended < self.extensions_max
        {
            state.ends_at_ms = at_ms + self.soft_window_ms;
            state.extended += 1;
        }
        Ok(at_ms)
    }

    /// What a recorded bid does to price, leader and maximum: [`Rules::decide`] without the time,
    /// whose ends depend on outages too. Counts it.
    ///
    /// # Errors
    /// Why it should not be there; the state is as before.
    pub fn replay(&self, state: &mut State, bid: Bid) -> Result<(), Refusal> {
        self.resolve(state, bid)?;
        state.sequence += 1;
        Ok(())
    }

    /// The part without time: who leads after the bid, and at which price.
    fn resolve(&self, state: &mut State, bid: Bid) -> Result<(), Refusal> {
        let buys = self.buy_now > 0 && bid.amount >= self.buy_now;
        let minimum = self.minimum(state);
        if state.sequence > 0 && state.leader_id == bid.bidder_id && !buys {
            // The leader may raise the maximum; the price stays.
            if bid.max_amount <= bid.amount || bid.max_amount <= state.leader_max {
                return Err(Refusal::AlreadyLeading);
            }
            state.leader_max = bid.max_amount;
        } else if bid.amount < minimum && !buys {
            return Err(Refusal::TooLow { price: state.price, minimum });
        } else if buys {
            (state.leader_id, state.leader_max) = (bid.bidder_id, bid.amount);
            state.price = self.buy_now;
        } else if state.sequence == 0 {
            (state.leader_id, state.leader_max) = (bid.bidder_id, bid.max_amount);
            state.price = bid.amount;
        } else if bid.max_amount > state.leader_max {
            let beats = state.leader_max + self.increment(state.leader_max);
            (state.leader_id, state.leader_max) = (bid.bidder_id, bid.max_amount);
            state.price = bid.amount.max(beats.min(bid.max_amount));
        } else {
            let defends = bid.max_amount + self.increment(bid.max_amount);
            state.price = defends.min(state.leader_max);
        }
        if state.price < self.reserve && state.leader_max >= self.reserve {
            state.price = self.reserve;
        }
        if self.buy_now > 0 {
            state.price = state.price.min(self.buy_now);
        }
        Ok(())
    }
}
