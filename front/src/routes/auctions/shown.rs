//! Auctions themselves: new ones, lists, one of them, and what its seller changes.

use super::json::AuctionJson;
use super::terms;
use crate::http::Response;
use crate::routes::RequestBody;
use crate::routes::accounts::picture;
use crate::routes::answer::Call;
use crate::routes::caller::known_user;
use crate::routes::input::Fields;
use crate::routes::json::{self, wanted_version};
use crate::routes::limits::{PAGE_DEFAULT, PAGE_MAX};
use crate::routes::query::{Query, count};
use crate::routes::table::Media;
use souk_proto::auctions::{
    Auction, AuctionList, AuctionPage, AuctionRequest, ListAuctionsRequest,
    SetAuctionPictureRequest, SetWatchedRequest,
};
use souk_proto::common::Empty;
use souk_proto::{Failure, Method};

/// `POST /api/v1/auctions`
pub async fn create(call: &Call<'_>, fields: Fields) -> Result<Response, Failure> {
    let (caller, user_id) = call.user()?;
    let request = terms::create(caller, fields)?;
    let made: Auction = call.ask(Method::CreateAuction, user_id, &request).await?;
    let place = format!("/api/v1/auctions/{}", made.id);
    Ok(answer(201, &made).header("location", place))
}

/// `GET /api/v1/auctions?list=&limit=&cursor=`
pub async fn list(call: &Call<'_>) -> Result<Response, Failure> {
    let query = Query::read(call.head.query())?;
    let list = which(query.get("list")?)?;
    let limit = count(&query, "limit", PAGE_DEFAULT, PAGE_MAX)?;
    let cursor = query.get("cursor")?.unwrap_or_default().to_owned();
    let caller = call.caller();
    let key = match list {
        // Any shard has these; so they take turns.
        AuctionList::AllLive | AuctionList::EndingSoon => call.app.pages.next_key(),
        AuctionList::Selling | AuctionList::Bidding | AuctionList::Watched => known_user(&caller)?,
    };
    let request = ListAuctionsRequest { caller: Some(caller), list: list.into(), limit, cursor };
    let page: AuctionPage = call.ask(Method::ListAuctions, key, &request).await?;
    let items = page.items.iter().map(AuctionJson::line).collect();
    let next_cursor = (!page.next_cursor.is_empty()).then_some(page.next_cursor.as_str());
    Ok(json::answer(200, &json::List { items, next_cursor }).header("cache-control", "no-store"))
}

fn which(name: Option<&str>) -> Result<AuctionList, Failure> {
    match name {
        None | Some("live") => Ok(AuctionList::AllLive),
        Some("ending_soon") => Ok(AuctionList::EndingSoon),
        Some("selling") => Ok(AuctionList::Selling),
        Some("bidding") => Ok(AuctionList::Bidding),
        Some("watched") => Ok(AuctionList::Watched),
        Some(_) => {
            let detail = "The list can be live, ending_soon, selling, bidding or watched.";
            Err(Failure::field("list", detail))
        }
    }
}

/// `GET /api/v1/auctions/{id}`
pub async fn get(call: &Call<'_>, auction_id: u64) -> Result<Response, Failure> {
    let request = AuctionRequest { caller: Some(call.caller()), auction_id };
    let found: Auction = call.ask(Method::GetAuction, auction_id, &request).await?;
    Ok(answer(200, &found))
}

/// `PATCH /api/v1/auctions/{id}`
pub async fn edit(call: &Call<'_>, auction_id: u64, fields: Fields) -> Result<Response, Failure> {
    let (caller, _) = call.user()?;
    let wanted = wanted_version(call.head.header_str("if-match"), auction_id)?;
    let request = terms::edit(caller, auction_id, wanted, fields)?;
    let changed: Auction = call.ask(Method::EditAuction, auction_id, &request).await?;
    Ok(answer(200, &changed))
}

/// `POST /api/v1/auctions/{id}/cancel`
pub async fn cancel(call: &Call<'_>, auction_id: u64) -> Result<Response, Failure> {
    change(call, Method::CancelAuction, auction_id).await
}

/// `PUT /api/v1/auctions/{id}/picture`
pub async fn set_picture(
    call: &Call<'_>,
    auction_id: u64,
    media: Media,
    body: RequestBody,
) -> Result<Response, Failure> {
    let (caller, _) = call.user()?;
    let request = |length| SetAuctionPictureRequest { caller: Some(caller), auction_id, length };
    let method = (Method::SetAuctionPicture, auction_id);
    let changed: Auction = picture::pass_on(call, media, body, method, request).await?;
    Ok(answer(200, &changed))
}

/// `DELETE /api/v1/auctions/{id}/picture`
pub async fn drop_picture(call: &Call<'_>, auction_id: u64) -> Result<Response, Failure> {
    change(call, Method::DropAuctionPicture, auction_id).await
}

async fn change(call: &Call<'_>, method: Method, auction_id: u64) -> Result<Response, Failure> {
    let (caller, _) = call.user()?;
    let request = AuctionRequest { caller: Some(caller), auction_id };
    let changed: Auction = call.ask(method, auction_id, &request).await?;
    Ok(answer(200, &changed))
}

/// `PUT` and `DELETE /api/v1/auctions/{id}/watch`
pub async fn watch(call: &Call<'_>, auction_id: u64, watched: bool) -> Result<Response, Failure> {
    let (caller, _) = call.user()?;
    let request = SetWatchedRequest { caller: Some(caller), auction_id, watched };
    let Empty {} = call.ask(Method::SetWatched, auction_id, &request).await?;
    Ok(Response::new(204))
}

/// The tag names the terms of the auction, which its seller changes: bids are none of them.
fn answer(status: u16, auction: &Auction) -> Response {
    json::answer(status, &AuctionJson::new(auction))
        .header("etag", format_args!("\"{}-{}\"", auction.id, auction.version))
        .header("cache-control", "no-store")
}
