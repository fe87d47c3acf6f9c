//! One query or transaction, and the spans of the requests that shared it.
//!
//! Each sampled request gets a span of its own for what it shared, so that its trace is whole; the
//! number says who else was in it.

use crate::error::StoreError;
use souk_trace::{Span, child};
use std::time::Instant;

/// One query or transaction of a shard, as those who share it see it.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// When the database was asked.
    pub began: Instant,
    /// Which one it was: reads and writes count for themselves.
    pub number: i64,
    /// Keys asked for, or writes committed together.
    pub size: usize,
}

/// A request's share of a run to come.
pub struct Share {
    span: Option<(Span, Instant)>,
}

impl Share {
    /// The share of the request that this thread works for, from when it began to wait. Nothing is
    /// kept of a request that is not sampled.
    pub fn of(name: &'static str) -> Share {
        Share { span: child(name).map(|span| (span, Instant::now())) }
    }

    /// The run is over, or failed, maybe before it began.
    pub fn ends(self, run: Option<Run>, failure: Option<&StoreError>) {
        let Some((mut span, asked)) = self.span else { return };
        span.set("db.system.name", "mysql");
        if let Some(run) = run {
            span.began(run.began);
            span.set("db.operation.batch.size", run.size);
            span.set("souk.batch.number", run.number);
            let waited = run.began.saturating_duration_since(asked).as_micros();
            span.set("souk.queue_us", i64::try_from(waited).unwrap_or(i64::MAX));
        }
        if let Some(failure) = failure {
            span.fail(failure.to_string());
        }
    }
}
