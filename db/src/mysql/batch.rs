//! Gathers reads of single rows into batches of keys. Sans-IO.
//!
//! Guarantees: a key that several readers wait for is asked for once; a batch holds at most
//! [`BATCH_KEYS_MAX`] keys; readers are served in order of arrival; a reader whose deadline has
//! passed, or who has gone, costs nothing. A reader never joins a query that has already begun, so
//! the row it gets is at least as new as anything acknowledged before it asked.

use crate::limits::{BATCH_KEYS_MAX, BATCH_SIZES, READERS_MAX};
use foldhash::fast::RandomState;
use souk_meter::Count;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Instant;

/// One who waits for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Names the waiting task.
    pub token: usize,
    /// Past this moment the row is of no use.
    pub deadline: Instant,
}

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Keys that wait, in order of arrival.
pub struct Batcher<K> {
    queue: VecDeque<Group<K>>,
    /// Where each queued key stands, counted from the first group ever queued.
    places: HashMap<K, u64, RandomState>,
    /// Groups that have left the queue so far.
    gone: u64,
    members: usize,
}

struct Group<K> {
    key: K,
    first: Option<Member>,
    others: Vec<Member>,
}

/// Keys to ask for and who waits for each.
pub struct Batch<K> {
    /// Distinct keys, at most [`BATCH_KEYS_MAX`].
    pub keys: Vec<K>,
    /// Who waits: the place of the key in `keys`, and the token.
    pub members: Vec<(usize, usize)>,
}

impl<K: Hash + Eq + Copy> Batcher<K> {
    pub fn new() -> Batcher<K> {
        Batcher { queue: VecDeque::new(), places: HashMap::default(), gone: 0, members: 0 }
    }

    /// Adds a reader. It joins the readers of the same key if they still wait.
    pub fn join(&mut self, key: K, member: Member) -> Result<(), Full> {
        if self.members >= READERS_MAX {
            return Err(Full);
        }
        self.members += 1;
        if let Some(place) = self.places.get(&key) {
            let index = usize::try_from(place - self.gone).expect("it is in the queue");
            let group = &mut self.queue[index];
            if group.first.is_none() {
                group.first = Some(member);
            } else {
                group.others.push(member);
            }
            souk_meter::count(Count::SingleFlightJoin);
            return Ok(());
        }
        self.places.insert(key, self.gone + self.queue.len() as u64);
        self.queue.push_back(Group { key, first: Some(member), others: Vec::new() });
        Ok(())
    }

    /// Readers that wait.
    pub fn members(&self) -> usize {
        self.members
    }

    /// Keys that wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Takes the oldest keys that someone still needs. Readers past their deadline, and those that
    /// `is_wanted` does not know any more, go to `expired`.
    pub fn take(
        &mut self,
        now: Instant,
        is_wanted: impl Fn(usize) -> bool,
        expired: &mut Vec<usize>,
    ) -> Option<Batch<K>> {
        let mut batch = Batch { keys: Vec::new(), members: Vec::new() };
        while batch.keys.len() < BATCH_KEYS_MAX {
            let Some(group) = self.queue.pop_front() else { break };
            self.gone += 1;
            self.places.remove(&group.key);
            let place = batch.keys.len();
            let before = batch.members.len();
            for member in group.first.into_iter().chain(group.others) {
                self.members -= 1;
                if member.deadline > now && is_wanted(member.token) {
                    batch.members.push((place, member.token));
                } else {
                    expired.push(member.token);
                }
            }
            if batch.members.len() > before {
                batch.keys.push(group.key);
            }
        }
        (!batch.keys.is_empty()).then_some(batch)
    }

    /// Takes out the readers whose deadline has passed while they wait.
    pub fn expire(&mut self, now: Instant, expired: &mut Vec<usize>) {
        let before = expired.len();
        for group in &mut self.queue {
            if let Some(late) = group.first.take_if(|member| member.deadline <= now) {
                expired.push(late.token);
            }
            expired.extend(group.others.extract_if(.., |m| m.deadline <= now).map(|m| m.token));
        }
        self.members -= expired.len() - before;
    }
}

