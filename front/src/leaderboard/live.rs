//! Who watches which board. A thread has one stream of news for each board that is watched at all;
//! each piece is encoded once, for all who watch.
//!
//! A watcher is never sent what it missed: whoever knows the state before is told the difference,
//! anybody else the whole top. So nothing waits for a watcher, however slow it is.

mod board;

use crate::limits::WATCHED_BOARDS_MAX;
use crate::upstream::Upstream;
use crate::upstream::session::unavailable;
use board::Board;
use bytes::Bytes;
use souk_proto::common::Caller;
use souk_proto::{Code, Failure};
use souk_trace::Context;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{self, Poll};
use std::time::Duration;

/// The boards that somebody watches on this thread.
pub struct Live {
    upstream: Upstream,
    /// How long a request to a daemon may take.
    patience: Duration,
    boards: RefCell<HashMap<u64, Rc<Board>>>,
    draining: Cell<bool>,
}

impl Live {
    /// Nobody watches yet.
    pub fn new(upstream: Upstream, patience: Duration) -> Live {
        Live { upstream, patience, boards: RefCell::default(), draining: Cell::new(false) }
    }

    /// Watches a board from now on; waits until there is something to see.
    ///
    /// # Errors
    /// What the daemon says if it has no such board or cannot tell; [`Code::Busy`] when too many
    /// boards are watched, [`Code::DeadlineExceeded`] when nothing came in time,
    /// [`Code::Unavailable`] when this process ends.
    pub async fn watch(
        self: &Rc<Live>,
        id: u64,
        caller: Caller,
        trace: Context,
    ) -> Result<Watcher, Failure> {
        let watcher = self.enter(id, caller, trace)?;
        let waits = poll_fn(|cx| watcher.poll_open(cx));
        match monoio::time::timeout(self.patience, waits).await {
            Ok(opened) => opened.map(|()| watcher),
            Err(_) => Err(Code::DeadlineExceeded.into()),
        }
    }

    fn enter(self: &Rc<Live>, id: u64, caller: Caller, trace: Context) -> Result<Watcher, Failure> {
        if self.draining.get() {
            return Err(unavailable());
        }
        let mut boards = self.boards.borrow_mut();
        let full = boards.len() >= WATCHED_BOARDS_MAX;
        let board = match boards.get(&id) {
            Some(board) => board.clone(),
            None if full => return Err(Code::Busy.into()),
            None => {
                let board = Rc::new(Board::new(id));
                boards.insert(id, board.clone());
                monoio::spawn(board::keep(self.clone(), board.clone(), caller, trace.trace_id));
                board
            }
        };
        let index = board.enter();
        Ok(Watcher { live: self.clone(), board, index, seen: 0, told_pause: false })
    }

    /// From now on every watcher is told that it is over.
    pub fn drain(&self) {
        self.draining.set(true);
        self.boards.borrow().values().for_each(|board| board.wake_all());
    }
}

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Something about the board, and the board's version then.
    Say(Option<u64>, Bytes),
    /// This process ends.
    Over,
}

/// Somebody who watches a board. Dropping it is leaving.
pub struct Watcher {
    live: Rc<Live>,
    board: Rc<Board>,
    index: usize,
    /// Number of the news that it was told last; 0 for none.
    seen: u64,
    told_pause: bool,
}

impl Watcher {
    fn poll_open(&self, cx: &task::Context<'_>) -> Poll<Result<(), Failure>> {
        let outcome = self.board.outcome();
        if outcome.is_none() {
            self.board.remember(self.index, cx.waker());
        }
        outcome.map_or(Poll::Pending, Poll::Ready)
    }

    /// What it has to be told next. Whatever came meanwhile is told as one.
    pub fn poll_word(&mut self, cx: &task::Context<'_>) -> Poll<Word> {
        if self.live.draining.get() {
            return Poll::Ready(Word::Over);
        }
        if let Some((number, word)) = self.board.word(self.seen, self.told_pause) {
            (self.seen, self.told_pause) = (number, number == 0);
            return Poll::Ready(word);
        }
        self.board.remember(self.index, cx.waker());
        Poll::Pending
    }

    /// A number that grows with each change of the board, also where the top does not show it.
    pub fn changes(&self) -> u64 {
        self.board.changes()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.board.leave(self.index);
    }
}
