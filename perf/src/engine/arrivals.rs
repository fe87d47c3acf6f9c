//! When the requests of an open load are due: times that no server can move.

use super::Arrivals;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::Exp1;
use std::time::Duration;

/// One thread's share of an open load, in nanoseconds since the run's start. The rate grows evenly
/// from nothing over the ramp and is constant after it.
#[derive(Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    random: SmallRng,
    /// The thread's requests a nanosecond, after the ramp.
    rate: f64,
    ramp_ns: f64,
    /// Where the next request lies on a scale on which one is due at every whole step on average.
    place: f64,
    due: u64,
}

impl Schedule {
    /// The share of one thread of several. Together they make the whole load: constant arrivals of
    /// the threads interleave, random ones differ.
    pub fn new(
        arrivals: Arrivals,
        rate_per_s: f64,
        ramp: Duration,
        seed: u64,
        (thread, threads): (usize, usize),
    ) -> Self {
        #[allow(clippy::cast_precision_loss)] // few threads
        let (index, count) = (thread as f64, threads as f64);
        let mut schedule = Self {
            arrivals,
            random: SmallRng::seed_from_u64(seed ^ (thread as u64).wrapping_mul(GOLDEN)),
            rate: rate_per_s / 1e9 / count,
            ramp_ns: ramp.as_secs_f64() * 1e9,
            place: 0.0,
            due: 0,
        };
        schedule.place = match arrivals {
            Arrivals::Constant => index / count,
            Arrivals::Poisson => schedule.random.sample(Exp1),
        };
        schedule.due = schedule.time();
        schedule
    }

    /// When the next request is due.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// Goes on to the one after it.
    pub fn advance(&mut self) {
        self.place += match self.arrivals {
            Arrivals::Constant => 1.0,
            Arrivals::Poisson => self.random.sample::<f64, _>(Exp1),
        };
        self.due = self.time();
    }

    /// In the ramp the requests due up to a time grow with its square.
    fn time(&self) -> u64 {
        let in_ramp = self.rate * self.ramp_ns / 2.0;
        let nanos = if self.place < in_ramp {
            (2.0 * self.ramp_ns * self.place / self.rate).sqrt()
        } else {
            self.ramp_ns + (self.place - in_ramp) / self.rate
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // above 0, and saturating
        {
            nanos.round() as u64
        }
    }
}

/// Spreads thread numbers over all bits of a seed (2^64 over the golden ratio).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn times(arrivals: Arrivals, ramp_s: u64, thread: usize, seed: u64, end: u64) -> Vec<u64> {
        let ramp = Duration::from_secs(ramp_s);
        let mut schedule = Schedule::new(arrivals, 10_000.0, ramp, seed, (thread, 2));
        let mut times = Vec::new();
        while schedule.due() < end {
            times.push(schedule.due());
            schedule.advance();
        }
        times
    }

    #[test]
    fn constant_arrivals_of_all_threads_interleave_evenly() {
        let mut all = times(Arrivals::Constant, 0, 0, 1, SECOND);
        all.extend(times(Arrivals::Constant, 0, 1, 1, SECOND));
        all.sort_unstable();
        assert_eq!(all.len(), 10_000);
        for pair in all.windows(2) {
            assert!((99_000..=101_000).contains(&(pair[1] - pair[0])), "{pair:?}");
        }
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_independent_ones() {
        let one = times(Arrivals::Poisson, 0, 0, 7, 20 * SECOND);
        assert!((99_000..=101_000).contains(&one.len()), "{} of 100,000", one.len());
        let longer = one.windows(2).filter(|pair| pair[1] - pair[0] > 200_000).count();
        #[allow(clippy::cast_precision_loss)]
        let share = longer as f64 / one.len() as f64;
        assert!((share - 1.0 / std::f64::consts::E).abs() < 0.01, "{share} are above the mean");
    }

    #[test]
    fn a_seed_gives_the_same_times_and_each_thread_its_own() {
        let one = times(Arrivals::Poisson, 0, 0, 7, SECOND);
        assert_eq!(one, times(Arrivals::Poisson, 0, 0, 7, SECOND));
        assert_ne!(one, times(Arrivals::Poisson, 0, 1, 7, SECOND));
        assert_ne!(one, times(Arrivals::Poisson, 0, 0, 8, SECOND));
    }

    #[test]
    fn the_rate_grows_over_the_ramp() {
        for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
            let times = times(arrivals, 2, 0, 7, 4 * SECOND);
            let within = |from, to| times.iter().filter(|t| (from..to).contains(*t)).count();
            let (first, second) = (within(0, SECOND), within(SECOND, 2 * SECOND));
            assert!((1_100..=1_400).contains(&first), "{first} of 1,250");
            assert!((3_500..=4_000).contains(&second), "{second} of 3,750");
            assert!((9_700..=10_300).contains(&within(2 * SECOND, 4 * SECOND)));
        }
    }
}
