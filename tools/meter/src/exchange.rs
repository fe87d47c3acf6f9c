//! The place where a thread hands over what it recorded.
//!
//! The reader leaves an empty set and raises a flag. The thread looks at the flag at its ticks and
//! swaps its own set for the empty one, if it gets the lock at once; else at its next tick. So the
//! thread never waits, and a record is in exactly one set at any time. A thread that ends leaves
//! its last set behind.

use crate::names::{Level, Plan};
use crate::set::{Set, Times};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What one thread and the reader share.
pub(crate) struct Exchange {
    wanted: AtomicBool,
    spot: Mutex<Spot>,
    handed_over: Condvar,
    /// By [`Level`], as of the thread's last tick.
    levels: [AtomicU64; Level::ALL.len()],
}

#[derive(Default)]
struct Spot {
    /// Empty, for the thread.
    spare: Option<Box<Set<Times>>>,
    /// Full, for the reader.
    full: Option<Box<Set<Times>>>,
    /// What the thread had when it ended.
    last: Option<Box<Set<Times>>>,
    ended: bool,
}

impl Exchange {
    pub(crate) fn new(plan: &Plan) -> Exchange {
        let spot = Spot { spare: Some(Box::new(Set::new(plan))), ..Spot::default() };
        Exchange {
            wanted: AtomicBool::new(false),
            spot: Mutex::new(spot),
            handed_over: Condvar::new(),
            levels: Default::default(),
        }
    }

    // === the thread's side

    /// Hands `active` over if the reader wants it. Never waits.
    pub(crate) fn swap(&self, active: &mut Box<Set<Times>>) {
        if !self.wanted.load(Ordering::Acquire) {
            return;
        }
        let Ok(mut spot) = self.spot.try_lock() else { return };
        let Some(spare) = spot.spare.take() else { return };
        spot.full = Some(std::mem::replace(active, spare));
        self.wanted.store(false, Ordering::Release);
        drop(spot);
        self.handed_over.notify_all();
    }

    /// The thread ends: it records nothing more.
    pub(crate) fn end(&self, active: Box<Set<Times>>) {
        let mut spot = self.spot();
        spot.last = Some(active);
        spot.ended = true;
        for level in &self.levels {
            level.store(0, Ordering::Relaxed);
        }
        drop(spot);
        self.handed_over.notify_all();
    }

    pub(crate) fn set_level(&self, level: Level, value: u64) {
        self.levels[level as usize].store(value, Ordering::Relaxed);
    }

    // === the reader's side, one reader at a time

    /// Asks for what the thread has recorded.
    pub(crate) fn ask(&self) {
        self.wanted.store(true, Ordering::Release);
    }

    /// Waits until the thread has handed something over, or has ended, or `until`. Gives each set
    /// to `take`, which must leave it empty; returns whether the thread has ended.
    pub(crate) fn collect(&self, until: Instant, mut take: impl FnMut(&mut Set<Times>)) -> bool {
        let mut spot = self.spot();
        while spot.full.is_none() && !spot.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.handed_over.wait_timeout(spot, left);
            spot = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let (full, last, ended) = (spot.full.take(), spot.last.take(), spot.ended);
        // Not under the lock: the thread may want it for a swap.
        drop(spot);
        if let Some(mut last) = last {
            take(&mut last);
        }
        if let Some(mut full) = full {
            take(&mut full);
            self.spot().spare = Some(full);
        }
        ended
    }

    pub(crate) fn level(&self, level: Level) -> u64 {
        self.levels[level as usize].load(Ordering::Relaxed)
    }

    fn spot(&self) -> MutexGuard<'_, Spot> {
        self.spot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Exchange;
    use crate::names::{FRONT_STAGES, Plan, Stage};
    use crate::set::{Set, Tally, Times};
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    fn plan() -> Plan {
        Plan {
            program: "test",
            version: "0",
            routes: vec!["a".into()],
            stages: FRONT_STAGES,
            codes: vec!["ok".into()],
            queues: &[],
            batches: &[],
        }
    }

    fn take_into(total: &mut Set<Tally>, set: &mut Set<Times>) {
        total.add(set);
        set.clear();
    }

    fn recorded(total: &Set<Tally>) -> (u64, u64, u64) {
        let times = total.routes[0].times(Stage::Total);
        let (count, sum) = times.map_or((0, 0), |times| (times.len(), times.sum_ns));
        (count, sum, total.counts[0])
    }

    proptest! {
        /// In any order of recording, ticks, asking and reading, nothing is lost or counted twice.
        #[test]
        fn no_record_is_lost_across_swaps(steps in prop::collection::vec(0u8..5, 0..300)) {
            let plan = plan();
            let exchange = Exchange::new(&plan);
            let mut active = Box::new(Set::<Times>::new(&plan));
            let mut total = Set::<Tally>::new(&plan);
            let (mut count, mut sum) = (0, 0);
            for (place, step) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => {
                        let ns = 1_000 * place as u64;
                        active.routes[0].record(Stage::Total, ns);
                        active.counts[0] += 1;
                        (count, sum) = (count + 1, sum + ns);
                    }
                    2 => exchange.swap(&mut active),
                    3 => exchange.ask(),
                    _ => {
                        exchange.collect(Instant::now(), |set| take_into(&mut total, set));
                        let (seen, ..) = recorded(&total);
                        prop_assert!(seen <= count);
                    }
                }
            }
            exchange.end(active);
            prop_assert!(exchange.collect(Instant::now(), |set| take_into(&mut total, set)));
            prop_assert_eq!(recorded(&total), (count, sum, count));
            prop_assert!(exchange.collect(Instant::now(), |_| panic!("nothing is left")));
        }
    }

    /// The same with real threads: the recorder never waits, the reader reads as fast as it can.
    #[test]
    fn no_record_is_lost_while_a_reader_reads_all_the_time() {
        const RECORDS: u64 = 200_000;
        let plan = plan();
        let exchange = Arc::new(Exchange::new(&plan));
        let mut active = Box::new(Set::<Times>::new(&plan));
        let begun = Arc::new(AtomicBool::new(false));
        let recorder = std::thread::spawn({
            let (exchange, begun) = (Arc::clone(&exchange), Arc::clone(&begun));
            move || {
                for record in 0..RECORDS {
                    active.routes[0].record(Stage::Total, record);
                    active.counts[0] += 1;
                    exchange.swap(&mut active);
                    begun.store(true, Ordering::Release);
                }
                exchange.end(active);
            }
        });
        let mut total = Set::<Tally>::new(&plan);
        while !begun.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        loop {
            exchange.ask();
            let until = Instant::now() + Duration::from_secs(60);
            if exchange.collect(until, |set| take_into(&mut total, set)) {
                break;
            }
        }
        recorder.join().expect("it does not panic");
        let (count, sum, counted) = recorded(&total);
        assert_eq!((count, sum, counted), (RECORDS, RECORDS * (RECORDS - 1) / 2, RECORDS));
    }

    #[test]
    fn a_thread_that_records_never_waits_for_a_reader() {
        let plan = plan();
        let exchange = Exchange::new(&plan);
        let mut active = Box::new(Set::<Times>::new(&plan));
        active.counts[0] = 1;
        exchange.ask();
        let held = exchange.spot();
        // It would never return if it waited.
        exchange.swap(&mut active);
        assert_eq!(active.counts[0], 1, "kept for the next tick");
        drop(held);
        exchange.swap(&mut active);
        assert_eq!(active.counts[0], 0, "handed over");
    }
}
