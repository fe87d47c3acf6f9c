//! Auctions and bids in SQL: their columns, and rows of them.

use super::rules::{Rules, State, Step};
use super::{AuctionRow, BidRow, NotificationKind, Outcome, Phase, SettlementRow, Terms};
use crate::error::{Server, StoreError};
use mysql_async::prelude::FromValue;
use mysql_async::{Error, Row, Value};

/// The columns of an [`AuctionRow`] but the last, in the order of [`auction_row`]: the description
/// follows them, or an empty text where nobody reads it.
pub const AUCTION: &str = "id, seller_id, phase, outcome, start_at_ms, ends_at_ms, outage_ms, \
     outages, extended, sequence, price, leader_id, leader_max, last_at_ms, head, salt, version, \
     currency, start_price, reserve, buy_now, soft_window_ms, extensions_max, increments, picture, \
     created_at_ms, title";

/// The columns of a [`BidRow`], in the order of [`bid_row`].
pub const BID: &str = "auction_id, sequence, bidder_id, amount, max_amount, price, leader_id, \
     at_ms, ends_at_ms, head, bid_id";

/// The values of a row, one after another.
pub struct Columns(std::vec::IntoIter<Value>);

impl Columns {
    pub fn of(row: Row) -> Columns {
        Columns(row.unwrap().into_iter())
    }

    /// The next value; an error if it is of another type, or there is none.
    pub fn next<T: FromValue>(&mut self) -> Result<T, Error> {
        let value = self.0.next().ok_or_else(|| wrong("a column is missing"))?;
        mysql_async::from_value_opt(value).map_err(|_| wrong("a column has another type"))
    }

    /// The next value, which has so many bytes.
    pub fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.next::<Vec<u8>>()?.try_into().map_err(|_| wrong("a hash has another length"))
    }
}

/// A row that this program does not understand.
pub fn wrong(what: &'static str) -> Error {
    Error::Other(StoreError::corrupt(Server::Database, format!("auctions: {what}")).into())
}

/// Reads a row of [`AUCTION`] and a description.
pub fn auction_row(row: Row) -> Result<AuctionRow, Error> {
    let mut columns = Columns::of(row);
    let (id, seller_id) = (columns.next()?, columns.next()?);
    let phase = phase(&columns.next::<String>()?)?;
    let outcome = columns.next::<Option<String>>()?.as_deref().map(outcome).transpose()?;
    let (start_at_ms, end_at_ms) = (columns.next()?, columns.next()?);
    let (outage_ms, outages, extended) = (columns.next()?, columns.next()?, columns.next()?);
    let (sequence, price) = (columns.next()?, columns.next()?);
    let (leader_id, leader_max) = (columns.next()?, columns.next()?);
    let last_at_ms = columns.next()?;
    let (head, salt) = (columns.bytes()?, columns.bytes()?);
    let (version, currency) = (columns.next()?, columns.next()?);
    let (start_price, reserve) = (columns.next()?, columns.next()?);
    let (buy_now, soft_window_ms) = (columns.next()?, columns.next()?);
    let extensions_max = columns.next()?;
    let increments = steps(&columns.next::<String>()?)?;
    let (picture, created_at_ms) = (columns.next()?, columns.next()?);
    let (title, description) = (columns.next()?, columns.next()?);
    let terms = Terms {
        title,
        description,
        currency,
        start_price,
        increments,
        reserve,
        buy_now,
        start_at_ms,
        end_at_ms,
        soft_window_ms,
        extensions_max,
    };
    Ok(AuctionRow {
        id,
        seller_id,
        terms,
        picture,
        phase,
        outcome,
        extended,
        outage_ms,
        outages,
        sequence,
        price,
        leader_id,
        leader_max,
        last_at_ms,
        head,
        salt,
        version,
        created_at_ms,
    })
}

/// Reads a row of [`BID`].
pub fn bid_row(row: Row) -> Result<BidRow, Error> {
    let mut columns = Columns::of(row);
    Ok(BidRow {
        auction_id: columns.next()?,
        sequence: columns.next()?,
        bidder_id: columns.next()?,
        amount: columns.next()?,
        max_amount: columns.next()?,
        price: columns.next()?,
        leader_id: columns.next()?,
        at_ms: columns.next()?,
        ends_at_ms: columns.next()?,
        head: columns.bytes()?,
        bid_id: columns.next()?,
    })
}

