//! Places where tasks wait for answers: what a oneshot channel does, without its allocations.
//!
//! One thread only. Each slot is opened once, filled exactly once, and read at most once; a reader
//! that goes away leaves the slot to its filler.

use slab::Slab;
use souk_meter::Stage;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

enum Slot<T> {
    Empty(Option<Waker>),
    /// With the time at which the server was asked.
    Full(T, Option<Instant>),
    /// Nobody waits any more; the filler frees the slot.
    Left,
}

/// A table of slots, shared by those who wait and those who fill.
pub struct Slots<T>(Rc<Table<T>>);

struct Table<T> {
    slots: RefCell<Slab<Slot<T>>>,
    /// What waiting for a slot counts as, and waiting before that in a queue if there is one.
    stages: (Option<Stage>, Stage),
    /// When the server was asked for the answers that are being filled in.
    begun: Cell<Option<Instant>>,
}

impl<T> Clone for Slots<T> {
    fn clone(&self) -> Self {
        Slots(self.0.clone())
    }
}

impl<T> Slots<T> {
    /// An empty table. Waiting for its slots counts as `stage`, and as `queue` until the server is
    /// asked.
    pub fn new(queue: Option<Stage>, stage: Stage) -> Slots<T> {
        let (slots, begun) = (RefCell::new(Slab::new()), Cell::new(None));
        Slots(Rc::new(Table { slots, stages: (queue, stage), begun }))
    }

    /// A new slot: its number for the filler, and the future that waits for it.
    pub fn open(&self) -> (usize, Wait<T>) {
        let number = self.0.slots.borrow_mut().insert(Slot::Empty(None));
        (number, Wait { slots: self.clone(), number, waited: false, done: false })
    }

    /// The answers that are filled in from now on are of a question that the server was asked then;
    /// `None`: it was not asked.
    pub fn asked(&self, begun: Option<Instant>) {
        self.0.begun.set(begun);
    }

    /// Gives the slot its answer and wakes whoever waits for it.
    pub fn fill(&self, number: usize, answer: T) {
        let mut slots = self.0.slots.borrow_mut();
        let waker = match &mut slots[number] {
            Slot::Empty(waker) => waker.take(),
            Slot::Full(..) | Slot::Left => {
                slots.remove(number);
                return;
            }
        };
        slots[number] = Slot::Full(answer, self.0.begun.get());
        drop(slots);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether someone still waits for this slot.
    pub fn is_wanted(&self, number: usize) -> bool {
        matches!(self.0.slots.borrow().get(number), Some(Slot::Empty(_)))
    }
}

/// Waits for one slot. Dropping it gives the answer up.
pub struct Wait<T> {
    slots: Slots<T>,
    number: usize,
    /// Whether it was looked for in vain.
    waited: bool,
    done: bool,
}

impl<T> Future for Wait<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        let mut slots = this.slots.0.slots.borrow_mut();
        if let Slot::Empty(waker) = &mut slots[this.number] {
            if !waker.as_ref().is_some_and(|held| held.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            if !std::mem::replace(&mut this.waited, true) {
                souk_meter::pause();
            }
            return Poll::Pending;
        }
        let Slot::Full(answer, begun) = slots.remove(this.number) else {
            unreachable!("a slot is only left by its reader")
        };
        this.done = true;
        drop(slots);
        if this.waited {
            this.slots.note_waited(begun);
        }
        Poll::Ready(answer)
    }
}

impl<T> Slots<T> {
    /// The request that runs has waited for a slot.
    fn note_waited(&self, begun: Option<Instant>) {
        let (queue, stage) = self.0.stages;
        match (queue, begun) {
            (Some(queue), Some(begun)) => souk_meter::waited_in_turn(queue, begun, stage),
            (Some(queue), None) => souk_meter::waited(queue),
            (None, _) => souk_meter::waited(stage),
        }
    }
}

impl<T> Drop for Wait<T> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut slots = self.slots.0.slots.borrow_mut();
        match &mut slots[self.number] {
            Slot::Full(..) => drop(slots.remove(self.number)),
            slot => *slot = Slot::Left,
        }
    }
}

/// Lets every task that is ready now run before the caller goes on, without a turn of the ring:
/// what they queue joins what the caller is about to send.
pub async fn after_ready_tasks() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll<T>(wait: &mut Wait<T>) -> Poll<T> {
        Pin::new(wait).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn an_answer_reaches_its_reader_and_frees_the_slot() {
        let slots = Slots::new(None, Stage::Redis);
        let (number, mut wait) = slots.open();
        assert!(poll(&mut wait).is_pending());
        slots.fill(number, 7);
        assert_eq!(poll(&mut wait), Poll::Ready(7));
        drop(wait);
        assert!(slots.0.slots.borrow().is_empty());
    }

    #[test]
    fn a_reader_that_left_frees_the_slot_whenever_it_is_filled() {
        let slots = Slots::new(None, Stage::Redis);
        let (before, wait) = slots.open();
        drop(wait);
        assert!(!slots.is_wanted(before));
        slots.fill(before, 1);
        let (after, wait) = slots.open();
        slots.fill(after, 2);
        drop(wait);
        assert!(slots.0.slots.borrow().is_empty());
    }
}
