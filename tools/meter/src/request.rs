//! A request's times while it runs.
//!
//! They are kept in the request itself; only its end touches the thread's records. While a piece of
//! its work runs, the request is the current one of its thread, so that whoever waits for something
//! can say so.

use crate::names::Stage;
use crate::thread::{self, now, recent};
use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Times in a request are multiples of this, nanoseconds: 32 bits hold more than a minute.
const TICK_NS: u64 = 16;

scoped_tls::scoped_thread_local!(static CURRENT: Laps);

/// What is known of a request so far.
#[derive(Debug)]
struct Laps {
    began: Instant,
    /// The end of the last stage that was taken.
    last: Cell<Instant>,
    /// In ticks, by [`Stage`].
    times: [Cell<u32>; Stage::ALL.len()],
    /// Which stages were taken, a bit each.
    taken: Cell<u16>,
    route: u16,
    bytes_in: Cell<u32>,
    bytes_out: Cell<u32>,
}

/// A request as it is recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    times: [u32; Stage::ALL.len()],
    taken: u16,
    pub(crate) route: u16,
    pub(crate) code: u16,
    pub(crate) bytes_in: u32,
    pub(crate) bytes_out: u32,
}

impl Record {
    /// The stages that it had, each with its time in nanoseconds.
    pub(crate) fn times(&self) -> impl Iterator<Item = (Stage, u64)> {
        let taken = Stage::ALL.iter().filter(|stage| self.taken & stage.bit() != 0);
        taken.map(|&stage| (stage, u64::from(self.times[stage as usize]) * TICK_NS))
    }
}

impl Stage {
    fn bit(self) -> u16 {
        1 << self as u16
    }
}

const _: () = assert!(Stage::ALL.len() <= u16::BITS as usize, "a bit for each stage");

impl Laps {
    fn lap(&self, stage: Stage, at: Instant) {
        let last = self.last.get();
        self.add(stage, at.saturating_duration_since(last));
        self.last.set(last.max(at));
    }

    fn add(&self, stage: Stage, time: Duration) {
        let sum = &self.times[stage as usize];
        sum.set(sum.get().saturating_add(ticks(time)));
        self.taken.set(self.taken.get() | stage.bit());
    }
}

fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_nanos() / u128::from(TICK_NS)).unwrap_or(u32::MAX)
}

fn add_bytes(sum: &Cell<u32>, bytes: usize) {
    sum.set(sum.get().saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX)));
}

/// A request whose stages are taken. It is recorded by [`Request::finish`]; dropped before that, it
/// leaves no trace. On a thread without a meter it does nothing.
#[derive(Debug)]
pub struct Request {
    laps: Option<Laps>,
    /// It belongs to this thread.
    _here: PhantomData<Rc<()>>,
}

impl Request {
    /// A request on a route that began at this time.
    pub fn begin(route: usize, began: Instant) -> Request {
        let laps = thread::is_measured().then(|| Laps {
            began,
            last: Cell::new(began),
            times: Default::default(),
            taken: Cell::new(0),
            route: u16::try_from(route).expect("a plan has few routes"),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
        });
        Request { laps, _here: PhantomData }
    }

    /// Runs a piece of the request's work: what it says of stages is meant of this request.
    pub fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.laps {
            Some(laps) => CURRENT.set(laps, work),
            None => work(),
        }
    }

    /// Ends a stage: it lasted from the end of the one before until `at`.
    pub fn lap_at(&self, stage: Stage, at: Instant) {
        if let Some(laps) = &self.laps {
            laps.lap(stage, at);
        }
    }

    /// Adds a time that lies outside of the stages in a row.
    pub fn add(&self, stage: Stage, time: Duration) {
        if let Some(laps) = &self.laps {
            laps.add(stage, time);
        }
    }

    /// Adds to what came of the request, bytes.
    pub fn received(&self, bytes: usize) {
        if let Some(laps) = &self.laps {
            add_bytes(&laps.bytes_in, bytes);
        }
    }

    /// Adds to what went out for it, bytes.
    pub fn sent(&self, bytes: usize) {
        if let Some(laps) = &self.laps {
            add_bytes(&laps.bytes_out, bytes);
        }
    }

    /// The stages taken so far, each with its time.
    pub fn stages(&self) -> Vec<(Stage, Duration)> {
        let time = |laps: &Laps, stage: Stage| {
            Duration::from_nanos(u64::from(laps.times[stage as usize].get()) * TICK_NS)
        };
        let laps = self.laps.iter();
        laps.flat_map(|laps| {
            let taken = Stage::ALL.iter().filter(|stage| laps.taken.get() & stage.bit() != 0);
            taken.map(move |&stage| (stage, time(laps, stage)))
        })
        .collect()
    }

    /// How long it has taken at `at`; nothing on a thread without a meter.
    pub fn total(&self, at: Instant) -> Duration {
        let total = |laps: &Laps| at.saturating_duration_since(laps.began);
        self.laps.as_ref().map(total).unwrap_or_default()
    }

    /// Records the request with its outcome; it ended at `at`.
    pub fn finish(self, code: usize, at: Instant) {
        let Some(laps) = self.laps else { return };
        laps.add(Stage::Total, at.saturating_duration_since(laps.began));
        thread::record(Record {
            times: laps.times.map(Cell::into_inner),
            taken: laps.taken.get(),
            route: laps.route,
            code: u16::try_from(code).expect("a plan has few outcomes"),
            bytes_in: laps.bytes_in.get(),
            bytes_out: laps.bytes_out.get(),
        });
    }
}

/// Whether a request runs on this thread whose stages are taken.
pub fn is_running() -> bool {
    CURRENT.is_set()
}

/// Ends a stage of the request that runs: it lasted from the end of the one before until now.
pub fn lap(stage: Stage) {
    if is_running() {
        lap_at(stage, now());
    }
}

/// Ends a stage of the request that runs, at a time that was read.
pub fn lap_at(stage: Stage, at: Instant) {
    if is_running() {
        CURRENT.with(|laps| laps.lap(stage, at));
    }
}

/// The request that runs begins to wait: what it did so far was its own work.
pub fn pause() {
    lap(Stage::Logic);
}

/// The request that runs has waited until now; see [`recent`].
pub fn waited(stage: Stage) {
    if is_running() {
        lap_at(stage, recent());
    }
}

/// The request that runs has waited until now, in a queue until `begun`.
pub fn waited_in_turn(queue: Stage, begun: Instant, stage: Stage) {
    lap_at(queue, begun);
    waited(stage);
}
