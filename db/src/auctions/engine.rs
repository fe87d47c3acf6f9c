//! What the rest needs of the engine.

use super::{AuctionRow, Auctions};
use crate::error::{Server, StoreError};
use std::rc::Rc;
use std::time::Instant;

/// An auction that takes no more bids, or does because its end has moved.
pub(crate) struct Closed {
    pub ended: bool,
    pub row: Rc<AuctionRow>,
}

impl Auctions {
    pub(crate) async fn close(
        &self,
        id: u64,
        now_ms: i64,
        deadline: Instant,
    ) -> Result<Closed, StoreError> {
        let missing = || StoreError::corrupt(Server::Database, "the auction is gone");
        let row = self.row(id, deadline).await?.ok_or_else(missing)?;
        Ok(Closed { ended: row.terms.end_at_ms <= now_ms, row })
    }

    pub(crate) async fn forget(&self, _id: u64, _deadline: Instant) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Auctions {
    /// Decides offers.
    pub async fn bid(
        &self,
        _auction_id: u64,
        offers: Vec<super::Offer>,
        _now_ms: i64,
        _deadline: Instant,
    ) -> Vec<Result<super::Placed, super::BidError>> {
        offers.iter().map(|_| Err(StoreError::Busy(Server::Redis).into())).collect()
    }

    /// Looks at both stores.
    pub async fn beat(&self, _now_ms: i64, _deadline: Instant) -> Result<super::Beat, StoreError> {
        Ok(super::Beat { epoch: 0, outage_ms: None, skew_ms: 0 })
    }

    /// Who is told news.
    pub fn on_news(&self, _tell: Box<dyn Fn(super::News<'_>)>) {}

    /// Told from now on.
    pub fn listen(&self, _auction_id: u64) {}

    /// Not any more.
    pub fn unlisten(&self, _auction_id: u64) {}
}
