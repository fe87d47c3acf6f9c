//! Changes of auctions by their sellers, their ends, and what users note about them. Those that
//! arrive while a transaction runs share the next one; each succeeds or fails alone.

use super::chain::first_head;
use super::engine::{epoch, extend_one, may_move};
use super::read::settlement;
use super::rows::{AUCTION, auction_row, notification_text, outcome_text, steps_text, wrong};
use super::{AuctionError, AuctionRow, Phase, Settled, SettlementRow, Terms};
use crate::error::StoreError;
use crate::limits::{
    AUCTION_CHANGES_MAX, AUCTION_GROUP_MAX, MARKED_MAX, TRANSACTION_MAX, WRITE_ATTEMPTS,
};
use crate::mysql::{Kind, LOCK_WAIT, Line, is_contention, is_lost, meaning};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Params, Row, Value};
use souk_meter::{Batch, Queue};
use std::time::Duration;

/// What is to be changed.
#[derive(Debug)]
pub enum Change {
    Create { seller_id: u64, terms: Box<Terms>, salt: [u8; 16], now_ms: i64 },
    BySeller(BySeller),
    Settle { id: u64, sequence: u64, now_ms: i64 },
    Watch { user_id: u64, id: u64, watched: bool },
    Read { user_id: u64, up_to: u64 },
}

/// What a seller changes before the first bid and before the end.
#[derive(Debug)]
pub struct BySeller {
    pub id: u64,
    pub seller_id: u64,
    pub now_ms: i64,
    pub what: What,
}

/// What of it.
#[derive(Debug)]
pub enum What {
    Terms { if_version: Option<u64>, terms: Box<Terms> },
    Picture(String),
    Cancel,
}

/// What a change came to.
#[derive(Debug)]
pub enum Changed {
    Row(Box<AuctionRow>),
    /// `None`: bids came in since the caller looked.
    Settled(Option<Settled>),
    Watched,
    /// So many were marked.
    Read(u64),
}

type Outcome = Result<Changed, AuctionError>;

/// How auctions are changed.
pub struct Changes;

impl Kind for Changes {
    type Job = Change;
    type Done = Changed;
    type Failure = AuctionError;

    const GROUP_MAX: usize = AUCTION_GROUP_MAX;
    const WAITING_MAX: usize = AUCTION_CHANGES_MAX;
    const TIME_MAX: Duration = TRANSACTION_MAX;
    const SPAN: &'static str = "mysql auction change";
    const QUEUE: Queue = Queue::MysqlWrite;
    const BATCH: Batch = Batch::MysqlWrite;

    fn store_failure(failure: &AuctionError) -> Option<&StoreError> {
        match failure {
            AuctionError::Store(failure) => Some(failure),
            _ => None,
        }
    }

    async fn run(
        &self,
        line: &mut Line,
        changes: &[Change],
        outcomes: &mut [Option<Outcome>],
    ) -> Result<(), StoreError> {
        let conn = line.get_alive().await?;
        if changes.len() > 1
            && let Ok(done) = transact(conn, changes).await?
        {
            for (outcome, done) in outcomes.iter_mut().zip(done) {
                *outcome = Some(done);
            }
            return Ok(());
        }
        for (change, outcome) in changes.iter().zip(outcomes) {
            *outcome = Some(alone(conn, change).await?);
        }
        Ok(())
    }
}

/// One change in a transaction of its own, again if it loses against others. A lock that was not
/// free in time is not waited for again: others wait behind this change.
async fn alone(conn: &mut Conn, change: &Change) -> Result<Outcome, StoreError> {
    for _ in 0..WRITE_ATTEMPTS {
        match transact(conn, std::slice::from_ref(change)).await? {
            Ok(mut done) => return Ok(done.pop().expect("one for each")),
            Err(Error::Server(said)) if said.code == LOCK_WAIT => break,
            Err(Error::Server(said)) if is_contention(said.code) => {}
            Err(error) => return Ok(Err(meaning(&error).into())),
        }
    }
    Ok(Err(StoreError::database("the row is locked by others; nothing was changed").into()))
}

/// One transaction. With the inner error nothing of it stays; the outer one leaves it in doubt.
async fn transact(
    conn: &mut Conn,
    changes: &[Change],
) -> Result<Result<Vec<Outcome>, Error>, StoreError> {
    match attempt(conn, changes).await {
        Ok(done) => Ok(Ok(done)),
        Err(error) if is_lost(&error) && !matches!(error, Error::Other(_)) => Err(meaning(&error)),
        Err(error) => {
            conn.query_drop("ROLLBACK").await.map_err(|error| meaning(&error))?;
            Ok(Err(error))
        }
    }
}

