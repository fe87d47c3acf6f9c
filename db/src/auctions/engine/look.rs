//! What the bid engine asks the database, on a connection of its own; questions that wait together
//! share a query.

use crate::auctions::rows::{AUCTION, BID, auction_row, bid_row, wrong};
use crate::auctions::{AuctionRow, BidRow};
use crate::error::{Server, StoreError};
use crate::limits::{BID_LOOKS_AT_ONCE, BID_LOOKS_MAX, OUTAGE_MIN, TRANSACTION_MAX};
use crate::mysql::{Kind, Line, Outcome, is_contention, json, meaning};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row};
use souk_meter::{Batch, Queue};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

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
    Beat,
}

/// What the database says.
pub enum Said {
    Row(Option<Rc<AuctionRow>>),
    Bids(Vec<BidRow>),
    Beat(Pulse),
}

/// How many outages there were, and the one that was found just now, milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Pulse {
    pub epoch: u64,
    pub outage_ms: Option<i64>,
    /// The server's clock, Unix milliseconds.
    pub now_ms: i64,
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
    let rows = rows(conn, &ids).await?;
    let named = named(conn, &names).await?;
    for (ask, outcome) in asks.iter().zip(outcomes) {
        let said = match ask {
            Ask::Row(id) => Said::Row(rows.get(id).cloned()),
            Ask::Named(names) => {
                Said::Bids(names.iter().filter_map(|name| named.get(name)).cloned().collect())
            }
            Ask::Bids(id, from, to) => Said::Bids(bids(conn, *id, *from, *to).await?),
            Ask::Beat => Said::Beat(beat(conn).await?),
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

async fn rows(conn: &mut Conn, ids: &[u64]) -> Result<BTreeMap<u64, Rc<AuctionRow>>, Error> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
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

/// Now by the clock of the server, Unix milliseconds.
const NOW: &str = "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)";

/// Milliseconds without a beat that are an outage.
fn outage_min() -> i64 {
    i64::try_from(OUTAGE_MIN.as_millis()).unwrap_or(i64::MAX)
}

/// Whether there may be an outage that nobody has found yet: what is over by its end may go on.
pub async fn may_be_out(conn: &mut Conn) -> Result<bool, Error> {
    let sql = format!(
        "SELECT alive_at_ms > 0 AND alive_at_ms < {NOW} - {} FROM auction_clock WHERE one = 1",
        outage_min()
    );
    Ok(conn.query_first(sql).await?.unwrap_or(false))
}

/// Notes that bids can be taken, by the clock of the server, and how long they could not be.
async fn beat(conn: &mut Conn) -> Result<Pulse, Error> {
    let outage_min = outage_min();
    // Nearly always this is all of it. A clock that goes back does not move it.
    let alive = format!(
        "UPDATE auction_clock SET alive_at_ms = GREATEST(alive_at_ms, {NOW}) \
         WHERE one = 1 AND (alive_at_ms = 0 OR alive_at_ms >= {NOW} - {outage_min})"
    );
    conn.query_drop(alive).await?;
    let look = format!(
        "SELECT epoch, alive_at_ms >= {NOW} - {outage_min}, {NOW} FROM auction_clock WHERE one = 1"
    );
    let Some((epoch, is_alive, now_ms)) = conn.query_first::<(u64, bool, i64), _>(look).await?
    else {
        return Err(wrong("the clock has no row"));
    };
    if is_alive {
        return Ok(Pulse { epoch, outage_ms: None, now_ms });
    }
    loop {
        match extend(conn, NOW, outage_min).await {
            Ok(pulse) => return Ok(pulse),
            Err(Error::Server(said)) if is_contention(said.code) => {
                conn.query_drop("ROLLBACK").await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Extends the auctions that were live while no bid could be taken. Who comes second finds that it
/// is done.
async fn extend(conn: &mut Conn, now: &str, outage_min: i64) -> Result<Pulse, Error> {
    conn.query_drop("START TRANSACTION").await?;
    let sql = "SELECT epoch, alive_at_ms FROM auction_clock WHERE one = 1 FOR UPDATE";
    let clock: Option<(u64, i64)> = conn.query_first(sql).await?;
    let (epoch, began) = clock.ok_or_else(|| wrong("the clock has no row"))?;
    let now: Option<i64> = conn.query_first(format!("SELECT {now}")).await?;
    let now = now.ok_or_else(|| wrong("the server has no clock"))?;
    if began == 0 || now - began <= outage_min {
        conn.query_drop("COMMIT").await?;
        return Ok(Pulse { epoch, outage_ms: None, now_ms: now });
    }
    // What somebody has bought stays bought.
    // The version too, so that a seller who edits one without bids does not undo it unseen.
    let sql = "UPDATE auctions \
         SET ends_at_ms = ends_at_ms + (? - GREATEST(?, start_at_ms)), \
           outage_ms = outage_ms + (? - GREATEST(?, start_at_ms)), \
           version = version + (sequence = 0) \
         WHERE phase = 'open' AND ends_at_ms > ? AND start_at_ms < ? \
           AND (buy_now IS NULL OR price < buy_now)";
    conn.exec_drop(sql, (now, began, now, began, began, now)).await?;
    let auctions = conn.affected_rows();
    let sql = "INSERT INTO outages (epoch, began_at_ms, ended_at_ms, auctions) VALUES (?, ?, ?, ?)";
    conn.exec_drop(sql, (epoch + 1, began, now, auctions)).await?;
    let sql = "UPDATE auction_clock SET alive_at_ms = ?, epoch = ? WHERE one = 1";
    conn.exec_drop(sql, (now, epoch + 1)).await?;
    conn.query_drop("COMMIT").await?;
    Ok(Pulse { epoch: epoch + 1, outage_ms: Some(now - began), now_ms: now })
}

/// An answer to another question, which cannot be.
pub fn mistaken() -> StoreError {
    StoreError::corrupt(Server::Database, "an answer to another question")
}
