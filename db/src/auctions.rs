//! Auctions: what they are, the bids on them, how they come out.
//!
//! Bids are decided in Redis, one script a batch, and are true once they are committed to MySQL:
//! the rows of `auctions` and `bids` are the truth, and what Redis holds is made from them. See
//! [`rules`] for what is accepted.

pub mod chain;
mod change;
mod engine;
pub(crate) mod read;
pub(crate) mod rows;
pub mod rules;
mod store;

pub use engine::Closed;

use crate::StoreSettings;
use crate::error::StoreError;
use crate::redis::Redis;
use engine::Engine;
use mysql_async::Opts;
use rules::{Refusal, Step};
use std::rc::Rc;
use std::time::Instant;
use store::Store;
use thiserror::Error;

/// Largest amount of money, minor units: three of them still add up exactly in a Lua number.
pub const MONEY_MAX: i64 = 1_000_000_000_000_000;
/// Clocks that are further apart take no bids, milliseconds. Those of machines that follow NTP are
/// within some tens.
pub const CLOCK_SKEW_MAX_MS: i64 = 2_000;
/// Most rows of a table of increments.
pub const STEPS_MAX: usize = 16;
/// Longest bid_id, bytes.
pub const BID_ID_MAX: usize = 64;

/// What a seller sets. Checked by whoever calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// 1 to 120 characters.
    pub title: String,
    /// Up to 4,000 characters.
    pub description: String,
    /// Three capital letters (ISO 4217).
    pub currency: String,
    /// 1 to [`MONEY_MAX`].
    pub start_price: i64,
    /// By how much a bid must exceed the price: 1 to [`STEPS_MAX`] rows in rising order of `from`,
    /// the first from 0.
    pub increments: Vec<Step>,
    /// The least for which it is sold.
    pub reserve: Option<i64>,
    /// A price that ends the auction.
    pub buy_now: Option<i64>,
    /// Unix time in milliseconds.
    pub start_at_ms: i64,
    /// Unix time in milliseconds, without extensions.
    pub end_at_ms: i64,
    /// A bid in so many last milliseconds moves the end; 0 for a fixed end.
    pub soft_window_ms: i64,
    /// So often at most.
    pub extensions_max: u32,
}

/// Whether an auction goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not settled: scheduled, live, or over for a moment.
    Open,
    /// Settled.
    Ended,
    /// Withdrawn before the first bid.
    Cancelled,
}

/// How an auction came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The leader bought it.
    Sold,
    /// The price stayed below the reserve.
    ReserveNotMet,
    /// Nobody bid.
    NoBids,
}

/// An auction as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuctionRow {
    /// Counts from 1.
    pub id: u64,
    /// Who sells.
    pub seller_id: u64,
    /// What the seller set. `end_at_ms` is the effective end: extensions are in it.
    pub terms: Terms,
    /// Content hash of the picture, 64 hex digits, or empty.
    pub picture: String,
    /// Whether it goes on.
    pub phase: Phase,
    /// Once it is settled.
    pub outcome: Option<Outcome>,
    /// Extensions by bids so far.
    pub extended: u32,
    /// Milliseconds that were added to the end because bids could not be taken.
    pub outage_ms: i64,
    /// How many of all outages are in the end, whether or not they moved it.
    pub outages: u64,
    /// Accepted bids; the number of the last one.
    pub sequence: u64,
    /// 0 while there are no bids.
    pub price: i64,
    /// 0 while there are no bids.
    pub leader_id: u64,
    /// Up to which the leader bids. Nobody is told.
    pub leader_max: i64,
    /// Time of the last bid.
    pub last_at_ms: i64,
    /// End of the chain of bids.
    pub head: [u8; 32],
    /// Makes the bidders' pseudonyms. Nobody is told.
    pub salt: [u8; 16],
    /// Grows with each edit.
    pub version: u64,
    /// Unix time in milliseconds.
    pub created_at_ms: i64,
}

/// A bid as somebody offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Who bids.
    pub bidder_id: u64,
    /// 1 to [`MONEY_MAX`].
    pub amount: i64,
    /// Up to which the engine bids; the amount itself for no more than that.
    pub max_amount: i64,
    /// Names the bid: 1 to [`BID_ID_MAX`] visible ASCII characters.
    pub bid_id: Option<String>,
}

