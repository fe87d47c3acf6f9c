//! What changes boards, one group after another: rating events together, then each hiding alone.

use super::rate::{Committed, Rating};
use super::sums::Sums;
use super::{ALL_TIME, RateError, RatingEvent};
use crate::error::StoreError;
use crate::limits::{RATING_ATTEMPTS, RATING_GROUP_MAX, RATINGS_MAX, TRANSACTION_MAX};
use crate::mysql::{Kind, LOCK_WAIT, Line, Outcome, is_contention, meaning};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use souk_meter::{Batch, Queue};
use std::time::Duration;

/// What is to be changed.
pub enum Change {
    Rate(RatingEvent),
    Hide(Hide),
}

/// Takes a user off all boards, or puts it back.
pub struct Hide {
    pub user_id: u64,
    pub hidden: bool,
    pub actor: String,
    pub reason: String,
}

/// What a change came to.
pub enum Changed {
    Rated(Committed),
    Hidden,
}

impl Kind for Rating {
    type Job = Change;
    type Done = Changed;
    type Failure = RateError;

    const GROUP_MAX: usize = RATING_GROUP_MAX;
    const WAITING_MAX: usize = RATINGS_MAX;
    const TIME_MAX: Duration = TRANSACTION_MAX;
    const SPAN: &'static str = "mysql rating";
    const QUEUE: Queue = Queue::MysqlWrite;
    const BATCH: Batch = Batch::MysqlWrite;

    fn store_failure(failure: &RateError) -> Option<&StoreError> {
        match failure {
            RateError::Store(failure) => Some(failure),
            _ => None,
        }
    }

    async fn run(
        &self,
        line: &mut Line,
        changes: &[Change],
        outcomes: &mut [Option<Outcome<Rating>>],
    ) -> Result<(), StoreError> {
        let conn = line.get_alive().await?;
        let mut events = Vec::with_capacity(changes.len());
        for (place, change) in changes.iter().enumerate() {
            if let Change::Rate(event) = change {
                events.push((place, event));
            }
        }
        if !events.is_empty() {
            let settle = |place: usize, outcome: super::rate::Outcome| {
                outcomes[place] = Some(outcome.map(Changed::Rated));
            };
            self.commit(conn, &events, settle).await?;
        }
        for (change, outcome) in changes.iter().zip(outcomes) {
            if let Change::Hide(hide) = change {
                *outcome = Some(commit_hide(conn, hide).await?);
            }
        }
        Ok(())
    }
}

async fn commit_hide(conn: &mut Conn, hide: &Hide) -> Result<Outcome<Rating>, StoreError> {
    for _ in 0..RATING_ATTEMPTS {
        let failed = match try_hide(conn, hide).await {
            Ok(Some(outcome)) => return Ok(outcome.map(|()| Changed::Hidden)),
            Ok(None) => None,
            Err(Error::Server(said)) if is_contention(said.code) => Some(said.code),
            Err(error) => return Err(meaning(&error)),
        };
        conn.query_drop("ROLLBACK").await.map_err(|error| meaning(&error))?;
        if failed == Some(LOCK_WAIT) {
            break;
        }
    }
    Ok(Err(StoreError::database("the row is locked by others; nothing was changed").into()))
}

/// One transaction; `None` when it must not stand.
async fn try_hide(conn: &mut Conn, hide: &Hide) -> Result<Option<Result<(), RateError>>, Error> {
    let user = hide.user_id;
    conn.query_drop("START TRANSACTION").await?;
    let sql = "SELECT rating FROM users WHERE id = ? FOR UPDATE";
    let Some(rating) = conn.exec_first::<i32, _, _>(sql, (user,)).await? else {
        conn.query_drop("COMMIT").await?;
        return Ok(Some(Err(RateError::Missing(user))));
    };
    let (sql, action, players) = match hide.hidden {
        true => ("INSERT IGNORE INTO hidden_users (user_id) VALUES (?)", "hide", -1),
        false => ("DELETE FROM hidden_users WHERE user_id = ?", "unhide", 1),
    };
    conn.exec_drop(sql, (user,)).await?;
    if conn.affected_rows() == 0 {
        conn.query_drop("COMMIT").await?;
        return Ok(Some(Ok(())));
    }
    let mut sums = Sums::default();
    sums.add(ALL_TIME, rating, players);
    let sql = "SELECT s.season, s.rating FROM boards AS b \
         JOIN season_ratings AS s ON s.season = b.id AND s.user_id = ?";
    for (season, rating) in conn.exec::<(u64, i32), _, _>(sql, (user,)).await? {
        sums.add(season, rating, players);
    }
    let sql = "INSERT INTO moderation (at, actor, action, user_id, reason) \
         VALUES (UTC_TIMESTAMP(3), ?, ?, ?, ?)";
    conn.exec_drop(sql, (&hide.actor, action, user, &hide.reason)).await?;
    if sums.apply(conn).await?.is_none() {
        return Ok(None);
    }
    conn.query_drop("COMMIT").await?;
    Ok(Some(Ok(())))
}
