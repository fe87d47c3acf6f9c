//! The request table: what is in flight on one link, on the side that asks.
//!
//! A request id is a slot and a generation, so an answer that comes after its request was given up
//! meets no newer request in the same slot.

use crate::limits::REQUESTS_IN_FLIGHT_MAX;
use slab::Slab;
use std::time::Instant;

/// The table holds as many requests as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{REQUESTS_IN_FLIGHT_MAX} requests are in flight on this link")]
pub struct TableFull;

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    deadline: Instant,
    waiter: T,
}

/// Requests in flight, each with whoever waits for it.
#[derive(Debug)]
pub struct RequestTable<T> {
    slots: Slab<Slot<T>>,
    generation: u32,
}

impl<T> Default for RequestTable<T> {
    fn default() -> RequestTable<T> {
        RequestTable { slots: Slab::new(), generation: 0 }
    }
}

impl<T> RequestTable<T> {
    /// An empty table.
    pub fn new() -> RequestTable<T> {
        RequestTable::default()
    }

    /// How many requests are in flight.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Enters a request and gives it its id, which is never 0.
    ///
    /// # Errors
    /// If the table is full: answer BUSY.
    pub fn insert(&mut self, waiter: T, deadline: Instant) -> Result<u64, TableFull> {
        if self.slots.len() >= REQUESTS_IN_FLIGHT_MAX {
            return Err(TableFull);
        }
        self.generation = self.generation.wrapping_add(1).max(1);
        let generation = self.generation;
        let slot = self.slots.insert(Slot { generation, deadline, waiter });
        Ok(u64::from(generation) << 32 | slot as u64)
    }

    fn slot(&self, id: u64) -> Option<usize> {
        let slot = usize::try_from(id & u64::from(u32::MAX)).ok()?;
        let generation = id >> 32;
        self.slots.get(slot).filter(|held| u64::from(held.generation) == generation).map(|_| slot)
    }

    /// Whoever waits for this request; nothing if it was answered or given up.
    pub fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        let slot = self.slot(id)?;
        Some(&mut self.slots[slot].waiter)
    }

    /// Takes a request out; nothing if it was answered or given up.
    pub fn remove(&mut self, id: u64) -> Option<T> {
        let slot = self.slot(id)?;
        Some(self.slots.remove(slot).waiter)
    }

    /// Takes out every request whose deadline is at or before `now`.
    pub fn expire(&mut self, now: Instant) -> Vec<(u64, T)> {
        let late: Vec<u64> = self
            .slots
            .iter()
            .filter(|(_, held)| held.deadline <= now)
            .map(|(slot, held)| u64::from(held.generation) << 32 | slot as u64)
            .collect();
        late.into_iter().filter_map(|id| self.remove(id).map(|waiter| (id, waiter))).collect()
    }

    /// Takes out everything: the link is lost.
    pub fn drain(&mut self) -> Vec<T> {
        self.slots.drain().map(|held| held.waiter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::RequestTable;
    use crate::limits::REQUESTS_IN_FLIGHT_MAX;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::time::{Duration, Instant};

    #[test]
    fn a_full_table_refuses() {
        let mut table = RequestTable::new();
        let now = Instant::now();
        for _ in 0..REQUESTS_IN_FLIGHT_MAX {
            table.insert((), now).expect("room");
        }
        assert!(table.insert((), now).is_err());
        assert_eq!(table.drain().len(), REQUESTS_IN_FLIGHT_MAX);
        assert!(table.insert((), now).is_ok());
    }

    proptest! {
        /// Against a plain map: every answer meets its own request, late ones meet nothing.
        #[test]
        fn answers_meet_their_own_request(steps in proptest::collection::vec(
            (0u8..4, any::<prop::sample::Index>(), 0u64..100), 1..300)) {
            let start = Instant::now();
            let at = |ms| start + Duration::from_millis(ms);
            let mut table = RequestTable::new();
            let mut model: HashMap<u64, (usize, u64)> = HashMap::new();
            let mut ids: Vec<u64> = Vec::new();
            for (number, (action, pick, ms)) in steps.into_iter().enumerate() {
                match action {
                    0 | 1 => {
                        let id = table.insert(number, at(ms)).expect("room");
                        prop_assert!(id != 0);
                        prop_assert!(model.insert(id, (number, ms)).is_none());
                        ids.push(id);
                    }
                    2 if !ids.is_empty() => {
                        let id = ids[pick.index(ids.len())];
                        let expected = model.remove(&id).map(|(number, _)| number);
                        prop_assert_eq!(table.remove(id), expected);
                    }
                    _ => {
                        let mut gone: Vec<_> = table.expire(at(ms));
                        gone.sort_unstable();
                        let mut expected: Vec<_> = model
                            .iter()
                            .filter(|(_, (_, due))| *due <= ms)
                            .map(|(id, (number, _))| (*id, *number))
                            .collect();
                        expected.sort_unstable();
                        model.retain(|_, (_, due)| *due > ms);
                        prop_assert_eq!(gone, expected);
                    }
                }
                prop_assert_eq!(table.len(), model.len());
            }
        }
    }
}
