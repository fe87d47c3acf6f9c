//! Bids.

use super::row;
use crate::auctions::keep::settle_bought;
use crate::auctions::money::amount;
use crate::context::Context;
use crate::limiter::Class;
use crate::limits::OFFERS_MAX;
use crate::services::accounts::caller::visitor_of_some;
use crate::services::store_failure;
use souk_db::StoreError;
use souk_db::auctions::rules::Refusal;
use souk_db::auctions::{BID_ID_MAX, BidError, Offer as OfferRow, Placed};
use souk_meter::Count;
use souk_proto::auctions::bid_outcome::Outcome;
use souk_proto::auctions::{BidDone, BidOutcome, BidOutcomes, BidRefused, Offer, PlaceBidsRequest};
use souk_proto::common::Error;
use souk_proto::{Code, Failure};
use std::time::Instant;

/// Bids on an auction, each offer by itself and in this order. Each is durable when it is answered
/// as done.
///
/// # Errors
/// `unauthenticated`, `wrong_bidder`, `rate_limited`, or a store's failure with the session, and
/// `invalid_field` for no offers or too many. What goes wrong with one offer is its own answer.
pub async fn place_bids(
    cx: &Context,
    request: PlaceBidsRequest,
    deadline: Instant,
) -> Result<BidOutcomes, Failure> {
    let count = request.offers.len();
    let answers = decide(cx, request, deadline).await;
    match &answers {
        Ok(answers) => answers.iter().for_each(|it| souk_meter::count(counted(it))),
        Err(failure) => {
            if failure.code == Code::StoreUnavailable {
                cx.gate.failed(cx);
            }
            let refused = of_failure(failure.clone());
            souk_meter::count_many(counted(&Err(refused)), count as u64);
        }
    }
    let items = answers?.into_iter().map(|answer| BidOutcome {
        outcome: Some(match answer {
            Ok(done) => Outcome::Done(done),
            Err(refused) => Outcome::Refused(refused),
        }),
    });
    Ok(BidOutcomes { items: items.collect() })
}

type Answer = Result<BidDone, BidRefused>;

async fn decide(
    cx: &Context,
    request: PlaceBidsRequest,
    deadline: Instant,
) -> Result<Vec<Answer>, Failure> {
    if !(1..=OFFERS_MAX).contains(&request.offers.len()) {
        return Err(Failure::field("offers", "A request has 1 to 64 offers."));
    }
    let (id, caller, count) = (request.auction_id, request.caller.as_ref(), request.offers.len());
    // While bids cannot be taken nothing else is asked of the stores.
    cx.gate.admit()?;
    let (visitor, admitted) = visitor_of_some(cx, Class::Bid, count, caller, deadline).await?;
    if request.user_id != 0 && request.user_id != visitor.user_id {
        return Err(Failure::new(Code::WrongBidder));
    }
    let currency = match request.offers.iter().any(|offer| !offer.currency.is_empty()) {
        true => row(cx, id, deadline).await?.terms.currency.clone(),
        false => String::new(),
    };
    let mut offers = Vec::with_capacity(count);
    let mut answers: Vec<Option<Answer>> = Vec::with_capacity(count);
    for (place, offer) in request.offers.into_iter().enumerate() {
        let checked = match place < admitted {
            true => check(offer, visitor.user_id, &currency),
            false => Err(Failure::new(Code::RateLimited)),
        };
        answers.push(match checked {
            Ok(offer) => {
                offers.push(offer);
                None
            }
            Err(failure) => Some(Err(of_failure(failure))),
        });
    }
    let mut decided = match offers.is_empty() {
        true => Vec::new(),
        false => cx.stores.auctions.bid(id, offers, cx.unix_ms(), deadline).await,
    }
    .into_iter();
    let missing = || Err(BidError::Store(StoreError::DeadlineExceeded));
    let answers = answers.into_iter().map(|answer| match answer {
        Some(answer) => answer,
        None => told(cx, decided.next().unwrap_or_else(missing), visitor.user_id),
    });
    Ok(answers.collect())
}

