//! Which request is at work, its spans, and their way to an OpenTelemetry collector.
//!
//! A [`Context`] names a request: its trace id, and its current span if the trace is sampled. The
//! thread that works for a request is told so ([`Context::enter`], [`within`]), and log lines and
//! stores ask ([`current`]). That costs a few instructions, whether anything is sampled or not.
//!
//! A [`Span`] exists for sampled traces only. It records itself when it ends: into a bounded queue
//! that a thread of its own empties and posts over OTLP/HTTP. A full queue drops the span and
//! counts it; whoever ends a span never waits.

pub mod limits;
pub mod traceparent;

mod context;
mod exporter;
mod otlp;
mod sampling;
mod slow;
mod span;

pub use context::{Context, Entered, Within, current, current_id, within};
pub use exporter::{Endpoint, Exporter, Service};
pub use sampling::Ratio;
pub use slow::Slow;
pub use span::{Kind, Span, Tracer, Value, child};
pub use traceparent::Traceparent;
