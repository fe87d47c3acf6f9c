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
    AlreadyLeading {
        /// The price now.
        price: i64,
        /// The least that somebody else could bid.
        minimum: i64,
    },
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

    /// The least that is accepted next: never more than the price that ends the auction.
    pub fn minimum(&self, state: &State) -> i64 {
        let minimum = match state.sequence {
            0 => self.start_price,
            _ => state.price + self.increment(state.price),
        };
        if self.buy_now > 0 { minimum.min(self.buy_now) } else { minimum }
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
        let bought = state.sequence > 0 && self.buy_now > 0 && state.price >= self.buy_now;
        if at_ms >= state.ends_at_ms || bought {
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
                return Err(Refusal::AlreadyLeading { price: state.price, minimum });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            seller_id: 1,
            start_price: 100,
            increments: vec![Step { from: 0, step: 10 }, Step { from: 500, step: 50 }],
            reserve: 0,
            buy_now: 0,
            start_at_ms: 1_000,
            soft_window_ms: 0,
            extensions_max: 0,
        }
    }

    fn fresh() -> State {
        State {
            sequence: 0,
            price: 0,
            leader_id: 0,
            leader_max: 0,
            ends_at_ms: 10_000,
            extended: 0,
            last_at_ms: 0,
        }
    }

    fn bid(bidder_id: u64, amount: i64, max_amount: i64) -> Bid {
        Bid { bidder_id, amount, max_amount }
    }

    /// Bids one after another at one moment; price and leader after each that is accepted.
    fn play(rules: &Rules, bids: &[(u64, i64, i64)]) -> Vec<Result<(i64, u64), Refusal>> {
        let mut state = fresh();
        let next = |&(bidder, amount, most): &(u64, i64, i64)| {
            let before = state;
            let decided = rules.decide(&mut state, bid(bidder, amount, most), 2_000);
            if decided.is_err() {
                assert_eq!(state, before, "a refused bid changes nothing");
            }
            decided.map(|_| (state.price, state.leader_id))
        };
        bids.iter().map(next).collect()
    }

    fn too_low(price: i64, minimum: i64) -> Result<(i64, u64), Refusal> {
        Err(Refusal::TooLow { price, minimum })
    }

    #[test]
    fn a_bid_must_reach_the_minimum_of_its_price() {
        let bids = [(2, 99, 99), (2, 100, 100), (3, 109, 109), (3, 500, 500), (2, 549, 549)];
        let expected =
            [too_low(0, 100), Ok((100, 2)), too_low(100, 110), Ok((500, 3)), too_low(500, 550)];
        assert_eq!(play(&rules(), &bids), expected);
    }

    #[test]
    fn the_engine_bids_for_a_leader_no_more_than_is_needed() {
        type Case = (&'static [(u64, i64, i64)], &'static [(i64, u64)]);
        let cases: &[Case] = &[
            // Another's bid is met with one increment more, up to the maximum.
            (&[(2, 100, 300), (3, 150, 150)], &[(100, 2), (160, 2)]),
            (&[(2, 100, 155), (3, 150, 150)], &[(100, 2), (155, 2)]),
            // Of equal maxima the earlier one leads.
            (&[(2, 100, 200), (3, 200, 200)], &[(100, 2), (200, 2)]),
            // Who takes over pays one increment more than the maximum, or all of the own one.
            (&[(2, 100, 200), (3, 110, 400)], &[(100, 2), (210, 3)]),
            (&[(2, 100, 200), (3, 110, 205)], &[(100, 2), (205, 3)]),
            (&[(2, 100, 200), (3, 300, 400)], &[(100, 2), (300, 3)]),
            // A leader raises the maximum, not the price.
            (&[(2, 100, 100), (2, 110, 300), (3, 200, 200)], &[(100, 2), (100, 2), (210, 2)]),
        ];
        for (bids, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|it| Ok(*it)).collect();
            assert_eq!(play(&rules(), bids), expected, "{bids:?}");
        }
    }

    #[test]
    fn nobody_bids_against_themselves_or_on_their_own() {
        let bids = [(1, 100, 100), (2, 100, 200), (2, 500, 500), (2, 110, 200)];
        let expected = [
            Err(Refusal::OwnAuction),
            Ok((100, 2)),
            Err(Refusal::AlreadyLeading { price: 100, minimum: 110 }),
            Err(Refusal::AlreadyLeading { price: 100, minimum: 110 }),
        ];
        assert_eq!(play(&rules(), &bids), expected);
    }

    #[test]
    fn a_reserve_is_reached_at_once_by_a_maximum_that_covers_it() {
        let rules = Rules { reserve: 300, ..rules() };
        let bids = [(2, 100, 200), (3, 110, 350), (2, 320, 320)];
        assert_eq!(play(&rules, &bids), [Ok((100, 2)), Ok((300, 3)), Ok((330, 3))]);
    }

    #[test]
    fn the_price_that_ends_it_is_never_exceeded_and_ends_it() {
        let rules = Rules { buy_now: 400, ..rules() };
        let mut state = fresh();
        rules.decide(&mut state, bid(2, 100, 390), 2_000).expect("accepted");
        rules.decide(&mut state, bid(3, 900, 900), 3_000).expect("accepted");
        assert_eq!((state.price, state.leader_id, state.ends_at_ms), (400, 3, 3_000));
        let late = rules.decide(&mut state, bid(2, 1_000, 1_000), 3_000);
        assert_eq!(late, Err(Refusal::Ended { ends_at_ms: 3_000 }));
        // Also when two maxima meet there, and when the leader buys.
        let met = play(&rules, &[(2, 100, 600), (3, 390, 700)]);
        assert_eq!(met, [Ok((100, 2)), Ok((400, 3))]);
        assert_eq!(play(&rules, &[(2, 100, 100), (2, 400, 400)]), [Ok((100, 2)), Ok((400, 2))]);
    }

    #[test]
    fn a_bid_in_the_last_moments_moves_the_end_so_often_and_no_more() {
        let rules = Rules { soft_window_ms: 1_000, extensions_max: 2, ..rules() };
        let mut state = fresh();
        let mut ends = Vec::new();
        for (bidder, amount, now_ms) in
            [(2, 100, 9_000), (3, 110, 9_001), (2, 120, 10_000), (3, 130, 10_900)]
        {
            rules.decide(&mut state, bid(bidder, amount, amount), now_ms).expect("accepted");
            ends.push(state.ends_at_ms);
        }
        assert_eq!(ends, [10_000, 10_001, 11_000, 11_000]);
        assert_eq!(state.extended, 2);
    }

    #[test]
    fn time_never_goes_back_and_has_a_beginning_and_an_end() {
        let rules = rules();
        let mut state = fresh();
        let mut at =
            |bidder, amount, now_ms| rules.decide(&mut state, bid(bidder, amount, amount), now_ms);
        assert_eq!(at(2, 100, 999), Err(Refusal::NotStarted));
        assert_eq!(at(2, 100, 1_000), Ok(1_000));
        assert_eq!(at(3, 200, 5_000), Ok(5_000));
        assert_eq!(at(2, 300, 3_999), Err(Refusal::ClockBehind));
        assert_eq!(at(2, 300, 4_000), Ok(5_000), "as of the bid before");
        assert_eq!(at(3, 400, 10_000), Err(Refusal::Ended { ends_at_ms: 10_000 }));
        assert_eq!(at(3, 400, 9_999), Ok(9_999));
    }
}
