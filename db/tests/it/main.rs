//! The stores on a real MariaDB and a real Redis, private to each test.

#![allow(missing_docs, clippy::unwrap_used)] // a test has no readers and fails by panicking

mod auctions;
mod cache;
mod failures;
mod harness;
mod histories;
mod leaderboard;
mod market;
mod migrations;
mod near;
mod relay;
mod sessions;
mod users;
mod wire;
