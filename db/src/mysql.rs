//! How we talk to MySQL and MariaDB: batched reads and grouped writes on long-lived connections.

mod batch;
mod connect;
mod group;
mod reader;
mod replica;
mod run;

pub use connect::options;
pub use group::{Write, Writer};
pub use reader::{Found, Readers};
pub use replica::Lag;
