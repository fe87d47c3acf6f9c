//! How Souk talks to Redis and MySQL, and what they hold.
//!
//! Everything here belongs to one shard: one thread, one tokio-uring runtime, no locks. A future
//! of this crate may be dropped at any moment; what it began is finished or given up inside.

pub mod accounts;
mod error;
pub mod migrate;

pub use accounts::{Accounts, Change, NewUser, SessionId, SessionRecord, UserRow, credential_tag};
pub use error::{Server, StoreError, WriteError};

use std::time::Duration;

/// Where the stores are and how they are used.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// `mysql://user:password@host:port/database`, or with `?socket=/path`.
    pub mysql_url: String,
    /// Connections per shard for reads, at least 1; writes have one of their own.
    pub mysql_connections: usize,
    /// `redis://host:port` or `unix:///path`.
    pub redis_url: String,
    /// Whether rows are read from Redis. All daemons of one installation must agree.
    pub cache_enabled: bool,
    /// How long a cached user lives, before jitter.
    pub users_ttl: Duration,
    /// How long "there is no such user" is remembered.
    pub negative_ttl: Duration,
    /// Sessions one user may have; past it the oldest is dropped.
    pub sessions_per_user_max: usize,
}

/// Which servers answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// MySQL or MariaDB.
    pub database: bool,
    /// Redis.
    pub redis: bool,
}

/// The stores of one shard.
pub struct Stores {
    /// Users and their sessions.
    pub accounts: Accounts,
}

#[allow(unused_variables, clippy::unused_async)]
impl Stores {
    /// Connects to both servers from within a tokio-uring runtime. The error says which server,
    /// why, and how to fix it.
    pub async fn open(settings: &StoreSettings) -> Result<Stores, StoreError> {
        Err(StoreError::DeadlineExceeded)
    }

    /// Asks both servers now, for at most a second.
    pub async fn health(&self) -> Health {
        Health { database: false, redis: false }
    }

    /// Finishes what runs and closes the connections.
    pub async fn close(self) {}
}
