//! What one thread has recorded since it was last read: times, counts, sizes.

use crate::limits::{DIGITS, NS_MAX, NS_MIN, SIZE_BUCKETS};
use crate::names::{Batch, Count, Plan, Queue, Stage};
use crate::request::Record;
use hdrhistogram::{Counter, Histogram};

/// How times are kept.
pub(crate) trait Distribution {
    fn new() -> Self;
    fn is_empty(&self) -> bool;
}

/// Times as a thread records them, and their exact sum.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    /// Nanoseconds.
    pub(crate) histogram: Histogram<u32>,
    pub(crate) sum_ns: u64,
}

impl Times {
    pub(crate) fn record(&mut self, ns: u64) {
        self.histogram.saturating_record(ns);
        self.sum_ns = self.sum_ns.wrapping_add(ns);
    }

    pub(crate) fn clear(&mut self) {
        self.histogram.reset();
        self.sum_ns = 0;
    }
}

impl Distribution for Times {
    fn new() -> Times {
        Times { histogram: histogram(), sum_ns: 0 }
    }

    fn is_empty(&self) -> bool {
        self.histogram.is_empty()
    }
}

fn histogram<C: Counter>() -> Histogram<C> {
    let histogram = Histogram::new_with_bounds(NS_MIN, NS_MAX, DIGITS);
    histogram.expect("the bounds are far enough apart")
}

/// Times as they are added up: only those that occurred. A histogram of them all has 18,000 counts,
/// of which a stage meets some hundred.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Nanoseconds and how often, in order. Each stands for all times that a histogram does not
    /// tell apart from it.
    pub(crate) counts: Vec<(u64, u64)>,
    pub(crate) sum_ns: u64,
}

impl Tally {
    /// Adds what a thread recorded.
    pub(crate) fn add(&mut self, times: &Times) {
        let mut more = times
            .histogram
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
            .peekable();
        let mut merged = Vec::with_capacity(self.counts.len());
        for &(ns, count) in &self.counts {
            while let Some(new) = more.next_if(|(other, _)| *other < ns) {
                merged.push(new);
            }
            let same = more.next_if(|(other, _)| *other == ns).map_or(0, |(_, count)| count);
            merged.push((ns, count + same));
        }
        merged.extend(more);
        self.counts = merged;
        self.sum_ns = self.sum_ns.wrapping_add(times.sum_ns);
    }

    /// How many times there are.
    pub(crate) fn len(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// All of them as a histogram of the bounds in which they were recorded.
    pub(crate) fn histogram(&self) -> Histogram<u64> {
        let mut histogram = histogram();
        for &(ns, count) in &self.counts {
            histogram.record_n(ns, count).expect("it came from a histogram of these bounds");
        }
        histogram
    }
}

impl Distribution for Tally {
    fn new() -> Tally {
        Tally { counts: Vec::new(), sum_ns: 0 }
    }

    fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

/// How large batches were: counts by the power of two that the size does not exceed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) counts: [u64; SIZE_BUCKETS],
    pub(crate) sum: u64,
}

impl Sizes {
    pub(crate) fn record(&mut self, size: usize) {
        let bucket = size.max(1).next_power_of_two().trailing_zeros() as usize;
        self.counts[bucket.min(SIZE_BUCKETS - 1)] += 1;
        self.sum += size as u64;
    }

