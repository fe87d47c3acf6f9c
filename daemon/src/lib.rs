//! soukd: Souk's business logic on io_uring shards.
//!
//! One thread per shard, each with its own ring, its own store connections and its own links to
//! the fronts; shards share nothing on the request path but counters.

pub mod auctions;
pub mod config;
pub mod context;
pub mod cursor;
pub mod identity;
pub mod leaderboard;
pub mod limiter;
pub mod limits;
pub mod pictures;
pub mod pool;
pub mod services;
pub mod session;
pub mod startup;

mod dispatch;
mod door;
mod drain;
mod measures;
mod shard;
