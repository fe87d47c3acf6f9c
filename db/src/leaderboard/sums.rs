//! Changes of the counts, summed over a transaction.

use super::statements::running_season;
use super::{ALL_TIME, BoardDelta};
use crate::accounts::query::Name;
use crate::mysql::json;
use mysql_async::Conn;
use mysql_async::Error;
use mysql_async::prelude::Queryable;
use std::collections::{BTreeMap, BTreeSet};

/// Which boards are seasons that run now, by the database's clock.
pub const RUNNING: &str = "id > 0 AND starts_at <= UTC_TIMESTAMP(3) \
     AND (ends_at IS NULL OR ends_at > UTC_TIMESTAMP(3))";

/// Rows come in the order of the key, so that transactions that count do not lock each other out.
const COUNT: &str = "INSERT INTO rating_counts (board, rating, players) \
     SELECT d.board, d.rating, d.players FROM JSON_TABLE(?, '$[*]' COLUMNS ( \
       board BIGINT UNSIGNED PATH '$[0]', rating INT PATH '$[1]', \
       players BIGINT PATH '$[2]')) AS d \
     ON DUPLICATE KEY UPDATE players = rating_counts.players + d.players";

const VERSION: &str = "UPDATE boards SET version = LAST_INSERT_ID(version + 1) WHERE id = ?";

/// The time of the day rather than of the statement: it may have waited for the one that ended the
/// season.
const STILL_RUNS: &str = "(ends_at IS NULL OR ends_at > SYSDATE(3))";

/// What a transaction means for the boards.
#[derive(Debug, Default)]
pub struct Sums {
    players: BTreeMap<(u64, i32), i64>,
    boards: BTreeSet<u64>,
    /// A season that must still run when the transaction ends.
    running: Option<u64>,
}

impl Sums {
    /// So many players more (or fewer) on a board at a rating.
    pub fn add(&mut self, board: u64, rating: i32, players: i64) {
        *self.players.entry((board, rating)).or_default() += players;
        self.touch(board);
    }

    /// A board's lines change, and no count of it.
    pub fn touch(&mut self, board: u64) {
        self.boards.insert(board);
    }

    /// The season's players were changed as those of one that runs.
    pub fn must_run(&mut self, season: u64) {
        self.touch(season);
        self.running = Some(season);
    }

    /// Changes counts and versions, as the last thing before the commit: their rows are those that
    /// everybody wants. `None` when a season has ended meanwhile: the transaction must not stand.
    pub async fn apply(&self, conn: &mut Conn) -> Result<Option<Vec<BoardDelta>>, Error> {
        let rows: Vec<(u64, i32, i64)> = self
            .players
            .iter()
            .filter(|(_, players)| **players != 0)
            .map(|(&(board, rating), &players)| (board, rating, players))
            .collect();
        if !rows.is_empty() {
            conn.exec_drop(COUNT, (json(&rows),)).await?;
        }
        let mut deltas = Vec::with_capacity(self.boards.len());
        // The board of all time comes last: it is everybody's.
        for &board in self.boards.iter().rev() {
            if self.running == Some(board) {
                conn.exec_drop(format!("{VERSION} AND {STILL_RUNS}"), (board,)).await?;
            } else {
                conn.exec_drop(VERSION, (board,)).await?;
            }
            match conn.last_insert_id() {
                Some(version) if conn.affected_rows() > 0 => {
                    deltas.push(BoardDelta { board, version });
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(deltas))
    }
}

/// Takes a user whose row was deleted in this transaction off the boards. What ended seasons show
/// of them stays; so does that they are hidden, where there is such a line.
pub async fn departure(
    conn: &mut Conn,
    user_id: u64,
    rating: i32,
    sums: &mut Sums,
) -> Result<(), Error> {
    let hidden: Option<u64> =
        conn.exec_first("SELECT user_id FROM hidden_users WHERE user_id = ?", (user_id,)).await?;
    if hidden.is_none() {
        sums.add(ALL_TIME, rating, -1);
    }
    // Its lock on the row of the user keeps everybody else from this line.
    let sql = format!(
        "SELECT s.season, s.rating FROM season_ratings AS s \
         WHERE s.season = (SELECT id FROM boards WHERE {RUNNING} LIMIT 1) AND s.user_id = ?"
    );
    let line: Option<(u64, i32)> = conn.exec_first(sql, (user_id,)).await?;
    if let Some((season, rating)) = line {
        let sql = "DELETE FROM season_ratings WHERE season = ? AND user_id = ?";
        conn.exec_drop(sql, (season, user_id)).await?;
        if hidden.is_none() {
            sums.add(season, rating, -1);
        }
        sums.must_run(season);
    }
    if hidden.is_some() {
        let sql = "DELETE FROM hidden_users WHERE user_id = ? AND NOT EXISTS (SELECT 1 \
             FROM boards AS b JOIN season_ratings AS s ON s.season = b.id AND s.user_id = ?)";
        conn.exec_drop(sql, (user_id, user_id)).await?;
    }
    Ok(())
}

/// Moves a user whose row was renamed in this transaction to its new place. In the running season
/// too, where else somebody who takes the old name would stand at the same place.
pub async fn renaming(
    conn: &mut Conn,
    user_id: u64,
    name: Name,
    sums: &mut Sums,
) -> Result<(), Error> {
    sums.touch(ALL_TIME);
    let Some(season) = running_season(conn).await? else { return Ok(()) };
    let sql = "UPDATE season_ratings SET username = ? WHERE season = ? AND user_id = ?";
    conn.exec_drop(sql, (name.as_bytes(), season, user_id)).await?;
    if conn.affected_rows() > 0 {
        sums.must_run(season);
    }
    Ok(())
}
