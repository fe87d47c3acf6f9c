//! `souk-front`: Souk's HTTP edge. It parses, maps and encodes; it holds no store and no rule.

pub mod app;
pub mod config;
pub mod driver;
pub mod http;
pub mod limits;
pub mod routes;
pub mod upstream;
