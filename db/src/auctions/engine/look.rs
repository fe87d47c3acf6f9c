//! What the bid engine asks the database, on a connection of its own; questions that wait together
//! share a query.

use super::outages;
use crate::auctions::rows::{AUCTION, BID, auction_row, bid_row};
use crate::auctions::{AuctionRow, BidRow};
use crate::error::{Server, StoreError};
use crate::limits::{BID_LOOKS_AT_ONCE, BID_LOOKS_MAX, TRANSACTION_MAX};
use crate::mysql::{Kind, Line, Outcome, is_contention, json, meaning};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row};
use souk_meter::{Batch, Queue};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A bid that somebody may have placed before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    pub auction_id: u64,
    pub bidder_id: u64,
    pub bid_id: String,
}

/// What is asked.
pub enum Ask {
    Row(u64),
    /// The bids of these names.
    Named(Vec<Named>),
    /// An auction's bids from one number to another, both included.
    Bids(u64, u64, u64),
    /// At this Unix time in milliseconds, which it was at that moment.
    Beat {
        now_ms: i64,
        asked: Instant,
    },
    /// Extend auctions by outages, some of them if many are behind.
    Extend,
}

/// What the database says.
pub enum Said {
    Row(Option<Rc<AuctionRow>>),
    Bids(Vec<BidRow>),
    Beat(Pulse),
    Extended {
        /// Whether others are left.
        more: bool,
    },
}

/// How many outages there were, and the one that was found just now.
#[derive(Debug, Clone, Copy)]
pub struct Pulse {
    pub epoch: u64,
    /// Milliseconds.
    pub outage_ms: Option<i64>,
    /// By how much the server's clock is ahead of ours, milliseconds.
    pub skew_ms: i64,
    /// Whether outages are missing in the ends of some auctions.
    pub extending: bool,
}

/// How the database is asked.
pub struct Looks;

impl Kind for Looks {
    type Job = Ask;
    type Done = Said;
    type Failure = StoreError;

    const GROUP_MAX: usize = BID_LOOKS_AT_ONCE;
    const WAITING_MAX: usize = BID_LOOKS_MAX;
    const TIME_MAX: Duration = TRANSACTION_MAX;
    const SPAN: &'static str = "mysql auctions";
    const QUEUE: Queue = Queue::MysqlRead;
    const BATCH: Batch = Batch::MysqlRead;

    fn store_failure(failure: &StoreError) -> Option<&StoreError> {
        Some(failure)
    }

    async fn run(
        &self,
        line: &mut Line,
        asks: &[Ask],
        outcomes: &mut [Option<Outcome<Looks>>],
    ) -> Result<(), StoreError> {
        let conn = line.get_alive().await?;
        answer(conn, asks, outcomes).await.map_err(|error| meaning(&error))
    }
}

async fn answer(
    conn: &mut Conn,
    asks: &[Ask],
    outcomes: &mut [Option<Outcome<Looks>>],
) -> Result<(), Error> {
    let ids: Vec<u64> = asks.iter().filter_map(Ask::row).collect();
    let names: Vec<&Named> = asks.iter().flat_map(Ask::names).collect();
    let (rows, held) = rows(conn, &ids).await?;
    let named = named(conn, &names).await?;
    for (ask, outcome) in asks.iter().zip(outcomes) {
        let said = match ask {
            // It is behind, and somebody else holds it: whatever waits here for others goes on.
            Ask::Row(id) if held.contains(id) => {
                *outcome = Some(Err(StoreError::Busy(Server::Database)));
                continue;
            }
            Ask::Row(id) => Said::Row(rows.get(id).cloned()),
            Ask::Named(names) => {
                Said::Bids(names.iter().filter_map(|name| named.get(name)).cloned().collect())
            }
            Ask::Bids(id, from, to) => Said::Bids(bids(conn, *id, *from, *to).await?),
            Ask::Beat { now_ms, asked } => Said::Beat(outages::beat(conn, *now_ms, *asked).await?),
            Ask::Extend => Said::Extended { more: outages::extend_some(conn).await? },
        };
        *outcome = Some(Ok(said));
    }
    Ok(())
}

