//! `souk-front`: Souk's edge, HTTP and the binary port for bids. It parses, maps and encodes; it
//! holds no store and no rule.

pub mod app;
pub mod auctions;
pub mod config;
pub mod connection;
pub mod driver;
pub mod http;
pub mod leaderboard;
pub mod limits;
pub mod listener;
pub mod live;
pub mod measures;
pub mod routes;
pub mod server;
pub mod sweeper;
pub mod tlv;
pub mod upstream;
pub mod websocket;
