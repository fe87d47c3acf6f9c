//! The bids on an auction, a page at a time.

use super::row;
use super::show::{People, bidder, is_told};
use crate::context::Context;
use crate::limits::{BIDS_PAGE_BYTES_MAX, BIDS_PAGE_DEFAULT, BIDS_PAGE_MAX};
use crate::services::accounts::caller::guest;
use crate::services::store_failure;
use data_encoding::HEXLOWER;
use prost::Message;
use souk_db::auctions::{AuctionRow, BidRow, Range};
use souk_proto::Failure;
use souk_proto::auctions::{Bid, BidPage, ListBidsRequest};
use std::time::Instant;

/// Before the latest bid, whatever its number is.
const LATEST: u64 = i64::MAX as u64;

/// A page of the bids on an auction. With long names it may have fewer than asked for: the number
/// of the last bid says where the next page begins.
///
/// # Errors
/// `auction_not_found`, `invalid_field`, `rate_limited`, or a store's failure.
pub async fn list_bids(
    cx: &Context,
    request: ListBidsRequest,
    deadline: Instant,
) -> Result<BidPage, Failure> {
    let viewer = guest(cx, request.caller.as_ref(), deadline).await?;
    let limit = match request.limit {
        0 => BIDS_PAGE_DEFAULT,
        limit @ 1..=BIDS_PAGE_MAX => limit,
        _ => return Err(Failure::field("limit", "A page has 1 to 500 bids.")),
    };
    let range = match (request.after, request.before) {
        (Some(_), 1..) => {
            let why = "Give after or before, not both.";
            return Err(Failure::field("before", why));
        }
        (Some(after), 0) => Range::After(after.min(LATEST)),
        (None, 0) => Range::Before(LATEST),
        (None, before) => Range::Before(before.min(LATEST)),
    };
    let id = request.auction_id;
    let found = cx.stores.auctions.bids(id, range, limit, deadline).await.map_err(store_failure)?;
    // After the bids: so it is never older than they are.
    let row = row(cx, id, deadline).await?;
    let ids = found.iter().flat_map(|bid| [bid.bidder_id, bid.leader_id]);
    let told = ids.filter(|id| is_told(&row, *id, viewer));
    let people = People::read(cx, told, deadline).await?;
    let mut bytes = 0;
    let items = found.iter().map(|bid| shown(&row, bid, viewer, &people));
    let items = items.take_while(|item| {
        bytes += item.encoded_len() + ITEM_OVERHEAD;
        bytes <= BIDS_PAGE_BYTES_MAX
    });
    Ok(BidPage { items: items.collect(), bids: row.sequence, head: HEXLOWER.encode(&row.head) })
}

/// Tag and length of an item in its page, bytes.
const ITEM_OVERHEAD: usize = 4;

fn shown(row: &AuctionRow, bid: &BidRow, viewer: Option<u64>, people: &People) -> Bid {
    Bid {
        sequence: bid.sequence,
        bidder: Some(bidder(row, bid.bidder_id, viewer, people)),
        amount: bid.amount,
        price: bid.price,
        leader: Some(bidder(row, bid.leader_id, viewer, people)),
        at_ms: bid.at_ms,
        ends_at_ms: bid.ends_at_ms,
    }
}
