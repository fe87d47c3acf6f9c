//! Auctions: what is sold, who bids, how it comes out, and who is told.

mod bid;
mod create;
mod edit;
mod get;
mod history;
mod list;
mod notifications;
mod picture;
mod show;
mod watch;

pub use bid::place_bids;
pub use create::create_auction;
pub use edit::{cancel_auction, edit_auction};
pub use get::{get_auction, get_bidder, get_settlement};
pub use history::list_bids;
pub use list::list_auctions;
pub use notifications::{list_notifications, read_notifications};
pub use picture::{drop_auction_picture, set_auction_picture};
pub use watch::{Watch, set_watched, watch_auction};

use crate::context::Context;
use crate::services::store_failure;
use souk_db::auctions::{AuctionError, AuctionRow, Phase};
use souk_proto::{Code, Failure};
use std::rc::Rc;
use std::time::Instant;

/// The auction with this number.
///
/// # Errors
/// `auction_not_found`, or a store's failure.
async fn row(cx: &Context, id: u64, deadline: Instant) -> Result<Rc<AuctionRow>, Failure> {
    let found = cx.stores.auctions.row(id, deadline).await.map_err(store_failure)?;
    Ok(found.ok_or(Code::AuctionNotFound)?)
}

/// What a client is told of an auction that did not change.
fn auction_failure(error: AuctionError) -> Failure {
    match error {
        AuctionError::Missing => Failure::new(Code::AuctionNotFound),
        AuctionError::NotSeller => Failure::new(Code::NotSeller),
        AuctionError::HasBids => Failure::new(Code::AuctionHasBids),
        AuctionError::Over(Phase::Cancelled) => Failure::new(Code::AuctionCancelled),
        AuctionError::Over(_) => Failure::new(Code::AuctionEnded),
        AuctionError::Conflict => Failure::new(Code::VersionConflict),
        AuctionError::Store(error) => store_failure(error),
    }
}
