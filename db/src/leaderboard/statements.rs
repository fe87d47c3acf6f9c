//! The statements of a rating transaction. Each takes all its rows as one JSON document, so one
//! prepared statement serves any number of rows.

use super::sums::RUNNING;
use crate::accounts::query::{COLUMNS, datetime, user_row};
use crate::accounts::row::UserRow;
use crate::mysql::json;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row};
use std::collections::{BTreeMap, HashMap};

/// A user as it was locked, and as the events leave it.
#[derive(Debug)]
pub struct Player {
    /// With the rating, version and time that it is to have.
    pub row: UserRow,
    pub rating_before: i32,
    pub hidden: bool,
    /// The rating in the running season, when it is over; `None` if never rated there.
    pub season: Option<i32>,
    pub season_before: Option<i32>,
    /// Under which name the season has it.
    season_name: Option<String>,
}

impl Player {
    /// Whether its row is another now.
    pub fn is_changed(&self) -> bool {
        self.row.rating != self.rating_before
    }

    /// Whether its line in the running season is another now.
    pub fn has_new_line(&self) -> bool {
        self.season.is_some()
            && (self.season != self.season_before
                || self.season_name.as_deref() != Some(&*self.row.username))
    }

    /// Whether anything about it is to be written.
    pub fn is_touched(&self) -> bool {
        self.is_changed() || self.has_new_line()
    }
}

/// The answer to an event, as it is kept.
#[derive(Debug)]
pub struct Known {
    pub digest: [u8; 16],
    pub before: Vec<i32>,
    pub after: Vec<i32>,
    /// Too old to count.
    pub expired: bool,
}

impl Known {
    pub fn new(digest: [u8; 16], before: Vec<i32>, after: Vec<i32>) -> Known {
        Known { digest, before, after, expired: false }
    }
}

/// The season that runs now.
pub async fn running_season(conn: &mut Conn) -> Result<Option<u64>, Error> {
    conn.exec_first(format!("SELECT id FROM boards WHERE {RUNNING} LIMIT 1"), ()).await
}

type EventRow = (String, Vec<u8>, i32, i32, Option<i32>, Option<i32>, bool);

/// What is kept of events with these names.
pub async fn known_events(
    conn: &mut Conn,
    names: &[&str],
) -> Result<HashMap<String, Known>, Error> {
    const SQL: &str = "SELECT e.event_id, e.digest, e.before_1, e.after_1, e.before_2, e.after_2, \
           e.at <= UTC_TIMESTAMP(3) - INTERVAL 1 DAY \
         FROM JSON_TABLE(?, '$[*]' COLUMNS ( \
           event_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PATH '$')) AS d \
         STRAIGHT_JOIN rating_events AS e FORCE INDEX (PRIMARY) ON e.event_id = d.event_id";
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<EventRow> = conn.exec(SQL, (json(&names),)).await?;
    let known =
        rows.into_iter().map(|(name, digest, before, after, before_2, after_2, expired)| {
            let known = Known {
                digest: digest.try_into().unwrap_or_default(),
                before: std::iter::once(before).chain(before_2).collect(),
                after: std::iter::once(after).chain(after_2).collect(),
                expired,
            };
            (name, known)
        });
    Ok(known.collect())
}

/// Locks these users in the order given and reads them as they are then. Whoever changes what
/// boards show of a user holds this lock.
pub async fn lock(
    conn: &mut Conn,
    users: &[u64],
    season: Option<u64>,
) -> Result<BTreeMap<u64, Player>, Error> {
    let columns: Vec<String> = COLUMNS.split(", ").map(|column| format!("u.{column}")).collect();
    let sql = format!(
        "SELECT {}, h.user_id IS NOT NULL, s.rating, s.username \
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT UNSIGNED PATH '$')) AS d \
         STRAIGHT_JOIN users AS u FORCE INDEX (PRIMARY) ON u.id = d.id \
         LEFT JOIN hidden_users AS h FORCE INDEX (PRIMARY) ON h.user_id = u.id \
         LEFT JOIN season_ratings AS s FORCE INDEX (PRIMARY) \
           ON s.season = ? AND s.user_id = u.id \
         FOR UPDATE",
        columns.join(", ")
    );
    let rows: Vec<Row> = conn.exec(sql, (json(&users), season.unwrap_or_default())).await?;
    let mut players = BTreeMap::new();
    for row in rows {
        let place = columns.len();
        let hidden = row.get::<bool, _>(place).unwrap_or_default();
        let season = row.get::<Option<i32>, _>(place + 1).flatten();
        let season_name = row.get::<Option<String>, _>(place + 2).flatten();
        let row = user_row(row).map_err(|error| Error::Other(error.into()))?;
        let player = Player {
            rating_before: row.rating,
            hidden,
            season,
            season_before: season,
            season_name,
            row,
        };
        players.insert(player.row.id, player);
    }
    Ok(players)
}

