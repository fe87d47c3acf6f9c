//! Writes, grouped: those that arrive while a commit runs share the next transaction, and so its
//! flush to disk. Each succeeds or fails alone.
//!
//! An answer leaves after the commit. When the connection is lost before the commit was answered,
//! the members learn that the outcome is unknown.

use super::connect::{Line, is_contention, is_lost, meaning};
use super::run::{Run, Share};
use crate::error::{Server, StoreError, WriteError};
use crate::limits::{FENCE_AGE_MAX, GROUP_MAX, TRANSACTION_MAX, WRITE_ATTEMPTS, WRITES_MAX};
use crate::slots::{Slots, after_ready_tasks};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, Params, Value};
use souk_meter::{Batch, Queue, Stage};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A duplicate value in a unique index.
const DUPLICATE: u16 = 1062;

/// A row lock was not free in time.
const LOCK_WAIT: u16 = 1205;

/// One statement that changes rows.
#[derive(Debug)]
pub struct Write {
    pub sql: &'static str,
    pub params: Vec<Value>,
    /// When the cache was fenced for it. A write with an old fence is not begun.
    pub fenced_at: Option<Instant>,
}

/// What a committed write did.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Rows changed.
    pub affected: u64,
    /// The id that an insert was given.
    pub id: u64,
}

type Outcome = Result<Done, WriteError>;

/// The writer of one shard.
pub struct Writer {
    shared: Rc<Shared>,
    worker: RefCell<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: RefCell<VecDeque<Job>>,
    /// An outcome, and the run that it is of, if it came to one.
    slots: Slots<(Outcome, Option<Run>)>,
    wake: Notify,
    closing: Cell<bool>,
}

struct Job {
    write: Write,
    deadline: Instant,
    token: usize,
}

impl Writer {
    /// Starts the writer; it connects when there is something to write.
    pub fn new(opts: Opts) -> Writer {
        let shared = Rc::new(Shared {
            queue: RefCell::new(VecDeque::new()),
            slots: Slots::new(Some(Stage::MysqlQueue), Stage::Mysql),
            wake: Notify::new(),
            closing: Cell::new(false),
        });
        let worker = tokio_uring::spawn(work(shared.clone(), Line::new(opts)));
        Writer { shared, worker: RefCell::new(Some(worker)) }
    }

    /// Commits one write. Once begun it is not given up, even if the caller goes away.
    pub async fn submit(&self, write: Write, deadline: Instant) -> Outcome {
        let share = Share::of("mysql write");
        let wait = {
            if self.shared.closing.get() {
                return Err(StoreError::database("the stores are being closed").into());
            }
            let mut queue = self.shared.queue.borrow_mut();
            if queue.len() >= WRITES_MAX {
                souk_meter::queue_full(Queue::MysqlWrite);
                return Err(StoreError::Busy(Server::Database).into());
            }
            let (token, wait) = self.shared.slots.open();
            queue.push_back(Job { write, deadline, token });
            wait
        };
        self.shared.wake.notify_one();
        let (outcome, run) = wait.await;
        let failure = match &outcome {
            Err(WriteError::Store(failure)) => Some(failure),
            _ => None,
        };
        share.ends(run, failure);
        outcome
    }

    /// How many writes wait.
    pub fn waiting(&self) -> usize {
        self.shared.queue.borrow().len()
    }

    /// Commits what waits and closes the connection.
    pub async fn close(&self) {
        self.shared.closing.set(true);
        self.shared.wake.notify_one();
        let worker = self.worker.borrow_mut().take();
        if let Some(worker) = worker {
            // It ends by itself; a panic in it has been reported already.
            let _ = worker.await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.closing.set(true);
        self.shared.wake.notify_one();
    }
}

impl Shared {
    /// The next transaction's members: those that still matter.
    fn next_group(&self) -> Vec<Job> {
        let now = Instant::now();
        let mut group = Vec::new();
        while group.len() < GROUP_MAX {
            let Some(job) = self.queue.borrow_mut().pop_front() else { break };
            let fresh = job.write.fenced_at.is_none_or(|at| now - at < FENCE_AGE_MAX);
            if job.deadline > now && fresh && self.slots.is_wanted(job.token) {
                group.push(job);
            } else {
                self.slots.fill(job.token, (Err(StoreError::DeadlineExceeded.into()), None));
            }
        }
        group
    }
}

async fn work(shared: Rc<Shared>, mut line: Line) {
    for number in 0.. {
        while shared.queue.borrow().is_empty() {
            if shared.closing.get() {
                return line.close().await;
            }
            shared.wake.notified().await;
        }
        after_ready_tasks().await;
        let jobs = shared.next_group();
        if jobs.is_empty() {
            continue;
        }
        souk_meter::batch(Batch::MysqlWrite, jobs.len());
        let run = Run { began: souk_meter::now(), number, size: jobs.len() };
        let mut outcomes: Vec<Option<Outcome>> = jobs.iter().map(|_| None).collect();
        let unknown =
            match tokio::time::timeout(TRANSACTION_MAX, commit(&mut line, &jobs, &mut outcomes))
                .await
            {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error),
                Err(_) => Some(StoreError::database("no answer to a write in time")),
            };
        if unknown.is_some() {
            line.lose();
        }
        souk_meter::mark();
        shared.slots.asked(Some(run.began));
        for (job, outcome) in jobs.iter().zip(outcomes) {
            let outcome = outcome.unwrap_or_else(|| {
                let lost = || StoreError::database("the outcome of the write is unknown");
                Err(unknown.clone().unwrap_or_else(lost).into())
            });
            shared.slots.fill(job.token, (outcome, Some(run)));
        }
        shared.slots.asked(None);
    }
}

