//! Times in which nobody could bid: they are found by a clock in the database, which stands still
//! meanwhile, and make auctions end later.
//!
//! An outage is noted at once, so that bids are taken again whatever the number of auctions. Each
//! auction knows how many outages are in its end. Those that are behind are extended some at a
//! time, and at the latest when somebody takes an auction over, changes it or would settle it. The
//! first serves those who look at them, and may miss an auction that is just being made.

use super::look::Pulse;
use crate::auctions::CLOCK_SKEW_MAX_MS;
use crate::auctions::rows::wrong;
use crate::limits::{EXTENDED_AT_ONCE, OUTAGE_MIN};
use crate::mysql::is_contention;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Params};
use std::time::{Duration, Instant};

/// Now by the clock of the server, Unix milliseconds.
const NOW: &str = "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)";

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Whether an auction's end may still move by an outage: one that nobody has noted yet, or one that
/// is not among the so many that are in it.
pub async fn may_move(conn: &mut Conn, outages: u64) -> Result<bool, Error> {
    let sql = format!(
        "SELECT epoch > ? OR (alive_at_ms > 0 AND alive_at_ms < {NOW} - {}) \
         FROM auction_clock WHERE one = 1",
        milliseconds(OUTAGE_MIN)
    );
    Ok(conn.exec_first(sql, (outages,)).await?.unwrap_or(false))
}

/// Outages so far.
pub async fn epoch(conn: &mut Conn) -> Result<u64, Error> {
    let epoch = conn.query_first("SELECT epoch FROM auction_clock WHERE one = 1").await?;
    epoch.ok_or_else(|| wrong("the clock has no row"))
}

/// Notes that bids can be taken, by the clock of the server, and how long they could not be. With a
/// clock that is too far from ours no bid is taken, so nothing is noted: an outage goes on, and one
/// that only a wrong clock shows is none.
pub async fn beat(conn: &mut Conn, now_ms: i64, asked: Instant) -> Result<Pulse, Error> {
    let look = format!("SELECT epoch, {NOW} FROM auction_clock WHERE one = 1");
    let sent = asked.elapsed();
    let Some((epoch, theirs)) = conn.query_first::<(u64, i64), _>(look).await? else {
        return Err(wrong("the clock has no row"));
    };
    let ours = now_ms + milliseconds((sent + asked.elapsed()) / 2);
    let mut pulse = Pulse { epoch, outage_ms: None, skew_ms: theirs - ours, extending: false };
    if pulse.skew_ms.abs() > CLOCK_SKEW_MAX_MS {
        return Ok(pulse);
    }
    let outage_min = milliseconds(OUTAGE_MIN);
    // Nearly always this is all of it. A time ahead of the clock is one from when that was wrong.
    let alive = format!(
        "UPDATE auction_clock SET alive_at_ms = {NOW} \
         WHERE one = 1 AND (alive_at_ms = 0 OR alive_at_ms >= {NOW} - {outage_min})"
    );
    conn.query_drop(alive).await?;
    let look = format!(
        "SELECT epoch, alive_at_ms >= {NOW} - {outage_min} FROM auction_clock WHERE one = 1"
    );
    let is_alive: bool;
    (pulse.epoch, is_alive) =
        conn.query_first(look).await?.ok_or_else(|| wrong("the clock has no row"))?;
    if !is_alive {
        (pulse.epoch, pulse.outage_ms) = note(conn, outage_min).await?;
    }
    pulse.extending = is_extending(conn).await?;
    Ok(pulse)
}

/// Notes an outage that ends now, however often others are faster: outages so far, and how long it
/// was, milliseconds.
async fn note(conn: &mut Conn, outage_min: i64) -> Result<(u64, Option<i64>), Error> {
    loop {
        match try_note(conn, outage_min).await {
            Err(Error::Server(said)) if is_contention(said.code) => {
                conn.query_drop("ROLLBACK").await?;
            }
            done => return done,
        }
    }
}

/// Who comes second finds that it is done.
async fn try_note(conn: &mut Conn, outage_min: i64) -> Result<(u64, Option<i64>), Error> {
    conn.query_drop("START TRANSACTION").await?;
    let sql = "SELECT epoch, alive_at_ms FROM auction_clock WHERE one = 1 FOR UPDATE";
    let clock: Option<(u64, i64)> = conn.query_first(sql).await?;
    let (epoch, began) = clock.ok_or_else(|| wrong("the clock has no row"))?;
    let now: Option<i64> = conn.query_first(format!("SELECT {NOW}")).await?;
    let now_ms = now.ok_or_else(|| wrong("the server has no clock"))?;
    if began == 0 || now_ms - began <= outage_min {
        conn.query_drop("COMMIT").await?;
        return Ok((epoch, None));
    }
    let epoch = epoch + 1;
    let sql = "INSERT INTO outages (epoch, began_at_ms, ended_at_ms) VALUES (?, ?, ?)";
    conn.exec_drop(sql, (epoch, began, now_ms)).await?;
    let sql = "UPDATE auction_clock SET alive_at_ms = ?, epoch = ? WHERE one = 1";
    conn.exec_drop(sql, (now_ms, epoch)).await?;
    conn.query_drop("COMMIT").await?;
    Ok((epoch, Some(now_ms - began)))
}

