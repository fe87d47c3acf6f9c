//! What a run gives.

use super::{Tag, histogram, limits};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// What was measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The time that was measured: the plan's duration, or less if the run was stopped.
    pub elapsed: Duration,
    /// Requests sent that were due in the time measured.
    pub sent: u64,
    /// Of these, how many were answered as expected.
    pub answered: u64,
    /// Of these, how many the server declined as it may.
    pub declined: u64,
    /// What went wrong with requests due, and with connections lost, in the time measured.
    pub errors: Errors,
    /// Requests under way when the run was stopped early: neither answered nor an error.
    pub unfinished: u64,
    /// Connections that were open at the end.
    pub open_at_end: u64,
    /// Nanoseconds from the moment a request was due to the end of its answer, for answers as
    /// expected. In a closed loop a request is due when it is sent.
    pub latency: BTreeMap<Tag, Histogram<u64>>,
    /// Nanoseconds from the sending of a request to the end of its answer, for answers as expected.
    pub service_time: BTreeMap<Tag, Histogram<u64>>,
    /// What happened over time, from the start to the end of the time measured.
    pub timeline: Vec<Slot>,
    /// Length of one slot of the timeline: [`limits::SLOT`] in runs of up to ten minutes.
    pub slot: Duration,
    /// CPU time of the generator's threads within the time measured.
    pub cpu: Duration,
    /// The first of each class of errors, whenever it happened.
    pub examples: Vec<Example>,
}

impl Measured {
    /// Expected answers that arrived within the time measured, a second.
    #[must_use]
    pub fn rate_per_s(&self) -> f64 {
        let answered: u64 = self.timeline.iter().map(|slot| slot.answered).sum();
        #[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
        let answered = answered as f64;
        if self.elapsed.is_zero() { 0.0 } else { answered / self.elapsed.as_secs_f64() }
    }

    /// Latencies of all kinds of request together.
    #[must_use]
    pub fn latency_of_all(&self) -> Histogram<u64> {
        all(&self.latency)
    }

    /// Service times of all kinds of request together.
    #[must_use]
    pub fn service_time_of_all(&self) -> Histogram<u64> {
        all(&self.service_time)
    }
}

fn all(by_tag: &BTreeMap<Tag, Histogram<u64>>) -> Histogram<u64> {
    let mut sum = histogram();
    for one in by_tag.values() {
        sum.add(one).expect("all have the same bounds");
    }
    sum
}

/// What happened in one stretch of time. Unlike the totals it counts events when they happen: an
/// answer belongs to the slot in which it arrived.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Requests sent.
    pub sent: u64,
    /// Answers as expected.
    pub answered: u64,
    /// Errors of all classes.
    pub errors: u64,
    /// Latencies of the answers, in nanoseconds; two significant digits, the engine's bounds.
    pub latency: Histogram<u32>,
}

impl Default for Slot {
    fn default() -> Self {
        let bounds = (limits::LATENCY_MIN_NS, limits::LATENCY_MAX_NS);
        let latency = Histogram::new_with_bounds(bounds.0, bounds.1, 2).expect("valid bounds");
        Self { sent: 0, answered: 0, errors: 0, latency }
    }
}

impl Slot {
    /// Adds what happened in another slot.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.errors += other.errors;
        self.latency.add(&other.latency).expect("all slots have the same bounds");
    }
}

/// What can go wrong with a request or a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ErrorClass {
    /// Nobody listens, or the way there is closed: one for each attempt to connect.
    Refused,
    /// The server reset a connection: one for each request in flight on it, at least one.
    Reset,
    /// No connection or no whole answer within the plan's time.
    TimedOut,
    /// The server closed a connection with requests in flight: one for each.
    ClosedEarly,
    /// What came is not HTTP/1.1, or answers nothing: one for each request in flight, at least one.
    Malformed,
    /// The workload expected another status.
    WrongStatus,
    /// The workload expected another head or body.
    WrongContent,
    /// The request was due and found no connection, nor room in the queue for one.
    NotSent,
}

impl ErrorClass {
    /// All classes.
    pub const ALL: [Self; 8] = [
        Self::Refused,
        Self::Reset,
        Self::TimedOut,
        Self::ClosedEarly,
        Self::Malformed,
        Self::WrongStatus,
        Self::WrongContent,
        Self::NotSent,
    ];

    /// Its name in tables and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::TimedOut => "timed_out",
            Self::ClosedEarly => "closed_early",
            Self::Malformed => "malformed",
            Self::WrongStatus => "wrong_status",
            Self::WrongContent => "wrong_content",
            Self::NotSent => "not_sent",
        }
    }
}

/// Errors counted by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Errors([u64; ErrorClass::ALL.len()]);

impl Errors {
    /// How many of one class.
    #[must_use]
    pub fn of(&self, class: ErrorClass) -> u64 {
        self.0[class as usize]
    }

    /// How many of all classes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The classes that happened, with how often.
    pub fn iter(&self) -> impl Iterator<Item = (ErrorClass, u64)> + '_ {
        ErrorClass::ALL.into_iter().map(|class| (class, self.of(class))).filter(|(_, n)| *n > 0)
    }

    /// Counts some more of a class.
    pub fn count(&mut self, class: ErrorClass, times: u64) {
        self.0[class as usize] += times;
    }

    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

/// One error, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Its class.
    pub class: ErrorClass,
    /// What happened, with the beginning of what came.
    pub text: String,
}
