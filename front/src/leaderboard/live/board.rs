//! One board that is watched: what is known of it, who waits for more, and the task that keeps the
//! stream of its news.

use super::{Live, Word};
use crate::leaderboard::json;
use crate::limits::{NEWS_PAUSE, WATCH_BACKOFF_FIRST, WATCH_BACKOFF_MAX, WATCH_TIME};
use crate::upstream::{CallContext, ItemStream, mix};
use bytes::Bytes;
use futures_util::future::{Either, select};
use prost::Message;
use slab::Slab;
use souk_proto::common::{Caller, Empty};
use souk_proto::error::Fault;
use souk_proto::leaderboard::{BoardNews, WatchBoardRequest};
use souk_proto::{Code, Failure, Method};
use souk_trace::Context;
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
        let trace = Context { trace_id, span: None };
        let context = CallContext { deadline: Instant::now() + WATCH_TIME, trace };
        let key = mix(board.id);
        let opened = live.upstream.download(Method::WatchBoard, key, &request, context).await;
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

#[cfg(test)]
mod tests {
    use super::{Board, Word};
    use serde_json::Value;
    use souk_proto::leaderboard::{BoardNews, Entry};
    use souk_proto::{Code, Failure};

    fn news(version: u64, rating: i32) -> BoardNews {
        let items = vec![Entry { rank: 1, user_id: 7, rating, ..Entry::default() }];
        BoardNews { version, total: 1, items, stale_ms: 0 }
    }

    /// One who watches: what it was told last.
    #[derive(Default)]
    struct Watcher {
        seen: u64,
        paused: bool,
    }

    impl Watcher {
        /// The type and the version of what it is told next.
        fn told(&mut self, board: &Board) -> Option<(String, Option<u64>)> {
            let (number, word) = board.word(self.seen, self.paused)?;
            (self.seen, self.paused) = (number, number == 0);
            let Word::Say(version, bytes) = word else { panic!("it goes on") };
            let body: Value = serde_json::from_slice(&bytes).expect("JSON");
            assert_eq!(body.get("version").and_then(Value::as_u64), version);
            Some((body["type"].as_str().expect("a type").to_owned(), version))
        }
    }

    fn told(kind: &str, version: u64) -> Option<(String, Option<u64>)> {
        Some((kind.to_owned(), Some(version)))
    }

    #[test]
    fn who_follows_is_told_differences_and_who_missed_one_the_whole() {
        let board = Board::new(0);
        let (mut quick, mut slow) = (Watcher::default(), Watcher::default());
        assert_eq!(quick.told(&board), None);
        board.publish(news(1, 1000));
        assert_eq!(quick.told(&board), told("board", 1));
        assert_eq!(slow.told(&board), told("board", 1));
        assert_eq!(quick.told(&board), None);
        for version in 2..5 {
            board.publish(news(version, 1000 + i32::try_from(version).expect("small")));
            assert_eq!(quick.told(&board), told("delta", version));
        }
        assert_eq!(slow.told(&board), told("board", 4), "one message, whatever was missed");
        assert_eq!(slow.told(&board), None);
        assert_eq!(Watcher::default().told(&board), told("board", 4));
    }

    #[test]
    fn a_change_below_the_top_is_no_word_but_a_reason_to_ask_for_ranks() {
        let board = Board::new(0);
        let mut watcher = Watcher::default();
        board.publish(news(1, 1000));
        watcher.told(&board);
        let before = board.changes();
        board.publish(news(2, 1000));
        assert_eq!(watcher.told(&board), None);
        assert_ne!(board.changes(), before);
    }

    #[test]
    fn a_pause_is_told_once_and_the_whole_follows_it() {
        let board = Board::new(0);
        let (mut told_of_it, mut slow) = (Watcher::default(), Watcher::default());
        board.publish(news(1, 1000));
        assert_eq!(told_of_it.told(&board), slow.told(&board));
        board.pause(Failure::new(Code::Unavailable));
        assert_eq!(told_of_it.told(&board), Some(("paused".to_owned(), None)));
        assert_eq!(told_of_it.told(&board), None);
        board.publish(news(1, 1000));
        assert_eq!(told_of_it.told(&board), told("board", 1));
        assert_eq!(slow.told(&board), None, "who was not told of the pause missed nothing");
    }

    #[test]
    fn stale_news_and_the_first_fresh_ones_are_told_as_a_whole() {
        let board = Board::new(0);
        let mut watcher = Watcher::default();
        board.publish(news(1, 1000));
        watcher.told(&board);
        board.publish(BoardNews { stale_ms: 300, ..news(1, 1000) });
        assert_eq!(watcher.told(&board), told("board", 1));
        board.publish(news(1, 1000));
        assert_eq!(watcher.told(&board), told("board", 1));
    }

    #[test]
    fn a_board_is_there_with_its_first_news_or_says_why_not() {
        let board = Board::new(9);
        assert_eq!(board.outcome(), None);
        board.pause(Failure::new(Code::BoardNotFound));
        assert_eq!(board.outcome(), Some(Err(Failure::new(Code::BoardNotFound))));
        board.publish(news(1, 1000));
        board.pause(Failure::new(Code::Unavailable));
        assert_eq!(board.outcome(), Some(Ok(())));
    }
}
