//! soukd against real stores.

mod client;
mod link;
mod process;
mod services;
