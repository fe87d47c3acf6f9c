//! Reads of auctions: single rows in batches, and everything else one question after another, on
//! connections whose transactions see one moment.

use super::rows::{AUCTION, BID, Columns, auction_row, bid_row, notification, outcome};
use super::{After, AuctionRow, BidRow, Listing, NotificationRow, Range, SettlementRow};
use crate::error::StoreError;
use crate::limits::{
    AUCTION_READS_MAX, AUCTION_ROWS_MAX, BATCH_KEYS_MAX, BID_ROWS_MAX, BIDDING_LOOK, READ_MAX,
    READERS_MAX, UNREAD_MAX, WATCHED_MAX,
};
use crate::mysql::{Kind, Line, Outcome, is_lost, json, meaning};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row, Value};
use souk_meter::{Batch, Queue};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// How single auctions are read: all that are asked for meanwhile in one statement.
pub struct RowReads;

impl Kind for RowReads {
    type Job = u64;
    type Done = Option<Rc<AuctionRow>>;
    type Failure = StoreError;

    const GROUP_MAX: usize = BATCH_KEYS_MAX;
    const WAITING_MAX: usize = READERS_MAX;
    const TIME_MAX: Duration = READ_MAX;
    const SPAN: &'static str = "mysql auction";
    const QUEUE: Queue = Queue::MysqlRead;
    const BATCH: Batch = Batch::MysqlRead;

    fn store_failure(failure: &StoreError) -> Option<&StoreError> {
        Some(failure)
    }

    async fn run(
        &self,
        line: &mut Line,
        ids: &[u64],
        outcomes: &mut [Option<Outcome<RowReads>>],
    ) -> Result<(), StoreError> {
        let found = again_if_lost(line, async |conn| rows(conn, ids).await).await?;
        for (id, outcome) in ids.iter().zip(outcomes) {
            *outcome = Some(Ok(found.get(id).cloned()));
        }
        Ok(())
    }
}

/// Asks; once more on a new connection if the one that was held has died.
async fn again_if_lost<T>(
    line: &mut Line,
    ask: impl AsyncFn(&mut Conn) -> Result<T, Error>,
) -> Result<T, StoreError> {
    let mut may_retry = line.is_held();
    loop {
        match ask(line.get().await?).await {
            Ok(said) => return Ok(said),
            Err(error) => {
                line.lose(); // it may be within a transaction
                if !(is_lost(&error) && std::mem::take(&mut may_retry)) {
                    return Err(meaning(&error));
                }
            }
        }
    }
}

/// Auctions whose ids are the parameter.
const LISTED: &str = "JSON_TABLE(?, '$[*]' COLUMNS (wanted BIGINT UNSIGNED PATH '$')) AS d \
     STRAIGHT_JOIN auctions";

async fn rows(conn: &mut Conn, ids: &[u64]) -> Result<HashMap<u64, Rc<AuctionRow>>, Error> {
    let sql = format!(
        "SELECT {AUCTION}, description FROM {LISTED} FORCE INDEX (PRIMARY) ON id = d.wanted"
    );
    let mut found = HashMap::with_capacity(ids.len());
    for row in conn.exec::<Row, _, _>(sql, (json(&ids),)).await? {
        let row = auction_row(row)?;
        found.insert(row.id, Rc::new(row));
    }
    Ok(found)
}

/// What is asked.
#[derive(Debug)]
pub enum Ask {
    List { listing: Listing, after: Option<After>, limit: u32, now_ms: i64 },
    Bids { id: u64, range: Range, limit: u32 },
    Watched { user_id: u64, ids: Vec<u64> },
    Due { now_ms: i64, limit: u32 },
    Settlement(u64),
    Notifications { user_id: u64, before: u64, limit: u32 },
}

/// What is said.
#[derive(Debug)]
pub enum Said {
    List(Vec<AuctionRow>),
    Bids(Vec<BidRow>),
    Ids(Vec<u64>),
    Settlement(Option<SettlementRow>),
    Notifications(Vec<NotificationRow>, u32),
}

/// How everything else is read.
pub struct AuctionReads;

impl Kind for AuctionReads {
    type Job = Ask;
    type Done = Said;
    type Failure = StoreError;

    const GROUP_MAX: usize = 1;
    const WAITING_MAX: usize = AUCTION_READS_MAX;
    const TIME_MAX: Duration = READ_MAX;
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
        outcomes: &mut [Option<Outcome<AuctionReads>>],
    ) -> Result<(), StoreError> {
        for (ask, outcome) in asks.iter().zip(outcomes) {
            *outcome = Some(again_if_lost(line, async |conn| answer(conn, ask).await).await);
        }
        Ok(())
    }
}

