//! The load generator: a ring of its own on each thread, and no clock that the server can stop.
//!
//! A [`Plan`] says how much load goes where and for how long, a [`Workload`] writes the requests
//! and judges the answers, [`run`] gives what was [`Measured`]. The engine speaks HTTP/1.1, or any
//! protocol of frames `type:u8 length:u8 payload`, and knows no route of Souk.
//!
//! **Open loop** ([`Load::Open`]): requests are due at times that do not depend on the server, and
//! latency counts from the moment a request was due, even when no connection was free then. A
//! server that freezes for a second is charged for every request due in that second. A closed loop
//! stops asking while the server is frozen and so notes one slow answer for each connection: the
//! coordinated omission that Gil Tene describes ("How NOT to Measure Latency", HdrHistogram) and
//! that wrk2 was written to avoid.
//!
//! **Closed loop** ([`Load::Closed`]): each connection asks again when it was answered. It finds
//! the highest rate; its latencies say nothing about stalls.

use hdrhistogram::Histogram;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

mod arrivals;
mod connection;
mod crew;
mod driver;
mod frames;
pub mod limits;
mod measured;
mod recorder;
mod response;
mod ring;

pub(crate) use driver::socket;
pub use measured::{ErrorClass, Errors, Example, Measured, Slot};
pub use recorder::{cpu_time, nanos};

/// Drives the load that the plan asks for and gives what was measured. Blocks until the plan is
/// done or [`Stop::stop`] was called; then too what was measured so far is given. `make` gives each
/// thread (numbered from 0) its workload; [`Plan::share`] says which connections are the thread's.
/// `observe` is called about once a second, on the calling thread.
///
/// # Errors
/// If the plan makes no sense, the kernel offers no fitting ring, or there are not enough file
/// descriptors or ports for it. What the server does wrong is counted in [`Measured::errors`].
pub fn run<W: Workload>(
    plan: &Plan,
    stop: &Stop,
    make: impl Fn(usize) -> W,
    observe: impl FnMut(&Progress),
) -> Result<Measured, EngineError> {
    plan.check()?;
    crew::run(plan, stop, make, observe)
}

/// How much load goes where, and for how long.
///
/// A run has three parts: the ramp, the warm-up, and the time that is measured. A request belongs
/// to the measurement if it was due in that time; after its end no request begins, and those under
/// way are awaited for at most `request_timeout`.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// What it speaks.
    pub protocol: Protocol,
    /// Threads, each with a ring and its share of the connections; 1 to [`limits::THREADS_MAX`].
    pub threads: usize,
    /// Connections over all threads; at least one a thread.
    pub connections: usize,
    /// When requests are made.
    pub load: Load,
    /// Connections are opened, and an open load's rate grows, evenly over this time. Zero opens
    /// all at once.
    pub ramp: Duration,
    /// Full load after the ramp that is not measured.
    pub warm_up: Duration,
    /// What is measured.
    pub duration: Duration,
    /// A request that has no whole answer this long after it was sent counts as timed out, and a
    /// connection that is not established by then too. Noticed up to a tenth of it later.
    pub request_timeout: Duration,
    /// Where random arrivals begin; the same seed gives the same times.
    pub seed: u64,
}

impl Plan {
    /// Refuses what makes no sense.
    fn check(&self) -> Result<(), EngineError> {
        use limits::{CONNECTIONS_MAX, PART_MAX, PIPELINE_MAX, RATE_MAX, THREADS_MAX, TIMEOUT};
        let refuse =
            |what, value: String, range: String| Err(EngineError::Plan { what, value, range });
        if self.threads == 0 || self.threads > THREADS_MAX {
            return refuse("threads", self.threads.to_string(), format!("1 to {THREADS_MAX}"));
        }
        let connections = self.threads..=CONNECTIONS_MAX;
        if !connections.contains(&self.connections) {
            let range = format!("{} (one a thread) to {CONNECTIONS_MAX}", self.threads);
            return refuse("connections", self.connections.to_string(), range);
        }
        let parts = [("ramp", self.ramp), ("warm-up", self.warm_up), ("duration", self.duration)];
        for (what, part) in parts {
            if part > PART_MAX {
                return refuse(what, format!("{part:?}"), format!("at most {PART_MAX:?}"));
            }
        }
        if self.duration.is_zero() && self.load != Load::Once {
            return refuse("duration", "0 s".into(), "above 0".into());
        }
        if !(TIMEOUT.0..=TIMEOUT.1).contains(&self.request_timeout) {
            let range = format!("{:?} to {:?}", TIMEOUT.0, TIMEOUT.1);
            return refuse("request timeout", format!("{:?}", self.request_timeout), range);
        }
        match self.load {
            Load::Closed { pipeline, .. } if !(1..=PIPELINE_MAX).contains(&pipeline) => {
                refuse("pipeline", pipeline.to_string(), format!("1 to {PIPELINE_MAX}"))
            }
            Load::Closed { think, .. } if think > PART_MAX => {
                refuse("think time", format!("{think:?}"), format!("at most {PART_MAX:?}"))
            }
            Load::Open { rate_per_s, .. } if !(rate_per_s > 0.0 && rate_per_s <= RATE_MAX) => {
                refuse("rate", rate_per_s.to_string(), format!("above 0 to {RATE_MAX} a second"))
            }
            _ => Ok(()),
        }
    }

