//! Jobs for the database that wait for a connection. Those that arrive while one is at work share
//! the next run, up to the bound of their kind; each succeeds or fails alone.
//!
//! When the connection is lost before the outcome of a run is known, those of its jobs that have
//! none learn why.

use super::connect::Line;
use super::run::{Run, Share};
use crate::error::{Server, StoreError};
use crate::slots::{Slots, after_ready_tasks};
use futures_util::FutureExt;
use mysql_async::Opts;
use souk_meter::{Batch, Queue, Stage};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What a job came to.
pub type Outcome<K> = Result<<K as Kind>::Done, <K as Kind>::Failure>;

/// A kind of job, and how a group of them is done.
pub trait Kind: 'static {
    type Job;
    type Done;
    type Failure: From<StoreError>;

    /// Most jobs of one run.
    const GROUP_MAX: usize;
    /// Most jobs that wait.
    const WAITING_MAX: usize;
    /// Longest run. The connection is dropped afterwards.
    const TIME_MAX: Duration;
    /// What a request's share of a run is called.
    const SPAN: &'static str;
    /// As what the jobs that wait are counted.
    const QUEUE: Queue;
    /// As what the jobs of a run are counted.
    const BATCH: Batch;

    /// Whether a job may still begin.
    fn is_fresh(&self, _job: &Self::Job, _now: Instant) -> bool {
        true
    }

    /// The store's part in a failure.
    fn store_failure(failure: &Self::Failure) -> Option<&StoreError>;

    /// Does a group. Jobs whose outcome is final get it; an error is the outcome of the others.
    async fn run(
        &self,
        line: &mut Line,
        jobs: &[Self::Job],
        outcomes: &mut [Option<Outcome<Self>>],
    ) -> Result<(), StoreError>
    where
        Self: Sized;
}

/// The queue of one kind, and the connections that serve it.
pub struct Grouped<K: Kind> {
    shared: Rc<Shared<K>>,
    workers: RefCell<Vec<JoinHandle<()>>>,
}

struct Shared<K: Kind> {
    kind: K,
    queue: RefCell<VecDeque<Waiting<K::Job>>>,
    /// An outcome, and the run that it is of, if it came to one.
    slots: Slots<(Outcome<K>, Option<Run>)>,
    /// Runs begun so far.
    runs: Cell<i64>,
    wake: Notify,
    closing: Cell<bool>,
}

struct Waiting<J> {
    job: J,
    deadline: Instant,
    token: usize,
}

impl<K: Kind> Grouped<K> {
    /// Starts so many workers, each with a connection that is made when there is something to do.
    pub fn new(kind: K, opts: &Opts, connections: usize) -> Grouped<K> {
        let shared = Rc::new(Shared {
            kind,
            queue: RefCell::new(VecDeque::new()),
            slots: Slots::new(Some(Stage::MysqlQueue), Stage::Mysql),
            runs: Cell::new(0),
            wake: Notify::new(),
            closing: Cell::new(false),
        });
        let workers = (0..connections.max(1))
            .map(|_| tokio_uring::spawn(work(shared.clone(), Line::new(opts.clone()))))
            .collect();
        Grouped { shared, workers: RefCell::new(workers) }
    }

    /// Does one job. Once begun it is not given up, even if the caller goes away.
    pub async fn submit(&self, job: K::Job, deadline: Instant) -> Outcome<K> {
        let share = Share::of(K::SPAN);
        let wait = {
            if self.shared.closing.get() {
                return Err(StoreError::database("the stores are being closed").into());
            }
            let mut queue = self.shared.queue.borrow_mut();
            if queue.len() >= K::WAITING_MAX {
                souk_meter::queue_full(K::QUEUE);
                return Err(StoreError::Busy(Server::Database).into());
            }
            let (token, wait) = self.shared.slots.open();
            queue.push_back(Waiting { job, deadline, token });
            wait
        };
        self.shared.wake.notify_one();
        let (outcome, run) = wait.await;
        share.ends(run, outcome.as_ref().err().and_then(K::store_failure));
        outcome
    }

    /// How many jobs wait.
    pub fn waiting(&self) -> usize {
        self.shared.queue.borrow().len()
    }

    /// Does what waits and closes the connections.
    pub async fn close(&self) {
        self.shared.closing.set(true);
        let workers = std::mem::take(&mut *self.workers.borrow_mut());
        for worker in workers {
            self.shared.wake.notify_waiters();
            self.shared.wake.notify_one();
            // It ends by itself; a panic in it has been reported already.
            let _ = worker.await;
        }
    }
}

impl<K: Kind> Drop for Grouped<K> {
    fn drop(&mut self) {
        self.shared.closing.set(true);
        self.shared.wake.notify_waiters();
        self.shared.wake.notify_one();
    }
}

impl<K: Kind> Shared<K> {
    /// The next run's jobs, those that still matter, and who waits for them. Wakes a further
    /// worker if more waits.
    fn next_group(&self) -> (Vec<K::Job>, Vec<usize>) {
        let now = Instant::now();
        let (mut jobs, mut tokens) = (Vec::new(), Vec::new());
        while jobs.len() < K::GROUP_MAX {
            let Some(Waiting { job, deadline, token }) = self.queue.borrow_mut().pop_front() else {
                break;
            };
            let fresh = self.kind.is_fresh(&job, now);
            if deadline > now && fresh && self.slots.is_wanted(token) {
                jobs.push(job);
                tokens.push(token);
            } else {
                self.slots.fill(token, (Err(StoreError::DeadlineExceeded.into()), None));
            }
        }
        if !self.queue.borrow().is_empty() {
            self.wake.notify_one();
        }
        (jobs, tokens)
    }

    /// A run of so many jobs that begins now.
    fn begin(&self, size: usize) -> Run {
        souk_meter::batch(K::BATCH, size);
        let number = self.runs.get();
        self.runs.set(number + 1);
        Run { began: souk_meter::now(), number, size }
    }
}

async fn work<K: Kind>(shared: Rc<Shared<K>>, mut line: Line) {
    loop {
        while shared.queue.borrow().is_empty() {
            if shared.closing.get() {
                return line.close().await;
            }
            shared.wake.notified().await;
        }
        after_ready_tasks().await;
        let (jobs, tokens) = shared.next_group();
        if jobs.is_empty() {
            continue;
        }
        let run = shared.begin(jobs.len());
        let mut outcomes: Vec<Option<Outcome<K>>> = jobs.iter().map(|_| None).collect();
        // A defect ends this run and nothing else: others wait for this worker.
        let running = AssertUnwindSafe(shared.kind.run(&mut line, &jobs, &mut outcomes));
        let unknown = match tokio::time::timeout(K::TIME_MAX, running.catch_unwind()).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(error))) => Some(error),
            Ok(Err(_)) => Some(StoreError::database(format!("a defect ended a {}", K::SPAN))),
            Err(_) => Some(StoreError::database(format!("no answer to a {} in time", K::SPAN))),
        };
        if unknown.is_some() {
            line.lose();
        }
        souk_meter::mark();
        shared.slots.asked(Some(run.began));
        for (token, outcome) in tokens.into_iter().zip(outcomes) {
            let outcome = outcome.unwrap_or_else(|| {
                let lost = || StoreError::database("the outcome is unknown");
                Err(unknown.clone().unwrap_or_else(lost).into())
            });
            shared.slots.fill(token, (outcome, Some(run)));
        }
        shared.slots.asked(None);
    }
}
