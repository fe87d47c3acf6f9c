//! Timeouts without a timer per operation: each connection notes what it waits for and since when,
//! and one look over all of them every [`SWEEP_EVERY`] ends those that wait too long.
//!
//! A late connection is ended by `shutdown(2)`, so the operation in flight completes and its task
//! decides what to say. Reads are never abandoned, since a read that is given up may already have
//! taken bytes.

use crate::config::TimeoutSettings;
use crate::driver;
use crate::limits::{DRAIN_GRACE, LINGER_TIME, SWEEP_EVERY};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// What a connection expects from its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first request; none of it has come.
    Fresh,
    /// The next request; none of it has come.
    Idle,
    /// The rest of a head.
    Head,
    /// More of a body.
    Body,
    /// Nothing: it is our turn.
    Working,
    /// The end of the connection, after the last answer.
    Linger,
    /// It was late and has been ended.
    Cut,
}

/// One connection as the sweeper sees it.
pub struct Watch {
    descriptor: RawFd,
    phase: Cell<Phase>,
    since: Cell<u32>,
    /// When the write in flight last made progress; 0 for none.
    writing: Cell<u32>,
    late: Cell<bool>,
    /// Who is told of a drain, if it has to be told.
    waker: Cell<Option<Waker>>,
}

/// The connections of one thread, and its coarse clock.
pub struct Sweeper {
    watches: RefCell<Slab<Rc<Watch>>>,
    start: Instant,
    /// Milliseconds since one second before the start, as of the last sweep.
    now: Cell<u32>,
    timeouts: TimeoutSettings,
    draining_since: Cell<Option<u32>>,
}

/// Keeps a connection under watch; hold it for as long as the socket is open.
pub struct Watched {
    sweeper: Rc<Sweeper>,
    watch: Rc<Watch>,
    index: usize,
}

impl Sweeper {
    /// A sweeper without connections.
    pub fn new(timeouts: &TimeoutSettings) -> Sweeper {
        Sweeper {
            watches: RefCell::default(),
            start: Instant::now(),
            now: Cell::new(1000),
            timeouts: timeouts.clone(),
            draining_since: Cell::new(None),
        }
    }

    /// Puts a connection under watch.
    pub fn watch(self: &Rc<Sweeper>, descriptor: RawFd) -> Watched {
        let watch = Rc::new(Watch {
            descriptor,
            phase: Cell::new(Phase::Fresh),
            since: Cell::new(self.now.get()),
            writing: Cell::new(0),
            late: Cell::new(false),
            waker: Cell::new(None),
        });
        let index = self.watches.borrow_mut().insert(watch.clone());
        Watched { sweeper: self.clone(), watch, index }
    }

    /// How many connections are under watch.
    pub fn len(&self) -> usize {
        self.watches.borrow().len()
    }

    /// Whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From now on, connections close as soon as they owe their client nothing.
    pub fn drain(&self) {
        self.draining_since.set(Some(self.now.get()));
        for (_, watch) in &*self.watches.borrow() {
            watch.waker.take().into_iter().for_each(Waker::wake);
        }
        self.sweep();
    }

    /// Ends every connection, whatever it is doing.
    pub fn cut_all(&self) {
        for (_, watch) in &*self.watches.borrow() {
            watch.cut(Shutdown::Both);
        }
    }

    /// Whether connections are being closed.
    pub fn is_draining(&self) -> bool {
        self.draining_since.get().is_some()
    }

    /// Ends every connection that is late.
    pub fn sweep(&self) {
        let elapsed = self.start.elapsed() + Duration::from_secs(1);
        // After 49 days the clock starts over; differences stay right.
        #[allow(clippy::cast_possible_truncation)]
        let now = elapsed.as_millis() as u32;
        self.now.set(now);
        for (_, watch) in &*self.watches.borrow() {
            self.look(watch, now);
        }
    }

    fn look(&self, watch: &Watch, now: u32) {
        let passed = |since: u32, limit: Duration| {
            // Since is as old as the sweep before it, so it may lie too early by one pause.
            let limit = u32::try_from((limit + SWEEP_EVERY).as_millis()).unwrap_or(u32::MAX);
            now.wrapping_sub(since) >= limit
        };
        let seconds = Duration::from_secs;
        let writing = watch.writing.get();
        if writing != 0 && passed(writing, seconds(self.timeouts.write_progress_s)) {
            watch.writing.set(0);
            watch.cut(Shutdown::Both);
            return;
        }
        let phase = watch.phase.get();
        let limit = match phase {
            Phase::Fresh | Phase::Head => seconds(self.timeouts.head_s),
            Phase::Idle => seconds(self.timeouts.idle_s),
            Phase::Body => seconds(self.timeouts.body_progress_s),
            Phase::Linger => LINGER_TIME,
            Phase::Working | Phase::Cut => return,
        };
        let leaves = self.draining_since.get().is_some_and(|drain| match phase {
            // Between two requests that follow each other the next one may be on its way.
            Phase::Idle => passed(watch.since.get(), DRAIN_GRACE),
            Phase::Fresh => passed(drain, DRAIN_GRACE),
            _ => false,
        });
        if leaves || passed(watch.since.get(), limit) {
            watch.late.set(true);
            // What has arrived before can still be read, so a request that crosses this is served.
            watch.cut(if phase == Phase::Linger { Shutdown::Both } else { Shutdown::Read });
        }
    }
}

impl Watch {
    fn cut(&self, how: Shutdown) {
        self.phase.set(Phase::Cut);
        driver::shutdown(self.descriptor, how);
    }
}

impl Watched {
    /// The connection now waits for this; the same wait goes on if it did already.
    pub fn expect(&self, phase: Phase) {
        if self.watch.phase.get() != phase {
            self.expect_anew(phase);
        }
    }

    /// The connection now waits for this, from this moment.
    pub fn expect_anew(&self, phase: Phase) {
        self.watch.phase.set(phase);
        self.watch.since.set(self.sweeper.now.get());
    }

    /// A write makes progress, or starts.
    pub fn writes(&self) {
        self.watch.writing.set(self.sweeper.now.get().max(1));
    }

    /// No write is in flight.
    pub fn wrote(&self) {
        self.watch.writing.set(0);
    }

    /// Whether connections are being closed; if not, this task is woken when they are.
    pub fn is_draining(&self, waker: &Waker) -> bool {
        let kept = self.watch.waker.take().filter(|kept| kept.will_wake(waker));
        self.watch.waker.set(Some(kept.unwrap_or_else(|| waker.clone())));
        self.sweeper.is_draining()
    }

    /// Whether the client was too slow.
    pub fn is_late(&self) -> bool {
        self.watch.late.get()
    }

    /// Ends one or both directions of the connection.
    pub fn shutdown(&self, how: Shutdown) {
        driver::shutdown(self.watch.descriptor, how);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.sweeper.watches.borrow_mut().remove(self.index);
    }
}