async fn answer(conn: &mut Conn, ask: &Ask) -> Result<Said, Error> {
    match ask {
        Ask::List { listing, after, limit, now_ms } => {
            list(conn, *listing, *after, (*limit).min(AUCTION_ROWS_MAX), *now_ms).await
        }
        Ask::Bids { id, range, limit } => {
            bids(conn, *id, *range, (*limit).min(BID_ROWS_MAX)).await.map(Said::Bids)
        }
        Ask::Watched { user_id, ids } => {
            let sql = "SELECT w.auction_id FROM JSON_TABLE(?, '$[*]' \
                   COLUMNS (id BIGINT UNSIGNED PATH '$')) AS d \
                 STRAIGHT_JOIN auction_watches AS w FORCE INDEX (PRIMARY) \
                   ON w.user_id = ? AND w.auction_id = d.id";
            let ids = &ids[..ids.len().min(WATCHED_MAX)];
            conn.exec(sql, (json(&ids), user_id)).await.map(Said::Ids)
        }
        Ask::Due { now_ms, limit } => {
            let sql = "SELECT id FROM auctions FORCE INDEX (auctions_end) \
                 WHERE phase = 'open' AND ends_at_ms <= ? ORDER BY ends_at_ms, id LIMIT ?";
            conn.exec(sql, (now_ms, limit)).await.map(Said::Ids)
        }
        Ask::Settlement(id) => settlement(conn, *id).await.map(Said::Settlement),
        Ask::Notifications { user_id, before, limit } => {
            conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
            let limit = (*limit).min(AUCTION_ROWS_MAX);
            let said = notifications(conn, *user_id, *before, limit).await?;
            conn.query_drop("COMMIT").await?;
            Ok(said)
        }
    }
}

async fn list(
    conn: &mut Conn,
    listing: Listing,
    after: Option<After>,
    limit: u32,
    now_ms: i64,
) -> Result<Said, Error> {
    let (id, time_ms) = after.map_or((u64::MAX, i64::MAX), |it| (it.id, it.time_ms));
    let found: Vec<Row> = match listing {
        Listing::Live => {
            let sql = format!(
                "SELECT {AUCTION}, '' FROM auctions FORCE INDEX (auctions_start) \
                 WHERE phase = 'open' AND start_at_ms <= ? AND ends_at_ms > ? \
                   AND (start_at_ms < ? OR (start_at_ms = ? AND id < ?)) \
                 ORDER BY start_at_ms DESC, id DESC LIMIT ?"
            );
            conn.exec(sql, (now_ms, now_ms, time_ms, time_ms, id, limit)).await?
        }
        Listing::EndingSoon => {
            let (id, time_ms) = after.map_or((0, i64::MIN), |it| (it.id, it.time_ms));
            let sql = format!(
                "SELECT {AUCTION}, '' FROM auctions FORCE INDEX (auctions_end) \
                 WHERE phase = 'open' AND ends_at_ms > ? AND start_at_ms <= ? \
                   AND (ends_at_ms > ? OR (ends_at_ms = ? AND id > ?)) \
                 ORDER BY ends_at_ms, id LIMIT ?"
            );
            conn.exec(sql, (now_ms, now_ms, time_ms, time_ms, id, limit)).await?
        }
        Listing::Selling(seller) => {
            let sql = format!(
                "SELECT {AUCTION}, '' FROM auctions FORCE INDEX (auctions_seller) \
                 WHERE seller_id = ? AND id < ? ORDER BY id DESC LIMIT ?"
            );
            conn.exec(sql, (seller, id, limit)).await?
        }
        Listing::Bidding(bidder) => {
            let ids = bidding(conn, bidder, id, limit).await?;
            let sql = format!(
                "SELECT {AUCTION}, '' FROM {LISTED} FORCE INDEX (PRIMARY) ON id = d.wanted \
                 ORDER BY id DESC"
            );
            conn.exec(sql, (json(&ids),)).await?
        }
        Listing::Watched(user) => {
            let sql = format!(
                "SELECT {AUCTION}, '' FROM auction_watches AS w FORCE INDEX (PRIMARY) \
                 STRAIGHT_JOIN auctions FORCE INDEX (PRIMARY) ON id = w.auction_id \
                 WHERE w.user_id = ? AND w.auction_id < ? ORDER BY w.auction_id DESC LIMIT ?"
            );
            conn.exec(sql, (user, id, limit)).await?
        }
    };
    found.into_iter().map(auction_row).collect::<Result<_, _>>().map(Said::List)
}

