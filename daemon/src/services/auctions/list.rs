//! Lists of auctions, a page at a time.

use super::show;
use crate::context::Context;
use crate::limiter::Class;
use crate::limits::{AUCTION_PAGE_DEFAULT, AUCTION_PAGE_MAX};
use crate::services::accounts::caller::{guest, visitor};
use crate::services::store_failure;
use souk_db::auctions::{After, AuctionRow, Listing};
use souk_proto::Failure;
use souk_proto::auctions::{AuctionList, AuctionPage, ListAuctionsRequest};
use std::time::Instant;

/// A page of a list.
///
/// # Errors
/// `invalid_field`, `unauthenticated` for a list of the caller's own, `rate_limited`, or a store's
/// failure.
pub async fn list_auctions(
    cx: &Context,
    request: ListAuctionsRequest,
    deadline: Instant,
) -> Result<AuctionPage, Failure> {
    let caller = request.caller.as_ref();
    let own = async || visitor(cx, Class::Read, caller, deadline).await.map(|it| it.user_id);
    let list = AuctionList::try_from(request.list)
        .map_err(|_| Failure::field("list", "There is no such list."))?;
    let (listing, viewer) = match list {
        AuctionList::AllLive => (Listing::Live, guest(cx, caller, deadline).await?),
        AuctionList::EndingSoon => (Listing::EndingSoon, guest(cx, caller, deadline).await?),
        AuctionList::Selling => own().await.map(|user| (Listing::Selling(user), Some(user)))?,
        AuctionList::Bidding => own().await.map(|user| (Listing::Bidding(user), Some(user)))?,
        AuctionList::Watched => own().await.map(|user| (Listing::Watched(user), Some(user)))?,
    };
    let limit = match request.limit {
        0 => AUCTION_PAGE_DEFAULT,
        limit @ 1..=AUCTION_PAGE_MAX => limit,
        _ => return Err(Failure::field("limit", "A page has 1 to 100 auctions.")),
    };
    let after = match request.cursor.as_str() {
        "" => None,
        cursor => Some(cx.shared.lists.read(listing, cursor)?),
    };
    // One more than the page, to know whether there is another page.
    let found = cx.stores.auctions.list(listing, after, limit + 1, cx.unix_ms(), deadline).await;
    let mut rows = found.map_err(store_failure)?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let last = rows.last().filter(|_| more);
    let next_cursor = last.map(|row| cx.shared.lists.sign(listing, place(listing, row)));
    let rows: Vec<&AuctionRow> = rows.iter().collect();
    let items = show::auctions(cx, &rows, viewer, deadline).await?;
    Ok(AuctionPage { items, next_cursor: next_cursor.unwrap_or_default() })
}

/// Where a page begins that comes behind this auction.
fn place(listing: Listing, row: &AuctionRow) -> After {
    let time_ms = match listing {
        Listing::Live => row.terms.start_at_ms,
        Listing::EndingSoon => row.terms.end_at_ms,
        Listing::Selling(_) | Listing::Bidding(_) | Listing::Watched(_) => 0,
    };
    After { time_ms, id: row.id }
}
