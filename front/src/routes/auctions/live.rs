//! `GET /api/v1/auctions/{id}/live?after=`: news of an auction, as a WebSocket or an event stream.

use super::number;
use crate::auctions::Feed;
use crate::http::Response;
use crate::routes::answer::Call;
use crate::routes::caller::known_user;
use crate::routes::live as form;
use crate::routes::query::{Query, digits};
use souk_proto::auctions::{AuctionRequest, Bidder};
use souk_proto::{Code, Failure, Method};

/// Answers with the news from now on, or after the bid that the watcher knows.
pub async fn live(call: &Call<'_>, auction_id: u64) -> Result<Response, Failure> {
    let query = Query::read(call.head.query())?;
    // A browser that comes back to an event stream asks as it did first, and says here what it
    // heard last.
    let heard = call.head.header_str("last-event-id").and_then(digits);
    let after = number(&query, "after")?;
    form::answer(call, async {
        let you = pseudonym(call, auction_id).await?;
        let live = &call.app.auctions_live;
        let watcher = live.watch(auction_id, call.caller(), call.trace).await?;
        Ok(Feed::new(watcher, you, heard.or(after)))
    })
    .await
}

/// The watcher's name in this auction, if somebody is logged in.
async fn pseudonym(call: &Call<'_>, auction_id: u64) -> Result<Option<Box<str>>, Failure> {
    let caller = call.caller();
    if known_user(&caller).is_err() {
        return Ok(None);
    }
    let request = AuctionRequest { caller: Some(caller), auction_id };
    match call.ask::<_, Bidder>(Method::GetBidder, auction_id, &request).await {
        Ok(bidder) => Ok(Some(bidder.pseudonym.into())),
        // Whose session is over may look on as anybody may.
        Err(Failure { code: Code::Unauthenticated, .. }) => Ok(None),
        Err(failure) => Err(failure),
    }
}
