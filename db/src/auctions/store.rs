//! Everything about auctions but the bids: who sells what, lists, ends, and what users are told.

use super::change::{BySeller, Change, Changed, Changes, What};
use super::read::{Ask, AuctionReads, RowReads, Said};
use super::{
    After, AuctionError, AuctionRow, Auctions, BidRow, Listing, NotificationRow, Phase, Range,
    Settled, SettlementRow, Terms,
};
use crate::StoreSettings;
use crate::error::{Server, StoreError};
use crate::limits::{MARKED_MAX, SETTLE_ATTEMPTS};
use crate::mysql::{Grouped, snapshots};
use mysql_async::Opts;
use std::rc::Rc;
use std::time::Instant;

/// The connections for it.
pub struct Store {
    rows: Grouped<RowReads>,
    reads: Grouped<AuctionReads>,
    changes: Grouped<Changes>,
}

impl Store {
    pub fn new(settings: &StoreSettings, opts: &Opts) -> Store {
        Store {
            rows: Grouped::new(RowReads, opts, 1),
            reads: Grouped::new(AuctionReads, &snapshots(opts), settings.mysql_connections),
            changes: Grouped::new(Changes, opts, 1),
        }
    }

    /// How many reads and changes wait.
    pub fn waiting(&self) -> (usize, usize) {
        (self.rows.waiting() + self.reads.waiting(), self.changes.waiting())
    }

    /// Finishes what waits and closes the connections.
    pub async fn close(&self) {
        self.changes.close().await;
        self.reads.close().await;
        self.rows.close().await;
    }

    /// An auction as its row is now, read together with all that are asked for meanwhile.
    pub async fn row(
        &self,
        id: u64,
        deadline: Instant,
    ) -> Result<Option<Rc<AuctionRow>>, StoreError> {
        self.rows.submit(id, deadline).await
    }

    async fn ask(&self, ask: Ask, deadline: Instant) -> Result<Said, StoreError> {
        self.reads.submit(ask, deadline).await
    }

    async fn change(&self, change: Change, deadline: Instant) -> Result<Changed, AuctionError> {
        self.changes.submit(change, deadline).await
    }
}

