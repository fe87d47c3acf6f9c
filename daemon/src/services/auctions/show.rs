//! Auctions as clients may see them: maxima and salts never leave, reserves and names only to some.

use crate::context::Context;
use crate::services::store_failure;
use data_encoding::HEXLOWER;
use futures_util::future::try_join_all;
use souk_db::auctions::chain::pseudonym;
use souk_db::auctions::{AuctionRow, Outcome, Phase};
use souk_proto::Failure;
use souk_proto::auctions::{
    Auction, Bidder, Outcome as OutcomeShown, Person, SoftClose, State, Step,
};
use std::collections::HashMap;
use std::time::Instant;

/// People by id. Who is not among them has deleted the account.
#[derive(Debug, Default)]
pub(super) struct People(HashMap<u64, Person>);

impl People {
    /// Reads these people, each once.
    ///
    /// # Errors
    /// A store's failure.
    pub(super) async fn read(
        cx: &Context,
        ids: impl IntoIterator<Item = u64>,
        deadline: Instant,
    ) -> Result<People, Failure> {
        let mut ids: Vec<u64> = ids.into_iter().filter(|id| *id > 0).collect();
        ids.sort_unstable();
        ids.dedup();
        let reads = ids.iter().map(|id| cx.stores.accounts.by_id(*id, deadline));
        let rows = try_join_all(reads).await.map_err(store_failure)?;
        let person = |row: souk_db::UserRow| Person {
            user_id: row.id,
            username: row.username,
            nickname: row.nickname,
            picture: row.picture,
        };
        let found = rows.into_iter().flatten().map(|row| (row.id, person(row)));
        Ok(People(found.collect()))
    }

    /// The person with this id.
    pub(super) fn get(&self, id: u64) -> Person {
        let gone = || Person { user_id: id, ..Person::default() };
        self.0.get(&id).cloned().unwrap_or_else(gone)
    }
}

/// Whether this viewer is told who somebody is that bids on the auction.
pub(super) fn is_told(row: &AuctionRow, bidder_id: u64, viewer: Option<u64>) -> bool {
    viewer.is_some_and(|viewer| viewer == row.seller_id || viewer == bidder_id)
}

/// Somebody who bids on the auction, as this viewer sees it.
pub(super) fn bidder(row: &AuctionRow, id: u64, viewer: Option<u64>, people: &People) -> Bidder {
    Bidder {
        pseudonym: pseudonym(&row.salt, id),
        person: is_told(row, id, viewer).then(|| people.get(id)),
        you: viewer == Some(id),
    }
}

/// Auctions as this viewer sees them now.
///
/// # Errors
/// A store's failure.
pub(super) async fn auctions(
    cx: &Context,
    rows: &[&AuctionRow],
    viewer: Option<u64>,
    deadline: Instant,
) -> Result<Vec<Auction>, Failure> {
    let leaders = rows.iter().filter(|row| is_told(row, row.leader_id, viewer));
    let ids = rows.iter().map(|row| row.seller_id).chain(leaders.map(|row| row.leader_id));
    let people = People::read(cx, ids, deadline).await?;
    let watched = match viewer {
        Some(viewer) if !rows.is_empty() => {
            let ids: Vec<u64> = rows.iter().map(|row| row.id).collect();
            let read = cx.stores.auctions.watched(viewer, &ids, deadline).await;
            read.map_err(store_failure)?
        }
        _ => Vec::new(),
    };
    let now_ms = cx.unix_ms();
    let show = |row: &&AuctionRow| Auction {
        watched: watched.contains(&row.id),
        ..shown(row, viewer, &people, now_ms)
    };
    Ok(rows.iter().map(show).collect())
}

/// One auction as this viewer sees it now.
///
/// # Errors
/// A store's failure.
pub(super) async fn auction(
    cx: &Context,
    row: &AuctionRow,
    viewer: Option<u64>,
    deadline: Instant,
) -> Result<Auction, Failure> {
    let mut shown = auctions(cx, &[row], viewer, deadline).await?;
    Ok(shown.pop().unwrap_or_default())
}

fn shown(row: &AuctionRow, viewer: Option<u64>, people: &People, now_ms: i64) -> Auction {
    let terms = &row.terms;
    let (state, outcome) = state(row, now_ms);
    let increments = terms.increments.iter().map(|it| Step { from: it.from, step: it.step });
    let has_bids = row.sequence > 0;
    Auction {
        id: row.id,
        seller: Some(people.get(row.seller_id)),
        title: terms.title.clone(),
        description: terms.description.clone(),
        picture: row.picture.clone(),
        currency: terms.currency.clone(),
        start_price: terms.start_price,
        increments: increments.collect(),
        has_reserve: terms.reserve.is_some(),
        reserve: terms.reserve.filter(|_| viewer == Some(row.seller_id)),
        reserve_met: reserve_met(row),
        buy_now: terms.buy_now,
        price: price(row),
        minimum: minimum(row),
        bids: row.sequence,
        state: state.into(),
        outcome: outcome.into(),
        start_at_ms: terms.start_at_ms,
        ends_at_ms: terms.end_at_ms,
        soft_close: soft_close(row),
        extended: row.extended,
        outage_ms: row.outage_ms,
        leader: has_bids.then(|| bidder(row, row.leader_id, viewer, people)),
        head: HEXLOWER.encode(&row.head),
        version: row.version,
        created_at_ms: row.created_at_ms,
        watched: false,
        now_ms,
    }
}

fn soft_close(row: &AuctionRow) -> Option<SoftClose> {
    let window_s = u32::try_from(row.terms.soft_window_ms / 1_000).unwrap_or(u32::MAX);
    (window_s > 0).then_some(SoftClose { window_s, extensions: row.terms.extensions_max })
}

/// How an auction stands now. Between its end and its settlement it has ended without an outcome.
pub(super) fn state(row: &AuctionRow, now_ms: i64) -> (State, OutcomeShown) {
    match row.phase {
        Phase::Cancelled => (State::Cancelled, OutcomeShown::None),
        Phase::Ended => (State::Ended, row.outcome.map_or(OutcomeShown::None, outcome)),
        Phase::Open if now_ms < row.terms.start_at_ms => (State::Scheduled, OutcomeShown::None),
        Phase::Open if now_ms < row.terms.end_at_ms => (State::Live, OutcomeShown::None),
        Phase::Open => (State::Ended, OutcomeShown::None),
    }
}

/// How it came out.
pub(super) fn outcome(outcome: Outcome) -> OutcomeShown {
    match outcome {
        Outcome::Sold => OutcomeShown::Sold,
        Outcome::ReserveNotMet => OutcomeShown::ReserveNotMet,
        Outcome::NoBids => OutcomeShown::NoBids,
    }
}

/// The price: the one it starts with while there are no bids.
pub(super) fn price(row: &AuctionRow) -> i64 {
    if row.sequence == 0 { row.terms.start_price } else { row.price }
}

/// Whether it would be sold at its price. There may be no reserve.
pub(super) fn reserve_met(row: &AuctionRow) -> bool {
    row.terms.reserve.is_none_or(|reserve| row.sequence > 0 && row.price >= reserve)
}

/// The least that is accepted next: the price that ends the auction always is.
pub(super) fn minimum(row: &AuctionRow) -> i64 {
    let minimum = row.rules().minimum(&row.state());
    row.terms.buy_now.map_or(minimum, |buy_now| minimum.min(buy_now))
}
