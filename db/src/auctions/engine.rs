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