/// The auctions below this id that somebody bid on, falling. The index has a line for each bid, so
/// each look is a short range of it, and the next one begins below the last auction found: however
/// often somebody bid, a page costs at most one look for each of its auctions.
async fn bidding(conn: &mut Conn, bidder: u64, below: u64, limit: u32) -> Result<Vec<u64>, Error> {
    let sql = format!(
        "SELECT auction_id FROM bids FORCE INDEX (bids_bidder) \
         WHERE bidder_id = ? AND auction_id < ? ORDER BY auction_id DESC LIMIT {BIDDING_LOOK}"
    );
    let (mut ids, mut below) = (Vec::new(), below);
    while ids.len() < limit as usize {
        let found: Vec<u64> = conn.exec(&*sql, (bidder, below)).await?;
        let is_last = found.len() < BIDDING_LOOK;
        ids.extend(found);
        ids.dedup();
        below = ids.last().copied().unwrap_or_default();
        if is_last {
            break;
        }
    }
    ids.truncate(limit as usize);
    Ok(ids)
}

async fn bids(conn: &mut Conn, id: u64, range: Range, limit: u32) -> Result<Vec<BidRow>, Error> {
    let (from, condition) = match range {
        Range::After(from) => (from, "sequence > ? ORDER BY sequence"),
        Range::Before(from) => (from, "sequence < ? ORDER BY sequence DESC"),
    };
    let sql = format!(
        "SELECT {BID} FROM bids FORCE INDEX (PRIMARY) WHERE auction_id = ? AND {condition} LIMIT ?"
    );
    let rows: Vec<Row> = conn.exec(sql, (id, from, limit)).await?;
    rows.into_iter().map(bid_row).collect()
}

/// The columns of a [`SettlementRow`], in the order of [`settlement_row`].
pub const SETTLEMENT: &str =
    "auction_id, outcome, seller_id, winner_id, currency, price, bids, head, settled_at_ms";

/// How an auction came out.
pub async fn settlement(conn: &mut Conn, id: u64) -> Result<Option<SettlementRow>, Error> {
    let sql = format!("SELECT {SETTLEMENT} FROM settlements WHERE auction_id = ?");
    conn.exec_first::<Row, _, _>(sql, (id,)).await?.map(settlement_row).transpose()
}

/// Reads a row of [`SETTLEMENT`].
pub fn settlement_row(row: Row) -> Result<SettlementRow, Error> {
    let mut columns = Columns::of(row);
    Ok(SettlementRow {
        auction_id: columns.next()?,
        outcome: outcome(&columns.next::<String>()?)?,
        seller_id: columns.next()?,
        winner_id: columns.next()?,
        currency: columns.next()?,
        price: columns.next()?,
        bids: columns.next()?,
        head: columns.bytes()?,
        settled_at_ms: columns.next()?,
    })
}

/// The index is in order of id for the read and the unread ones, each for itself.
async fn notifications(
    conn: &mut Conn,
    user_id: u64,
    before: u64,
    limit: u32,
) -> Result<Said, Error> {
    let part = |is_read| {
        format!(
            "(SELECT id, kind, auction_id, at_ms, is_read \
             FROM notifications FORCE INDEX (notifications_user) \
             WHERE user_id = ? AND is_read = {is_read} AND id < ? ORDER BY id DESC LIMIT ?)"
        )
    };
    let sql = format!(
        "SELECT n.id, n.kind, n.auction_id, a.title, a.currency, s.price, n.at_ms, n.is_read \
         FROM ({} UNION ALL {}) AS n \
         JOIN auctions AS a ON a.id = n.auction_id \
         JOIN settlements AS s ON s.auction_id = n.auction_id \
         ORDER BY n.id DESC LIMIT ?",
        part(0),
        part(1)
    );
    let before = if before == 0 { u64::MAX } else { before };
    let params = (user_id, before, limit, user_id, before, limit, limit);
    let rows: Vec<Row> = conn.exec(sql, params).await?;
    let rows = rows.into_iter().map(notification_row).collect::<Result<_, _>>()?;
    let unread = format!(
        "SELECT COUNT(*) FROM (SELECT 1 FROM notifications FORCE INDEX (notifications_user) \
         WHERE user_id = ? AND is_read = 0 LIMIT {UNREAD_MAX}) AS n"
    );
    let unread: Option<u32> = conn.exec_first(unread, (user_id,)).await?;
    Ok(Said::Notifications(rows, unread.unwrap_or_default()))
}

fn notification_row(row: Row) -> Result<NotificationRow, Error> {
    let mut columns = Columns::of(row);
    Ok(NotificationRow {
        id: columns.next()?,
        kind: notification(&columns.next::<String>()?)?,
        auction_id: columns.next()?,
        title: columns.next()?,
        currency: columns.next()?,
        price: columns.next()?,
        at_ms: columns.next()?,
        is_read: columns.next::<Value>()? == Value::Int(1),
    })
}