impl Ask {
    fn row(&self) -> Option<u64> {
        if let Ask::Row(id) = self { Some(*id) } else { None }
    }

    fn names(&self) -> &[Named] {
        if let Ask::Named(names) = self { names } else { &[] }
    }
}

type Rows = BTreeMap<u64, Rc<AuctionRow>>;

/// Rows as they are to be taken over: all outages are in their ends. And those of them that cannot
/// be extended now.
async fn rows(conn: &mut Conn, ids: &[u64]) -> Result<(Rows, Vec<u64>), Error> {
    if ids.is_empty() {
        return Ok((Rows::new(), Vec::new()));
    }
    let epoch = outages::epoch(conn).await?;
    let mut rows = read(conn, ids).await?;
    let behind: Vec<u64> = rows.values().filter(|it| it.is_behind(epoch)).map(|it| it.id).collect();
    let mut held = Vec::new();
    if !behind.is_empty() {
        for id in &behind {
            match outages::extend_one(conn, *id, rows[id].outages, epoch).await {
                Err(Error::Server(said)) if is_contention(said.code) => held.push(*id),
                done => done?,
            }
        }
        rows.extend(read(conn, &behind).await?);
    }
    Ok((rows, held))
}

async fn read(conn: &mut Conn, ids: &[u64]) -> Result<Rows, Error> {
    let columns = AUCTION.replace(", ", ", a.");
    let sql = format!(
        "SELECT a.{columns}, a.description \
         FROM JSON_TABLE(?, '$[*]' COLUMNS (wanted BIGINT UNSIGNED PATH '$')) AS d \
         STRAIGHT_JOIN auctions AS a FORCE INDEX (PRIMARY) ON a.id = d.wanted"
    );
    let rows: Vec<Row> = conn.exec(sql, (json(&ids),)).await?;
    let row = |row| auction_row(row).map(|row| (row.id, Rc::new(row)));
    rows.into_iter().map(row).collect()
}

async fn named(conn: &mut Conn, names: &[&Named]) -> Result<BTreeMap<Named, BidRow>, Error> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    // The first bid of a name, should there ever be two.
    let columns = BID.replace(", ", ", b.");
    let sql = format!(
        "SELECT b.{columns} FROM JSON_TABLE(?, '$[*]' COLUMNS ( \
           bidder BIGINT UNSIGNED PATH '$[0]', auction BIGINT UNSIGNED PATH '$[1]', \
           name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PATH '$[2]')) AS d \
         STRAIGHT_JOIN bids AS b FORCE INDEX (bids_bidder) \
           ON b.bidder_id = d.bidder AND b.auction_id = d.auction AND b.bid_id = d.name \
         ORDER BY b.sequence DESC"
    );
    let asked: Vec<(u64, u64, &str)> =
        names.iter().map(|it| (it.bidder_id, it.auction_id, it.bid_id.as_str())).collect();
    let rows: Vec<Row> = conn.exec(sql, (json(&asked),)).await?;
    let mut named = BTreeMap::new();
    for row in rows {
        let bid = bid_row(row)?;
        let (auction_id, bidder_id) = (bid.auction_id, bid.bidder_id);
        let bid_id = bid.bid_id.clone().unwrap_or_default();
        named.insert(Named { auction_id, bidder_id, bid_id }, bid);
    }
    Ok(named)
}

/// An auction's bids from one number to another, both included.
pub async fn bids(conn: &mut Conn, id: u64, from: u64, to: u64) -> Result<Vec<BidRow>, Error> {
    let sql = format!(
        "SELECT {BID} FROM bids WHERE auction_id = ? AND sequence BETWEEN ? AND ? \
         ORDER BY sequence"
    );
    let rows: Vec<Row> = conn.exec(sql, (id, from, to)).await?;
    rows.into_iter().map(bid_row).collect()
}

/// An answer to another question, which cannot be.
pub fn mistaken() -> StoreError {
    StoreError::corrupt(Server::Database, "an answer to another question")
}
