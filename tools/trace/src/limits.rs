//! Every bound of tracing, with its reason.

use std::time::Duration;

/// Spans that wait for the exporter. At a few hundred bytes each they are a few megabytes; more
/// than these within one pause of the exporter are dropped and counted.
pub const SPANS_MAX: usize = 8 * 1024;

/// Spans of one request to the collector: about 200 KiB, far below what collectors take (the
/// OpenTelemetry Collector refuses bodies over 20 MiB).
pub const BATCH_MAX: usize = 512;

/// Attributes of one span.
pub const ATTRIBUTES_MAX: usize = 16;

/// Pause of an exporter that has nothing to send. It is not woken by spans: that would cost a
/// system call on the thread that ends one.
pub const EXPORT_EVERY: Duration = Duration::from_millis(200);

/// Time for one request to the collector, from the connection to the answer.
pub const POST_MAX: Duration = Duration::from_secs(5);

/// How often a batch is posted that the collector could not take. With the pauses between them the
/// last attempt is about a minute after the first; then the batch is dropped and counted.
pub const ATTEMPTS_MAX: u32 = 7;

/// First pause after an attempt that failed; it doubles with each.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);

/// Longest pause between two attempts, also when the collector asks for a longer one.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// At the process's end, how long the exporter may take to send what is left.
pub const STOP_MAX: Duration = Duration::from_secs(2);

/// Longest answer of a collector that is read.
pub const ANSWER_MAX: u64 = 64 * 1024;

/// Lines about slow requests of one thread in a second. A log that is slow itself must not take the
/// thread when everything is slow.
pub const SLOW_LINES_PER_S: u32 = 10;

const _: () = assert!(BATCH_MAX <= SPANS_MAX, "a batch is part of what waits");
