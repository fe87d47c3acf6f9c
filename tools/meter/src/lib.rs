//! What Souk's programs measure of themselves, and the listener that shows it.
//!
//! - Ring threads record into sets of their own: [`Request`] takes a request's stages, [`count`],
//!   [`batch`], [`level`] the rest. Nothing on that path waits, locks or, once a route was used,
//!   takes memory.
//! - [`Hub`] collects the sets when somebody asks and keeps the totals.
//! - [`Admin`] serves them: `/metrics` as OpenMetrics, `/latency` as JSON ([`Latency`] reads it
//!   back), `/profile` as folded stacks, and interval logs of the HdrHistogram kind.
//!   [`client::get`] is its client.
//!
//! All times are in nanoseconds of a monotonic clock, from 1 µs to 60 s with three digits.

pub mod client;
pub mod limits;

mod admin;
mod exchange;
mod hub;
mod intervals;
mod latency;
mod metrics;
mod names;
mod process;
mod profile;
mod request;
mod set;
mod settings;
mod thread;

pub use admin::{Admin, AdminError, Answer, Query, Running};
pub use hub::Hub;
pub use latency::{Latency, LatencyError, RouteLatency, StageLatency};
pub use names::{Batch, Count, DAEMON_STAGES, FRONT_STAGES, Level, Plan, Queue, ReplicaLag, Stage};
pub use request::{Request, is_running, lap, lap_at, pause, waited, waited_in_turn};
pub use settings::{AdminSettings, LatencySettings, Place};
pub use thread::{
    Installed, Meter, batch, count, count_many, level, mark, now, queue_full, recent, refused,
    replica_lag, tick, turn, turns,
};
