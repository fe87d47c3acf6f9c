//! What can go wrong with a store, as its callers need to tell it apart.

use std::sync::Arc;
use thiserror::Error;

/// Which server an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// MySQL or MariaDB: the truth.
    Database,
    /// Redis: the cache and the sessions.
    Redis,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Server::Database => "the database (MySQL or MariaDB)",
            Server::Redis => "Redis",
        })
    }
}

/// Why a store gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The server cannot be reached or dropped the connection. A write that fails so may still
    /// have happened; a retry can help once the server is back.
    #[error("{server} is not available: {why}")]
    Unavailable {
        /// The server that did not answer.
        server: Server,
        /// What the system or the server said, and how to fix it where that is known.
        why: Arc<str>,
    },
    /// A bounded queue in front of the server is full. Nothing was done.
    #[error("too many requests wait for {0}")]
    Busy(Server),
    /// The deadline passed before the server was asked. Nothing was done.
    #[error("the deadline passed before the store could answer")]
    DeadlineExceeded,
    /// The server answered something that this program does not understand, or refused a
    /// statement. A retry does not help.
    #[error("unexpected answer of {server}: {what}")]
    Corrupt {
        /// The server that answered.
        server: Server,
        /// What was wrong with the answer.
        what: Arc<str>,
    },
}

impl StoreError {
    pub(crate) fn redis(why: impl Into<Arc<str>>) -> StoreError {
        StoreError::Unavailable { server: Server::Redis, why: why.into() }
    }

    pub(crate) fn database(why: impl Into<Arc<str>>) -> StoreError {
        StoreError::Unavailable { server: Server::Database, why: why.into() }
    }

    pub(crate) fn corrupt(server: Server, what: impl Into<Arc<str>>) -> StoreError {
        StoreError::Corrupt { server, what: what.into() }
    }
}

/// Why a write did not happen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteError {
    /// Another user has this username.
    #[error("the username is taken")]
    Taken,
    /// The row has another version than the one the caller expected.
    #[error("the row was changed by someone else")]
    Conflict,
    /// There is no such row.
    #[error("there is no such row")]
    Missing,
    /// A store failed. With [`StoreError::Unavailable`] the write may have happened.
    #[error(transparent)]
    Store(#[from] StoreError),
}
