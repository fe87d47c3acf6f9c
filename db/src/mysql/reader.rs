//! Reads of users: batched by key, and pages of searches, on a few connections per shard.
//!
//! Each worker keeps one connection and takes what waits when it is free, so batches grow with the
//! load and a single read waits for nothing. A read whose connection had died is tried once more
//! on a new one.

use super::batch::{Batch, Batcher, Member, padded};
use super::connect::{Line, is_lost, meaning};
use super::replica::{self, Lag};
use super::run::{Run, Share};
use crate::accounts::query::{Key, Name, select_by, select_page, user_row};
use crate::accounts::row::UserRow;
use crate::error::{Server, StoreError};
use crate::limits::{BATCH_SIZES, READ_MAX, REPLICA_LOOK_EVERY, SEARCHES_MAX, SWEEP_EVERY};
use crate::slots::{Slots, Wait, after_ready_tasks};
use foldhash::fast::RandomState;
use mysql_async::prelude::Queryable;
use mysql_async::{Opts, Params, Row, Value};
use souk_meter::Stage;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What a read of one key found.
#[derive(Debug)]
pub struct Found {
    pub row: Option<UserRow>,
    /// Whether this reader is the first of those who shared the row: the one to fill the cache.
    pub first: bool,
    /// The query that found it.
    pub run: Run,
}

type Single = Result<Found, StoreError>;
type Page = Result<(Vec<UserRow>, Run), StoreError>;

/// The readers of one shard.
pub struct Readers {
    shared: Rc<Shared>,
    workers: RefCell<Vec<JoinHandle<()>>>,
}

struct Shared {
    ids: Queue<u64>,
    names: Queue<Name>,
    singles: Slots<Single>,
    searches: RefCell<VecDeque<Search>>,
    pages: Slots<Page>,
    page_sql: String,
    /// Which kind of work is looked at first, in turn.
    turn: Cell<u8>,
    /// Whether the last read had an answer.
    is_up: Cell<bool>,
    lag: Cell<Lag>,
    /// Whether it is time to ask for the lag.
    lag_due: Cell<bool>,
    /// Queries begun so far.
    runs: Cell<i64>,
    wake: Notify,
    closing: Cell<bool>,
}

struct Queue<K> {
    batcher: RefCell<Batcher<K>>,
    sql: [String; BATCH_SIZES.len()],
}

struct Search {
    params: Vec<Value>,
    member: Member,
}

enum Work {
    Ids(Batch<u64>),
    Names(Batch<Name>),
    Search(Search),
    /// A look at how far a replica is behind.
    Replica,
}

impl Readers {
    /// Starts `connections` workers; they connect when there is something to read.
    pub fn new(opts: &Opts, connections: usize) -> Readers {
        let shared = Rc::new(Shared {
            ids: Queue { batcher: RefCell::new(Batcher::new()), sql: select_by::<u64>() },
            names: Queue { batcher: RefCell::new(Batcher::new()), sql: select_by::<Name>() },
            singles: Slots::new(Some(Stage::MysqlQueue), Stage::Mysql),
            searches: RefCell::new(VecDeque::new()),
            pages: Slots::new(Some(Stage::MysqlQueue), Stage::Mysql),
            page_sql: select_page(),
            turn: Cell::new(0),
            is_up: Cell::new(true),
            lag: Cell::new(Lag::None),
            lag_due: Cell::new(true),
            runs: Cell::new(0),
            wake: Notify::new(),
            closing: Cell::new(false),
        });
        let mut workers: Vec<_> = (0..connections.max(1))
            .map(|_| tokio_uring::spawn(work(shared.clone(), Line::new(opts.clone()))))
            .collect();
        workers.push(tokio_uring::spawn(sweep(shared.clone())));
        Readers { shared, workers: RefCell::new(workers) }
    }

    /// Reads the user with this id.
    pub async fn by_id(&self, id: u64, deadline: Instant) -> Single {
        self.shared.read(&self.shared.ids, id, deadline).await
    }

    /// Reads the user with this name.
    pub async fn by_name(&self, name: Name, deadline: Instant) -> Single {
        self.shared.read(&self.shared.names, name, deadline).await
    }

    /// Reads a page: see [`select_page`] for the parameters.
    pub async fn page(
        &self,
        params: Vec<Value>,
        deadline: Instant,
    ) -> Result<Vec<UserRow>, StoreError> {
        let share = Share::of("mysql search");
        let wait = {
            if self.shared.closing.get() {
                return Err(StoreError::database("the stores are being closed"));
            }
            let mut searches = self.shared.searches.borrow_mut();
            if searches.len() >= SEARCHES_MAX {
                souk_meter::queue_full(souk_meter::Queue::MysqlRead);
                return Err(StoreError::Busy(Server::Database));
            }
            let (token, wait) = self.shared.pages.open();
            searches.push_back(Search { params, member: Member { token, deadline } });
            wait
        };
        self.shared.wake.notify_one();
        let page = wait.await;
        share.ends(page.as_ref().ok().map(|(_, run)| *run), page.as_ref().err());
        page.map(|(rows, _)| rows)
    }

