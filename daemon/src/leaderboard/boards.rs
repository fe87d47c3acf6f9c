//! Keeps what a shard knows of the boards up to date: one look at a time, at the shard's ticks and
//! whenever somebody needs something younger.

use super::counts::Counts;
use super::pages::{First, Flight, Key, Known, Pages};
use super::state::{Holder, State};
use crate::limits::BOARD_READ_MAX;
use souk_db::leaderboard::{ALL_TIME, BoardRow, Rated};
use souk_db::{StoreError, Stores};
use souk_meter::{Count, Level};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::futures::Notified;
use tokio::sync::{Mutex, Notify};

/// The boards of one shard.
#[derive(Debug)]
pub struct Boards {
    staleness: Duration,
    state: RefCell<State>,
    pages: RefCell<Pages>,
    /// Admits one reader at a time; holds when the last read failed, and why.
    flight: Mutex<Option<(Instant, StoreError)>>,
    /// Woken when something may have changed.
    changed: Notify,
    stopping: Cell<bool>,
}

impl Boards {
    /// Nothing is known yet; answers from memory may be this old.
    pub fn new(staleness: Duration) -> Boards {
        Boards {
            staleness,
            state: RefCell::default(),
            pages: RefCell::new(Pages::new(staleness)),
            flight: Mutex::default(),
            changed: Notify::new(),
            stopping: Cell::new(false),
        }
    }

    /// Pause between two looks: what is read at one is not too old at the next, though the look
    /// itself takes a moment.
    pub fn period(&self) -> Duration {
        self.staleness * 4 / 5
    }

    /// Looks now, whoever else has looked a moment ago.
    ///
    /// # Errors
    /// A store's; what was known stays.
    pub async fn refresh(&self, stores: &Stores) -> Result<(), StoreError> {
        let now = Instant::now();
        self.bring(stores, None, now, now + BOARD_READ_MAX).await
    }

    /// Sees to it that boards, hidden users and tokens are not too old.
    ///
    /// # Errors
    /// A store's; what was known stays.
    pub async fn look(&self, stores: &Stores, deadline: Instant) -> Result<(), StoreError> {
        let since = self.oldest(souk_meter::recent());
        if self.state.borrow().looked().is_some_and(|looked| looked >= since) {
            return Ok(());
        }
        self.bring(stores, None, since, deadline).await
    }

    /// What the counts of a board say that are not too old; nothing if there is no such board.
    ///
    /// # Errors
    /// A store's.
    pub async fn count<T>(
        &self,
        stores: &Stores,
        board: u64,
        deadline: Instant,
        say: impl Fn(&Counts) -> T,
    ) -> Result<Option<T>, StoreError> {
        let since = self.oldest(souk_meter::recent());
        let known = self.state.borrow_mut().counts(board, since).map(&say);
        if known.is_some() {
            return Ok(known);
        }
        self.bring(stores, Some(board), since, deadline).await?;
        Ok(self.state.borrow_mut().counts(board, since).map(&say))
    }

    /// Reads what is older than `since`: the look, and the counts of one board if it is named. Who
    /// waits while another reads takes what that one brought.
    async fn bring(
        &self,
        stores: &Stores,
        board: Option<u64>,
        since: Instant,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let asked = Instant::now();
        let mut failed = self.flight.lock().await;
        if self.has(board, since) {
            return Ok(());
        }
        if let Some((at, error)) = &*failed
            && *at >= asked
        {
            return Err(error.clone());
        }
        let read = self.read(stores, board, deadline.min(Instant::now() + BOARD_READ_MAX)).await;
        *failed = read.as_ref().err().map(|error| (Instant::now(), error.clone()));
        drop(failed);
        self.changed.notify_waiters();
        read
    }

    fn has(&self, board: Option<u64>, since: Instant) -> bool {
        let mut state = self.state.borrow_mut();
        let looked = state.looked().is_some_and(|looked| looked >= since);
        looked && board.is_none_or(|board| state.counts(board, since).is_some())
    }