/// An accepted bid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BidRow {
    /// Which auction.
    pub auction_id: u64,
    /// Counts from 1, without gaps.
    pub sequence: u64,
    /// Who bid.
    pub bidder_id: u64,
    /// What was offered.
    pub amount: i64,
    /// Up to which the engine bids. Nobody is told.
    pub max_amount: i64,
    /// The price after it.
    pub price: i64,
    /// Who leads after it.
    pub leader_id: u64,
    /// Unix time in milliseconds; never before that of the bid before.
    pub at_ms: i64,
    /// The auction's end after it.
    pub ends_at_ms: i64,
    /// End of the chain after it.
    pub head: [u8; 32],
    /// As it was offered.
    pub bid_id: Option<String>,
}

/// A bid that was accepted, and is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The bid.
    pub bid: BidRow,
    /// Whether this is the first answer to the bid_id, given again.
    pub repeated: bool,
}

/// Why a bid is not there.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BidError {
    /// There is no such auction.
    #[error("there is no such auction")]
    Missing,
    /// The seller withdrew it.
    #[error("the auction was cancelled")]
    Cancelled,
    /// The rules refuse it. Nothing was changed.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// A store failed. With [`StoreError::Unavailable`] the bid may be accepted: the same bid_id
    /// tells. With any other nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an auction did not change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuctionError {
    /// There is no such auction.
    #[error("there is no such auction")]
    Missing,
    /// Somebody else sells it.
    #[error("somebody else sells it")]
    NotSeller,
    /// Somebody has bid.
    #[error("the auction has bids")]
    HasBids,
    /// It is cancelled, or its end has come.
    #[error("the auction is over")]
    Over(Phase),
    /// It has another version than the one the caller expected.
    #[error("the auction was changed by someone else")]
    Conflict,
    /// A store failed. With [`StoreError::Unavailable`] the change may have happened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a list of auctions holds, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Live ones, the latest start first.
    Live,
    /// Live ones, the nearest end first.
    EndingSoon,
    /// Of this seller, the newest first.
    Selling(u64),
    /// This user bid on them, the newest auction first.
    Bidding(u64),
    /// This user watches them, the newest auction first.
    Watched(u64),
}

/// Where a page of a list begins: behind the auction with this time (start or end, where the list
/// is in order of it; else 0) and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// Unix time in milliseconds.
    pub time_ms: i64,
    /// The auction.
    pub id: u64,
}

/// Which bids of an auction are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Those after this number, rising.
    After(u64),
    /// Those before this number, falling.
    Before(u64),
}

/// How an auction came out, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettlementRow {
    /// Which auction.
    pub auction_id: u64,
    /// How it came out.
    pub outcome: Outcome,
    /// Who sold it, or did not.
    pub seller_id: u64,
    /// Who bought it.
    pub winner_id: Option<u64>,
    /// The auction's.
    pub currency: String,
    /// The price paid; 0 when nothing was sold.
    pub price: i64,
    /// Bids in all.
    pub bids: u64,
    /// End of their chain.
    pub head: [u8; 32],
    /// Unix time in milliseconds.
    pub settled_at_ms: i64,
}

/// What came of settling an auction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Its end has not come: it may have moved.
    Not,
    /// It was settled by this call.
    Now(SettlementRow),
    /// It was settled before.
    Before(SettlementRow),
    /// It was cancelled, or never was.
    Gone,
}

/// Why a user is told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotificationKind {
    /// The user won.
    Won,
    /// The user's auction is sold.
    SoldOut,
    /// The user's auction ended without a buyer.
    NotSold,
}

/// Something a user is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationRow {
    /// Grows.
    pub id: u64,
    /// Why.
    pub kind: NotificationKind,
    /// About which auction.
    pub auction_id: u64,
    /// Its title.
    pub title: String,
    /// Its currency.
    pub currency: String,
    /// What was paid; 0 for nothing.
    pub price: i64,
    /// Unix time in milliseconds.
    pub at_ms: i64,
    /// Whether the user has read it.
    pub is_read: bool,
}

