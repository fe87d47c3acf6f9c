//! The exporter against a real collector: a small HTTP server that reads the official messages.

#![allow(clippy::unwrap_used)] // a helper of tests fails like a test

mod collector;
mod export;
