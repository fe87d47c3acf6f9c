//! Bids: new ones, those that were accepted, and what came of them.

use super::json::{BidJson, SettlementJson};
use super::{number, terms};
use crate::http::Response;
use crate::routes::accounts::present;
use crate::routes::answer::Call;
use crate::routes::input::Fields;
use crate::routes::json::{self, Time};
use crate::routes::limits::{BIDS_PAGE_DEFAULT, BIDS_PAGE_MAX};
use crate::routes::problem::{self, Problem};
use crate::routes::query::{Query, count};
use data_encoding::HEXLOWER;
use serde::Serialize;
use souk_proto::auctions::bid_outcome::Outcome;
use souk_proto::auctions::{
    AuctionRequest, BidDone, BidOutcomes, BidPage, BidRefused, ListBidsRequest, PlaceBidsRequest,
    Settlement,
};
use souk_proto::common::Caller;
use souk_proto::{Failure, Method};

/// `POST /api/v1/auctions/{id}/bids`: `{amount, max_amount?, bid_id?, currency?}`
pub async fn place(call: &Call<'_>, auction_id: u64, fields: Fields) -> Result<Response, Failure> {
    let (caller, _) = call.user()?;
    let offers = vec![terms::offer(fields)?];
    let request = PlaceBidsRequest { caller: Some(caller), auction_id, offers, user_id: 0 };
    let outcomes: BidOutcomes = call.ask(Method::PlaceBids, auction_id, &request).await?;
    let outcome = outcomes.items.into_iter().next().and_then(|item| item.outcome);
    match present(outcome)? {
        Outcome::Done(done) => Ok(accepted(&done)),
        Outcome::Refused(refused) => refuse(refused, call.trace.trace_id),
    }
}

/// 201 for an accepted bid, 200 for the same answer once more.
fn accepted(done: &BidDone) -> Response {
    #[derive(Serialize)]
    struct Accepted<'a> {
        auction_id: u64,
        bid_id: Option<&'a str>,
        sequence: u64,
        price: i64,
        leading: bool,
        ends_at: Time,
        /// No bid is accepted before it is committed.
        durability: &'static str,
        head: String,
    }
    let body = Accepted {
        auction_id: done.auction_id,
        bid_id: (!done.bid_id.is_empty()).then_some(&done.bid_id),
        sequence: done.sequence,
        price: done.price,
        leading: done.leading,
        ends_at: Time(done.ends_at_ms),
        durability: "committed",
        head: HEXLOWER.encode(&done.head),
    };
    let status = if done.repeated { 200 } else { 201 };
    json::answer(status, &body).header("cache-control", "no-store")
}

/// The problem, with what a bid has to be now where that matters.
fn refuse(refused: BidRefused, trace: u128) -> Result<Response, Failure> {
    #[derive(Serialize)]
    struct Now {
        #[serde(skip_serializing_if = "Option::is_none")]
        price: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        minimum: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ends_at: Option<Time>,
    }
    let BidRefused { error, price, minimum, ends_at_ms } = refused;
    let failure = Failure::from(present(error)?);
    let now = Now {
        price: (price != 0).then_some(price),
        minimum: (minimum != 0).then_some(minimum),
        ends_at: (ends_at_ms != 0).then_some(Time(ends_at_ms)),
    };
    Ok(problem::answer_with(&Problem::from(&failure), trace, now))
}

/// `GET /api/v1/auctions/{id}/bids?after=&before=&limit=`
pub async fn list(call: &Call<'_>, auction_id: u64) -> Result<Response, Failure> {
    #[derive(Serialize)]
    struct Body<'a> {
        items: Vec<BidJson<'a>>,
        bids: u64,
        head: &'a str,
    }
    let request = wanted(call.head.query(), call.caller(), auction_id)?;
    let page: BidPage = call.ask(Method::ListBids, auction_id, &request).await?;
    let items = page.items.iter().map(BidJson::new).collect();
    let body = Body { items, bids: page.bids, head: &page.head };
    Ok(json::answer(200, &body).header("cache-control", "no-store"))
}

/// What a query asks for.
fn wanted(
    query: Option<&str>,
    caller: Caller,
    auction_id: u64,
) -> Result<ListBidsRequest, Failure> {
    let query = Query::read(query)?;
    let (after, before) = (number(&query, "after")?, number(&query, "before")?);
    match (after, before) {
        (Some(_), Some(_)) => {
            return Err(Failure::field("before", "Give after or before, not both."));
        }
        // On the link 0 is for the latest.
        (_, Some(0)) => return Err(Failure::field("before", "The first bid has the number 1.")),
        _ => {}
    }
    let limit = count(&query, "limit", BIDS_PAGE_DEFAULT, BIDS_PAGE_MAX)?;
    let (caller, before) = (Some(caller), before.unwrap_or(0));
    Ok(ListBidsRequest { caller, auction_id, after, before, limit })
}

/// `GET /api/v1/auctions/{id}/settlement`
pub async fn settlement(call: &Call<'_>, auction_id: u64) -> Result<Response, Failure> {
    let (caller, _) = call.user()?;
    let request = AuctionRequest { caller: Some(caller), auction_id };
    let found: Settlement = call.ask(Method::GetSettlement, auction_id, &request).await?;
    Ok(json::answer(200, &SettlementJson::new(&found)).header("cache-control", "no-store"))
}
