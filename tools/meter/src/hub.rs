//! The reading side: collects what the threads recorded and keeps the totals since the start.

use crate::exchange::Exchange;
use crate::limits::COLLECT_MAX;
use crate::names::{Level, Plan, Queue};
use crate::set::{Set, Tally};
use crate::thread::Meter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

/// What a program measures, over all its threads.
pub struct Hub {
    plan: Plan,
    enabled: bool,
    started: SystemTime,
    threads: Mutex<Vec<Arc<Exchange>>>,
    totals: Mutex<Totals>,
    depths: Mutex<Vec<(Queue, Depth)>>,
}

/// Says how much waits in a queue.
type Depth = Box<dyn Fn() -> u64 + Send + Sync>;

/// What was collected so far.
pub(crate) struct Totals {
    /// Since the start.
    pub(crate) all: Set<Tally>,
    /// Since the last interval was taken, if anybody takes intervals.
    interval: Option<Set<Tally>>,
}

impl Hub {
    /// A hub for this plan. With `enabled` off, no thread records and all totals stay empty.
    pub fn new(plan: Plan, enabled: bool) -> Arc<Hub> {
        let totals = Totals { all: Set::new(&plan), interval: None };
        Arc::new(Hub {
            plan,
            enabled,
            started: SystemTime::now(),
            threads: Mutex::default(),
            totals: Mutex::new(totals),
            depths: Mutex::default(),
        })
    }

    /// The meter of one more thread, to be installed there.
    pub fn thread(&self) -> Meter {
        if !self.enabled {
            return Meter::default();
        }
        let exchange = Arc::new(Exchange::new(&self.plan));
        lock(&self.threads).push(Arc::clone(&exchange));
        Meter::new(exchange, Box::new(Set::new(&self.plan)))
    }

    /// Adds a queue that belongs to no thread: `depth` says how much waits in it. It is called
    /// when somebody reads.
    pub fn queue(&self, queue: Queue, depth: impl Fn() -> u64 + Send + Sync + 'static) {
        lock(&self.depths).push((queue, Box::new(depth)));
    }

    /// Gathers what the threads have recorded up to now into the totals. Waits for their next
    /// ticks, for [`COLLECT_MAX`] at most.
    pub fn collect(&self) {
        drop(self.collected());
    }

    /// What the program measures.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// When the hub was made.
    pub(crate) fn started(&self) -> SystemTime {
        self.started
    }

    /// The totals, up to date.
    pub(crate) fn collected(&self) -> MutexGuard<'_, Totals> {
        let mut totals = lock(&self.totals);
        let threads = lock(&self.threads).clone();
        threads.iter().for_each(|thread| thread.ask());
        let until = Instant::now() + COLLECT_MAX;
        for thread in threads {
            let totals = &mut *totals;
            let ended = thread.collect(until, |set| {
                totals.all.add(set);
                if let Some(interval) = &mut totals.interval {
                    interval.add(set);
                }
                set.clear();
                set.make_room_like(&totals.all);
            });
            if ended {
                lock(&self.threads).retain(|other| !Arc::ptr_eq(other, &thread));
            }
        }
        totals
    }

    /// From now on intervals are kept for [`Hub::take_interval`].
    pub(crate) fn keep_intervals(&self) {
        lock(&self.totals).interval = Some(Set::new(&self.plan));
    }

    /// What was recorded since the last call.
    pub(crate) fn take_interval(&self) -> Option<Set<Tally>> {
        let empty = Set::new(&self.plan);
        self.collected().interval.as_mut().map(|interval| std::mem::replace(interval, empty))
    }

    /// A level of each thread that runs.
    pub(crate) fn levels(&self, level: Level) -> Vec<u64> {
        lock(&self.threads).iter().map(|thread| thread.level(level)).collect()
    }

    /// How much waits in a queue.
    pub(crate) fn depth(&self, queue: Queue) -> u64 {
        let level = match queue {
            Queue::Link => Some(Level::LinkQueue),
            Queue::Redis => Some(Level::RedisQueue),
            Queue::MysqlRead => Some(Level::MysqlReadQueue),
            Queue::MysqlWrite => Some(Level::MysqlWriteQueue),
            Queue::Argon2 | Queue::Pictures => None,
        };
        let threads = level.map_or(0, |level| self.levels(level).iter().sum::<u64>());
        let shared = lock(&self.depths);
        let shared = shared.iter().filter(|(kind, _)| *kind == queue).map(|(_, depth)| depth());
        threads + shared.sum::<u64>()
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("program", &self.plan.program).finish_non_exhaustive()
    }
}

/// What stands under these locks is changed in single steps, so a panic leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
