//! One auction, who the caller is in it, and how it came out.

use super::row;
use super::show::{self, People, bidder};
use crate::context::Context;
use crate::limiter::Class;
use crate::services::accounts::caller::{guest, visitor};
use crate::services::store_failure;
use data_encoding::HEXLOWER;
use souk_proto::auctions::{Auction, AuctionRequest, Bidder, Settlement};
use souk_proto::{Code, Failure};
use std::time::Instant;

/// An auction as the caller sees it.
///
/// # Errors
/// `auction_not_found`, `rate_limited`, or a store's failure.
pub async fn get_auction(
    cx: &Context,
    request: AuctionRequest,
    deadline: Instant,
) -> Result<Auction, Failure> {
    let viewer = guest(cx, request.caller.as_ref(), deadline).await?;
    let row = row(cx, request.auction_id, deadline).await?;
    show::auction(cx, &row, viewer, deadline).await
}

/// The caller as somebody who bids on the auction, whether or not they have.
///
/// # Errors
/// `auction_not_found`, `unauthenticated`, `rate_limited`, or a store's failure.
pub async fn get_bidder(
    cx: &Context,
    request: AuctionRequest,
    deadline: Instant,
) -> Result<Bidder, Failure> {
    let visitor = visitor(cx, Class::Read, request.caller.as_ref(), deadline).await?;
    let row = row(cx, request.auction_id, deadline).await?;
    let people = People::read(cx, [visitor.user_id], deadline).await?;
    Ok(bidder(&row, visitor.user_id, Some(visitor.user_id), &people))
}

/// How an auction came out, for the seller and the winner.
///
/// # Errors
/// `auction_not_found`, `settlement_not_found`, `forbidden` for anybody else, `unauthenticated`,
/// `rate_limited`, or a store's failure.
pub async fn get_settlement(
    cx: &Context,
    request: AuctionRequest,
    deadline: Instant,
) -> Result<Settlement, Failure> {
    let visitor = visitor(cx, Class::Read, request.caller.as_ref(), deadline).await?;
    let id = request.auction_id;
    let found = cx.stores.auctions.settlement(id, deadline).await.map_err(store_failure)?;
    let Some(settled) = found else {
        row(cx, id, deadline).await?;
        return Err(Failure::new(Code::SettlementNotFound));
    };
    let viewer = visitor.user_id;
    if viewer != settled.seller_id && Some(viewer) != settled.winner_id {
        return Err(Failure::new(Code::Forbidden));
    }
    let ids = settled.winner_id.into_iter().chain([settled.seller_id]);
    let people = People::read(cx, ids, deadline).await?;
    Ok(Settlement {
        auction_id: id,
        outcome: show::outcome(settled.outcome).into(),
        currency: settled.currency,
        price: settled.price,
        seller: Some(people.get(settled.seller_id)),
        winner: settled.winner_id.map(|id| people.get(id)),
        settled_at_ms: settled.settled_at_ms,
        bids: settled.bids,
        head: HEXLOWER.encode(&settled.head),
    })
}
