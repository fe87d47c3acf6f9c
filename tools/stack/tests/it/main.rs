//! What everything else in the tests stands on: real servers that start, keep what they
//! acknowledged, and leave nothing behind.

#![allow(clippy::unwrap_used)] // a helper of tests fails like a test

mod leaves_nothing_behind;
mod programs;
mod stores;
