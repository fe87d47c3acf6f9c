//! A connection to the database as all of ours are: settings, session, and what its errors mean.

use crate::backoff::Backoff;
use crate::error::{Server, StoreError};
use crate::limits::{
    DATABASE_CONNECT_MAX, IDLE_CHECK, IDLE_CONNECTION_S, LOCK_WAIT_S, PACKET_MAX, READ_MAX,
    STATEMENTS_MAX,
};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder};
use std::sync::Arc;
use std::time::Instant;

/// Reads a URL and adds the settings of a long-lived connection.
pub fn options(url: &str) -> Result<Opts, StoreError> {
    let opts = Opts::from_url(url).map_err(|error| {
        StoreError::database(format!(
            "the database URL cannot be used: {error}. It must look like \
             mysql://user:password@host:3306/souk or mysql://user@localhost/souk?socket=/path"
        ))
    })?;
    if opts.db_name().is_none_or(str::is_empty) {
        return Err(StoreError::database(
            "the database URL names no database: add one, as in mysql://user@host:3306/souk",
        ));
    }
    Ok(OptsBuilder::from_opts(opts)
        .stmt_cache_size(STATEMENTS_MAX)
        .max_allowed_packet(Some(PACKET_MAX)) // else the server is asked at each connect
        .wait_timeout(Some(IDLE_CONNECTION_S))
        .tcp_nodelay(true)
        .prefer_socket(false)
        // Less locking between writes; a read is always one statement and sees what is committed.
        .setup(setup("READ COMMITTED"))
        .into())
}

/// The same settings for connections whose read-only transactions see one moment.
pub fn snapshots(opts: &Opts) -> Opts {
    OptsBuilder::from_opts(opts.clone()).setup(setup("REPEATABLE READ")).into()
}

/// What is said on a new connection.
fn setup(isolation: &str) -> Vec<String> {
    // autocommit: with a server that has it off, a lone write would end with its connection.
    // eq_range_index_dive_limit: each key of an IN list would be looked up once more to guess how
    // many rows it has; ours are unique or their index is given.
    let session = format!(
        "SET autocommit = 1, time_zone = '+00:00', innodb_lock_wait_timeout = {LOCK_WAIT_S}, \
         sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
         SESSION wait_timeout = {IDLE_CONNECTION_S}, eq_range_index_dive_limit = 1"
    );
    vec![session, format!("SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")]
}

/// One connection that is made when it is needed and replaced when it is lost.
pub struct Line {
    opts: Opts,
    conn: Option<Conn>,
    backoff: Backoff,
    /// No attempt before this moment, and why the last one failed.
    failed: Option<(Instant, Arc<str>)>,
    used: Instant,
}

impl Line {
    pub fn new(opts: Opts) -> Line {
        Line { opts, conn: None, backoff: Backoff::new(), failed: None, used: Instant::now() }
    }

    /// Whether a connection is held: it may have died unnoticed.
    pub fn is_held(&self) -> bool {
        self.conn.is_some()
    }

    /// The connection, made now if there is none. Fails at once while a failed attempt is recent.
    pub async fn get(&mut self) -> Result<&mut Conn, StoreError> {
        if self.conn.is_none() {
            if let Some((until, why)) = &self.failed
                && Instant::now() < *until
            {
                return Err(StoreError::database(why.clone()));
            }
            match connect(&self.opts).await {
                Ok(conn) => {
                    self.conn = Some(conn);
                    self.backoff.reset();
                    if self.failed.take().is_some() {
                        tracing::info!("connected to the database again");
                    }
                }
                Err(why) => {
                    if self.failed.is_none() {
                        tracing::warn!(%why, "no connection to the database; trying again");
                    }
                    let until = Instant::now() + self.backoff.next();
                    self.failed = Some((until, why.clone()));
                    return Err(StoreError::database(why));
                }
            }
        }
        Ok(self.conn.as_mut().expect("made above"))
    }

    /// The connection, replaced if it died while nothing was asked of it: for what may not be
    /// tried twice.
    pub async fn get_alive(&mut self) -> Result<&mut Conn, StoreError> {
        if let Some(conn) = &mut self.conn
            && self.used.elapsed() > IDLE_CHECK
            && !matches!(tokio::time::timeout(READ_MAX, conn.ping()).await, Ok(Ok(())))
        {
            self.lose();
        }
        self.used = Instant::now();
        self.get().await
    }

    /// Drops the connection: its state is unknown.
    pub fn lose(&mut self) {
        self.conn = None;
    }

    /// Says goodbye to the server.
    pub async fn close(&mut self) {
        if let Some(conn) = self.conn.take() {
            // The server may be gone; nothing is lost with this connection.
            let _ = tokio::time::timeout(DATABASE_CONNECT_MAX, conn.disconnect()).await;
        }
    }
}

async fn connect(opts: &Opts) -> Result<Conn, Arc<str>> {
    match tokio::time::timeout(DATABASE_CONNECT_MAX, Conn::new(opts.clone())).await {
        Ok(Ok(conn)) => Ok(conn),
        Ok(Err(error)) => Err(error.to_string().into()),
        Err(_) => Err("no connection in time".into()),
    }
}

/// What an error of a statement means for the one who asked.
pub fn meaning(error: &Error) -> StoreError {
    match error {
        Error::Server(said) if is_refusal(said.code) => {
            StoreError::corrupt(Server::Database, said.to_string())
        }
        // What we found wrong in a row ourselves.
        Error::Other(other) if let Some(found) = other.downcast_ref::<StoreError>() => {
            found.clone()
        }
        other => StoreError::database(other.to_string()),
    }
}

/// Whether the connection is of no use after this error.
pub fn is_lost(error: &Error) -> bool {
    match error {
        Error::Server(said) => !is_refusal(said.code) && !is_contention(said.code),
        _ => true,
    }
}

/// Errors of a server that is stopping, read-only, overloaded or killed our connection: 1040 too
/// many connections, 1053 shutdown, 1077-1080 stopping, 1152-1161 network, 1184 aborted, 1203 user
/// limit, 1290 read-only, 1317 interrupted, 1836 read-only, 1927 killed, 3169 session killed.
fn is_refusal(code: u16) -> bool {
    !matches!(code,
        1040 | 1053 | 1077..=1080 | 1152..=1161 | 1184 | 1203 | 1290 | 1317 | 1836 | 1927 | 3169)
        && !is_contention(code)
}

/// 1205 lock wait timeout, 1213 deadlock, 1020 record changed (MariaDB snapshot isolation).
pub fn is_contention(code: u16) -> bool {
    matches!(code, 1020 | 1205 | 1213)
}
