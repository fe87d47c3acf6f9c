//! What a shard knows of an auction that somebody watches, and when it is read again.

use crate::limits::{FEED_BIDS_MAX, FEED_READ_EVERY, FEED_REREAD_FIRST, FEED_REREADS, FIRST_BIDS};
use souk_db::auctions::{AuctionRow, BidRow, Phase};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// An auction and the last bids on it, all of them committed. The bids follow each other without a
/// gap and lead to the row.
#[derive(Debug)]
pub struct Feed {
    row: AuctionRow,
    bids: VecDeque<BidRow>,
}

/// What came of a word about an auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was news.
    News,
    /// It was known.
    Known,
    /// It does not fit what is known: the auction has to be read.
    Unclear,
}

impl Feed {
    /// An auction and its last bids as they were read.
    pub fn new(row: AuctionRow, bids: &[BidRow]) -> Feed {
        let mut feed = Feed { row, bids: VecDeque::new() };
        feed.row.terms.description = String::new();
        let sequence = feed.row.sequence;
        feed.add(bids.iter().filter(|bid| bid.sequence <= sequence));
        feed
    }

    /// The auction, without its description.
    pub fn row(&self) -> &AuctionRow {
        &self.row
    }

    /// Takes in the auction as it was at some time, with bids that lead to it.
    pub fn take(&mut self, row: &AuctionRow, bids: &[BidRow]) -> Taken {
        match order(row, &self.row) {
            Some(Ordering::Greater) => {}
            Some(_) => return Taken::Known,
            None => return Taken::Unclear,
        }
        let (known, last) = (self.row.sequence, row.sequence);
        let fresh = bids.iter().filter(|bid| bid.sequence > known && bid.sequence <= last);
        // As many as are missing, or at least as many as are kept.
        let wanted = (last - known).min(FEED_BIDS_MAX as u64);
        if (fresh.clone().count() as u64) < wanted {
            return Taken::Unclear;
        }
        self.add(fresh);
        self.row.clone_from(row);
        self.row.terms.description = String::new();
        Taken::News
    }

    /// Adds bids in rising order. What is not next to them is forgotten.
    fn add<'a>(&mut self, bids: impl Iterator<Item = &'a BidRow>) {
        for bid in bids {
            if self.bids.back().is_some_and(|last| last.sequence + 1 != bid.sequence) {
                self.bids.clear();
            }
            if self.bids.len() == FEED_BIDS_MAX {
                self.bids.pop_front();
            }
            // Nobody who watches is told the other two.
            self.bids.push_back(BidRow { max_amount: 0, bid_id: None, ..bid.clone() });
        }
    }

    /// The bids after this one, or the last [`FIRST_BIDS`] for somebody who knows none. Fewer if
    /// not all of them are kept.
    pub fn recent(&self, after: Option<u64>) -> impl Iterator<Item = &BidRow> {
        let after = after.unwrap_or(self.row.sequence.saturating_sub(FIRST_BIDS as u64));
        self.bids.iter().filter(move |bid| bid.sequence > after)
    }
}

/// Which of two states of an auction is the later one; nothing when each knows something that the
/// other does not.
fn order(one: &AuctionRow, other: &AuctionRow) -> Option<Ordering> {
    let settled = |row: &AuctionRow| row.phase != Phase::Open;
    let orders = [
        one.sequence.cmp(&other.sequence),
        one.version.cmp(&other.version),
        one.outage_ms.cmp(&other.outage_ms),
        settled(one).cmp(&settled(other)),
    ];
    let less = orders.contains(&Ordering::Less);
    let greater = orders.contains(&Ordering::Greater);
    match (less, greater) {
        (false, false) => Some(Ordering::Equal),
        (false, true) => Some(Ordering::Greater),
        (true, false) => Some(Ordering::Less),
        (true, true) => None,
    }
}

/// When a watched auction is read. Somebody may tell of a change before it can be read, and words
/// can be lost: so it is read again for a while after a word, and now and then without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    due: Instant,
    /// Reads that are left because of a word.
    left: u32,
    pause: Duration,
    /// Before it nothing is read again.
    earliest: Instant,
}

impl Reads {
    /// The first read is due now.
    pub fn new(now: Instant) -> Reads {
        Reads { due: now, left: FEED_REREADS, pause: FEED_REREAD_FIRST, earliest: now }
    }

    /// When the next read is due.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Somebody said that the auction has changed.
    pub fn heard(&mut self, now: Instant) {
        (self.left, self.pause) = (FEED_REREADS, FEED_REREAD_FIRST);
        self.due = self.due.min(now.max(self.earliest));
    }

    /// It was read, and had changed or not.
    pub fn read(&mut self, changed: bool, now: Instant) {
        self.earliest = now + FEED_REREAD_FIRST;
        if changed {
            // This may have been what the word was about, or something before it.
            (self.left, self.pause) = (self.left.min(2), FEED_REREAD_FIRST);
        }
        self.due = now + if self.left == 0 { FEED_READ_EVERY } else { self.pause };
        self.left = self.left.saturating_sub(1);
        self.pause *= 2;
    }

    /// It could not be read.
    pub fn failed(&mut self, now: Instant) {
        (self.due, self.earliest) = (now + FEED_READ_EVERY / 4, now + FEED_REREAD_FIRST);
    }
}

#[cfg(test)]
mod tests;
