//! Auctions as a shard keeps them: whether bids can be taken, what its watchers are told, what it
//! looks after by itself.
//!
//! Only `keep` and `live` ask the stores; the rest takes and gives values.

pub mod breaker;
pub mod cursor;
pub mod feed;
pub mod keep;
pub mod live;
pub mod money;
pub mod terms;
