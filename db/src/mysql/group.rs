//! Writes of users, grouped: those that arrive while a commit runs share the next transaction, and
//! so its flush to disk. Each succeeds or fails alone.
//!
//! An answer leaves after the commit. When the connection is lost before the commit was answered,
//! the members learn that the outcome is unknown.

use super::connect::{Line, is_contention, is_lost, meaning};
use super::grouped::{self, Grouped, Kind};
use crate::accounts::query::Name;
use crate::error::{StoreError, WriteError};
use crate::leaderboard::{ALL_TIME, FIRST_RATING, Sums, departure, renaming};
use crate::limits::{FENCE_AGE_MAX, GROUP_MAX, TRANSACTION_MAX, WRITE_ATTEMPTS, WRITES_MAX};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Params, Value};
use souk_meter::{Batch, Queue};
use std::time::{Duration, Instant};

/// A duplicate value in a unique index.
const DUPLICATE: u16 = 1062;

/// A row lock was not free in time.
pub const LOCK_WAIT: u16 = 1205;

/// One statement that changes rows.
#[derive(Debug)]
pub struct Write {
    pub sql: &'static str,
    pub params: Vec<Value>,
    /// When the cache was fenced for it. A write with an old fence is not begun.
    pub fenced_at: Option<Instant>,
    /// What it means for the boards, if it changes a row.
    pub effect: Effect,
}

/// What a write means for the boards.
#[derive(Debug, Clone, Copy)]
pub enum Effect {
    Nothing,
    /// A player with the first rating is there.
    Joins,
    /// This player, with this rating of all time, is gone.
    Leaves {
        id: u64,
        rating: i32,
    },
    /// A player has another name, and with it another place.
    Renamed {
        id: u64,
        name: Name,
    },
}

/// What a committed write did.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Rows changed.
    pub affected: u64,
    /// The id that an insert was given.
    pub id: u64,
}

type Outcome = Result<Done, WriteError>;

/// The writer of one shard.
pub type Writer = Grouped<Writes>;

/// How writes are committed.
pub struct Writes;

impl Kind for Writes {
    type Job = Write;
    type Done = Done;
    type Failure = WriteError;

    const GROUP_MAX: usize = GROUP_MAX;
    const WAITING_MAX: usize = WRITES_MAX;
    const TIME_MAX: Duration = TRANSACTION_MAX;
    const SPAN: &'static str = "mysql write";
    const QUEUE: Queue = Queue::MysqlWrite;
    const BATCH: Batch = Batch::MysqlWrite;

    fn is_fresh(&self, write: &Write, now: Instant) -> bool {
        write.fenced_at.is_none_or(|at| now - at < FENCE_AGE_MAX)
    }

    fn store_failure(failure: &WriteError) -> Option<&StoreError> {
        match failure {
            WriteError::Store(failure) => Some(failure),
            _ => None,
        }
    }

    async fn run(
        &self,
        line: &mut Line,
        writes: &[Write],
        outcomes: &mut [Option<grouped::Outcome<Writes>>],
    ) -> Result<(), StoreError> {
        let conn = line.get_alive().await?;
        let alone = if writes.len() == 1 {
            vec![0]
        } else {
            commit_together(conn, writes, outcomes).await?
        };
        for place in alone {
            outcomes[place] = Some(commit_alone(conn, &writes[place]).await?);
        }
        Ok(())
    }
}

