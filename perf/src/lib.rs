//! `souk-perf`: how fast is it? The load generator, the scenarios and the reports behind
//! `souk bench`.
//!
//! - [`engine`] makes load and measures; it knows no route of Souk.
//! - [`scenario`] says who asks for what; [`visitor`] turns it into requests and judges answers.
//! - [`target`] is who is asked: a server at an address, a private Souk, nginx, the baseline.
//! - [`run`] makes one run and gives a [`record`]; [`search`] finds the highest rate, [`compare`]
//!   alternates between targets.
//! - [`report`], [`table`] and [`targets`] show what was recorded.

pub mod argon;
pub mod assertion;
pub mod cast;
pub mod client;
pub mod compare;
pub mod engine;
pub mod hdr;
pub mod machine;
pub mod pick;
pub mod procs;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod search;
pub mod stages;
pub mod table;
pub mod target;
pub mod targets;
pub mod tlv;
pub mod visitor;
pub mod watchers;

mod failed;

pub use failed::Failed;
