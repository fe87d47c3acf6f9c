//! Copies of cached values in the process: what is read all the time costs no round trip.
//!
//! A copy is only served under a lease, which makes it as good as Redis itself:
//! - Redis remembers which keys we hold copies of and says when one changes (client-side caching,
//!   RESP3, on the connection that carries the commands). A reply therefore proves that everything
//!   that Redis had changed before it is known here; [`Lease`] counts from the moment when the
//!   command of the latest reply was sent.
//! - A copy is served for at most [`NEAR_LEASE`] after that moment.
//! - Who changes a value first makes Redis drop it (the fence of a row, the end of a session), and
//!   acknowledges the change no sooner than [`NEAR_SETTLE`] after Redis said that it did.
//!
//! So when a change is acknowledged, no process can still serve the old copy, however long the word
//! of the change is on its way. Only durations are compared, never clocks of two machines.

use crate::keys::Key;
use crate::limits::{NEAR_FIELDS_MAX, NEAR_LEASE, NEAR_MAX, NEAR_SEEN};
use foldhash::fast::RandomState;
use lru::LruCache;
use std::hash::BuildHasher;
use std::num::NonZeroUsize;
use std::time::Instant;

/// Which part of a key's value a copy is of: all zeros when there is one part only.
pub type Field = [u8; 16];

/// What the latest reply proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Copies may be served.
    Held,
    /// They may be served for less than half of the lease, and nothing is on its way that would
    /// renew it: one read should go to Redis in any case.
    Due,
    /// They may not be served.
    Lapsed,
}

impl Lease {
    /// The lease at `now`, if every change before `heard` is known; `asking`: a command is on its
    /// way whose reply will tell more.
    pub fn at(now: Instant, heard: Option<Instant>, asking: bool) -> Lease {
        let Some(heard) = heard else { return Lease::Lapsed };
        let age = now.saturating_duration_since(heard);
        if age >= NEAR_LEASE {
            Lease::Lapsed
        } else if age >= NEAR_LEASE / 2 && !asking {
            Lease::Due
        } else {
            Lease::Held
        }
    }
}

/// Names a copy that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// What is known of a value.
#[derive(Debug, PartialEq, Eq)]
pub enum Look<V> {
    /// This is its copy.
    Copy(V),
    /// Nothing, and it is worth having: read it so that Redis tells of changes, then
    /// [`keep`](Near::keep) it with this ticket.
    Wanted(Ticket),
    /// Nothing: read it as usual.
    Nothing,
}

/// The copies of one shard. They belong to one connection: when it is lost, so are they.
pub struct Near<V> {
    held: LruCache<Key, Vec<(Field, Slot<V>)>, RandomState>,
    /// Traces of the keys that were asked for lately, where their hash says.
    seen: Box<[u16]>,
    hasher: RandomState,
    tickets: u64,
}

enum Slot<V> {
    Copy(V),
    /// Was read, but its reply is not here yet. A change meanwhile removes it.
    Coming(Ticket),
}

impl<V: Clone> Near<V> {
    /// No copies.
    pub fn new() -> Near<V> {
        let mut held = LruCache::unbounded_with_hasher(RandomState::default());
        // Resized rather than made that large: it grows as keys are met.
        held.resize(NonZeroUsize::new(NEAR_MAX).expect("a bound above zero"));
        let seen = vec![0; NEAR_SEEN].into_boxed_slice();
        Near { held, seen, hasher: RandomState::default(), tickets: 0 }
    }

    /// The copy of a value, if there is one. A value that was asked for twice lately is worth
    /// having.
    pub fn look(&mut self, key: &Key, field: &Field) -> Look<V> {
        let slots = self.held.get(key.as_bytes());
        let wanted = slots.is_some();
        let slot = slots.and_then(|slots| slots.iter().find(|(held, _)| held == field));
        if let Some((_, Slot::Copy(copy))) = slot {
            return Look::Copy(copy.clone());
        }
        match wanted || self.was_seen(key) {
            true => Look::Wanted(self.expect(key, field)),
            false => Look::Nothing,
        }
    }

    /// Keeps a copy that was read, unless the value changed since the ticket was given.
    pub fn keep(&mut self, key: &Key, field: &Field, ticket: Ticket, copy: V) {
        let slots = self.held.get_mut(key.as_bytes());
        let slot = slots.and_then(|slots| slots.iter_mut().find(|(held, _)| held == field));
        if let Some((_, slot)) = slot
            && matches!(slot, Slot::Coming(coming) if *coming == ticket)
        {
            *slot = Slot::Copy(copy);
        }
    }

    /// Forgets the copies of a key that changed.
    pub fn drop_key(&mut self, key: &[u8]) {
        self.held.pop(key);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.held.clear();
    }

    fn expect(&mut self, key: &Key, field: &Field) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let slots = self.held.get_or_insert_mut(*key, Vec::new);
        slots.retain(|(held, _)| held != field);
        if slots.len() >= NEAR_FIELDS_MAX {
            slots.remove(0);
        }
        slots.push((*field, Slot::Coming(ticket)));
        ticket
    }

    /// Whether this key was asked for since others took its place; from now on it was.
    fn was_seen(&mut self, key: &Key) -> bool {
        let hash = self.hasher.hash_one(key);
        let [low @ .., a, b] = hash.to_ne_bytes();
        let place = usize::from(u16::from_ne_bytes([low[0], low[1]])) % self.seen.len();
        let trace = u16::from_ne_bytes([a, b]) | 1; // 0: nothing was seen here
        std::mem::replace(&mut self.seen[place], trace) == trace
    }
}

#[cfg(test)]
mod tests;