fn phase(text: &str) -> Result<Phase, Error> {
    match text {
        "open" => Ok(Phase::Open),
        "ended" => Ok(Phase::Ended),
        "cancelled" => Ok(Phase::Cancelled),
        _ => Err(wrong("an unknown phase")),
    }
}

/// Reads an outcome.
pub fn outcome(text: &str) -> Result<Outcome, Error> {
    match text {
        "sold" => Ok(Outcome::Sold),
        "reserve_not_met" => Ok(Outcome::ReserveNotMet),
        "no_bids" => Ok(Outcome::NoBids),
        _ => Err(wrong("an unknown outcome")),
    }
}

/// An outcome as its columns have it.
pub fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Sold => "sold",
        Outcome::ReserveNotMet => "reserve_not_met",
        Outcome::NoBids => "no_bids",
    }
}

/// Reads a kind of notification.
pub fn notification(text: &str) -> Result<NotificationKind, Error> {
    match text {
        "won" => Ok(NotificationKind::Won),
        "sold_out" => Ok(NotificationKind::SoldOut),
        "not_sold" => Ok(NotificationKind::NotSold),
        _ => Err(wrong("an unknown kind of notification")),
    }
}

/// A kind of notification as its column has it.
pub fn notification_text(kind: NotificationKind) -> &'static str {
    match kind {
        NotificationKind::Won => "won",
        NotificationKind::SoldOut => "sold_out",
        NotificationKind::NotSold => "not_sold",
    }
}

/// A table of increments as its column has it: `[[from,step],…]`.
pub fn steps_text(steps: &[Step]) -> String {
    let pairs: Vec<(i64, i64)> = steps.iter().map(|row| (row.from, row.step)).collect();
    serde_json::to_string(&pairs).expect("numbers are JSON")
}

fn steps(text: &str) -> Result<Vec<Step>, Error> {
    let pairs: Vec<(i64, i64)> =
        serde_json::from_str(text).map_err(|_| wrong("a table of increments cannot be read"))?;
    Ok(pairs.into_iter().map(|(from, step)| Step { from, step }).collect())
}

impl AuctionRow {
    /// Whether outages, of which there were so many, are still to be added to the end.
    pub(crate) fn is_behind(&self, epoch: u64) -> bool {
        self.phase == Phase::Open && self.outages < epoch
    }

    /// What the rules need to know of it.
    pub fn rules(&self) -> Rules {
        Rules {
            seller_id: self.seller_id,
            start_price: self.terms.start_price,
            increments: self.terms.increments.clone(),
            reserve: self.terms.reserve.unwrap_or_default(),
            buy_now: self.terms.buy_now.unwrap_or_default(),
            start_at_ms: self.terms.start_at_ms,
            soft_window_ms: self.terms.soft_window_ms,
            extensions_max: self.terms.extensions_max,
        }
    }

    /// How it stands, as the rules have it.
    pub fn state(&self) -> State {
        State {
            sequence: self.sequence,
            price: self.price,
            leader_id: self.leader_id,
            leader_max: self.leader_max,
            ends_at_ms: self.terms.end_at_ms,
            extended: self.extended,
            last_at_ms: self.last_at_ms,
        }
    }

    /// Its settlement, at this moment, if it ends as it stands.
    pub(crate) fn settled(&self, now_ms: i64) -> SettlementRow {
        let outcome = match (self.sequence, self.terms.reserve) {
            (0, _) => Outcome::NoBids,
            (_, Some(reserve)) if self.price < reserve => Outcome::ReserveNotMet,
            _ => Outcome::Sold,
        };
        let is_sold = outcome == Outcome::Sold;
        SettlementRow {
            auction_id: self.id,
            outcome,
            seller_id: self.seller_id,
            winner_id: is_sold.then_some(self.leader_id),
            currency: self.terms.currency.clone(),
            price: if is_sold { self.price } else { 0 },
            bids: self.sequence,
            head: self.head,
            settled_at_ms: now_ms,
        }
    }
}

impl SettlementRow {
    /// Who is told about it, and what.
    pub(crate) fn notices(&self) -> impl Iterator<Item = (u64, NotificationKind)> {
        let (won, kind) = match self.winner_id {
            Some(winner) => (Some((winner, NotificationKind::Won)), NotificationKind::SoldOut),
            None => (None, NotificationKind::NotSold),
        };
        won.into_iter().chain([(self.seller_id, kind)])
    }
}
