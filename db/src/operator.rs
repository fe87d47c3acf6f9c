//! What an operator's tools do with the database: one connection, any tokio runtime, no ring.

pub mod auctions;
pub mod durability;
pub mod recount;
pub mod seasons;
pub mod tokens;

use crate::limits::{DATABASE_CONNECT_MAX, OPERATOR_LOCK_S};
use crate::mysql::{options, snapshots};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use thiserror::Error;

/// Why an operator's command was not carried out. The text says how to fix it.
#[derive(Debug, Error)]
pub enum OperatorError {
    /// The URL cannot be used.
    #[error(transparent)]
    Url(#[from] crate::StoreError),
    /// The server cannot be reached or refused us.
    #[error(
        "the database did not answer: {0}. Check that it runs, that the URL is right, and that \
         the schema is current (souk migrate)"
    )]
    Database(#[from] mysql_async::Error),
    /// No connection in time.
    #[error("no connection to the database in time. Check that it runs and that the URL is right")]
    TimedOut,
    /// Another program does the same now.
    #[error("another program does the same in this database. Wait for it, then try again")]
    Locked,
    /// The command makes no sense as things are; the text says why.
    #[error("{0}")]
    Refused(String),
}

/// A connection whose transactions see one moment.
async fn connect(url: &str) -> Result<Conn, OperatorError> {
    let opts = snapshots(&options(url)?);
    match tokio::time::timeout(DATABASE_CONNECT_MAX, Conn::new(opts)).await {
        Ok(conn) => Ok(conn?),
        Err(_) => Err(OperatorError::TimedOut),
    }
}

/// A connection that holds the lock for what may not be done by two programs at once. The lock ends
/// with the connection.
async fn connect_alone(url: &str, what: &str) -> Result<Conn, OperatorError> {
    let mut conn = connect(url).await?;
    let lock = format!("souk.{what}.{}", conn.opts().db_name().unwrap_or_default());
    let held: Option<Option<i64>> =
        conn.exec_first("SELECT GET_LOCK(?, ?)", (&lock, OPERATOR_LOCK_S)).await?;
    if held.flatten() == Some(1) { Ok(conn) } else { Err(OperatorError::Locked) }
}

/// Says goodbye to the server; what was done stays done whatever it answers.
async fn leave(conn: Conn) {
    let _ = conn.disconnect().await;
}