/// Runs all members in one transaction; the places of those that must be tried alone, in order:
/// none, or all when nothing was committed.
async fn commit_together(
    conn: &mut Conn,
    writes: &[Write],
    outcomes: &mut [Option<Outcome>],
) -> Result<Vec<usize>, StoreError> {
    let everyone_but_last =
        |last| (0..writes.len()).filter(|&place| place != last).chain([last]).collect();
    let mut settled = Vec::new();
    let mut sums = Sums::default();
    conn.query_drop("START TRANSACTION").await.map_err(|error| meaning(&error))?;
    for (place, write) in writes.iter().enumerate() {
        match execute(conn, write, &mut sums).await {
            Ok(outcome) => settled.push((place, outcome)),
            // A deadlock rolls back the transaction, and so does a lock wait, or it does not: that
            // is the server's setting. So nothing of it stays, and who waited comes last.
            Err(Error::Server(said)) if is_contention(said.code) => {
                conn.query_drop("ROLLBACK").await.map_err(|error| meaning(&error))?;
                return Ok(everyone_but_last(place));
            }
            Err(error) => return Err(meaning(&error)),
        }
    }
    match finish(conn, &sums).await {
        Ok(true) => {}
        Ok(false) => return Ok((0..writes.len()).collect()),
        Err(error) => return Err(meaning(&error)),
    }
    // Not before the commit: even "taken" may rest on a neighbour that was not committed.
    for (place, outcome) in settled {
        outcomes[place] = Some(outcome);
    }
    Ok(Vec::new())
}

/// Counts what the members mean for the boards and commits; whether nothing came in between. If
/// something did, nothing stays.
async fn finish(conn: &mut Conn, sums: &Sums) -> Result<bool, Error> {
    let counted = match sums.apply(conn).await {
        Ok(Some(_)) => conn.query_drop("COMMIT").await.map(|()| true),
        Ok(None) => Ok(false),
        Err(error) => Err(error),
    };
    match counted {
        Ok(true) => Ok(true),
        Err(Error::Server(said)) if !is_contention(said.code) => Err(Error::Server(said)),
        Ok(false) | Err(Error::Server(_)) => conn.query_drop("ROLLBACK").await.map(|()| false),
        Err(error) => Err(error),
    }
}

/// Runs one member in a transaction of its own, again if it loses against others. A lock that was
/// not free in time is not waited for again: others wait behind this write.
async fn commit_alone(conn: &mut Conn, write: &Write) -> Result<Outcome, StoreError> {
    for _ in 0..WRITE_ATTEMPTS {
        match try_alone(conn, write).await {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) => {}
            Err(Error::Server(said)) if said.code == LOCK_WAIT => break,
            Err(Error::Server(said)) if is_contention(said.code) => {}
            Err(error) => return Err(meaning(&error)),
        }
    }
    Ok(Err(StoreError::database("the row is locked by others; nothing was changed").into()))
}

/// One attempt; `None` when others came in between. A single statement is its own transaction.
async fn try_alone(conn: &mut Conn, write: &Write) -> Result<Option<Outcome>, Error> {
    let mut sums = Sums::default();
    if matches!(write.effect, Effect::Nothing) {
        return execute(conn, write, &mut sums).await.map(Some);
    }
    conn.query_drop("START TRANSACTION").await?;
    match execute(conn, write, &mut sums).await {
        Ok(outcome) => Ok(finish(conn, &sums).await?.then_some(outcome)),
        Err(Error::Server(said)) if is_contention(said.code) => {
            conn.query_drop("ROLLBACK").await?;
            Err(Error::Server(said))
        }
        Err(error) => Err(error),
    }
}

/// Runs a statement and notes what it means for the boards. The outer error leaves the transaction
/// in doubt, the inner one does not.
async fn execute(conn: &mut Conn, write: &Write, sums: &mut Sums) -> Result<Outcome, Error> {
    let done = match conn.exec_drop(write.sql, Params::Positional(write.params.clone())).await {
        Ok(()) => {
            Done { affected: conn.affected_rows(), id: conn.last_insert_id().unwrap_or_default() }
        }
        Err(Error::Server(said)) if said.code == DUPLICATE => return Ok(Err(WriteError::Taken)),
        Err(Error::Server(said)) if is_contention(said.code) => return Err(Error::Server(said)),
        Err(error) if is_lost(&error) => return Err(error),
        Err(error) => return Ok(Err(meaning(&error).into())),
    };
    match write.effect {
        Effect::Joins if done.affected > 0 => sums.add(ALL_TIME, FIRST_RATING, 1),
        Effect::Leaves { id, rating } if done.affected > 0 => {
            departure(conn, id, rating, sums).await?;
        }
        Effect::Renamed { id, name } if done.affected > 0 => {
            renaming(conn, id, name, sums).await?;
        }
        _ => {}
    }
    Ok(Ok(done))
}