/// The offer, if it is one.
fn check(offer: Offer, bidder_id: u64, currency: &str) -> Result<OfferRow, Failure> {
    let Offer { amount: offered, max_amount, bid_id, currency: named } = offer;
    let offered = amount("amount", offered)?;
    let max_amount = match max_amount {
        0 => offered,
        max => amount("max_amount", max)?,
    };
    if max_amount < offered {
        return Err(Failure::field("max_amount", "The maximum is below the amount."));
    }
    if bid_id.len() > BID_ID_MAX || !bid_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        let why = "A bid_id is 1 to 64 visible ASCII characters.";
        return Err(Failure::field("bid_id", why));
    }
    if !named.is_empty() && named != currency {
        return Err(Failure { field: "currency".into(), ..Failure::new(Code::CurrencyMismatch) });
    }
    let bid_id = (!bid_id.is_empty()).then_some(bid_id);
    Ok(OfferRow { bidder_id, amount: offered, max_amount, bid_id })
}

/// What the bidder is told, and what else comes of it.
fn told(cx: &Context, decided: Result<Placed, BidError>, user_id: u64) -> Answer {
    match decided {
        Ok(Placed { bid, repeated }) => {
            // No other bid ends an auction.
            if bid.ends_at_ms <= bid.at_ms && !repeated {
                settle_bought(cx, bid.auction_id, bid.ends_at_ms);
            }
            Ok(BidDone {
                auction_id: bid.auction_id,
                bid_id: bid.bid_id.unwrap_or_default(),
                sequence: bid.sequence,
                price: bid.price,
                leading: bid.leader_id == user_id,
                ends_at_ms: bid.ends_at_ms,
                head: bid.head.to_vec(),
                repeated,
            })
        }
        Err(BidError::Missing) => Err(of_code(Code::AuctionNotFound)),
        Err(BidError::Cancelled) => Err(of_code(Code::AuctionCancelled)),
        Err(BidError::Refused(refusal)) => Err(refused(refusal)),
        Err(BidError::Store(error)) => {
            let away = matches!(error, StoreError::Unavailable { .. });
            if away {
                cx.gate.failed(cx);
            }
            let failure = store_failure(error);
            let why =
                "A store cannot be reached. The bid may have been taken: the same bid_id tells.";
            Err(of_failure(match away {
                true => Failure { detail: why.into(), ..failure },
                false => failure,
            }))
        }
    }
}

fn refused(refusal: Refusal) -> BidRefused {
    match refusal {
        Refusal::NotStarted => of_code(Code::AuctionNotStarted),
        Refusal::Ended { ends_at_ms } => BidRefused { ends_at_ms, ..of_code(Code::AuctionEnded) },
        Refusal::OwnAuction => of_code(Code::OwnAuction),
        // As the auction shows it: before the first bid its price is the one at which it starts.
        Refusal::TooLow { price: 0, minimum } => {
            BidRefused { price: minimum, minimum, ..of_code(Code::BidTooLow) }
        }
        Refusal::AlreadyLeading { price, minimum } => {
            BidRefused { price, minimum, ..of_code(Code::AlreadyLeading) }
        }
        Refusal::TooLow { price, minimum } => {
            BidRefused { price, minimum, ..of_code(Code::BidTooLow) }
        }
        Refusal::ClockBehind => of_code(Code::ClockSkew),
    }
}

fn of_code(code: Code) -> BidRefused {
    of_failure(Failure::new(code))
}

fn of_failure(failure: Failure) -> BidRefused {
    BidRefused { error: Some(Error::from(&failure)), ..BidRefused::default() }
}

/// As what an answer is counted.
fn counted(answer: &Answer) -> Count {
    let Err(refused) = answer else { return Count::BidAccepted };
    match refused.error.as_ref().map(|error| Code::from_number(error.code)) {
        Some(Code::Busy) => Count::BidBusy,
        Some(Code::StoreUnavailable | Code::DeadlineExceeded | Code::Internal) | None => {
            Count::BidFailed
        }
        Some(_) => Count::BidRefused,
    }
}