    /// How many reads wait.
    pub fn waiting(&self) -> usize {
        let shared = &self.shared;
        let singles =
            shared.ids.batcher.borrow().members() + shared.names.batcher.borrow().members();
        singles + shared.searches.borrow().len()
    }

    /// Whether the last read had an answer, be it an error of the server.
    pub fn is_up(&self) -> bool {
        self.shared.is_up.get()
    }

    /// What the database last said of its replication.
    pub fn lag(&self) -> Lag {
        self.shared.lag.get()
    }

    /// Serves what waits and closes the connections.
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

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.closing.set(true);
        self.shared.wake.notify_waiters();
    }
}

impl Shared {
    async fn read<K: Key>(&self, queue: &Queue<K>, key: K, deadline: Instant) -> Single {
        let share = Share::of("mysql read");
        let found = self.join(queue, key, deadline)?.await;
        share.ends(found.as_ref().ok().map(|found| found.run), found.as_ref().err());
        found
    }

    /// A query of so many keys that begins now.
    fn begin(&self, size: usize) -> Run {
        let number = self.runs.get();
        self.runs.set(number + 1);
        Run { began: souk_meter::now(), number, size }
    }

    fn join<K: Key>(
        &self,
        queue: &Queue<K>,
        key: K,
        deadline: Instant,
    ) -> Result<Wait<Single>, StoreError> {
        if self.closing.get() {
            return Err(StoreError::database("the stores are being closed"));
        }
        let mut batcher = queue.batcher.borrow_mut();
        let (token, wait) = self.singles.open();
        if batcher.join(key, Member { token, deadline }).is_err() {
            souk_meter::queue_full(souk_meter::Queue::MysqlRead);
            self.singles.fill(token, Err(StoreError::Busy(Server::Database)));
        } else if batcher.len() == 1 {
            self.wake.notify_one();
        }
        Ok(wait)
    }

    /// The next work, kind after kind so that none starves another. Wakes a further worker if
    /// more waits.
    fn next(&self) -> Option<Work> {
        let now = Instant::now();
        let mut late = Vec::new();
        let mut work = None;
        for _ in 0..3 {
            let turn = self.turn.get();
            self.turn.set((turn + 1) % 3);
            work = match turn {
                0 => self.take(&self.ids, now, &mut late).map(Work::Ids),
                1 => self.take(&self.names, now, &mut late).map(Work::Names),
                _ => self.next_search(now).map(Work::Search),
            };
            if work.is_some() {
                break;
            }
        }
        self.fail_late(late);
        if work.is_none() && self.lag_due.replace(false) {
            work = Some(Work::Replica);
        }
        if work.is_some() && self.is_waiting() {
            self.wake.notify_one();
        }
        work
    }

    fn take<K: Key>(
        &self,
        queue: &Queue<K>,
        now: Instant,
        late: &mut Vec<usize>,
    ) -> Option<Batch<K>> {
        queue.batcher.borrow_mut().take(now, |token| self.singles.is_wanted(token), late)
    }

    fn next_search(&self, now: Instant) -> Option<Search> {
        loop {
            let search = self.searches.borrow_mut().pop_front()?;
            if search.member.deadline > now && self.pages.is_wanted(search.member.token) {
                return Some(search);
            }
            self.pages.fill(search.member.token, Err(StoreError::DeadlineExceeded));
        }
    }

    /// Notes how the database answered.
    fn note(&self, error: Option<&StoreError>) {
        souk_meter::mark();
        self.is_up.set(!matches!(error, Some(StoreError::Unavailable { .. })));
    }

    fn is_waiting(&self) -> bool {
        self.ids.batcher.borrow().len() > 0
            || self.names.batcher.borrow().len() > 0
            || !self.searches.borrow().is_empty()
            || self.lag_due.get() && !self.closing.get()
    }

    fn fail_late(&self, late: Vec<usize>) {
        for token in late {
            self.singles.fill(token, Err(StoreError::DeadlineExceeded));
        }
    }