async fn attempt(conn: &mut Conn, changes: &[Change]) -> Result<Vec<Outcome>, Error> {
    conn.query_drop("START TRANSACTION").await?;
    let mut done = Vec::with_capacity(changes.len());
    for change in changes {
        done.push(match change {
            Change::Create { seller_id, terms, salt, now_ms } => {
                Ok(create(conn, *seller_id, terms, salt, *now_ms).await?)
            }
            Change::BySeller(change) => by_seller(conn, change).await?,
            Change::Settle { id, sequence, now_ms } => {
                Ok(Changed::Settled(settle(conn, *id, *sequence, *now_ms).await?))
            }
            Change::Watch { user_id, id, watched } => watch(conn, *user_id, *id, *watched).await?,
            Change::Read { user_id, up_to } => Ok(read(conn, *user_id, *up_to).await?),
        });
    }
    conn.query_drop("COMMIT").await?;
    Ok(done)
}

/// The columns that terms fill.
const TERMS: &str = "title = ?, description = ?, currency = ?, start_price = ?, increments = ?, \
     reserve = ?, buy_now = ?, start_at_ms = ?, ends_at_ms = ?, soft_window_ms = ?, \
     extensions_max = ?";

fn values(terms: &Terms) -> Vec<Value> {
    vec![
        (&terms.title).into(),
        (&terms.description).into(),
        (&terms.currency).into(),
        terms.start_price.into(),
        steps_text(&terms.increments).into(),
        terms.reserve.into(),
        terms.buy_now.into(),
        terms.start_at_ms.into(),
        terms.end_at_ms.into(),
        terms.soft_window_ms.into(),
        terms.extensions_max.into(),
    ]
}

/// The first head is made of the id, so the row is written twice; nobody sees it in between.
async fn create(
    conn: &mut Conn,
    seller_id: u64,
    terms: &Terms,
    salt: &[u8; 16],
    now_ms: i64,
) -> Result<Changed, Error> {
    let sql = format!(
        "INSERT INTO auctions SET seller_id = ?, salt = ?, head = ?, \
         created_at_ms = ?, outages = ?, {TERMS}"
    );
    // It has not lived through the outages so far.
    let outages = epoch(conn).await?;
    let mut params: Vec<Value> =
        vec![seller_id.into(), salt.as_slice().into(), [0; 32].as_slice().into(), now_ms.into()];
    params.push(outages.into());
    params.extend(values(terms));
    conn.exec_drop(sql, Params::Positional(params)).await?;
    let id = conn.last_insert_id().unwrap_or_default();
    let head = first_head(id);
    let sql = "UPDATE auctions SET head = ? WHERE id = ?";
    conn.exec_drop(sql, (head.as_slice(), id)).await?;
    Ok(Changed::Row(Box::new(AuctionRow {
        id,
        seller_id,
        terms: terms.clone(),
        picture: String::new(),
        phase: Phase::Open,
        outcome: None,
        extended: 0,
        outage_ms: 0,
        outages,
        sequence: 0,
        price: 0,
        leader_id: 0,
        leader_max: 0,
        last_at_ms: 0,
        head,
        salt: *salt,
        version: 1,
        created_at_ms: now_ms,
    })))
}

/// The row, locked until the end of the transaction, with all outages in its end.
async fn lock(conn: &mut Conn, id: u64) -> Result<Option<AuctionRow>, Error> {
    let sql = format!("SELECT {AUCTION}, description FROM auctions WHERE id = ? FOR UPDATE");
    let row = conn.exec_first::<Row, _, _>(&sql, (id,)).await?.map(auction_row).transpose()?;
    let epoch = epoch(conn).await?;
    match row {
        Some(row) if row.is_behind(epoch) => {
            extend_one(conn, id, row.outages, epoch).await?;
            conn.exec_first::<Row, _, _>(&sql, (id,)).await?.map(auction_row).transpose()
        }
        row => Ok(row),
    }
}

