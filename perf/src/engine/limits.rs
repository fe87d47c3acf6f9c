//! Every bound of the load generator, with its reason.

use std::time::Duration;

/// Threads of one run. More than any machine that runs server and generator has cores.
pub const THREADS_MAX: usize = 256;

/// Connections of one run. Beyond it the loopback's addresses (see [`PER_SOURCE`]) and the 16 bits
/// of a port are the limit.
pub const CONNECTIONS_MAX: usize = 1_000_000;

/// Requests in flight on one connection. Servers bound what they read ahead far below this.
pub const PIPELINE_MAX: usize = 1024;

/// Requests a second of an open load. One every 100 ns is more than any core can send.
pub const RATE_MAX: f64 = 10_000_000.0;

/// Kinds of request. Each has two histograms of 150 KiB a thread.
pub const TAGS_MAX: usize = 64;

/// Requests of an open load that are due and find no connection free, for each thread. Half a
/// second of the highest rate that a thread reaches; beyond it a request counts as not sent.
pub const OPEN_QUEUE_MAX: usize = 65_536;

/// Longest part of a run (ramp, warm-up, duration). A day.
pub const PART_MAX: Duration = Duration::from_secs(86_400);

/// Shortest and longest wait for an answer. The longest is the largest latency that is recorded.
pub const TIMEOUT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(60));

/// Latencies below are recorded as this.
pub const LATENCY_MIN_NS: u64 = 1_000;

/// Latencies above are recorded as this.
pub const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// One slot of the timeline, unless a run has more than [`SLOTS_MAX`] of them.
pub const SLOT: Duration = Duration::from_millis(100);

/// Slots of a timeline. Ten minutes at [`SLOT`]; 64 MiB of histograms a thread at most. A longer
/// run has longer slots.
pub const SLOTS_MAX: u32 = 6_000;

/// Longest head of an answer. Servers send a few hundred bytes; more is not one of ours.
pub const HEAD_MAX: usize = 64 * 1024;

/// Fields of a head; as many as the common servers take.
pub const HEADERS_MAX: usize = 100;

/// Longest body of an answer: a picture at its largest has a fraction of it.
pub const BODY_MAX: usize = 16 << 20;

/// What a connection's reader keeps of its memory after an answer that came in parts. Larger
/// answers give theirs back, or ten thousand connections would hold 160 GiB.
pub const KEPT_MAX: usize = 64 * 1024;

/// Entries of a ring's submission queue. A full one costs an enter more.
pub const SUBMISSIONS: u32 = 1024;

/// Least and most entries of a ring's completion queue; four for each connection in between. What
/// does not fit waits in the kernel, at a price.
pub const COMPLETIONS: (u32, u32) = (1024, 65_536);

/// Least and most read buffers of a ring; one for each connection in between. When all are in use
/// the kernel stops receiving until the turn is over.
pub const READ_BUFFERS: (u16, u16) = (64, 4096);

/// Bytes of a read buffer. Most answers fit into one.
pub const READ_BUFFER_SIZE: usize = 8192;

/// Longest wait for the kernel to cancel what a ring still does when it is dropped.
pub const CANCEL_MAX: Duration = Duration::from_secs(2);

/// Bytes of an answer that are shown with an error.
pub const EXCERPT_MAX: usize = 160;

/// Connections from one source address. There are 28,232 ports to connect from by default; to a
/// server on an IPv4 loopback address, further connections come from 127.0.0.2, 127.0.0.3, …
pub const PER_SOURCE: usize = 20_000;

/// First and longest wait before a lost connection is made again; each attempt that leads nowhere
/// doubles it. Without it a port that refuses would be asked as fast as the machine can.
pub const RECONNECT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Longest time between two looks at the clock, for time-outs and a stop.
pub const TICK_MAX: Duration = Duration::from_millis(100);

/// How long requests under way are awaited when a run is stopped.
pub const STOP_GRACE: Duration = Duration::from_secs(1);

/// Open files of the process besides the connections: rings, logs, standard streams, stores.
pub const FILES_BESIDES: u64 = 128;
