//! Who keeps an eye on auctions, and who follows one live.

use super::auction_failure;
use super::show::{minimum, price, reserve_met, state};
use crate::auctions::feed::Feed;
use crate::auctions::live::Seat;
use crate::context::Context;
use crate::limiter::Class;
use crate::limits::{AUCTION_NEWS_EVERY, WATCH_MARGIN};
use crate::services::accounts::caller::{admit, visitor};
use data_encoding::HEXLOWER;
use souk_db::auctions::chain::pseudonym;
use souk_db::auctions::{AuctionRow, Phase};
use souk_proto::auctions::{AuctionNews, AuctionRequest, NewsBid, SetWatchedRequest, State};
use souk_proto::common::Empty;
use souk_proto::{Code, Failure};
use std::pin::pin;
use std::time::{Duration, Instant};

/// Puts an auction on the caller's list of watched ones, or takes it off.
///
/// # Errors
/// `auction_not_found`, `unauthenticated`, `rate_limited`, or a store's failure.
pub async fn set_watched(
    cx: &Context,
    request: SetWatchedRequest,
    deadline: Instant,
) -> Result<Empty, Failure> {
    let visitor = visitor(cx, Class::Write, request.caller.as_ref(), deadline).await?;
    let (id, watched) = (request.auction_id, request.watched);
    let set = cx.stores.auctions.watch(visitor.user_id, id, watched, deadline).await;
    set.map_err(auction_failure)?;
    Ok(Empty {})
}

/// Somebody who follows an auction.
#[derive(Debug)]
pub struct Watch {
    seat: Seat,
    until: Instant,
    /// When the last news was given.
    given: Option<Instant>,
    /// What it said.
    last: Option<Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    changes: u64,
    state: State,
    sequence: u64,
}

/// Begins to follow an auction. The watch ends by itself a moment before the deadline.
///
/// # Errors
/// `auction_not_found`, `rate_limited`, `busy`, or a store's failure.
pub async fn watch_auction(
    cx: &Context,
    request: AuctionRequest,
    deadline: Instant,
) -> Result<Watch, Failure> {
    // A front that goes on for many names nobody.
    if let Some(caller) = &request.caller {
        admit(cx, Class::Read, Some(caller))?;
    }
    let until = deadline.checked_sub(WATCH_MARGIN).unwrap_or(deadline);
    let seat = cx.live.sit(&cx.stores.auctions, request.auction_id, deadline).await?;
    Ok(Watch { seat, until, given: None, last: None })
}

impl Watch {
    /// The next news: the first at once, each other after a change, the start or the end, and no
    /// sooner than [`AUCTION_NEWS_EVERY`] after the one before. Nothing when the watch is over: its
    /// time is, or the daemon stops.
    ///
    /// # Errors
    /// `auction_not_found` when it is gone.
    pub async fn next(&mut self, cx: &Context) -> Result<Option<AuctionNews>, Failure> {
        loop {
            let mut changed = pin!(self.seat.changed());
            // From here on, so that no change is lost between the look and the wait.
            changed.as_mut().enable();
            let now = Instant::now();
            if self.seat.is_stopping() || now >= self.until {
                return Ok(None);
            }
            let earliest = self.given.map_or(now, |given| given + AUCTION_NEWS_EVERY);
            let now_ms = cx.unix_ms();
            let wake = {
                let (feed, changes) = self.seat.feed().ok_or(Code::AuctionNotFound)?;
                let told = Told {
                    changes,
                    state: state(feed.row(), now_ms).0,
                    sequence: feed.row().sequence,
                };
                if self.last != Some(told) && now >= earliest {
                    let news = news(&feed, self.last.map(|last| last.sequence), now_ms);
                    (self.last, self.given) = (Some(told), Some(now));
                    return Ok(Some(news));
                }
                match self.last == Some(told) {
                    true => edge(feed.row(), now_ms).map_or(self.until, |wait| now + wait),
                    false => earliest,
                }
            };
            // Either way the loop looks.
            drop(tokio::time::timeout_at(wake.min(self.until).into(), changed).await);
        }
    }
}

/// How long it is until the auction starts or ends by itself.
fn edge(row: &AuctionRow, now_ms: i64) -> Option<Duration> {
    let edges = [row.terms.start_at_ms, row.terms.end_at_ms];
    let next = edges.into_iter().filter(|at_ms| *at_ms > now_ms).min()?;
    let wait = u64::try_from(next - now_ms).ok().filter(|_| row.phase == Phase::Open)?;
    Some(Duration::from_millis(wait))
}

/// What is told of an auction to somebody who knows its bids up to this one.
fn news(feed: &Feed, after: Option<u64>, now_ms: i64) -> AuctionNews {
    let row = feed.row();
    let (state, outcome) = state(row, now_ms);
    let name = |id| pseudonym(&row.salt, id);
    let recent = feed.recent(after).map(|bid| NewsBid {
        sequence: bid.sequence,
        bidder: name(bid.bidder_id),
        amount: bid.amount,
        price: bid.price,
        leader: name(bid.leader_id),
        at_ms: bid.at_ms,
        ends_at_ms: bid.ends_at_ms,
    });
    AuctionNews {
        auction_id: row.id,
        sequence: row.sequence,
        price: price(row),
        minimum: minimum(row),
        leader: if row.sequence == 0 { String::new() } else { name(row.leader_id) },
        reserve_met: reserve_met(row),
        state: state.into(),
        outcome: outcome.into(),
        start_at_ms: row.terms.start_at_ms,
        ends_at_ms: row.terms.end_at_ms,
        extended: row.extended,
        outage_ms: row.outage_ms,
        head: HEXLOWER.encode(&row.head),
        version: row.version,
        now_ms,
        recent: recent.collect(),
    }
}