/// What one look at both stores tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// Outages so far.
    pub epoch: u64,
    /// How long no bid could be taken before this look, if that counts as an outage: auctions that
    /// were live then end later by as much. Told once, to whoever found it.
    pub outage_ms: Option<i64>,
    /// Outages are still to be added to the ends of some auctions, none of which is taken over or
    /// settled before. What is read of them meanwhile has the old end.
    pub extending: bool,
    /// By how much a store's clock is ahead of ours, milliseconds: Redis' or the database's, that
    /// which is further off.
    pub skew_ms: i64,
}

/// What a shard hears about auctions that somebody here listens to.
#[derive(Debug)]
pub enum News<'a> {
    /// Bids were committed here; they follow each other, and the row is the one after the last.
    Bids(&'a AuctionRow, &'a [BidRow]),
    /// Something changed, here or elsewhere: the row has to be read.
    Changed(u64),
}

/// Auctions of one shard's stores. Deadlines are moments past which nobody waits any more: what
/// has not been begun by then fails with [`StoreError::DeadlineExceeded`].
pub struct Auctions {
    engine: Rc<Engine>,
    store: Store,
}

impl Auctions {
    pub(crate) fn new(
        settings: &StoreSettings,
        opts: &Opts,
        redis: Rc<Redis>,
    ) -> Result<Auctions, StoreError> {
        Ok(Auctions { engine: Engine::new(opts, redis)?, store: Store::new(settings, opts) })
    }

    /// Decides offers on one auction in their order, at this Unix time in milliseconds; an answer
    /// for each, once it is durable. Those of several calls are decided together. At most 5,000
    /// offers wait in a shard; more fail at once with [`StoreError::Busy`]. What was begun goes on
    /// if the caller goes away.
    pub async fn bid(
        &self,
        auction_id: u64,
        offers: Vec<Offer>,
        now_ms: i64,
        deadline: Instant,
    ) -> Vec<Result<Placed, BidError>> {
        self.engine.bid(auction_id, offers, now_ms, deadline).await
    }

    /// One look at both stores at this Unix time in milliseconds, which says that bids can be
    /// taken. If that could not be said for more than 1.5 seconds, by the clock of the database,
    /// all auctions that were live are extended by as much, in the background if they are many.
    /// Call it several times a second.
    pub async fn beat(&self, now_ms: i64, deadline: Instant) -> Result<Beat, StoreError> {
        self.engine.beat(now_ms, deadline).await
    }

    /// Says who is told [`News`] of the auctions that are listened to. Once; later calls change
    /// nothing. It is called at any time and must not call back.
    pub fn on_news(&self, tell: Box<dyn Fn(News<'_>)>) {
        self.engine.on_news(tell);
    }

    /// From now on news of this auction are told, also those of other daemons. Each call counts.
    pub fn listen(&self, auction_id: u64) {
        self.engine.listen(auction_id);
    }

    /// Takes one call of [`Auctions::listen`] back.
    pub fn unlisten(&self, auction_id: u64) {
        self.engine.unlisten(auction_id);
    }

    /// Takes no more bids if the auction's end has come by this Unix time in milliseconds, and
    /// commits what was decided, whoever did. Until [`Auctions::forget`], or a while, bids wait
    /// then.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if there is no such auction.
    pub async fn close(
        &self,
        auction_id: u64,
        now_ms: i64,
        deadline: Instant,
    ) -> Result<Closed, StoreError> {
        self.engine.close(auction_id, now_ms, deadline).await
    }

    /// Drops what Redis and this shard hold of an auction whose row was changed otherwise than by
    /// bids, and publishes that it changed.
    pub async fn forget(&self, auction_id: u64, deadline: Instant) -> Result<(), StoreError> {
        self.engine.forget(auction_id, deadline).await
    }

    /// How many reads and changes wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let (looks, commits) = self.engine.waiting();
        let (reads, changes) = self.store.waiting();
        (looks + reads, commits + changes)
    }

    /// Finishes what runs and closes the connections.
    pub(crate) async fn shut(&self) {
        self.engine.shut().await;
        self.store.close().await;
    }
}