    fn add(&mut self, other: &Sizes) {
        add_all(&mut self.counts, &other.counts);
        self.sum += other.sum;
    }
}

/// What happened on one route.
#[derive(Clone, Debug)]
pub(crate) struct Route<T> {
    /// By stage; made when the stage is first met, so that routes nobody uses cost nothing.
    times: Vec<Option<Box<T>>>,
    /// By the number of the outcome.
    pub(crate) codes: Vec<u64>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl<T: Distribution> Route<T> {
    fn new(codes: usize) -> Route<T> {
        Route {
            times: Stage::ALL.iter().map(|_| None).collect(),
            codes: vec![0; codes],
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// The times of a stage; nothing if there are none.
    pub(crate) fn times(&self, stage: Stage) -> Option<&T> {
        self.times[stage as usize].as_deref().filter(|times| !times.is_empty())
    }

    fn times_mut(&mut self, stage: Stage) -> &mut T {
        self.times[stage as usize].get_or_insert_with(|| Box::new(T::new()))
    }
}

impl Route<Times> {
    pub(crate) fn record(&mut self, stage: Stage, ns: u64) {
        self.times_mut(stage).record(ns);
    }
}

/// Everything that one thread records, or the sum over all threads.
#[derive(Clone, Debug)]
pub(crate) struct Set<T> {
    pub(crate) routes: Vec<Route<T>>,
    pub(crate) counts: [u64; Count::ALL.len()],
    /// Refusals because a queue was full, by [`Queue`].
    pub(crate) full: [u64; Queue::ALL.len()],
    /// By [`Batch`].
    pub(crate) batches: [Sizes; Batch::ALL.len()],
    /// How much later than planned the thread's ticks came.
    pub(crate) lag: T,
}

impl<T: Distribution> Set<T> {
    pub(crate) fn new(plan: &Plan) -> Set<T> {
        Set {
            routes: plan.routes.iter().map(|_| Route::new(plan.codes.len())).collect(),
            counts: [0; Count::ALL.len()],
            full: [0; Queue::ALL.len()],
            batches: [Sizes::default(); Batch::ALL.len()],
            lag: T::new(),
        }
    }
}

impl Set<Times> {
    /// Enters a request.
    pub(crate) fn enter(&mut self, record: &Record) {
        let route = &mut self.routes[usize::from(record.route)];
        for (stage, ns) in record.times() {
            route.record(stage, ns);
        }
        route.codes[usize::from(record.code)] += 1;
        route.bytes_in += u64::from(record.bytes_in);
        route.bytes_out += u64::from(record.bytes_out);
    }

    /// Empties the set and keeps its memory.
    pub(crate) fn clear(&mut self) {
        for route in &mut self.routes {
            for times in route.times.iter_mut().flatten().filter(|times| !times.is_empty()) {
                times.clear();
            }
            route.codes.fill(0);
            (route.bytes_in, route.bytes_out) = (0, 0);
        }
        self.counts.fill(0);
        self.full.fill(0);
        self.batches.fill(Sizes::default());
        self.lag.clear();
    }

    /// Makes room for every stage that `other` has met, so that recording it takes no memory.
    pub(crate) fn make_room_like(&mut self, other: &Set<Tally>) {
        for (route, met) in self.routes.iter_mut().zip(&other.routes) {
            for &stage in Stage::ALL {
                if met.times[stage as usize].is_some() {
                    route.times_mut(stage);
                }
            }
        }
    }
}

impl Set<Tally> {
    /// Adds what a thread recorded.
    pub(crate) fn add(&mut self, other: &Set<Times>) {
        for (route, more) in self.routes.iter_mut().zip(&other.routes) {
            for &stage in Stage::ALL {
                if let Some(times) = more.times(stage) {
                    route.times_mut(stage).add(times);
                }
            }
            add_all(&mut route.codes, &more.codes);
            route.bytes_in += more.bytes_in;
            route.bytes_out += more.bytes_out;
        }
        add_all(&mut self.counts, &other.counts);
        add_all(&mut self.full, &other.full);
        for (sizes, more) in self.batches.iter_mut().zip(&other.batches) {
            sizes.add(more);
        }
        self.lag.add(&other.lag);
    }
}

fn add_all(to: &mut [u64], more: &[u64]) {
    for (to, more) in to.iter_mut().zip(more) {
        *to += more;
    }
}

#[cfg(test)]
mod tests {
    use super::{Distribution, Sizes, Tally, Times};
    use crate::limits::{NS_MAX, NS_MIN};
    use proptest::prelude::*;

    #[test]
    fn times_out_of_range_are_kept_at_its_ends() {
        let mut times = Times::new();
        for ns in [0, NS_MIN, NS_MAX, u64::from(u32::MAX) * 1_000] {
            times.record(ns);
        }
        assert_eq!(times.histogram.len(), 4);
        assert!(times.histogram.max() >= NS_MAX, "{}", times.histogram.max());
    }

    proptest! {
        /// Adding up loses no more than recording did: the sum is the histogram of all.
        #[test]
        fn a_tally_is_the_histogram_of_everything_added_to_it(
            parts in prop::collection::vec(
                prop::collection::vec(0u64..100_000_000_000, 0..50), 0..6,
            ),
        ) {
            let (mut tally, mut all) = (Tally::new(), super::histogram::<u64>());
            for part in &parts {
                let mut times = Times::new();
                for ns in part {
                    times.record(*ns);
                    all.saturating_record(*ns);
                }
                tally.add(&times);
            }
            let histogram = tally.histogram();
            prop_assert_eq!(tally.len(), all.len());
            prop_assert_eq!(tally.sum_ns, parts.iter().flatten().sum::<u64>());
            prop_assert!(tally.counts.is_sorted_by(|a, b| a.0 < b.0));
            for step in all.iter_recorded() {
                let ns = step.value_iterated_to();
                prop_assert_eq!(histogram.count_at(ns), all.count_at(ns));
            }
        }
    }

    #[test]
    fn sizes_are_counted_under_the_power_of_two_that_holds_them() {
        let mut sizes = Sizes::default();
        for size in [0, 1, 2, 3, 4, 5, 128, 129, 1 << 20] {
            sizes.record(size);
        }
        assert_eq!(sizes.counts[..4], [2, 1, 2, 1]);
        assert_eq!((sizes.counts[7], sizes.counts[8], sizes.counts[15]), (1, 1, 1));
        assert_eq!(sizes.sum, 272 + (1 << 20));
    }
}