/// The smallest size of prepared statement that holds `keys` keys, as its place in
/// [`BATCH_SIZES`].
pub fn padded(keys: usize) -> usize {
    BATCH_SIZES.iter().position(|&size| keys <= size).expect("a batch is cut to the largest size")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn member(token: usize, deadline: Instant) -> Member {
        Member { token, deadline }
    }

    #[test]
    fn readers_of_one_key_share_one_place_until_the_query_begins() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut batcher = Batcher::new();
        batcher.join(7u64, member(1, later)).unwrap();
        batcher.join(8, member(2, later)).unwrap();
        batcher.join(7, member(3, later)).unwrap();
        let batch = batcher.take(now, |_| true, &mut Vec::new()).unwrap();
        assert_eq!(batch.keys, [7, 8]);
        assert_eq!(batch.members, [(0, 1), (0, 3), (1, 2)]);
        batcher.join(7, member(4, later)).unwrap();
        let batch = batcher.take(now, |_| true, &mut Vec::new()).unwrap();
        assert_eq!((batch.keys, batch.members), (vec![7], vec![(0, 4)]));
    }

    #[test]
    fn a_full_queue_refuses_at_once_and_has_room_again_after_a_take() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut batcher = Batcher::new();
        for token in 0..READERS_MAX {
            batcher.join(token % 3, member(token, later)).unwrap();
        }
        assert_eq!(batcher.join(9, member(0, later)), Err(Full));
        assert_eq!(batcher.take(now, |_| true, &mut Vec::new()).unwrap().keys.len(), 3);
        batcher.join(9, member(0, later)).unwrap();
    }

    #[test]
    fn every_batch_fits_a_prepared_size() {
        for keys in 1..=BATCH_KEYS_MAX {
            assert!(BATCH_SIZES[padded(keys)] >= keys);
        }
    }

    proptest! {
        #[test]
        fn each_reader_leaves_exactly_once_and_only_live_ones_are_asked_for(
            steps in prop::collection::vec((0u8..8, 0u64..40, 0u64..20), 1..400),
        ) {
            let start = Instant::now();
            let at = |ms: u64| start + Duration::from_millis(ms);
            let (mut batcher, mut now, mut next) = (Batcher::new(), 0, 0usize);
            let (mut left, mut deadlines, mut keys) = (Vec::new(), Vec::new(), Vec::new());
            for (kind, key, delta) in steps {
                match kind {
                    0 => now += delta,
                    1 => {
                        let mut late = Vec::new();
                        batcher.expire(at(now), &mut late);
                        prop_assert!(late.iter().all(|&t: &usize| deadlines[t] <= now));
                        left.extend(late);
                    }
                    2 => {
                        let mut late = Vec::new();
                        if let Some(batch) = batcher.take(at(now), |t| t % 5 != 0, &mut late) {
                            prop_assert!(batch.keys.len() <= BATCH_KEYS_MAX);
                            for (place, token) in batch.members {
                                prop_assert_eq!(batch.keys[place], keys[token]);
                                prop_assert!(deadlines[token] > now && token % 5 != 0);
                                left.push(token);
                            }
                        }
                        left.extend(late);
                    }
                    _ => {
                        batcher.join(key, member(next, at(now + delta))).unwrap();
                        deadlines.push(now + delta);
                        keys.push(key);
                        next += 1;
                    }
                }
            }
            while batcher.len() > 0 {
                if let Some(batch) = batcher.take(at(now), |_| true, &mut left) {
                    left.extend(batch.members.iter().map(|m| m.1));
                }
            }
            left.sort_unstable();
            prop_assert_eq!(left, (0..next).collect::<Vec<_>>());
        }
    }
}
