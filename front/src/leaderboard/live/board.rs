//! One board that is watched: what is known of it, who waits for more, and the task that keeps the
//! stream of its news.

use super::{Live, Word};
use crate::leaderboard::json;
use crate::limits::{NEWS_PAUSE, WATCH_BACKOFF_FIRST, WATCH_BACKOFF_MAX};
use crate::upstream::{ItemStream, mix};
use bytes::Bytes;
use futures_util::future::{Either, select};
use prost::Message;
use slab::Slab;
use souk_proto::common::{Caller, Empty};
use souk_proto::error::Fault;
use souk_proto::leaderboard::{BoardNews, WatchBoardRequest};
use souk_proto::{Code, Failure, Method};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

/// A board that is watched.
pub(super) struct Board {
    id: u64,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    shown: Option<Shown>,
    /// Why no news comes, while none does.
    trouble: Option<Failure>,
    changes: u64,
    /// Those who watch, each with whom to wake.
    watchers: Slab<Option<Waker>>,
    /// The task that keeps the stream.
    keeper: Option<Waker>,
}

/// The last news.
struct Shown {
    /// Counts what was shown, from 1.
    number: u64,
    news: BoardNews,
    /// The whole, once somebody needed it.
    whole: Option<Bytes>,
    /// For those who know the one before.
    delta: Option<Bytes>,
}

impl Board {
    pub fn new(id: u64) -> Board {
        Board { id, state: RefCell::default() }
    }

    pub fn enter(&self) -> usize {
        self.state.borrow_mut().watchers.insert(None)
    }

    pub fn leave(&self, index: usize) {
        let mut state = self.state.borrow_mut();
        state.watchers.remove(index);
        if state.watchers.is_empty()
            && let Some(keeper) = state.keeper.take()
        {
            keeper.wake();
        }
    }

    pub fn remember(&self, index: usize, waker: &Waker) {
        let mut state = self.state.borrow_mut();
        let held = &mut state.watchers[index];
        if !held.as_ref().is_some_and(|held| held.will_wake(waker)) {
            *held = Some(waker.clone());
        }
    }

    pub fn wake_all(&self) {
        let mut state = self.state.borrow_mut();
        state.watchers.iter_mut().filter_map(|(_, held)| held.take()).for_each(Waker::wake);
        state.keeper.take().into_iter().for_each(Waker::wake);
    }

    pub fn changes(&self) -> u64 {
        self.state.borrow().changes
    }

    /// Whether there is something to see, or why not; nothing while that is not known.
    pub fn outcome(&self) -> Option<Result<(), Failure>> {
        let state = self.state.borrow();
        match (&state.shown, &state.trouble) {
            (Some(_), _) => Some(Ok(())),
            (None, Some(failure)) => Some(Err(failure.clone())),
            (None, None) => None,
        }
    }

    /// What somebody is told who was told the news of this number last, and the number to remember
    /// for it.
    pub fn word(&self, seen: u64, told_pause: bool) -> Option<(u64, Word)> {
        let mut state = self.state.borrow_mut();
        if state.trouble.is_some() {
            let word = Word::Say(None, Bytes::from_static(json::PAUSED));
            return (!told_pause).then_some((0, word));
        }
        let shown = state.shown.as_mut().filter(|shown| shown.number != seen)?;
        let delta = shown.delta.as_ref().filter(|_| seen != 0 && seen + 1 == shown.number);
        let bytes = match delta {
            Some(delta) => delta.clone(),
            None => {
                shown.whole.get_or_insert_with(|| Bytes::from(json::board(&shown.news))).clone()
            }
        };
        Some((shown.number, Word::Say(Some(shown.news.version), bytes)))
    }

    /// Takes news in. Those who wait are woken, also if the top is the same: a rank below it may
    /// not be.
    pub fn publish(&self, news: BoardNews) {
        {
            let mut state = self.state.borrow_mut();
            state.changes += 1;
            state.trouble = None;
            let old = state.shown.take();
            let number = old.as_ref().map_or(0, |old| old.number) + 1;
            // Stale news is told as a whole: its age belongs to all of it.
            let fresh = |old: &Shown| old.news.stale_ms == 0 && news.stale_ms == 0;
            state.shown = Some(match old {
                Some(old) if fresh(&old) => match json::delta(&old.news, &news) {
                    Some(delta) => Shown { number, news, whole: None, delta: Some(delta.into()) },
                    None => old,
                },
                _ => Shown { number, news, whole: None, delta: None },
            });
        }
        self.wake_all();
    }

