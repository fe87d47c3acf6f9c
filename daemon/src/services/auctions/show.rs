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
    row.rules().minimum(&row.state())
}

#[cfg(test)]
mod tests {
    use super::{People, minimum, shown};
    use crate::limits::{AUCTION_PAGE_MAX, TITLE_CHARS_MAX};
    use prost::Message;
    use souk_db::auctions::rules::Step;
    use souk_db::auctions::{AuctionRow, MONEY_MAX, Phase, STEPS_MAX, Terms};
    use souk_proto::auctions::{AuctionPage, Person};
    use souk_proto::limits::PAYLOAD_MAX;
    use std::collections::HashMap;

    /// An auction of which everything is as long as it can be.
    fn largest() -> AuctionRow {
        let from = |number: usize| i64::try_from(number).expect("small") * (MONEY_MAX / 20);
        AuctionRow {
            id: u64::MAX,
            seller_id: u64::MAX,
            terms: Terms {
                title: "\u{1f600}".repeat(TITLE_CHARS_MAX),
                description: String::new(),
                currency: "EUR".into(),
                start_price: MONEY_MAX,
                increments: (0..STEPS_MAX)
                    .map(|number| Step { from: from(number), step: MONEY_MAX })
                    .collect(),
                reserve: Some(MONEY_MAX),
                buy_now: Some(MONEY_MAX),
                start_at_ms: i64::MAX,
                end_at_ms: i64::MAX,
                soft_window_ms: 3_600_000,
                extensions_max: 1_000,
            },
            picture: "0".repeat(64),
            phase: Phase::Open,
            outcome: None,
            extended: 1_000,
            outage_ms: i64::MAX,
            outages: u64::MAX,
            sequence: u64::MAX,
            price: MONEY_MAX,
            leader_id: u64::MAX - 1,
            leader_max: MONEY_MAX,
            last_at_ms: i64::MAX,
            head: [255; 32],
            salt: [255; 16],
            version: u64::MAX,
            created_at_ms: i64::MAX,
        }
    }

    #[test]
    fn the_largest_page_is_one_frame() {
        let person = |user_id| Person {
            user_id,
            username: "x".repeat(32),
            nickname: "\u{1f600}".repeat(64),
            picture: "0".repeat(64),
        };
        let ids = [u64::MAX, u64::MAX - 1];
        let people = People(HashMap::from(ids.map(|id| (id, person(id)))));
        let row = largest();
        let item = shown(&row, Some(row.seller_id), &people, i64::MAX);
        assert!(item.leader.as_ref().is_some_and(|it| it.person.is_some()));
        let items = vec![item; AUCTION_PAGE_MAX as usize];
        let page = AuctionPage { items, next_cursor: "x".repeat(100) };
        assert!(page.encoded_len() <= PAYLOAD_MAX, "{}", page.encoded_len());
    }

    #[test]
    fn the_minimum_is_never_above_the_price_that_ends_the_auction() {
        let mut row = largest();
        row.price = 900;
        row.terms.increments = vec![Step { from: 0, step: 200 }];
        row.terms.buy_now = Some(1_000);
        assert_eq!(minimum(&row), 1_000);
        row.terms.buy_now = None;
        assert_eq!(minimum(&row), 1_100);
    }
}
