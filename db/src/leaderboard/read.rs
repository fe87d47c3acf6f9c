//! Reads of boards, on a few connections of their own: their transactions see one moment.

use super::{ALL_TIME, BoardRow, Counts, Line, Look, Place, ServiceToken, Side, Slice};
use crate::accounts::query::unix_ms;
use crate::error::{Server, StoreError};
use crate::limits::{BOARD_READS_MAX, MEND_ROWS_MAX, READ_MAX, SLICE_LINES_MAX};
use crate::mysql::{Kind, Line as Connection, Outcome, is_lost, meaning};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Value};
use souk_meter::{Batch, Queue};
use std::time::Duration;

/// What is asked of the boards.
#[derive(Debug)]
pub enum Ask {
    Look,
    Counts(u64),
    Slice { board: u64, from: Option<Place>, side: Side, limit: u32 },
    Place { board: u64, user_id: u64 },
}

/// What they say.
pub enum Said {
    /// With the rows whose cached form is old, and up to which version.
    Look(Look, Vec<(u64, u64)>),
    Counts(Counts),
    Slice(Slice),
    Place(Option<Place>),
}

/// How boards are read.
pub struct BoardReads;

impl Kind for BoardReads {
    type Job = Ask;
    type Done = Said;
    type Failure = StoreError;

    const GROUP_MAX: usize = 1;
    const WAITING_MAX: usize = BOARD_READS_MAX;
    const TIME_MAX: Duration = READ_MAX;
    const SPAN: &'static str = "mysql board";
    const QUEUE: Queue = Queue::MysqlRead;
    const BATCH: Batch = Batch::MysqlRead;

    fn store_failure(failure: &StoreError) -> Option<&StoreError> {
        Some(failure)
    }

    async fn run(
        &self,
        line: &mut Connection,
        asks: &[Ask],
        outcomes: &mut [Option<Outcome<BoardReads>>],
    ) -> Result<(), StoreError> {
        for (ask, outcome) in asks.iter().zip(outcomes) {
            let mut may_retry = line.is_held();
            *outcome = Some(loop {
                match answer(line.get().await?, ask).await {
                    Ok(said) => break Ok(said),
                    Err(error) if is_lost(&error) => {
                        line.lose();
                        if !std::mem::take(&mut may_retry) {
                            break Err(meaning(&error));
                        }
                    }
                    Err(error) => {
                        line.lose(); // it may be within a transaction
                        break Err(meaning(&error));
                    }
                }
            });
        }
        Ok(())
    }
}

async fn answer(conn: &mut Conn, ask: &Ask) -> Result<Said, Error> {
    match ask {
        Ask::Look => look(conn).await,
        Ask::Counts(board) => counts(conn, *board).await.map(Said::Counts),
        Ask::Slice { board, from, side, limit } => {
            conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
            let slice = slice(conn, *board, from.as_ref(), *side, *limit).await?;
            conn.query_drop("COMMIT").await?;
            Ok(Said::Slice(slice))
        }
        Ask::Place { board, user_id } => place_of(conn, *board, *user_id).await.map(Said::Place),
    }
}

type BoardColumns = (u64, String, Value, Value, u64);

/// All boards, in order of id.
pub async fn boards(conn: &mut Conn) -> Result<Vec<BoardRow>, Error> {
    let sql = "SELECT id, name, starts_at, ends_at, version FROM boards ORDER BY id";
    let rows: Vec<BoardColumns> = conn.exec(sql, ()).await?;
    let board = |(id, name, starts_at, ends_at, version): BoardColumns| BoardRow {
        id,
        name,
        starts_at_ms: unix_ms(&starts_at).unwrap_or_default(),
        ends_at_ms: unix_ms(&ends_at),
        version,
    };
    Ok(rows.into_iter().map(board).collect())
}

async fn look(conn: &mut Conn) -> Result<Said, Error> {
    let boards = boards(conn).await?;
    let hidden = conn.exec("SELECT user_id FROM hidden_users ORDER BY user_id", ()).await?;
    let tokens: Vec<(Vec<u8>, String, u64, String)> = conn
        .exec("SELECT hash, role, id, label FROM service_tokens WHERE revoked_at IS NULL", ())
        .await?;
    let tokens = tokens.into_iter().filter_map(|(hash, role, id, label)| {
        Some(ServiceToken { hash: hash.try_into().ok()?, role, id, label })
    });
    let tokens = tokens.collect();
    let sql = format!("SELECT user_id, version FROM unfenced_users LIMIT {MEND_ROWS_MAX}");
    let unfenced = conn.exec(sql, ()).await?;
    Ok(Said::Look(Look { boards, hidden, tokens }, unfenced))
}

