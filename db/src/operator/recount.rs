//! Whether the counts are what a recount finds.

use super::{OperatorError, connect_alone, leave};
use crate::leaderboard::{ALL_TIME, Sums};
use crate::limits::RECOUNT_ATTEMPTS;
use crate::mysql::is_contention;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use std::collections::BTreeMap;

/// A rating of a board that is counted wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// 0, or the season.
    pub board: u64,
    /// The rating.
    pub rating: i32,
    /// Players that the table has.
    pub counted: i64,
    /// Players that there are.
    pub found: i64,
}

/// What a recount found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recount {
    /// Players on all boards.
    pub players: i64,
    /// In order of board and rating.
    pub differences: Vec<Difference>,
}

type Tally = BTreeMap<(u64, i32), i64>;

/// Counts the players of all boards anew, in one moment and from indexes alone, and compares. With
/// `fix`, differences are added to the counts. That may be done while ratings change: these are
/// added too, so a difference stays what it is.
pub async fn verify(url: &str, fix: bool) -> Result<Recount, OperatorError> {
    let mut conn = connect_alone(url, "recount").await?;
    let recount = compare(&mut conn).await?;
    if fix && !recount.differences.is_empty() {
        repair(&mut conn, &recount.differences).await?;
    }
    leave(conn).await;
    Ok(recount)
}

async fn compare(conn: &mut Conn) -> Result<Recount, Error> {
    const COUNTED: &str = "SELECT board, rating, players FROM rating_counts";
    const USERS: &str = "SELECT 0, rating, COUNT(*) FROM users FORCE INDEX (users_rating) \
         GROUP BY rating";
    const LINES: &str = "SELECT season, rating, COUNT(*) \
         FROM season_ratings FORCE INDEX (season_ratings_order) GROUP BY season, rating";
    const HIDDEN_USERS: &str = "SELECT 0, u.rating, -COUNT(*) FROM hidden_users AS h \
         JOIN users AS u ON u.id = h.user_id GROUP BY u.rating";
    const HIDDEN_LINES: &str = "SELECT s.season, s.rating, -COUNT(*) FROM hidden_users AS h \
         JOIN boards AS b JOIN season_ratings AS s ON s.season = b.id AND s.user_id = h.user_id \
         GROUP BY s.season, s.rating";
    conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
    let (mut counted, mut found) = (Tally::new(), Tally::new());
    add(conn, COUNTED, &mut counted).await?;
    for sql in [USERS, LINES, HIDDEN_USERS, HIDDEN_LINES] {
        add(conn, sql, &mut found).await?;
    }
    conn.query_drop("COMMIT").await?;
    let places: std::collections::BTreeSet<_> = counted.keys().chain(found.keys()).collect();
    let of = |tally: &Tally, place| tally.get(place).copied().unwrap_or_default();
    let differences = places.into_iter().filter_map(|place| {
        let (counted, found) = (of(&counted, place), of(&found, place));
        let difference = Difference { board: place.0, rating: place.1, counted, found };
        (counted != found).then_some(difference)
    });
    Ok(Recount { differences: differences.collect(), players: found.values().sum() })
}

async fn add(conn: &mut Conn, sql: &str, tally: &mut Tally) -> Result<(), Error> {
    for (board, rating, players) in conn.exec::<(u64, i32, i64), _, _>(sql, ()).await? {
        *tally.entry((board, rating)).or_default() += players;
    }
    Ok(())
}

async fn repair(conn: &mut Conn, differences: &[Difference]) -> Result<(), OperatorError> {
    let mut sums = Sums::default();
    for it in differences {
        sums.add(it.board, it.rating, it.found - it.counted);
    }
    for _ in 0..RECOUNT_ATTEMPTS {
        conn.query_drop("START TRANSACTION").await?;
        match sums.apply(conn).await {
            Ok(Some(_)) => return Ok(conn.query_drop("COMMIT").await?),
            Ok(None) => {
                conn.query_drop("ROLLBACK").await?;
                let lost = "a board that has counts is not in the table of boards; add it there";
                return Err(OperatorError::Refused(lost.to_owned()));
            }
            Err(Error::Server(said)) if is_contention(said.code) => {
                conn.query_drop("ROLLBACK").await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(OperatorError::Locked)
}

const _: () = assert!(ALL_TIME == 0, "the statements say so");
