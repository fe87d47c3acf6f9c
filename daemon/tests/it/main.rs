//! soukd against real stores.

mod auctions;
mod client;
mod link;
mod memory;
mod news;
mod process;
mod services;
