//! Auctions around the bidding: rows, lists, ends, and the audit.

mod audit;
mod lists;
mod races;
mod rows;
mod scene;
mod settle;
