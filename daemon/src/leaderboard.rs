//! The order of players: how many stand at each rating, ranks, Elo's formula, cursors, and what a
//! shard knows of its boards.
//!
//! Only `boards` asks the stores; the rest takes and gives values.

pub mod boards;
pub mod counts;
pub mod cursor;
pub mod elo;
pub mod pages;
pub mod ranks;
pub mod state;
