//! Seasons: when they begin and end. Times are Unix milliseconds, "now" is the database's clock.

use super::{OperatorError, connect, connect_alone, leave};
use crate::accounts::query::datetime;
use crate::leaderboard::{ALL_TIME, BoardRow, RUNNING, boards};
use crate::limits::BOARD_NAME_MAX;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// Plans a season from `at` (`None`: now) until `until` (`None`: open) and says its id. One that
/// would meet another is refused: at most one runs at a time.
pub async fn start(
    url: &str,
    name: &str,
    at: Option<i64>,
    until: Option<i64>,
) -> Result<u64, OperatorError> {
    let length = name.chars().count();
    if length == 0 || length > BOARD_NAME_MAX {
        return Err(refused(&format!("a season's name has 1 to {BOARD_NAME_MAX} characters")));
    }
    let mut conn = connect_alone(url, "seasons").await?;
    let id = plan(&mut conn, name, at, until).await;
    leave(conn).await;
    id
}

async fn plan(
    conn: &mut Conn,
    name: &str,
    at: Option<i64>,
    until: Option<i64>,
) -> Result<u64, OperatorError> {
    let now = "SELECT CAST(FLOOR(UNIX_TIMESTAMP(UTC_TIMESTAMP(3)) * 1000) AS SIGNED)";
    let now: i64 = conn.exec_first(now, ()).await?.unwrap_or_default();
    let starts = at.unwrap_or(now);
    if until.is_some_and(|until| until <= starts) {
        return Err(refused("a season ends after it starts"));
    }
    if until.is_some_and(|until| until <= now) {
        return Err(refused("the season would be over already"));
    }
    let all = boards(conn).await?;
    let meets = |board: &&BoardRow| {
        board.id != ALL_TIME
            && until.is_none_or(|until| board.starts_at_ms < until)
            && board.ends_at_ms.is_none_or(|ends| starts < ends)
    };
    if let Some(other) = all.iter().find(meets) {
        return Err(refused(&format!(
            "it would meet season {} ({}). End that one, or choose other times",
            other.id, other.name
        )));
    }
    let id = all.last().map_or(ALL_TIME, |board| board.id) + 1;
    let sql = "INSERT INTO boards (id, name, starts_at, ends_at) VALUES (?, ?, ?, ?)";
    let ends = until.map_or(mysql_async::Value::NULL, datetime);
    conn.exec_drop(sql, (id, name, datetime(starts), ends)).await?;
    Ok(id)
}

/// Ends a season that runs, now. Its board is not written any more: a rating that was about to be
/// is decided anew, without it.
pub async fn end(url: &str, id: u64) -> Result<(), OperatorError> {
    let mut conn = connect_alone(url, "seasons").await?;
    let sql = format!(
        "UPDATE boards SET ends_at = UTC_TIMESTAMP(3), version = version + 1 \
         WHERE id = ? AND {RUNNING}"
    );
    conn.exec_drop(sql, (id,)).await?;
    let ended = conn.affected_rows() > 0;
    leave(conn).await;
    if ended { Ok(()) } else { Err(refused(&format!("season {id} does not run"))) }
}

/// All seasons, in order of id.
pub async fn list(url: &str) -> Result<Vec<BoardRow>, OperatorError> {
    let mut conn = connect(url).await?;
    let mut all = boards(&mut conn).await?;
    leave(conn).await;
    all.retain(|board| board.id != ALL_TIME);
    Ok(all)
}

fn refused(why: &str) -> OperatorError {
    OperatorError::Refused(why.to_owned())
}
