//! How we talk to MySQL and MariaDB: batched reads and grouped writes on long-lived connections.

mod batch;
mod connect;
mod group;
mod grouped;
mod json;
mod reader;
mod replica;
mod run;

pub use connect::{Line, is_contention, is_lost, meaning, options, snapshots};
pub use group::{Effect, LOCK_WAIT, Write, Writer, Writes};
pub use grouped::{Grouped, Kind, Outcome};
pub use json::json;
pub use reader::{Found, Readers};
pub use replica::Lag;