/// One statement, and so of one moment.
async fn counts(conn: &mut Conn, board: u64) -> Result<Counts, Error> {
    const SQL: &str = "SELECT b.version, c.rating, c.players FROM boards AS b \
         LEFT JOIN rating_counts AS c ON c.board = b.id AND c.players > 0 \
         WHERE b.id = ? ORDER BY c.rating";
    let rows: Vec<(u64, Option<i32>, Option<u64>)> = conn.exec(SQL, (board,)).await?;
    let version = rows.first().map_or(0, |row| row.0);
    let players = rows.into_iter().filter_map(|(_, rating, players)| Some((rating?, players?)));
    Ok(Counts { version, players: players.collect() })
}

/// Both ranges are parts of one index, in its order; neither meets a line that is not asked for.
/// The users' rows are only looked up for lines of the page.
async fn slice(
    conn: &mut Conn,
    board: u64,
    from: Option<&Place>,
    side: Side,
    limit: u32,
) -> Result<Slice, Error> {
    let (sql, params) = page(board, from, side, limit.min(SLICE_LINES_MAX));
    let rows: Vec<(u64, String, String, String, i32)> = conn.exec(sql, params).await?;
    let line = |(user_id, username, nickname, picture, rating)| Line {
        user_id,
        username,
        nickname,
        picture,
        rating,
    };
    let mut lines: Vec<Line> = rows.into_iter().map(line).collect();
    if side == Side::Before {
        lines.reverse();
    }
    const SUMS: &str = "SELECT b.version, CAST(COALESCE(SUM(c.players), 0) AS UNSIGNED), \
           CAST(COALESCE(SUM(IF(c.rating > ?, c.players, 0)), 0) AS UNSIGNED), \
           CAST(COALESCE(SUM(IF(c.rating = ?, c.players, 0)), 0) AS UNSIGNED) \
         FROM boards AS b LEFT JOIN rating_counts AS c ON c.board = b.id \
         WHERE b.id = ? GROUP BY b.id, b.version";
    let best = lines.first().map_or(i32::MAX, |line| line.rating);
    let sums: Option<(u64, u64, u64, u64)> = conn.exec_first(SUMS, (best, best, board)).await?;
    let (version, total, above, level) = sums.unwrap_or_default();
    Ok(Slice { lines, above, level, total, version })
}

/// The statement of a slice, and its parameters.
fn page(board: u64, from: Option<&Place>, side: Side, limit: u32) -> (String, Vec<Value>) {
    let (name, source) = match board {
        ALL_TIME => (
            "u",
            "SELECT u.id, u.username, u.nickname, u.picture, u.rating \
             FROM users AS u FORCE INDEX (users_rating)"
                .to_owned(),
        ),
        season => (
            "s",
            format!(
                "SELECT s.user_id, s.username, COALESCE(u.nickname, s.username), \
               COALESCE(u.picture, ''), s.rating \
             FROM season_ratings AS s FORCE INDEX (season_ratings_order) \
             LEFT JOIN users AS u ON u.id = s.user_id WHERE s.season = {season}"
            ),
        ),
    };
    let mut conditions = Vec::new();
    let mut params = Vec::new();
    if let Some(place) = from {
        let (worse, further) = match side {
            Side::After => ('<', '>'),
            Side::Before => ('>', '<'),
        };
        conditions.push(format!(
            "({name}.rating {worse} ? OR ({name}.rating = ? AND {name}.username {further} ?))"
        ));
        params.extend([place.rating.into(), place.rating.into(), (&place.username).into()]);
    }
    let id = if board == ALL_TIME { "u.id" } else { "s.user_id" };
    conditions.push(format!("NOT EXISTS (SELECT 1 FROM hidden_users AS h WHERE h.user_id = {id})"));
    let (rating, username) = match side {
        Side::After => ("DESC", "ASC"),
        Side::Before => ("ASC", "DESC"),
    };
    let joint = if board == ALL_TIME { "WHERE" } else { "AND" };
    params.push(limit.into());
    let conditions = conditions.join(" AND ");
    let order = format!("{name}.rating {rating}, {name}.username {username}");
    (format!("{source} {joint} {conditions} ORDER BY {order} LIMIT ?"), params)
}

async fn place_of(conn: &mut Conn, board: u64, user_id: u64) -> Result<Option<Place>, Error> {
    let visible = "NOT EXISTS (SELECT 1 FROM hidden_users AS h WHERE h.user_id = p.";
    let row: Option<(i32, String)> = if board == ALL_TIME {
        let sql =
            format!("SELECT p.rating, p.username FROM users AS p WHERE p.id = ? AND {visible}id)");
        conn.exec_first(sql, (user_id,)).await?
    } else {
        let sql = format!(
            "SELECT p.rating, p.username FROM season_ratings AS p \
             WHERE p.season = ? AND p.user_id = ? AND {visible}user_id)"
        );
        conn.exec_first(sql, (board, user_id)).await?
    };
    Ok(row.map(|(rating, username)| Place { rating, username }))
}

/// An answer to another question than the one that was asked: a mistake of this program.
pub fn mistaken() -> StoreError {
    StoreError::corrupt(Server::Database, "an answer to another question")
}
