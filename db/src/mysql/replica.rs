//! How far the database is behind, if it is a replica.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row, Value};
use std::time::Duration;

/// What the database says of its replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// It is no replica.
    None,
    /// It is so far behind its primary.
    Behind(Duration),
    /// It is a replica and replicates nothing.
    Stopped,
    /// It does not tell us: the user lacks the privilege, or the server is too old.
    Untold,
}

/// The column's name, in MySQL and in MariaDB.
const COLUMNS: [&str; 2] = ["Seconds_Behind_Source", "Seconds_Behind_Master"];

/// Asks the database. A server that refuses to say is no error.
pub async fn lag(conn: &mut Conn) -> Result<Lag, Error> {
    let row: Option<Row> = match conn.query_first("SHOW REPLICA STATUS").await {
        Ok(row) => row,
        Err(Error::Server(_)) => return Ok(Lag::Untold),
        Err(error) => return Err(error),
    };
    let Some(row) = row else { return Ok(Lag::None) };
    let column = row.columns_ref().iter().position(|it| COLUMNS.contains(&&*it.name_str()));
    let seconds = column.and_then(|column| match row.as_ref(column)? {
        Value::Bytes(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        Value::Int(seconds) => u64::try_from(*seconds).ok(),
        Value::UInt(seconds) => Some(*seconds),
        _ => None,
    });
    Ok(seconds.map_or(Lag::Stopped, |seconds| Lag::Behind(Duration::from_secs(seconds))))
}