impl Auctions {
    /// Puts an auction up. Durable when this returns. The terms must be within their bounds.
    pub async fn create(
        &self,
        seller_id: u64,
        terms: &Terms,
        now_ms: i64,
        deadline: Instant,
    ) -> Result<AuctionRow, StoreError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).expect("the system has random bytes");
        let terms = Box::new(terms.clone());
        let change = Change::Create { seller_id, terms, salt, now_ms };
        match self.store.change(change, deadline).await {
            Ok(Changed::Row(row)) => Ok(*row),
            Ok(_) => Err(mistaken()),
            Err(AuctionError::Store(error)) => Err(error),
            Err(other) => Err(StoreError::database(other.to_string())),
        }
    }

    /// An auction as its row is now; `None` if there is no such auction. Rows that are asked for
    /// at the same time are read together.
    pub async fn row(
        &self,
        id: u64,
        deadline: Instant,
    ) -> Result<Option<Rc<AuctionRow>>, StoreError> {
        self.store.row(id, deadline).await
    }

    /// Gives an auction other terms, before the first bid and before its end; with `if_version`
    /// only if it still has this version. A bid is decided on the terms before or after it.
    pub async fn edit(
        &self,
        id: u64,
        seller_id: u64,
        if_version: Option<u64>,
        terms: &Terms,
        now_ms: i64,
        deadline: Instant,
    ) -> Result<AuctionRow, AuctionError> {
        let what = What::Terms { if_version, terms: Box::new(terms.clone()) };
        self.by_seller(BySeller { id, seller_id, now_ms, what }, deadline).await
    }

    /// Withdraws an auction, before the first bid and before its end. Once more changes nothing.
    pub async fn cancel(
        &self,
        id: u64,
        seller_id: u64,
        now_ms: i64,
        deadline: Instant,
    ) -> Result<AuctionRow, AuctionError> {
        self.by_seller(BySeller { id, seller_id, now_ms, what: What::Cancel }, deadline).await
    }

    /// Gives an auction a picture (a content hash, or empty for none), when it may be edited.
    pub async fn set_picture(
        &self,
        id: u64,
        seller_id: u64,
        picture: &str,
        now_ms: i64,
        deadline: Instant,
    ) -> Result<AuctionRow, AuctionError> {
        let what = What::Picture(picture.to_owned());
        self.by_seller(BySeller { id, seller_id, now_ms, what }, deadline).await
    }

    /// The change is guarded by the row, so what Redis holds cannot spoil it: bids that were
    /// decided on the old terms are refused at their commit, whether Redis is told or not.
    async fn by_seller(
        &self,
        change: BySeller,
        deadline: Instant,
    ) -> Result<AuctionRow, AuctionError> {
        let id = change.id;
        match self.store.change(Change::BySeller(change), deadline).await? {
            Changed::Row(row) => {
                self.say_changed(id, deadline).await;
                Ok(*row)
            }
            _ => Err(mistaken().into()),
        }
    }

    /// What was committed stands whatever Redis says: it is told for the sake of speed.
    async fn say_changed(&self, id: u64, deadline: Instant) {
        if let Err(error) = self.forget(id, deadline).await {
            tracing::debug!(auction = id, %error, "Redis was not told of a change");
        }
    }

    /// A page of a list, at most `limit` and never more than 101; descriptions are left empty.
    pub async fn list(
        &self,
        listing: Listing,
        after: Option<After>,
        limit: u32,
        now_ms: i64,
        deadline: Instant,
    ) -> Result<Vec<AuctionRow>, StoreError> {
        match self.store.ask(Ask::List { listing, after, limit, now_ms }, deadline).await? {
            Said::List(rows) => Ok(rows),
            _ => Err(mistaken()),
        }
    }

    /// Bids of an auction, at most `limit` and never more than 501.
    pub async fn bids(
        &self,
        id: u64,
        range: Range,
        limit: u32,
        deadline: Instant,
    ) -> Result<Vec<BidRow>, StoreError> {
        match self.store.ask(Ask::Bids { id, range, limit }, deadline).await? {
            Said::Bids(bids) => Ok(bids),
            _ => Err(mistaken()),
        }
    }

    /// Puts an auction on a user's list, or takes it off. Once more changes nothing.
    pub async fn watch(
        &self,
        user_id: u64,
        id: u64,
        watched: bool,
        deadline: Instant,
    ) -> Result<(), AuctionError> {
        self.store.change(Change::Watch { user_id, id, watched }, deadline).await.map(drop)
    }

    /// Which of these auctions (at most 128) are on a user's list.
    pub async fn watched(
        &self,
        user_id: u64,
        ids: &[u64],
        deadline: Instant,
    ) -> Result<Vec<u64>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids = ids.to_vec();
        match self.store.ask(Ask::Watched { user_id, ids }, deadline).await? {
            Said::Ids(ids) => Ok(ids),
            _ => Err(mistaken()),
        }
    }

    /// Auctions that are over and not settled, those that ended first.
    pub async fn due(
        &self,
        now_ms: i64,
        limit: u32,
        deadline: Instant,
    ) -> Result<Vec<u64>, StoreError> {
        match self.store.ask(Ask::Due { now_ms, limit }, deadline).await? {
            Said::Ids(ids) => Ok(ids),
            _ => Err(mistaken()),
        }
    }

    /// Ends an auction whose end has come: its outcome, a record and notifications, in one
    /// transaction and exactly once, whoever calls this how often and from where.
    pub async fn settle(
        &self,
        id: u64,
        now_ms: i64,
        deadline: Instant,
    ) -> Result<Settled, StoreError> {
        for _ in 0..SETTLE_ATTEMPTS {
            let Some(row) = self.store.row(id, deadline).await? else { return Ok(Settled::Gone) };
            let sequence = if row.phase == Phase::Open {
                let closed = self.close(id, now_ms, deadline).await?;
                if !closed.ended {
                    return Ok(Settled::Not);
                }
                closed.row.sequence
            } else {
                row.sequence
            };
            let change = Change::Settle { id, sequence, now_ms };
            let settled = match self.store.change(change, deadline).await {
                Ok(Changed::Settled(settled)) => settled,
                Ok(_) => return Err(mistaken()),
                Err(AuctionError::Store(error)) => return Err(error),
                Err(other) => return Err(StoreError::database(other.to_string())),
            };
            if let Some(settled) = settled {
                // Also when the end has moved: it was closed above, and has to open again.
                self.say_changed(id, deadline).await;
                return Ok(settled);
            }
        }
        Err(StoreError::database("bids kept coming in while the auction was settled"))
    }

    /// How an auction came out; `None` while it is not settled.
    pub async fn settlement(
        &self,
        id: u64,
        deadline: Instant,
    ) -> Result<Option<SettlementRow>, StoreError> {
        match self.store.ask(Ask::Settlement(id), deadline).await? {
            Said::Settlement(row) => Ok(row),
            _ => Err(mistaken()),
        }
    }

    /// What a user was told, the newest first: before this id (0: the newest of all), at most
    /// `limit` and never more than 101; and how many are unread, counted up to 100.
    pub async fn notifications(
        &self,
        user_id: u64,
        before: u64,
        limit: u32,
        deadline: Instant,
    ) -> Result<(Vec<NotificationRow>, u32), StoreError> {
        match self.store.ask(Ask::Notifications { user_id, before, limit }, deadline).await? {
            Said::Notifications(rows, unread) => Ok((rows, unread)),
            _ => Err(mistaken()),
        }
    }

    /// Marks a user's notifications up to this id as read.
    pub async fn read_notifications(
        &self,
        user_id: u64,
        up_to: u64,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        loop {
            match self.store.change(Change::Read { user_id, up_to }, deadline).await {
                Ok(Changed::Read(marked)) if marked < MARKED_MAX => return Ok(()),
                Ok(Changed::Read(_)) => {}
                Ok(_) => return Err(mistaken()),
                Err(AuctionError::Store(error)) => return Err(error),
                Err(other) => return Err(StoreError::database(other.to_string())),
            }
        }
    }
}

/// An answer to another question than the one that was asked: a mistake of this program.
fn mistaken() -> StoreError {
    StoreError::corrupt(Server::Database, "an answer to another question")
}
