//! soukd against real stores.

mod client;
mod link;
mod memory;
mod process;
mod services;
