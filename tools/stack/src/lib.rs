//! Starts, watches and stops the programs that make up Souk: a private MariaDB, a private Redis,
//! `soukd` and `souk-front`. `souk up` and every test that needs real servers stand on it.
//!
//! What it guarantees:
//! - Nothing outlives the process that started it, however that process ends: children carry a
//!   parent-death signal and are spawned from a thread that never ends; private directories are
//!   removed by a watcher that waits for our end.
//! - Nothing is shared with the machine: own data directories, Unix sockets for the stores, free
//!   ports for the rest.
//! - A child that fails to start is reported with the last lines it wrote.
//!
//! It blocks and uses threads; it is no part of any request path.

pub mod limits;

mod child;
mod config;
mod error;
mod files;
mod mariadb;
mod private;
mod program;
mod redis;
mod spawn;
mod stack;

pub use child::{Child, Quiet, Watch};
pub use config::Config;
pub use error::StackError;
pub use files::{find_program, make_private_dir, sibling, write_private, write_secret};
pub use mariadb::{MariaDb, MariaDbOptions};
pub use private::PrivateDir;
pub use program::{Program, ProgramSpec};
pub use redis::{Redis, RedisOptions};
pub use spawn::spawn_bound;
pub use stack::{Stack, StackBuilder};
