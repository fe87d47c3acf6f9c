//! Pictures of what is sold.

use super::{auction_failure, row, show};
use crate::context::Context;
use crate::limiter::Class;
use crate::services::accounts::caller::visitor;
use crate::services::accounts::picture::upload;
use crate::session::stream::BodyStream;
use souk_proto::auctions::{Auction, AuctionRequest, SetAuctionPictureRequest};
use souk_proto::{Code, Failure};
use std::time::Instant;

/// Takes in a picture of the auction, whose bytes come as `body`.
///
/// # Errors
/// What is wrong with the picture; what [`edit_auction`](super::edit_auction) says of the auction.
pub async fn set_auction_picture(
    cx: &Context,
    request: SetAuctionPictureRequest,
    mut body: BodyStream,
    deadline: Instant,
) -> Result<Auction, Failure> {
    let visitor = visitor(cx, Class::Write, request.caller.as_ref(), deadline).await?;
    // Before the bytes are taken in; whether it may still be changed is seen after them.
    if row(cx, request.auction_id, deadline).await?.seller_id != visitor.user_id {
        return Err(Failure::new(Code::NotSeller));
    }
    let hash = upload(cx, &visitor, request.length, &mut body, deadline).await?;
    change(cx, request.auction_id, visitor.user_id, &hash, deadline).await
}

/// Takes the auction's picture away.
///
/// # Errors
/// What [`edit_auction`](super::edit_auction) says of the auction.
pub async fn drop_auction_picture(
    cx: &Context,
    request: AuctionRequest,
    deadline: Instant,
) -> Result<Auction, Failure> {
    let visitor = visitor(cx, Class::Write, request.caller.as_ref(), deadline).await?;
    change(cx, request.auction_id, visitor.user_id, "", deadline).await
}

async fn change(
    cx: &Context,
    id: u64,
    seller_id: u64,
    picture: &str,
    deadline: Instant,
) -> Result<Auction, Failure> {
    let auctions = &cx.stores.auctions;
    let changed = auctions.set_picture(id, seller_id, picture, cx.unix_ms(), deadline).await;
    let row = changed.map_err(auction_failure)?;
    show::auction(cx, &row, Some(seller_id), deadline).await
}