    /// The connections of a thread. Numbers are the plan's: each is in exactly one share.
    #[must_use]
    pub fn share(&self, thread: usize) -> Range<usize> {
        let at = |thread: usize| self.connections * thread / self.threads;
        at(thread)..at(thread + 1)
    }
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// Frames `type:u8 length:u8 payload`. Those of these types are answers, in the order of the
    /// requests; others are passed over.
    Frames(&'static [u8]),
}

/// When requests are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// Each connection asks again when it was answered.
    Closed {
        /// Requests in flight on each connection, 1 to [`limits::PIPELINE_MAX`].
        pipeline: usize,
        /// Wait between an answer and the next request.
        think: Duration,
    },
    /// Requests are due at times of their own and go to whichever connection is free; when none
    /// is, they wait in a queue of at most [`limits::OPEN_QUEUE_MAX`] a thread.
    Open {
        /// Requests a second over all threads.
        rate_per_s: f64,
        /// How they are spread.
        arrivals: Arrivals,
    },
    /// Each connection asks once and stays open until the end: a storm of connections, a herd of
    /// idle ones. Latency counts from when the connection was due to be opened. All are measured,
    /// whenever opened. The run is over when each had its answer or error and `duration` is past.
    Once,
}

/// How the requests of an open load are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// At random and independently, as those of many users are.
    Poisson,
}

/// What one thread asks and what it expects. Connections carry the plan's numbers.
pub trait Workload: Send {
    /// A connection is there and has carried nothing yet; called again when it was lost and
    /// replaced. May append what goes before the first request and has no answer that counts.
    fn connect(&mut self, connection: usize, out: &mut Vec<u8>);

    /// Appends one whole request to `out` and says of what kind it is. Must not append
    /// anything else, nor ask for an upgrade.
    fn next(&mut self, connection: usize, out: &mut Vec<u8>) -> Tag;

    /// Judges an answer. Answers of a connection come in the order of its requests; a request
    /// that gets none (its connection was lost, it timed out) has no call.
    ///
    /// # Errors
    /// What is wrong with the answer.
    fn check(&mut self, connection: usize, tag: Tag, response: &Response<'_>) -> Result<(), Wrong>;
}

/// A kind of request: each has its own histogram. At most [`limits::TAGS_MAX`] kinds; the engine
/// panics at a larger number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u16);

/// An answer as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// Status code; a frame's type.
    pub status: u16,
    /// The head as sent, from the status line to the empty line inclusive; empty for a frame.
    pub head: &'a [u8],
    /// The body without its transfer coding.
    pub body: &'a [u8],
}

/// Why an answer is not the one expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The status is another one.
    Status,
    /// The status is right, the head or the body is not: what is wrong.
    Content(&'static str),
    /// The server said no as it may: that is counted, but is neither an answer nor an error.
    Declined,
}

/// Ends a run early, from any thread or signal handler.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// No new request begins from about now; those under way have a short time left.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, for `signal_hook::flag::register`.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

/// How a run goes, about once a second.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Since the run's start, the ramp included.
    pub elapsed: Duration,
    /// The whole run's length as planned.
    pub total: Duration,
    /// Which part of the run this is.
    pub phase: Phase,
    /// Connections that are open now.
    pub open_connections: u64,
    /// How long `recent` covers.
    pub interval: Duration,
    /// What happened in the last interval.
    pub recent: Slot,
    /// Errors since the run's start.
    pub errors: Errors,
}

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connections are being opened and the rate grows.
    Ramp,
    /// Full load, not yet measured.
    WarmUp,
    /// What happens now counts.
    Measuring,
    /// No request begins; answers are awaited.
    Draining,
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A figure of the plan is out of its range.
    #[error("{what} must be {range}, not {value}: change it")]
    Plan {
        /// The figure.
        what: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        range: String,
    },
    /// The kernel does not give the ring that the engine needs.
    #[error("the kernel refuses {what} ({source}): {fix}")]
    Ring {
        /// What was refused.
        what: &'static str,
        /// What it answered.
        source: std::io::Error,
        /// What helps.
        fix: &'static str,
    },
    /// More connections than open files.
    #[error(
        "{connections} connections need {needed} open files and this process may have {limit}: \
         raise the limit (`ulimit -n {needed}`, LimitNOFILE= in a unit) or ask for fewer connections"
    )]
    Files {
        /// Connections that the plan asks for.
        connections: usize,
        /// Open files that they need.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// No local port is left to connect from.
    #[error(
        "no port is left to connect to {address} from: ask for fewer connections, widen \
         net.ipv4.ip_local_port_range, or let the server listen on more addresses"
    )]
    Ports {
        /// The server.
        address: SocketAddr,
    },
    /// The kernel refused a socket for a reason that will not go away.
    #[error("a socket to {address} cannot be made: {source}")]
    Socket {
        /// The server.
        address: SocketAddr,
        /// What the kernel answered.
        source: std::io::Error,
    },
    /// A thread panicked, in the workload most likely.
    #[error("a thread of the load generator panicked: its message is above")]
    Panicked,
}

/// A histogram of durations in nanoseconds with the bounds of every program's: 1 µs to 60 s, three
/// significant digits. Longer ones are recorded as 60 s.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(limits::LATENCY_MIN_NS, limits::LATENCY_MAX_NS, 3)
        .expect("the bounds are valid")
}
