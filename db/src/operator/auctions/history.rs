//! One auction's bids, walked in order. After something wrong the walk goes on from what is
//! recorded, so that one fault is one finding.

use super::Report;
use crate::auctions::chain::{first_head, next_head};
use crate::auctions::rules::{Bid, Rules, State};
use crate::auctions::{AuctionRow, BidRow, Phase};

/// A walk over the bids of one auction.
pub struct History<'a> {
    row: &'a AuctionRow,
    rules: Rules,
    /// As the rules make it of the bids so far.
    state: State,
    head: [u8; 32],
    /// The highest maximum, who offered it first, and at which bid.
    highest: Option<(i64, u64, u64)>,
    /// A bid took the price that ends the auction.
    bought: bool,
}

impl History<'_> {
    pub fn of(row: &AuctionRow) -> History<'_> {
        let state = State {
            sequence: 0,
            price: 0,
            leader_id: 0,
            leader_max: 0,
            ends_at_ms: i64::MIN,
            extended: 0,
            last_at_ms: i64::MIN,
        };
        let head = first_head(row.id);
        History { row, rules: row.rules(), state, head, highest: None, bought: false }
    }

    pub fn auction_id(&self) -> u64 {
        self.row.id
    }

    /// The next bid, in order of the numbers.
    pub fn next(&mut self, bid: BidRow, report: &mut Report) {
        let mut find = |what: String| report.find(bid.auction_id, Some(bid.sequence), what);
        let due = self.state.sequence + 1;
        if bid.sequence != due {
            find(format!("the bids from {due} on are missing before this one"));
        }
        self.check_times(&bid, &mut find);
        if self.bought {
            find("a bid after the one that ended the auction".to_owned());
        }
        if bid.bidder_id == self.row.seller_id {
            find("the seller bid".to_owned());
        }
        if next_head(&self.head, &self.row.salt, &bid) != bid.head {
            find("the chain is broken: its head is not made of this bid".to_owned());
        }
        if bid.price < self.state.price {
            find(format!("the price falls from {} to {}", self.state.price, bid.price));
        } else if bid.price == self.state.price && bid.bidder_id != self.state.leader_id {
            find(format!("the price stays at {} though another bids", bid.price));
        }
        self.check_rules(&bid, &mut find);
        self.raise(&bid);
        self.bought = self.rules.buy_now > 0 && bid.price >= self.rules.buy_now;
        self.head = bid.head;
        self.state.sequence = bid.sequence;
        self.state.ends_at_ms = bid.ends_at_ms;
        self.state.last_at_ms = bid.at_ms;
    }

    fn check_times(&self, bid: &BidRow, find: &mut impl FnMut(String)) {
        let bought = self.rules.buy_now > 0 && bid.price >= self.rules.buy_now;
        if bid.at_ms < self.state.last_at_ms {
            find(format!("its time {} is before that of the bid before", bid.at_ms));
        }
        if bid.at_ms < self.rules.start_at_ms {
            find(format!("its time {} is before the start", bid.at_ms));
        }
        let end = self.state.ends_at_ms.saturating_add(self.row.outage_ms);
        if self.state.sequence > 0 && bid.at_ms >= end {
            find(format!("its time {} is after the end {end}", bid.at_ms));
        }
        if bid.ends_at_ms < self.state.ends_at_ms && !bought {
            find(format!("it moves the end back to {}", bid.ends_at_ms));
        }
        if bid.ends_at_ms < bid.at_ms || (bid.ends_at_ms == bid.at_ms && !bought) {
            find(format!("its time {} is not before the end", bid.at_ms));
        }
    }

    /// What the rules make of the bid, against what is recorded.
    fn check_rules(&mut self, bid: &BidRow, find: &mut impl FnMut(String)) {
        let BidRow { bidder_id, amount, max_amount, price, leader_id, .. } = *bid;
        let offer = Bid { bidder_id, amount, max_amount };
        match self.rules.replay(&mut self.state, offer) {
            Err(refusal) => find(format!("the rules refuse it: {refusal:?}")),
            Ok(()) if (self.state.price, self.state.leader_id) == (price, leader_id) => return,
            Ok(()) => find(format!(
                "recorded are price {price} and leader {leader_id}, by the rules it is {} and {}",
                self.state.price, self.state.leader_id
            )),
        }
        (self.state.price, self.state.leader_id) = (price, leader_id);
        if leader_id == bidder_id {
            self.state.leader_max = max_amount;
        }
    }

    /// Of equal maxima the earlier one counts. Nobody is higher than who buys at once.
    fn raise(&mut self, bid: &BidRow) {
        let buys = self.rules.buy_now > 0 && bid.amount >= self.rules.buy_now;
        if buys || self.highest.is_none_or(|(max, ..)| bid.max_amount > max) {
            self.highest = Some((bid.max_amount, bid.bidder_id, bid.sequence));
        }
    }

    /// After the last bid: is the auction's row what they come to?
    pub fn end(self, report: &mut Report) {
        let (row, state) = (self.row, &self.state);
        let mut find = |sequence, what: String| report.find(row.id, sequence, what);
        if row.sequence != state.sequence {
            let have = state.sequence;
            find(None, format!("it counts {} bids, the last one is {have}", row.sequence));
        }
        if row.head != self.head {
            find(None, "its head is not that of the last bid".to_owned());
        }
        if (row.price, row.leader_id) != (state.price, state.leader_id) {
            find(
                None,
                format!(
                    "it has price {} and leader {}, the last bid {} and {}",
                    row.price, row.leader_id, state.price, state.leader_id
                ),
            );
        }
        if row.leader_max != state.leader_max {
            find(None, "its leader's maximum is not the one that was offered".to_owned());
        }
        if let Some((_, bidder, sequence)) = self.highest
            && bidder != row.leader_id
        {
            let leader = row.leader_id;
            let what = format!("{leader} leads, but {bidder} offered the highest maximum");
            find(Some(sequence), what);
        }
        if state.sequence > 0 {
            if row.last_at_ms != state.last_at_ms {
                find(None, "its last bid's time is not that of the last bid".to_owned());
            }
            if row.terms.end_at_ms < state.ends_at_ms {
                find(None, "it ends before the last bid says".to_owned());
            }
            if row.phase == Phase::Cancelled {
                find(None, "it was cancelled and has bids".to_owned());
            }
        }
        if row.extended > row.terms.extensions_max {
            find(None, format!("it was extended {} times", row.extended));
        }
    }
}