    async fn read(
        &self,
        stores: &Stores,
        board: Option<u64>,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let began = Instant::now();
        let look = in_time(deadline, stores.leaderboard.look(deadline)).await?;
        souk_meter::count(Count::BoardLook);
        let mut moved = self.state.borrow_mut().saw(look, began);
        let wanted = board.unwrap_or(ALL_TIME);
        let missing = {
            let mut state = self.state.borrow_mut();
            state.row(wanted).is_some() && state.counts(wanted, began).is_none()
        };
        if missing && !moved.contains(&wanted) {
            moved.push(wanted);
        }
        for board in moved {
            let began = Instant::now();
            let players = in_time(deadline, stores.leaderboard.counts(board, deadline)).await?;
            souk_meter::count(Count::BoardCounts);
            self.state.borrow_mut().counted(board, players, began);
        }
        Ok(())
    }

    /// Takes in what this shard did to the ratings of these users.
    pub fn rated(&self, users: &[u64], rated: &Rated) {
        self.state.borrow_mut().rated(users, rated);
        let best = rated.before.iter().chain(&rated.after).max().copied();
        let mut pages = self.pages.borrow_mut();
        for delta in &rated.boards {
            // What a season's ratings were is not said.
            let best = best.filter(|_| delta.board == ALL_TIME);
            pages.end(delta.board, best, Instant::now());
        }
        drop(pages);
        if !rated.boards.is_empty() {
            self.changed.notify_waiters();
        }
    }

    /// Ends all pages: this shard has hidden or shown somebody.
    pub fn end_pages(&self) {
        let mut pages = self.pages.borrow_mut();
        for row in self.state.borrow().rows() {
            pages.end(row.id, None, Instant::now());
        }
    }

    /// All boards, in order of id.
    pub fn rows(&self) -> Vec<BoardRow> {
        self.state.borrow().rows().to_vec()
    }

    /// Whether there is such a board, as of the last look.
    pub fn exists(&self, board: u64) -> bool {
        self.state.borrow().row(board).is_some()
    }

    /// Whether no board shows this user, as of the last look.
    pub fn is_hidden(&self, user_id: u64) -> bool {
        self.state.borrow().is_hidden(user_id)
    }

    /// Who holds the token with this text, as of the last look.
    pub fn holder(&self, token: &str) -> Option<Holder> {
        let hash = blake3::hash(token.as_bytes());
        self.state.borrow().holder(hash.as_bytes()).cloned()
    }

    /// The newest version of a board that was heard of.
    pub fn version(&self, board: u64) -> u64 {
        self.state.borrow().version(board)
    }

    /// A first page that is good now.
    pub fn first(&self, key: Key, now: Instant) -> Option<Rc<First>> {
        self.pages.borrow_mut().good(key, self.known(key.0), now)
    }

    /// A first page whatever its age, and as of when it was right.
    pub fn old_first(&self, key: Key) -> Option<(Rc<First>, Instant)> {
        self.pages.borrow_mut().any(key, self.known(key.0))
    }

    /// What admits one reader of a first page at a time.
    pub fn page_flight(&self, key: Key) -> Flight {
        self.pages.borrow_mut().flight(key)
    }

    /// Keeps a first page that was read.
    pub fn keep(&self, key: Key, first: First) -> Rc<First> {
        self.pages.borrow_mut().keep(key, first)
    }

    fn known(&self, board: u64) -> Known {
        let state = self.state.borrow();
        Known { version: state.version(board), looked: state.looked() }
    }

    /// Waits until something may have changed.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Ends whoever watches: the shard stops.
    pub fn stop(&self) {
        self.stopping.set(true);
        self.changed.notify_waiters();
    }

    /// Whether the shard stops.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Tells the meter of this thread how old what is known is.
    pub fn tell(&self, now: Instant) {
        if let Some(as_of) = self.state.borrow().as_of() {
            let age = now.saturating_duration_since(as_of).as_millis();
            souk_meter::level(Level::BoardStaleness, u64::try_from(age).unwrap_or(u64::MAX));
        }
    }

    /// As of when something must be known to be young enough now.
    fn oldest(&self, now: Instant) -> Instant {
        now.checked_sub(self.staleness).unwrap_or(now)
    }
}

/// A read that is given up at the deadline: the answer of a store that hangs comes too late.
pub async fn in_time<T>(
    deadline: Instant,
    read: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let read = tokio::time::timeout_at(deadline.into(), read).await;
    read.unwrap_or(Err(StoreError::DeadlineExceeded))
}
