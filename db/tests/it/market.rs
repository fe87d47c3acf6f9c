//! Auctions but for bidding: rows, lists, ends, and the audit.

mod audit;
mod lists;
mod rows;
mod scene;
mod settle;