async fn by_seller(conn: &mut Conn, change: &BySeller) -> Result<Outcome, Error> {
    let Some(mut row) = lock(conn, change.id).await? else {
        return Ok(Err(AuctionError::Missing));
    };
    if row.seller_id != change.seller_id {
        return Ok(Err(AuctionError::NotSeller));
    }
    if row.phase == Phase::Cancelled && matches!(change.what, What::Cancel) {
        return Ok(Ok(Changed::Row(Box::new(row))));
    }
    if row.phase != Phase::Open || row.terms.end_at_ms <= change.now_ms {
        return Ok(Err(AuctionError::Over(row.phase)));
    }
    if row.sequence > 0 {
        return Ok(Err(AuctionError::HasBids));
    }
    let (columns, mut params) = match &change.what {
        What::Terms { if_version: Some(version), .. } if *version != row.version => {
            return Ok(Err(AuctionError::Conflict));
        }
        What::Terms { terms, .. } => {
            row.terms = (**terms).clone();
            (TERMS, values(terms))
        }
        What::Picture(picture) => {
            row.picture.clone_from(picture);
            ("picture = ?", vec![picture.into()])
        }
        What::Cancel => {
            row.phase = Phase::Cancelled;
            ("phase = 'cancelled'", Vec::new())
        }
    };
    row.version += 1;
    params.push(change.id.into());
    let sql = format!("UPDATE auctions SET {columns}, version = version + 1 WHERE id = ?");
    conn.exec_drop(sql, Params::Positional(params)).await?;
    Ok(Ok(Changed::Row(Box::new(row))))
}

/// Ends an auction that has so many bids, once, and says so to whom it concerns.
async fn settle(
    conn: &mut Conn,
    id: u64,
    sequence: u64,
    now_ms: i64,
) -> Result<Option<Settled>, Error> {
    let Some(row) = lock(conn, id).await? else { return Ok(Some(Settled::Gone)) };
    match row.phase {
        Phase::Cancelled => return Ok(Some(Settled::Gone)),
        Phase::Ended => {
            let before = settlement(conn, id).await?;
            let before = before.ok_or_else(|| wrong("an ended auction has no settlement"))?;
            return Ok(Some(Settled::Before(before)));
        }
        Phase::Open => {}
    }
    if row.terms.end_at_ms > now_ms || may_move(conn, row.outages).await? {
        return Ok(Some(Settled::Not));
    }
    if row.sequence != sequence {
        return Ok(None);
    }
    let settled = row.settled(now_ms);
    let outcome = outcome_text(settled.outcome);
    let sql = "INSERT INTO settlements (auction_id, outcome, seller_id, winner_id, currency, \
           price, bids, head, settled_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let SettlementRow { seller_id, winner_id, currency, price, bids, head, .. } = &settled;
    let head = head.as_slice();
    let values = (id, outcome, seller_id, winner_id, currency, price, bids, head, now_ms);
    conn.exec_drop(sql, values).await?;
    for (user, kind) in settled.notices() {
        let sql = "INSERT INTO notifications (user_id, kind, auction_id, at_ms) \
             VALUES (?, ?, ?, ?)";
        conn.exec_drop(sql, (user, notification_text(kind), id, now_ms)).await?;
    }
    let sql = "UPDATE auctions SET phase = 'ended', outcome = ? WHERE id = ?";
    conn.exec_drop(sql, (outcome, id)).await?;
    Ok(Some(Settled::Now(settled)))
}

async fn watch(conn: &mut Conn, user_id: u64, id: u64, watched: bool) -> Result<Outcome, Error> {
    let sql = "SELECT id FROM auctions WHERE id = ?";
    if conn.exec_first::<u64, _, _>(sql, (id,)).await?.is_none() {
        return Ok(Err(AuctionError::Missing));
    }
    let sql = match watched {
        true => "INSERT IGNORE INTO auction_watches (user_id, auction_id) VALUES (?, ?)",
        false => "DELETE FROM auction_watches WHERE user_id = ? AND auction_id = ?",
    };
    conn.exec_drop(sql, (user_id, id)).await?;
    Ok(Ok(Changed::Watched))
}

async fn read(conn: &mut Conn, user_id: u64, up_to: u64) -> Result<Changed, Error> {
    let sql = format!(
        "UPDATE notifications SET is_read = TRUE \
         WHERE user_id = ? AND is_read = FALSE AND id <= ? ORDER BY id LIMIT {MARKED_MAX}"
    );
    conn.exec_drop(sql, (user_id, up_to)).await?;
    Ok(Changed::Read(conn.affected_rows()))
}