/// Commits a group. Members whose outcome is final get it; an error is the outcome of the others.
async fn commit(
    line: &mut Line,
    jobs: &[Job],
    outcomes: &mut [Option<Outcome>],
) -> Result<(), StoreError> {
    let conn = line.get_alive().await?;
    let alone =
        if jobs.len() == 1 { vec![0] } else { commit_together(conn, jobs, outcomes).await? };
    for place in alone {
        outcomes[place] = Some(commit_alone(conn, &jobs[place].write).await?);
    }
    Ok(())
}

/// Runs all members in one transaction; the places of those that must be tried alone, in order:
/// none, or all when nothing was committed.
async fn commit_together(
    conn: &mut Conn,
    jobs: &[Job],
    outcomes: &mut [Option<Outcome>],
) -> Result<Vec<usize>, StoreError> {
    let everyone_but_last =
        |last| (0..jobs.len()).filter(|&place| place != last).chain([last]).collect();
    let mut settled = Vec::new();
    conn.query_drop("START TRANSACTION").await.map_err(|error| meaning(&error))?;
    for (place, job) in jobs.iter().enumerate() {
        match execute(conn, &job.write).await {
            Ok(outcome) => settled.push((place, outcome)),
            // A deadlock rolls back the transaction, and so does a lock wait, or it does not: that
            // is the server's setting. So nothing of it stays, and who waited comes last.
            Err(Error::Server(said)) if is_contention(said.code) => {
                conn.query_drop("ROLLBACK").await.map_err(|error| meaning(&error))?;
                return Ok(everyone_but_last(place));
            }
            Err(error) => return Err(meaning(&error)),
        }
    }
    match conn.query_drop("COMMIT").await {
        Ok(()) => {}
        Err(Error::Server(said)) if is_contention(said.code) => {
            return Ok((0..jobs.len()).collect());
        }
        Err(error) => return Err(meaning(&error)),
    }
    // Not before the commit: even "taken" may rest on a neighbour that was not committed.
    for (place, outcome) in settled {
        outcomes[place] = Some(outcome);
    }
    Ok(Vec::new())
}

/// Runs one member in a transaction of its own, again if it loses against others. A lock that was
/// not free in time is not waited for again: others wait behind this write.
async fn commit_alone(conn: &mut Conn, write: &Write) -> Result<Outcome, StoreError> {
    for _ in 0..WRITE_ATTEMPTS {
        match execute(conn, write).await {
            Ok(outcome) => return Ok(outcome),
            Err(Error::Server(said)) if said.code == LOCK_WAIT => break,
            Err(Error::Server(said)) if is_contention(said.code) => {}
            Err(error) => return Err(meaning(&error)),
        }
    }
    Ok(Err(StoreError::database("the row is locked by others; nothing was changed").into()))
}

/// Runs a statement. The outer error leaves the transaction in doubt, the inner one does not.
async fn execute(conn: &mut Conn, write: &Write) -> Result<Outcome, Error> {
    match conn.exec_drop(write.sql, Params::Positional(write.params.clone())).await {
        Ok(()) => Ok(Ok(Done {
            affected: conn.affected_rows(),
            id: conn.last_insert_id().unwrap_or_default(),
        })),
        Err(Error::Server(said)) if said.code == DUPLICATE => Ok(Err(WriteError::Taken)),
        Err(Error::Server(said)) if is_contention(said.code) => Err(Error::Server(said)),
        Err(error) if is_lost(&error) => Err(error),
        Err(error) => Ok(Err(meaning(&error).into())),
    }
}
