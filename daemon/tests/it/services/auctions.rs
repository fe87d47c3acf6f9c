//! Auctions.

mod bids;
mod limits;
mod lists;
mod seller;
mod settled;
mod watch;

use super::{Shop, soon};
use souk_proto::Failure;
use souk_proto::auctions::bid_outcome::Outcome;
use souk_proto::auctions::{
    Auction, AuctionRequest, BidDone, BidRefused, CreateAuctionRequest, Offer, PlaceBidsRequest,
    Step,
};
use souk_proto::common::Caller;
use souk_proto::{Code, auctions as proto};
use soukd::context::Clock;
use soukd::services::auctions;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// The time as the shop's clock has it.
fn now(shop: &Shop) -> i64 {
    shop.clock.unix_ms()
}

/// A request for an auction that starts now and ends in an hour.
fn lamp(shop: &Shop, seller: &Caller) -> CreateAuctionRequest {
    CreateAuctionRequest {
        caller: Some(seller.clone()),
        title: "A lamp".into(),
        description: "Brass.".into(),
        currency: "EUR".into(),
        start_price: 1_000,
        increments: vec![Step { from: 0, step: 100 }, Step { from: 5_000, step: 500 }],
        reserve: None,
        buy_now: None,
        start_at_ms: 0,
        end_at_ms: now(shop) + HOUR,
        soft_close: None,
    }
}

/// Puts a lamp up, with changes.
async fn put_up(
    shop: &Shop,
    seller: &Caller,
    change: impl FnOnce(&mut CreateAuctionRequest),
) -> Result<Auction, Failure> {
    let mut request = lamp(shop, seller);
    change(&mut request);
    auctions::create_auction(&shop.cx, request, soon()).await
}

fn about(caller: &Caller, auction_id: u64) -> AuctionRequest {
    AuctionRequest { caller: Some(caller.clone()), auction_id }
}

async fn get(shop: &Shop, caller: &Caller, id: u64) -> Result<Auction, Failure> {
    auctions::get_auction(&shop.cx, about(caller, id), soon()).await
}

fn offer(amount: i64) -> Offer {
    Offer { amount, ..Offer::default() }
}

fn up_to(amount: i64, max_amount: i64) -> Offer {
    Offer { amount, max_amount, ..Offer::default() }
}

type Answer = Result<BidDone, BidRefused>;

async fn offers(
    shop: &Shop,
    caller: &Caller,
    auction_id: u64,
    offers: Vec<Offer>,
) -> Result<Vec<Answer>, Failure> {
    let caller = Some(caller.clone());
    let request = PlaceBidsRequest { caller, auction_id, offers, user_id: 0 };
    let outcomes = auctions::place_bids(&shop.cx, request, soon()).await?;
    let answer = |item: proto::BidOutcome| match item.outcome.expect("an outcome") {
        Outcome::Done(done) => Ok(done),
        Outcome::Refused(refused) => Err(refused),
    };
    Ok(outcomes.items.into_iter().map(answer).collect())
}

/// One offer, as its own answer.
async fn bid(shop: &Shop, caller: &Caller, id: u64, one: Offer) -> Answer {
    offers(shop, caller, id, vec![one]).await.expect("answers").remove(0)
}

fn refusal(refused: &BidRefused) -> Failure {
    refused.error.clone().expect("an error").into()
}

/// Why an offer was refused.
fn why(answer: Answer) -> Code {
    refusal(&answer.expect_err("refused")).code
}
