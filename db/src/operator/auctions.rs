//! Whether auctions, bids and settlements are what they must be, and whether each bid that was
//! acknowledged is among them. It looks at one moment, while everything runs.

mod acks;
mod history;
mod settled;

use super::{OperatorError, connect, leave};
use crate::auctions::rows::{AUCTION, BID, auction_row, bid_row};
use crate::auctions::{AuctionRow, BidRow};
use crate::limits::{AUDIT_AUCTIONS, FINDINGS_MAX};
use acks::Acks;
use history::History;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use settled::Ends;
use std::io::BufRead;

/// Which auctions are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// This one.
    One(u64),
    /// All there are.
    All,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In which auction.
    pub auction_id: u64,
    /// At which bid, if at one.
    pub sequence: Option<u64>,
    /// What it is.
    pub what: String,
}

/// What an audit has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Auctions looked at.
    pub auctions: u64,
    /// Bids looked at.
    pub bids: u64,
    /// Settlements looked at.
    pub settlements: u64,
    /// Acknowledgements looked for.
    pub acks: u64,
    /// What is wrong: the first 1,000 things.
    pub findings: Vec<Finding>,
    /// What is wrong beyond these.
    pub more: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, auction_id: u64, sequence: Option<u64>, what: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { auction_id, sequence, what: what.into() });
        } else {
            self.more += 1;
        }
    }
}

/// Walks auctions and their bids as they are at one moment. `acks` are acknowledgements, a JSON
/// object a line as the answer to an accepted bid has it: `auction_id`, `sequence`, `price`, and if
/// they are there `bid_id`, `head` and `user_id`, ids as numbers or texts. Each must be a bid of
/// its auction.
///
/// An auction that is over has a minute, by the database's clock, until it must be settled.
///
/// Bids are read as a stream, auctions and acknowledgements some at a time.
pub async fn verify(
    url: &str,
    which: Which,
    acks: Option<&mut dyn BufRead>,
) -> Result<Report, OperatorError> {
    let mut conn = connect(url).await?;
    conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
    let mut report = Report::default();
    let (mut after, last) = match which {
        Which::One(0) => return Err(missing(0)),
        Which::One(id) => (id - 1, id),
        Which::All => (0, u64::MAX),
    };
    let now = "SELECT CAST(FLOOR(UNIX_TIMESTAMP(UTC_TIMESTAMP(3)) * 1000) AS SIGNED)";
    let now_ms: i64 = conn.query_first(now).await?.unwrap_or_default();
    loop {
        let auctions = page(&mut conn, after, last).await?;
        // Behind the last auction there may still be what belongs to none.
        let until = if auctions.len() < AUDIT_AUCTIONS {
            last
        } else {
            auctions.last().map_or(last, |it| it.id)
        };
        let ends = Ends::read(&mut conn, after, until).await?;
        if matches!(which, Which::One(_)) && auctions.is_empty() {
            return Err(missing(last));
        }
        report.auctions += auctions.len() as u64;
        walk(&mut conn, &auctions, after, until, &mut report).await?;
        ends.check(&auctions, now_ms, &mut report);
        if until == last {
            break;
        }
        after = until;
    }
    if let Some(lines) = acks {
        Acks::new(which).check(&mut conn, lines, &mut report).await?;
    }
    conn.query_drop("COMMIT").await?;
    leave(conn).await;
    Ok(report)
}

fn missing(id: u64) -> OperatorError {
    OperatorError::Refused(format!("there is no auction {id}"))
}

/// The next auctions in order of id, above `after` and up to `last`.
async fn page(conn: &mut Conn, after: u64, last: u64) -> Result<Vec<AuctionRow>, OperatorError> {
    let sql = format!(
        "SELECT {AUCTION}, '' FROM auctions FORCE INDEX (PRIMARY) \
         WHERE id > ? AND id <= ? ORDER BY id LIMIT {AUDIT_AUCTIONS}"
    );
    let rows: Vec<Row> = conn.exec(sql, (after, last)).await?;
    Ok(rows.into_iter().map(auction_row).collect::<Result<_, _>>()?)
}

/// Walks all bids of these auctions, and finds those of none.
async fn walk(
    conn: &mut Conn,
    auctions: &[AuctionRow],
    after: u64,
    until: u64,
    report: &mut Report,
) -> Result<(), OperatorError> {
    let sql = format!(
        "SELECT {BID} FROM bids FORCE INDEX (PRIMARY) \
         WHERE auction_id > ? AND auction_id <= ? ORDER BY auction_id, sequence"
    );
    let mut auctions = auctions.iter();
    let mut history = auctions.next().map(History::of);
    let mut rows = conn.exec_iter(sql, (after, until)).await?;
    while let Some(row) = rows.next().await? {
        let bid: BidRow = bid_row(row)?;
        report.bids += 1;
        while let Some(done) = history.take_if(|it| it.auction_id() < bid.auction_id) {
            done.end(report);
            history = auctions.next().map(History::of);
        }
        match history.as_mut().filter(|it| it.auction_id() == bid.auction_id) {
            Some(history) => history.next(bid, report),
            None => report.find(bid.auction_id, Some(bid.sequence), "a bid on no auction"),
        }
    }
    rows.drop_result().await?;
    for done in history.into_iter().chain(auctions.map(History::of)) {
        done.end(report);
    }
    Ok(())
}