/// Gives the users their new ratings and their rows the next version.
pub async fn update<'a>(
    conn: &mut Conn,
    players: impl Iterator<Item = &'a Player>,
    now_ms: i64,
) -> Result<(), Error> {
    const SQL: &str = "UPDATE JSON_TABLE(?, '$[*]' COLUMNS ( \
           id BIGINT UNSIGNED PATH '$[0]', rating INT PATH '$[1]')) AS d \
         STRAIGHT_JOIN users AS u FORCE INDEX (PRIMARY) ON u.id = d.id \
         SET u.rating = d.rating, u.version = u.version + 1, u.updated_at = ?";
    let rows: Vec<(u64, i32)> = players.map(|it| (it.row.id, it.row.rating)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    conn.exec_drop(SQL, (json(&rows), datetime(now_ms))).await
}

/// Writes the players' lines in a season.
pub async fn write_lines<'a>(
    conn: &mut Conn,
    season: u64,
    players: impl Iterator<Item = &'a Player>,
) -> Result<(), Error> {
    const SQL: &str = "INSERT INTO season_ratings (season, user_id, username, rating) \
         SELECT ?, d.user_id, d.username, d.rating FROM JSON_TABLE(?, '$[*]' COLUMNS ( \
           user_id BIGINT UNSIGNED PATH '$[0]', username VARCHAR(32) PATH '$[1]', \
           rating INT PATH '$[2]')) AS d \
         ON DUPLICATE KEY UPDATE username = d.username, rating = d.rating";
    let rows: Vec<(u64, &str, Option<i32>)> =
        players.map(|it| (it.row.id, &*it.row.username, it.season)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    conn.exec_drop(SQL, (season, json(&rows))).await
}

/// Forgets events that are about to be replaced.
pub async fn forget_events(conn: &mut Conn, names: &[&String]) -> Result<(), Error> {
    for name in names {
        conn.exec_drop("DELETE FROM rating_events WHERE event_id = ?", (name,)).await?;
    }
    Ok(())
}

/// Keeps the answers to events. A name that somebody else has kept meanwhile is an error.
pub async fn write_events(conn: &mut Conn, events: &BTreeMap<String, Known>) -> Result<(), Error> {
    const SQL: &str = "INSERT INTO rating_events \
           (event_id, digest, before_1, after_1, before_2, after_2, at) \
         SELECT d.event_id, UNHEX(d.digest), d.before_1, d.after_1, d.before_2, d.after_2, \
           UTC_TIMESTAMP(3) \
         FROM JSON_TABLE(?, '$[*]' COLUMNS ( \
           event_id VARCHAR(64) PATH '$[0]', digest CHAR(32) PATH '$[1]', \
           before_1 INT PATH '$[2]', after_1 INT PATH '$[3]', \
           before_2 INT PATH '$[4]', after_2 INT PATH '$[5]')) AS d";
    if events.is_empty() {
        return Ok(());
    }
    let hex = &data_encoding::HEXLOWER;
    let row = |(name, known): (&String, &Known)| {
        let at = |ratings: &[i32], place: usize| ratings.get(place).copied();
        let (before, after) = (&known.before[..], &known.after[..]);
        let pair = |place| (at(before, place), at(after, place));
        let ((before_1, after_1), (before_2, after_2)) = (pair(0), pair(1));
        (name.clone(), hex.encode(&known.digest), before_1, after_1, before_2, after_2)
    };
    let rows: Vec<_> = events.iter().map(row).collect();
    conn.exec_drop(SQL, (json(&rows),)).await
}

/// Notes that what Redis may hold of these rows, below these versions, is old.
pub async fn note_unfenced(conn: &mut Conn, rows: &[(u64, u64)]) -> Result<(), Error> {
    const SQL: &str = "INSERT INTO unfenced_users (user_id, version) \
         SELECT d.user_id, d.version FROM JSON_TABLE(?, '$[*]' COLUMNS ( \
           user_id BIGINT UNSIGNED PATH '$[0]', version BIGINT UNSIGNED PATH '$[1]')) AS d \
         ON DUPLICATE KEY UPDATE version = d.version";
    conn.exec_drop(SQL, (json(&rows),)).await
}
