//! The whole of Souk, end to end: real servers, real programs, real sockets.
//!
//! Every test starts what it needs in a private directory (see `souk_stack::Stack`), on free
//! ports, so that tests run side by side. The programs must be built: `cargo build --workspace`.

#![allow(clippy::unwrap_used)] // a helper of tests fails like a test

mod accounts;
mod auction;
mod auctions;
mod bench;
mod bid;
mod browser;
mod client;
mod command;
mod crowd;
mod doctor;
mod faults;
mod flamegraph;
mod house;
mod latency;
mod leaderboard;
mod measures;
mod migrate;
mod observe;
mod seed;
mod several;
mod top;
mod tracing;
mod up;
mod wire;