    fn pause(&self, why: Failure) {
        self.state.borrow_mut().trouble = Some(why);
        self.wake_all();
    }

    fn is_watched(&self) -> bool {
        !self.state.borrow().watchers.is_empty()
    }

    /// Waits until nobody watches any more, or nobody should.
    async fn unwatched(&self, live: &Live) {
        poll_fn(|cx| {
            if live.draining.get() || !self.is_watched() {
                return Poll::Ready(());
            }
            self.state.borrow_mut().keeper = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Keeps the stream of a board's news as long as somebody watches.
pub(super) async fn keep(live: Rc<Live>, board: Rc<Board>, caller: Caller, trace_id: u128) {
    // Those who follow share the stream, so it is nobody's session; only the address counts.
    let caller = Some(Caller { address: caller.address, ..Caller::default() });
    let request = WatchBoardRequest { caller, board: board.id };
    let mut backoff = WATCH_BACKOFF_FIRST;
    let mut free_at = Instant::now();
    while board.is_watched() && !live.draining.get() {
        let before = board.changes();
        let (key, context) = (mix(board.id), live.context(trace_id));
        let opened = live.upstream.watch(Method::WatchBoard, key, &request, context).await;
        let ended = match opened {
            Ok((Empty {}, items)) => follow(&live, &board, items, &mut free_at).await,
            Err(failure) => Err(failure),
        };
        let heard = board.changes() != before;
        if heard {
            backoff = WATCH_BACKOFF_FIRST;
        }
        match ended {
            // A stream has an end now and then; its successor says how the board is.
            Ok(()) if heard => continue,
            Ok(()) => {}
            Err(failure) => {
                if failure.code.fault() != Fault::Client {
                    tracing::warn!(board = board.id, ?failure, "no news of a board; asking again");
                }
                board.pause(failure);
            }
        }
        let pause = pin!(monoio::time::sleep(backoff));
        select(pause, pin!(board.unwatched(&live))).await;
        backoff = (backoff * 2).min(WATCH_BACKOFF_MAX);
    }
    // Nothing is awaited between the last look at the watchers and this.
    live.boards.borrow_mut().remove(&board.id);
}

/// Shows what comes, at most once in [`NEWS_PAUSE`], until nobody watches or the stream ends.
async fn follow(
    live: &Live,
    board: &Board,
    mut items: ItemStream,
    free_at: &mut Instant,
) -> Result<(), Failure> {
    let mut waiting: Option<BoardNews> = None;
    loop {
        let item = match next(live, board, &mut items, waiting.as_ref().map(|_| *free_at)).await {
            Step::Unwatched => return Ok(()),
            Step::Due => {
                if let Some(news) = waiting.take() {
                    board.publish(news);
                    *free_at = Instant::now() + NEWS_PAUSE;
                }
                continue;
            }
            Step::Item(None) => return Ok(()),
            Step::Item(Some(item)) => item?,
        };
        // Newer news takes the place of what nobody has been told yet.
        waiting = Some(BoardNews::decode(&*item).map_err(|error| {
            tracing::error!(%error, "a daemon's news cannot be read");
            Failure::new(Code::MalformedMessage)
        })?);
    }
}

/// What happens next to a stream of news.
enum Step {
    Item(Option<Result<Vec<u8>, Failure>>),
    /// It is time to show what waits.
    Due,
    Unwatched,
}

async fn next(live: &Live, board: &Board, items: &mut ItemStream, due: Option<Instant>) -> Step {
    let timer = async {
        match due {
            Some(at) => monoio::time::sleep(at.saturating_duration_since(Instant::now())).await,
            None => pending().await,
        }
    };
    let (item, end, timer) = (pin!(items.next()), pin!(board.unwatched(live)), pin!(timer));
    match select(select(end, item), timer).await {
        Either::Left((Either::Left(_), _)) => Step::Unwatched,
        Either::Left((Either::Right((item, _)), _)) => Step::Item(item),
        Either::Right(_) => Step::Due,
    }
}
