//! Whether each bid that was acknowledged is there, once, and says the same.

use super::{OperatorError, Report, Which};
use crate::auctions::rows::Columns;
use crate::limits::{ACK_LINE_MAX, AUDIT_ACKS};
use crate::mysql::json;
use data_encoding::HEXLOWER_PERMISSIVE;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use serde::Deserialize;
use std::collections::HashMap;
use std::io::{BufRead, Read};

/// An acknowledgement; what it does not name is not compared.
#[derive(Debug, Deserialize)]
struct Ack {
    auction_id: Number,
    sequence: Number,
    price: i64,
    #[serde(default)]
    bid_id: Option<String>,
    #[serde(default)]
    head: Option<String>,
    #[serde(default, alias = "user")]
    user_id: Option<Number>,
}

/// Ids are numbers, or texts of digits where a client had no numbers of 64 bits.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Digits")]
struct Number(u64);

#[derive(Deserialize)]
#[serde(untagged)]
enum Digits {
    Number(u64),
    Text(String),
}

impl TryFrom<Digits> for Number {
    type Error = std::num::ParseIntError;

    fn try_from(digits: Digits) -> Result<Number, Self::Error> {
        match digits {
            Digits::Number(number) => Ok(Number(number)),
            Digits::Text(text) => text.parse().map(Number),
        }
    }
}

/// What is recorded of a bid that was acknowledged.
struct Recorded {
    price: i64,
    bidder_id: u64,
    head: Vec<u8>,
    bid_id: Option<String>,
}

/// Acknowledgements, checked some at a time.
pub struct Acks {
    which: Which,
    /// For each auction a bit for each bid without a name that was acknowledged. Two of those are
    /// two bids, while one with a name may be answered again.
    unnamed: HashMap<u64, Vec<u64>>,
}

impl Acks {
    pub fn new(which: Which) -> Acks {
        Acks { which, unnamed: HashMap::new() }
    }

    /// Reads all lines and looks for their bids.
    pub async fn check(
        mut self,
        conn: &mut Conn,
        lines: &mut dyn BufRead,
        report: &mut Report,
    ) -> Result<(), OperatorError> {
        let (mut some, mut line, mut number) = (Vec::new(), Vec::new(), 0_u64);
        loop {
            line.clear();
            let read = (&mut *lines).take(ACK_LINE_MAX).read_until(b'\n', &mut line);
            let read = read.map_err(|error| {
                OperatorError::Refused(format!("the acknowledgements cannot be read: {error}"))
            })?;
            if read == 0 {
                break;
            }
            number += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let ack: Ack = serde_json::from_slice(&line).map_err(|error| {
                OperatorError::Refused(format!(
                    "line {number} of the acknowledgements is not the answer to a bid: {error}"
                ))
            })?;
            if !matches!(self.which, Which::One(id) if id != ack.auction_id.0) {
                some.push(ack);
            }
            if some.len() == AUDIT_ACKS {
                self.look(conn, &some, report).await?;
                some.clear();
            }
        }
        self.look(conn, &some, report).await
    }

    async fn look(
        &mut self,
        conn: &mut Conn,
        acks: &[Ack],
        report: &mut Report,
    ) -> Result<(), OperatorError> {
        const SQL: &str = "SELECT b.auction_id, b.sequence, b.price, b.bidder_id, b.head, b.bid_id \
             FROM JSON_TABLE(?, '$[*]' COLUMNS (auction_id BIGINT UNSIGNED PATH '$[0]', \
               sequence BIGINT UNSIGNED PATH '$[1]')) AS d \
             STRAIGHT_JOIN bids AS b FORCE INDEX (PRIMARY) \
               ON b.auction_id = d.auction_id AND b.sequence = d.sequence";
        let places: Vec<_> = acks.iter().map(|it| (it.auction_id.0, it.sequence.0)).collect();
        let mut found = HashMap::with_capacity(acks.len());
        for row in conn.exec::<Row, _, _>(SQL, (json(&places),)).await? {
            let mut columns = Columns::of(row);
            let place: (u64, u64) = (columns.next()?, columns.next()?);
            let (price, bidder_id) = (columns.next()?, columns.next()?);
            let (head, bid_id) = (columns.next()?, columns.next()?);
            found.insert(place, Recorded { price, bidder_id, head, bid_id });
        }
        for (ack, place) in acks.iter().zip(places) {
            report.acks += 1;
            let what = match found.get(&place) {
                None => Some("an acknowledged bid is not there".to_owned()),
                Some(bid) => self.compare(ack, bid),
            };
            if let Some(what) = what {
                report.find(place.0, Some(place.1), what);
            }
        }
        Ok(())
    }

    fn compare(&mut self, ack: &Ack, bid: &Recorded) -> Option<String> {
        let named = ack.bid_id.as_deref().filter(|name| !name.is_empty());
        let is_unnamed = named.is_none() && bid.bid_id.is_none();
        if is_unnamed && !self.is_first(ack.auction_id.0, ack.sequence.0) {
            return Some("two bids were acknowledged with this number".to_owned());
        }
        if ack.price != bid.price {
            let (told, have) = (ack.price, bid.price);
            return Some(format!("acknowledged was price {told}, recorded is {have}"));
        }
        if named.is_some() && named != bid.bid_id.as_deref() {
            let have = &bid.bid_id;
            return Some(format!("acknowledged was bid_id {named:?}, recorded is {have:?}"));
        }
        let head = ack.head.as_ref().map(|hex| HEXLOWER_PERMISSIVE.decode(hex.as_bytes()));
        if head.is_some_and(|head| head.as_ref() != Ok(&bid.head)) {
            return Some("acknowledged was another head than is recorded".to_owned());
        }
        match ack.user_id {
            Some(Number(user)) if user != bid.bidder_id => {
                Some(format!("acknowledged to user {user}, recorded is {}", bid.bidder_id))
            }
            _ => None,
        }
    }

    /// Numbers that were found are no larger than there are bids, so this stays small.
    fn is_first(&mut self, auction: u64, sequence: u64) -> bool {
        let bits = self.unnamed.entry(auction).or_default();
        let (place, bit) =
            (usize::try_from(sequence / 64).unwrap_or_default(), 1 << (sequence % 64));
        if bits.len() <= place {
            bits.resize(place + 1, 0);
        }
        let first = bits[place] & bit == 0;
        bits[place] |= bit;
        first
    }
}