    /// Gives each member its row: copies first, the row itself to the first of each key.
    fn deliver<K: Key>(&self, batch: Batch<K>, rows: Result<Vec<UserRow>, StoreError>, run: Run) {
        let mut rows: HashMap<K, UserRow, RandomState> = match rows {
            Ok(rows) => rows.into_iter().filter_map(|row| Some((K::of(&row)?, row))).collect(),
            Err(error) => {
                for (_, token) in batch.members {
                    self.singles.fill(token, Err(error.clone()));
                }
                return;
            }
        };
        let mut previous = None;
        let mut firsts = Vec::with_capacity(batch.keys.len());
        for (place, token) in batch.members {
            if previous.replace(place) == Some(place) {
                let row = rows.get(&batch.keys[place]).cloned();
                self.singles.fill(token, Ok(Found { row, first: false, run }));
            } else {
                firsts.push((place, token));
            }
        }
        for (place, token) in firsts {
            let row = rows.remove(&batch.keys[place]);
            self.singles.fill(token, Ok(Found { row, first: true, run }));
        }
    }
}

async fn work(shared: Rc<Shared>, mut line: Line) {
    loop {
        while !shared.is_waiting() {
            if shared.closing.get() {
                return line.close().await;
            }
            shared.wake.notified().await;
        }
        after_ready_tasks().await;
        match shared.next() {
            None => {}
            Some(Work::Replica) => shared.lag.set(lag(&mut line).await),
            Some(Work::Ids(batch)) => read_batch(&shared, &mut line, &shared.ids, batch).await,
            Some(Work::Names(batch)) => read_batch(&shared, &mut line, &shared.names, batch).await,
            Some(Work::Search(search)) => {
                let run = shared.begin(1);
                let rows = fetch(&mut line, &shared.page_sql, || search.params.clone()).await;
                shared.note(rows.as_ref().err());
                shared.pages.asked(Some(run.began));
                shared.pages.fill(search.member.token, rows.map(|rows| (rows, run)));
                shared.pages.asked(None);
            }
        }
    }
}

async fn read_batch<K: Key>(shared: &Shared, line: &mut Line, queue: &Queue<K>, batch: Batch<K>) {
    let run = shared.begin(batch.keys.len());
    souk_meter::batch(souk_meter::Batch::MysqlRead, batch.keys.len());
    let size = padded(batch.keys.len());
    let last = *batch.keys.last().expect("a batch has a key");
    let params = || {
        let padding = std::iter::repeat(last);
        batch.keys.iter().copied().chain(padding).take(BATCH_SIZES[size]).map(K::value).collect()
    };
    let rows = fetch(line, &queue.sql[size], params).await;
    shared.note(rows.as_ref().err());
    shared.singles.asked(Some(run.began));
    shared.deliver(batch, rows, run);
    shared.singles.asked(None);
}

async fn fetch(
    line: &mut Line,
    sql: &str,
    params: impl Fn() -> Vec<Value>,
) -> Result<Vec<UserRow>, StoreError> {
    let mut may_retry = line.is_held();
    loop {
        let conn = line.get().await?;
        let query = conn.exec::<Row, _, _>(sql, Params::Positional(params()));
        match tokio::time::timeout(READ_MAX, query).await {
            Ok(Ok(rows)) => return rows.into_iter().map(user_row).collect(),
            Ok(Err(error)) => {
                if is_lost(&error) {
                    line.lose();
                    if std::mem::take(&mut may_retry) {
                        continue;
                    }
                }
                return Err(meaning(&error));
            }
            Err(_) => {
                line.lose();
                return Err(StoreError::database("no answer to a read in time"));
            }
        }
    }
}

/// How far the database is behind; nothing if it cannot be asked.
async fn lag(line: &mut Line) -> Lag {
    let Ok(conn) = line.get().await else { return Lag::None };
    match tokio::time::timeout(READ_MAX, replica::lag(conn)).await {
        Ok(Ok(lag)) => lag,
        Ok(Err(_)) | Err(_) => {
            line.lose();
            Lag::None
        }
    }
}

/// Frees readers whose deadline passes while all connections are busy, and asks for a replica's lag
/// now and then.
async fn sweep(shared: Rc<Shared>) {
    let mut lag_asked = Instant::now();
    while !shared.closing.get() {
        tokio::time::sleep(SWEEP_EVERY).await;
        let now = Instant::now();
        if now - lag_asked >= REPLICA_LOOK_EVERY && shared.lag.get() != Lag::Untold {
            lag_asked = now;
            shared.lag_due.set(true);
            shared.wake.notify_one();
        }
        let mut late = Vec::new();
        shared.ids.batcher.borrow_mut().expire(now, &mut late);
        shared.names.batcher.borrow_mut().expire(now, &mut late);
        shared.fail_late(late);
        let mut late = Vec::new();
        shared.searches.borrow_mut().retain(|search| {
            let alive = search.member.deadline > now;
            if !alive {
                late.push(search.member.token);
            }
            alive
        });
        for token in late {
            shared.pages.fill(token, Err(StoreError::DeadlineExceeded));
        }
    }
}
