//! The recording side: what a ring thread calls while it serves.
//!
//! Each thread records into a set of its own, so nothing here takes a lock. The set and the
//! requests that run hang on the thread: whatever code runs for a request may say what it waits
//! for without being handed anything. On a thread that has no meter (a pool's, a test's, or all of
//! them when `latency.enabled` is off) every function here returns at once.
//!
//! Reading the clock costs more than recording. So times are taken at few points, each is the end
//! of one stage and the beginning of the next, and work that follows another work of the same turn
//! of the loop begins at the last time that was read ([`recent`]).

use crate::exchange::Exchange;
use crate::names::{Batch, Count, Level, Queue, ReplicaLag, Stage};
use crate::set::{Set, Times};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The meter of one thread, on its way there; the default one records nothing.
#[derive(Default)]
pub struct Meter(Option<(Arc<Exchange>, Box<Set<Times>>)>);

/// The meter of this thread. When it is dropped, recording ends and the last records are handed
/// over.
pub struct Installed {
    exchange: Option<Arc<Exchange>>,
}

struct Local {
    on: Cell<bool>,
    recent: Cell<Option<Instant>>,
    /// The place of the request that runs.
    current: Cell<usize>,
    ticked: Cell<Option<Instant>>,
    state: RefCell<Option<State>>,
}

struct State {
    exchange: Arc<Exchange>,
    set: Box<Set<Times>>,
    requests: Slab<Laps>,
}

/// A request's times so far.
struct Laps {
    route: usize,
    began: Instant,
    /// The end of the last stage that was taken.
    last: Instant,
    ns: [u64; Stage::ALL.len()],
    /// Which stages were taken, a bit each.
    taken: u32,
    bytes_in: u64,
    bytes_out: u64,
}

/// No request.
const NONE: usize = usize::MAX;

thread_local! {
    static LOCAL: Local = const {
        Local {
            on: Cell::new(false),
            recent: Cell::new(None),
            current: Cell::new(NONE),
            ticked: Cell::new(None),
            state: RefCell::new(None),
        }
    };
}

impl Meter {
    pub(crate) fn new(exchange: Arc<Exchange>, set: Box<Set<Times>>) -> Meter {
        Meter(Some((exchange, set)))
    }

    /// Makes this the meter of the calling thread.
    pub fn install(self) -> Installed {
        let Some((exchange, set)) = self.0 else { return Installed { exchange: None } };
        LOCAL.with(|local| {
            let state = State { exchange: Arc::clone(&exchange), set, requests: Slab::new() };
            *local.state.borrow_mut() = Some(state);
            local.on.set(true);
        });
        Installed { exchange: Some(exchange) }
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let Some(exchange) = &self.exchange else { return };
        // The thread's locals may be gone already if it unwinds; its last set is lost then.
        let state = LOCAL.try_with(|local| {
            local.on.set(false);
            local.state.borrow_mut().take()
        });
        if let Ok(Some(state)) = state {
            exchange.end(state.set);
        }
    }
}

/// Runs `work` on this thread's records; nothing on a thread without a meter.
fn with<R>(work: impl FnOnce(&Local, &mut State) -> R) -> Option<R> {
    LOCAL.with(|local| {
        if !local.on.get() {
            return None;
        }
        let mut state = local.state.try_borrow_mut().ok()?;
        state.as_mut().map(|state| work(local, state))
    })
}

/// Reads the clock, for what follows in this turn of the loop too.
pub fn now() -> Instant {
    let now = Instant::now();
    LOCAL.with(|local| {
        if local.on.get() {
            local.recent.set(Some(now));
        }
    });
    now
}

/// Reads the clock if this thread has a meter, for what is read for the meter alone.
pub fn mark() -> Option<Instant> {
    LOCAL.with(|local| local.on.get()).then(now)
}

/// The time that [`now`] said last on this thread; without a meter, the time. Call it only where
/// something has called `now` since the thread last slept.
pub fn recent() -> Instant {
    LOCAL.with(|local| match local.recent.get() {
        Some(recent) if local.on.get() => recent,
        _ => Instant::now(),
    })
}

/// Counts something.
pub fn count(count: Count) {
    with(|_, state| state.set.counts[count as usize] += 1);
}

/// Counts a refusal because a queue is full.
pub fn queue_full(queue: Queue) {
    with(|_, state| state.set.full[queue as usize] += 1);
}

/// Notes how many went together.
pub fn batch(batch: Batch, size: usize) {
    with(|_, state| state.set.batches[batch as usize].record(size));
}

/// Tells a state of this thread.
pub fn level(level: Level, value: u64) {
    with(|_, state| state.exchange.set_level(level, value));
}

/// Tells how far this thread's database is behind its primary.
pub fn replica_lag(lag: ReplicaLag) {
    level(Level::ReplicaLag, lag.level());
}

/// What a thread does at each of its ticks, `period` apart: notes how late it is, and hands over
/// what it recorded if that is wanted.
pub fn tick(period: Duration) {
    let now = now();
    with(|local, state| {
        if let Some(before) = local.ticked.replace(Some(now)) {
            let late = now.saturating_duration_since(before).saturating_sub(period);
            state.set.lag.record(nanoseconds(late));
        }
        state.exchange.swap(&mut state.set);
    });
}

