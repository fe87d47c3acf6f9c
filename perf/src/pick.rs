//! Whom a request is about.

use crate::scenario::Pick;
use rand::RngExt;
use rand::rngs::SmallRng;
use rand_distr::{Distribution, Zipf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An odd number far from any power of two: consecutive ranks land far apart (Knuth, TAOCP 6.4).
const SPREAD: u64 = 2_654_435_761;

/// Chooses users by their number, 1 to N. With [`Pick::Each`], all pickers that were given one
/// queue share its order: who came in one run does not come again in the next.
#[derive(Clone, Debug)]
pub struct Picker {
    users: u64,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Uniform,
    Zipf { law: Zipf<f64>, step: u64 },
    Each(Arc<Queue>),
}

/// Where [`Pick::Each`] is: who came first, and how many have come.
#[derive(Debug, Default)]
pub struct Queue {
    first: u64,
    came: AtomicU64,
}

impl Queue {
    /// A queue of which nobody has come yet, and that begins with this user. Two that begin far
    /// from each other do not meet soon, so that one program does not find what another has warmed.
    #[must_use]
    pub fn from(first: u64) -> Arc<Queue> {
        Arc::new(Queue { first, came: AtomicU64::new(0) })
    }

    /// How many have come; more than there are users means that some came twice.
    #[must_use]
    pub fn came(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    fn next(&self, users: u64) -> u64 {
        let came = self.came.fetch_add(1, Ordering::Relaxed);
        self.first.wrapping_add(came) % users + 1
    }
}

impl Picker {
    /// A picker among user1 … userN; N is at least 1.
    ///
    /// # Panics
    /// If there are no users, or the exponent is none; a scenario that was read has both.
    #[must_use]
    pub fn new(pick: Pick, users: u64, queue: &Arc<Queue>) -> Picker {
        assert!(users > 0, "a picker needs somebody to pick");
        let way = match pick {
            Pick::Uniform => Way::Uniform,
            Pick::Each => Way::Each(queue.clone()),
            Pick::Zipf(exponent) => {
                #[allow(clippy::cast_precision_loss)] // far below 2^52
                let law = Zipf::new(users as f64, exponent).expect("checked with the scenario");
                Way::Zipf { law, step: coprime_step(users) }
            }
        };
        Picker { users, way }
    }

    /// The next user's number.
    pub fn next(&self, rng: &mut SmallRng) -> u64 {
        match &self.way {
            Way::Uniform => rng.random_range(1..=self.users),
            Way::Each(queue) => queue.next(self.users),
            Way::Zipf { law, step } => {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to users
                let rank = law.sample(rng) as u64;
                // The popular are spread over the table, as people are, and not its first page.
                let spread = u128::from(rank - 1) * u128::from(*step) % u128::from(self.users);
                u64::try_from(spread).unwrap_or(0) + 1
            }
        }
    }
}

/// A step that meets every number below `users` once before it comes back.
fn coprime_step(users: u64) -> u64 {
    let mut step = SPREAD;
    while gcd(step, users) != 1 {
        step += 2;
    }
    step
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::{Picker, Queue};
    use crate::scenario::Pick;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn whoever_is_picked_exists(users in 1u64..5000, seed: u64, exponent in 0.1f64..3.0) {
            let mut rng = SmallRng::seed_from_u64(seed);
            for pick in [Pick::Uniform, Pick::Each, Pick::Zipf(exponent)] {
                let picker = Picker::new(pick, users, &Queue::from(seed));
                for _ in 0..100 {
                    prop_assert!((1..=users).contains(&picker.next(&mut rng)));
                }
            }
        }
    }

    #[test]
    fn each_comes_once_before_anyone_comes_twice() {
        // Two runs, one after the other or side by side: each has a picker of its own.
        let queue = Queue::from(1_000_003);
        let picker = Picker::new(Pick::Each, 50, &queue);
        let twin = Picker::new(Pick::Each, 50, &queue);
        let mut rng = SmallRng::seed_from_u64(1);
        let all: BTreeSet<u64> =
            (0..25).flat_map(|_| [picker.next(&mut rng), twin.next(&mut rng)]).collect();
        assert_eq!((all.len(), queue.came()), (50, 50));
    }

    #[test]
    fn by_zipfs_law_a_fifth_of_the_users_has_most_of_the_requests() {
        let picker = Picker::new(Pick::Zipf(0.99), 1000, &Queue::from(0));
        let mut rng = SmallRng::seed_from_u64(7);
        let mut counts = BTreeMap::<u64, u32>::new();
        for _ in 0..100_000 {
            *counts.entry(picker.next(&mut rng)).or_default() += 1;
        }
        let mut sorted: Vec<u32> = counts.values().copied().collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let top: u32 = sorted[..200].iter().sum();
        assert!((70_000..90_000).contains(&top), "{top} of 100000");
        assert!(sorted[0] > 10 * sorted[200]);
    }
}
