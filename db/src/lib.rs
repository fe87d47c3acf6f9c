//! How Souk talks to Redis and MySQL, and what they hold.
//!
//! Everything here belongs to one shard: one thread, one tokio-uring runtime, no locks. A future
//! of this crate may be dropped at any moment; what it began is finished or given up inside.

mod accounts;
pub mod auctions;
mod backoff;
mod cache;
mod error;
mod keys;
pub mod leaderboard;
mod limits;
pub mod migrate;
mod mysql;
pub mod operator;
mod redis;
mod slots;
mod time;

pub use accounts::{Accounts, Change, NewUser, SessionId, SessionRecord, UserRow, credential_tag};
pub use error::{Server, StoreError, WriteError};

use crate::auctions::Auctions;
use crate::cache::Near;
use crate::leaderboard::Leaderboard;
use crate::limits::{DATABASE_CONNECT_MAX, HEALTH_MAX, READ_MAX};
use crate::mysql::{Lag, Readers, Writer, Writes};
use crate::redis::Redis;
use souk_meter::{Level, ReplicaLag};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

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
    /// The newest sessions of a user that are always kept, at least 1. At about twice as many
    /// the oldest end.
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
    /// Boards and ratings.
    pub leaderboard: Leaderboard,
    /// Auctions and bids.
    pub auctions: Auctions,
    redis: Rc<Redis>,
    readers: Rc<Readers>,
    writer: Rc<Writer>,
}

impl Stores {
    /// Connects to both servers from within a tokio-uring runtime. Redis may be away: the log says
    /// so, users are read from the database, and the connection is made as soon as it can be. The
    /// error says what else is wrong, why, and how to fix it.
    pub async fn open(settings: &StoreSettings) -> Result<Stores, StoreError> {
        let opts = mysql::options(&settings.mysql_url)?;
        let near = Rc::new(RefCell::new(Near::new()));
        let copies = Rc::clone(&near);
        let changed = move |key: Option<&[u8]>| match key {
            Some(key) => copies.borrow_mut().drop_key(key),
            None => copies.borrow_mut().clear(),
        };
        let redis = Rc::new(Redis::new(&settings.redis_url, Box::new(changed))?);
        let readers = Rc::new(Readers::new(&opts, settings.mysql_connections));
        let writer = Rc::new(Writer::new(Writes, &opts, 1));
        let accounts =
            Accounts::new(settings, redis.clone(), near, readers.clone(), writer.clone());
        let leaderboard = Leaderboard::new(settings, &opts, redis.clone(), writer.clone());
        let auctions = Auctions::new(settings, &opts, redis.clone())?;
        let stores = Stores { accounts, leaderboard, auctions, redis, readers, writer };
        if let Err(error) = stores.try_database().await {
            stores.close().await;
            return Err(error);
        }
        // Its failure is in the log, and more attempts follow.
        drop(stores.redis.ready().await);
        Ok(stores)
    }

    async fn try_database(&self) -> Result<(), StoreError> {
        let deadline = Instant::now() + DATABASE_CONNECT_MAX + READ_MAX;
        let read = self.readers.by_id(NOBODY, deadline).await;
        read.map(drop).map_err(|error| match error {
            StoreError::Unavailable { why, .. } => StoreError::database(format!(
                "{why}. Check that it runs and that [mysql] url is right"
            )),
            StoreError::Corrupt { what, .. } => StoreError::corrupt(
                Server::Database,
                format!("{what}. If a table is missing, run: souk migrate"),
            ),
            other => other,
        })
    }

    /// Asks both servers now, for at most a second.
    pub async fn health(&self) -> Health {
        let database = async {
            let read = self.readers.by_id(NOBODY, Instant::now() + HEALTH_MAX);
            matches!(tokio::time::timeout(HEALTH_MAX, read).await, Ok(Ok(_)))
        };
        let redis = async {
            let ping = self.redis.call(|cmd| cmd.arg("PING"));
            matches!(tokio::time::timeout(HEALTH_MAX, ping).await, Ok(Ok(_)))
        };
        let (database, redis) = tokio::join!(database, redis);
        Health { database, redis }
    }

    /// Tells the meter of this thread how the stores are. Call it now and then.
    pub fn tell(&self) {
        let (reads, changes) = self.leaderboard.waiting();
        let (looks, bids) = self.auctions.waiting();
        for (level, value) in [
            (Level::RedisUp, usize::from(self.redis.is_up())),
            (Level::MysqlUp, usize::from(self.readers.is_up())),
            (Level::RedisQueue, self.redis.in_flight()),
            (Level::MysqlReadQueue, self.readers.waiting() + reads + looks),
            (Level::MysqlWriteQueue, self.writer.waiting() + changes + bids),
        ] {
            souk_meter::level(level, value as u64);
        }
        let lag = match self.readers.lag() {
            Lag::None | Lag::Untold => ReplicaLag::None,
            Lag::Behind(time) => ReplicaLag::Behind(time),
            Lag::Stopped => ReplicaLag::Stopped,
        };
        souk_meter::replica_lag(lag);
    }

    /// Finishes what runs and closes the connections.
    pub async fn close(self) {
        self.auctions.shut().await;
        self.leaderboard.close().await;
        self.writer.close().await;
        self.readers.close().await;
        self.redis.close().await;
    }
}

/// An id that no user has: reading it asks the database and finds nothing.
const NOBODY: u64 = 0;
