//! New auctions.

use super::show;
use crate::auctions::terms;
use crate::context::Context;
use crate::limiter::Class;
use crate::services::accounts::caller::visitor;
use crate::services::store_failure;
use souk_proto::Failure;
use souk_proto::auctions::{Auction, CreateAuctionRequest};
use std::time::Instant;

/// Opens an auction that the caller sells.
///
/// # Errors
/// `invalid_field`, `unauthenticated`, `rate_limited`, or a store's failure.
pub async fn create_auction(
    cx: &Context,
    request: CreateAuctionRequest,
    deadline: Instant,
) -> Result<Auction, Failure> {
    let visitor = visitor(cx, Class::Write, request.caller.as_ref(), deadline).await?;
    let now_ms = cx.unix_ms();
    let terms = terms::new(request, now_ms)?;
    let created = cx.stores.auctions.create(visitor.user_id, &terms, now_ms, deadline).await;
    let row = created.map_err(store_failure)?;
    show::auction(cx, &row, Some(visitor.user_id), deadline).await
}