/// Whether outages are still to be added to the ends of auctions.
async fn is_extending(conn: &mut Conn) -> Result<bool, Error> {
    // The last one is done last.
    let sql = "SELECT NOT is_done FROM outages ORDER BY epoch DESC LIMIT 1";
    Ok(conn.query_first(sql).await?.unwrap_or(false))
}

/// Extends the next auctions. Whether others are left; not if somebody else is at it.
pub async fn extend_some(conn: &mut Conn) -> Result<bool, Error> {
    // One outage after the other.
    let sql = "SELECT MIN(epoch) FROM outages WHERE is_done = FALSE";
    let first: Option<Option<u64>> = conn.query_first(sql).await?;
    let Some(epoch) = first.flatten() else { return Ok(false) };
    conn.query_drop("START TRANSACTION").await?;
    let extended = extend_next(conn, epoch).await;
    let end = if extended.is_ok() { "COMMIT" } else { "ROLLBACK" };
    conn.query_drop(end).await?;
    match extended {
        // Somebody holds one of them: there is another time.
        Err(Error::Server(said)) if is_contention(said.code) => Ok(false),
        extended => extended,
    }
}

/// The row of the outage says how far it has come, so a walk goes on where another one ended, and
/// meets no entry of the index that it has moved before.
async fn extend_next(conn: &mut Conn, epoch: u64) -> Result<bool, Error> {
    let sql = "SELECT extended_to FROM outages WHERE epoch = ? AND is_done = FALSE \
         FOR UPDATE SKIP LOCKED";
    let Some(after) = conn.exec_first::<u64, _, _>(sql, (epoch,)).await? else {
        return Ok(false);
    };
    let sql = format!(
        "SELECT MAX(id) FROM (SELECT id FROM auctions FORCE INDEX (auctions_outages) \
         WHERE phase = 'open' AND outages = ? AND id > ? ORDER BY id LIMIT {EXTENDED_AT_ONCE}) AS d"
    );
    let last: Option<Option<u64>> = conn.exec_first(sql, (epoch - 1, after)).await?;
    let Some(last) = last.flatten() else {
        let sql = "UPDATE outages SET is_done = TRUE WHERE epoch = ?";
        return conn.exec_drop(sql, (epoch,)).await.map(|()| true);
    };
    extend(conn, epoch - 1, "AND id > ? AND id <= ?", (after, last)).await?;
    let sql = "UPDATE outages SET extended_to = ? WHERE epoch = ?";
    conn.exec_drop(sql, (last, epoch)).await.map(|()| true)
}

/// Extends one auction whose end has so many outages in it by those that came since.
pub async fn extend_one(conn: &mut Conn, id: u64, outages: u64, epoch: u64) -> Result<(), Error> {
    for outages in outages..epoch {
        extend(conn, outages, "AND id = ?", (id,)).await?;
    }
    Ok(())
}

/// Extends open auctions by the outage after so many. What somebody has bought stays bought. The
/// version changes too, so that a seller who edits one without bids does not undo it unseen.
async fn extend(
    conn: &mut Conn,
    outages: u64,
    which: &str,
    params: impl Into<Params> + Send,
) -> Result<(), Error> {
    let sql = "SELECT began_at_ms, ended_at_ms FROM outages WHERE epoch = ?";
    let outage: Option<(i64, i64)> = conn.exec_first(sql, (outages + 1,)).await?;
    let (began, ended) = outage.ok_or_else(|| wrong("an outage has no row"))?;
    // Numbers, not parameters: the caller's come after them. The end changes last, since each
    // assignment sees those before it.
    let was_live = format!(
        "(ends_at_ms > {began} AND start_at_ms < {ended} \
          AND (buy_now IS NULL OR price < buy_now))"
    );
    let by = format!("IF({was_live}, {ended} - GREATEST({began}, start_at_ms), 0)");
    let sql = format!(
        "UPDATE auctions SET outages = outages + 1, outage_ms = outage_ms + {by}, \
           version = version + ({was_live} AND sequence = 0), ends_at_ms = ends_at_ms + {by} \
         WHERE phase = 'open' AND outages = {outages} {which}"
    );
    conn.exec_drop(sql, params).await
}
