//! What a seller changes before the first bid.

use super::{auction_failure, row, show};
use crate::auctions::terms;
use crate::context::Context;
use crate::limiter::Class;
use crate::limits::AUCTION_EDIT_ATTEMPTS;
use crate::services::accounts::caller::visitor;
use souk_db::auctions::AuctionError;
use souk_proto::auctions::{Auction, AuctionRequest, EditAuctionRequest};
use souk_proto::{Code, Failure};
use std::time::Instant;

/// Changes what the request names.
///
/// # Errors
/// `invalid_field`, `auction_not_found`, `not_seller`, `auction_has_bids`, `auction_ended`,
/// `auction_cancelled`, `version_conflict`, `unauthenticated`, `rate_limited`, or a store's
/// failure.
pub async fn edit_auction(
    cx: &Context,
    request: EditAuctionRequest,
    deadline: Instant,
) -> Result<Auction, Failure> {
    let visitor = visitor(cx, Class::Write, request.caller.as_ref(), deadline).await?;
    let (id, seller_id) = (request.auction_id, visitor.user_id);
    for _ in 0..AUCTION_EDIT_ATTEMPTS {
        let old = row(cx, id, deadline).await?;
        // Before anything is said of the request that only the seller may know.
        if old.seller_id != seller_id {
            return Err(Failure::new(Code::NotSeller));
        }
        let now_ms = cx.unix_ms();
        let terms = terms::edited(&old.terms, request.clone(), now_ms)?;
        // What the request does not name is of this version: with another it would be undone.
        let version = request.if_version.unwrap_or(old.version);
        let auctions = &cx.stores.auctions;
        let edited = auctions.edit(id, seller_id, Some(version), &terms, now_ms, deadline).await;
        match edited {
            Err(AuctionError::Conflict) if request.if_version.is_none() => {}
            Err(error) => return Err(auction_failure(error)),
            Ok(row) => return show::auction(cx, &row, Some(seller_id), deadline).await,
        }
    }
    Err(Failure::new(Code::VersionConflict))
}

/// Withdraws an auction. Doing it again is no mistake.
///
/// # Errors
/// `auction_not_found`, `not_seller`, `auction_has_bids`, `auction_ended`, `unauthenticated`,
/// `rate_limited`, or a store's failure.
pub async fn cancel_auction(
    cx: &Context,
    request: AuctionRequest,
    deadline: Instant,
) -> Result<Auction, Failure> {
    let visitor = visitor(cx, Class::Write, request.caller.as_ref(), deadline).await?;
    let seller_id = visitor.user_id;
    let cancelled =
        cx.stores.auctions.cancel(request.auction_id, seller_id, cx.unix_ms(), deadline).await;
    let row = cancelled.map_err(auction_failure)?;
    show::auction(cx, &row, Some(seller_id), deadline).await
}
