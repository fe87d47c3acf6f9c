//! The recording side: what a ring thread calls while it serves.
//!
//! Each thread records into a set of its own, so nothing here takes a lock. The set hangs on the
//! thread: whatever code runs may count without being handed anything. On a thread that has no
//! meter (a pool's, a test's, or all of them when `latency.enabled` is off) every function here
//! returns at once.
//!
//! Reading the clock costs more than recording. So times are taken at few points, and each is the
//! end of one stage and the beginning of the next. Where it makes no difference, a time that was
//! read before stands for the present one: [`recent`], [`turn`]. Requests are entered into the
//! histograms a block at a time, when these are in the processor's cache.

use crate::exchange::Exchange;
use crate::limits::BLOCK;
use crate::names::{Batch, Count, Level, Queue, ReplicaLag};
use crate::request::Record;
use crate::set::{Set, Times};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::{Poll, Waker};
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
    /// The first time that was read in this turn of the loop.
    turn: Cell<Option<Instant>>,
    ticked: Cell<Option<Instant>>,
    state: RefCell<Option<State>>,
}

struct State {
    exchange: Arc<Exchange>,
    set: Box<Set<Times>>,
    /// Requests that are not entered into the set yet; fewer than [`BLOCK`].
    block: Vec<Record>,
    /// Wakes the task that ends the turn.
    marker: Option<Waker>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            on: Cell::new(false),
            recent: Cell::new(None),
            turn: Cell::new(None),
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
            let (block, marker) = (Vec::with_capacity(BLOCK), None);
            let state = State { exchange: Arc::clone(&exchange), set, block, marker };
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
        if let Ok(Some(mut state)) = state {
            state.enter_block();
            exchange.end(state.set);
        }
    }
}

impl State {
    /// Enters the requests that wait for it.
    fn enter_block(&mut self) {
        for record in self.block.drain(..) {
            self.set.enter(&record);
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

/// Whether this thread has a meter.
pub(crate) fn is_measured() -> bool {
    LOCAL.with(|local| local.on.get())
}

/// Records a request that has ended.
pub(crate) fn record(record: Record) {
    with(|_, state| {
        state.block.push(record);
        if state.block.len() >= BLOCK {
            state.enter_block();
        }
    });
}

/// Reads the clock, for what follows too: see [`recent`].
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
    is_measured().then(now)
}

/// The time that [`now`] said last on this thread; without a meter, the time. Call it only where
/// something has called `now` since the thread last slept.
pub fn recent() -> Instant {
    LOCAL.with(|local| match local.recent.get() {
        Some(recent) if local.on.get() => recent,
        _ => Instant::now(),
    })
}

/// When this turn of the loop began, as far as it is known: the first time that was asked for here
/// in this turn. What the kernel had done by then is given to many tasks of one turn; this is when
/// it was done, and one reading serves them all. Without [`turns`] on this thread each call reads
/// the clock; without a meter there is no time.
pub fn turn() -> Option<Instant> {
    with(|local, state| {
        if let Some(turn) = local.turn.get() {
            return turn;
        }
        let now = Instant::now();
        local.recent.set(Some(now));
        if let Some(marker) = &state.marker {
            local.turn.set(Some(now));
            state.set.counts[Count::LoopTurn as usize] += 1;
            marker.wake_by_ref();
        }
        now
    })
}

/// Tells turns of the loop apart, for [`turn`]; run it as a task of the thread. It never ends. It
/// is woken in each turn that asks for the time and runs behind the tasks that are ready by then:
/// so before the thread sleeps.
pub async fn turns() {
    std::future::poll_fn(|cx| {
        with(|local, state| {
            local.turn.set(None);
            if !state.marker.as_ref().is_some_and(|held| held.will_wake(cx.waker())) {
                state.marker = Some(cx.waker().clone());
            }
        });
        Poll::<()>::Pending
    })
    .await;
}

/// Counts something.
pub fn count(count: Count) {
    with(|_, state| state.set.counts[count as usize] += 1);
}

/// Counts a refusal because a queue is full.
pub fn queue_full(queue: Queue) {
    with(|_, state| state.set.full[queue as usize] += 1);
}

/// Counts something that happened so often.
pub fn count_many(count: Count, times: u64) {
    with(|_, state| state.set.counts[count as usize] += times);
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
            state.set.lag.record(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
        }
        state.enter_block();
        state.exchange.swap(&mut state.set);
    });
}

/// A request that ended before it had a [`Request`]: it has an outcome and no times.
pub fn refused(route: usize, code: usize) {
    with(|_, state| state.set.routes[route].codes[code] += 1);
}

#[cfg(test)]
mod tests {
    use super::{now, recent, turn, turns};
    use crate::hub::Hub;
    use crate::names::{FRONT_STAGES, Plan, Stage};
    use crate::request::{Request, lap_at};
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::time::{Duration, Instant};

    fn hub() -> std::sync::Arc<Hub> {
        let plan = Plan {
            program: "test",
            version: "0",
            routes: vec!["a".into()],
            stages: FRONT_STAGES,
            codes: vec!["ok".into()],
            queues: &[],
            batches: &[],
        };
        Hub::new(plan, true)
    }

    /// Waits until the clock says something else.
    fn later(than: Instant) {
        while Instant::now() <= than {}
    }

    #[test]
    fn one_reading_serves_a_turn_and_none_outlives_it() {
        let _meter = hub().thread().install();
        let mut marker = pin!(turns());
        let mut end_turn = || {
            let polled = marker.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
        };
        end_turn();
        let first = turn().expect("measured");
        later(first);
        let second = now();
        assert!(second > first && turn() == Some(first) && recent() == second);
        later(second);
        end_turn();
        assert!(turn() > Some(second));
    }

    #[test]
    fn without_a_task_that_ends_turns_each_call_reads_the_clock() {
        let _meter = hub().thread().install();
        let first = turn().expect("measured");
        later(first);
        assert!(turn() > Some(first));
    }

    #[test]
    fn stages_add_up_and_a_request_within_another_has_its_own() {
        let _meter = hub().thread().install();
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let (outer, inner) = (Request::begin(0, began), Request::begin(0, began));
        outer.enter(|| {
            lap_at(Stage::Queue, at(2));
            inner.enter(|| lap_at(Stage::Link, at(7)));
            lap_at(Stage::Queue, at(3));
            // A time before the last one that was taken adds nothing and takes nothing back.
            lap_at(Stage::Link, at(1));
            lap_at(Stage::Link, at(5));
        });
        let ms = Duration::from_millis;
        assert_eq!(outer.stages(), [(Stage::Queue, ms(3)), (Stage::Link, ms(2))]);
        assert_eq!(inner.stages(), [(Stage::Link, ms(7))]);
        assert_eq!(outer.total(at(9)), ms(9));
        assert!(!crate::request::is_running());
    }
}