/// A request that ended before it had a [`Request`]: it has an outcome and no times.
pub fn refused(route: usize, code: usize) {
    with(|_, state| state.set.routes[route].codes[code] += 1);
}

/// Ends a stage of the request that runs: it lasted from the end of the one before until now.
pub fn lap(stage: Stage) {
    if is_running() {
        lap_at(stage, now());
    }
}

/// Ends a stage of the request that runs, at a time that was read.
pub fn lap_at(stage: Stage, at: Instant) {
    with_current(|laps| laps.lap(stage, at));
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

/// Whether a request runs on this thread whose stages are taken.
pub fn is_running() -> bool {
    LOCAL.with(|local| local.on.get() && local.current.get() != NONE)
}

fn with_current<R>(work: impl FnOnce(&mut Laps) -> R) -> Option<R> {
    with(|local, state| state.requests.get_mut(local.current.get()).map(work)).flatten()
}

impl Laps {
    fn lap(&mut self, stage: Stage, at: Instant) {
        let ns = nanoseconds(at.saturating_duration_since(self.last));
        self.add(stage, ns);
        self.last = self.last.max(at);
    }

    fn add(&mut self, stage: Stage, ns: u64) {
        self.ns[stage as usize] += ns;
        self.taken |= 1 << stage as u32;
    }
}

/// A request whose stages are taken. It is recorded by [`Request::finish`]; dropped before that, it
/// leaves no trace.
#[derive(Debug)]
pub struct Request {
    place: usize,
    /// It belongs to this thread.
    _here: PhantomData<Rc<()>>,
}

impl Request {
    /// A request on a route that began at this time.
    pub fn begin(route: usize, began: Instant) -> Request {
        let laps = Laps {
            route,
            began,
            last: began,
            ns: [0; Stage::ALL.len()],
            taken: 0,
            bytes_in: 0,
            bytes_out: 0,
        };
        let place = with(|_, state| state.requests.insert(laps)).unwrap_or(NONE);
        Request { place, _here: PhantomData }
    }

    /// Runs a piece of the request's work: what it says of stages is meant of this request.
    pub fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        /// Puts the one before back, also when the work panics.
        struct Back(usize);
        impl Drop for Back {
            fn drop(&mut self) {
                let _ = LOCAL.try_with(|local| local.current.set(self.0));
            }
        }
        if self.place == NONE {
            return work();
        }
        let _back = Back(LOCAL.with(|local| local.current.replace(self.place)));
        work()
    }

    /// Ends a stage: it lasted from the end of the one before until `at`.
    pub fn lap_at(&self, stage: Stage, at: Instant) {
        self.with(|laps| laps.lap(stage, at));
    }

    /// Adds a time that lies outside of the stages in a row.
    pub fn add(&self, stage: Stage, time: Duration) {
        self.with(|laps| laps.add(stage, nanoseconds(time)));
    }

    /// Adds to what came of the request, bytes.
    pub fn received(&self, bytes: usize) {
        self.with(|laps| laps.bytes_in += bytes as u64);
    }

    /// Adds to what went out for it, bytes.
    pub fn sent(&self, bytes: usize) {
        self.with(|laps| laps.bytes_out += bytes as u64);
    }

    /// The stages taken so far, each with its time.
    pub fn stages(&self) -> Vec<(Stage, Duration)> {
        let taken = |laps: &mut Laps| {
            let taken = Stage::ALL.iter().filter(|stage| laps.taken & (1 << **stage as u32) != 0);
            taken.map(|&stage| (stage, Duration::from_nanos(laps.ns[stage as usize]))).collect()
        };
        self.with(taken).unwrap_or_default()
    }

    /// How long it has taken at `at`; nothing on a thread without a meter.
    pub fn total(&self, at: Instant) -> Duration {
        let total = |laps: &mut Laps| at.saturating_duration_since(laps.began);
        self.with(total).unwrap_or_default()
    }

    /// Records the request with its outcome; it ended at `at`.
    pub fn finish(mut self, code: usize, at: Instant) {
        let place = std::mem::replace(&mut self.place, NONE);
        with(|_, state| {
            let Some(laps) = state.requests.try_remove(place) else { return };
            let route = &mut state.set.routes[laps.route];
            let mut taken = laps.taken;
            while taken != 0 {
                let stage = taken.trailing_zeros() as usize;
                taken &= taken - 1;
                route.record(Stage::ALL[stage], laps.ns[stage]);
            }
            let total = nanoseconds(at.saturating_duration_since(laps.began));
            route.record(Stage::Total, total);
            route.codes[code] += 1;
            route.bytes_in += laps.bytes_in;
            route.bytes_out += laps.bytes_out;
        });
    }

    fn with<R>(&self, work: impl FnOnce(&mut Laps) -> R) -> Option<R> {
        with(|_, state| state.requests.get_mut(self.place).map(work)).flatten()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.place != NONE {
            // It may be gone with its thread's meter.
            let place = self.place;
            let _ = LOCAL.try_with(|_| with(|_, state| state.requests.try_remove(place)));
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
