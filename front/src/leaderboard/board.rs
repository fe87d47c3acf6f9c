//! One board that is watched: the last news of it, each piece encoded once for all who watch.

use super::json;
use crate::limits::{NEWS_PAUSE, WATCHED_BOARDS_MAX};
use crate::live::{Topic, Watcher};
use crate::upstream::mix;
use bytes::Bytes;
use souk_proto::Method;
use souk_proto::common::Caller;
use souk_proto::leaderboard::{BoardNews, WatchBoardRequest};
use std::cell::RefCell;
use std::time::Duration;

/// Somebody who watches a board.
pub type BoardWatcher = Watcher<Board>;

/// A board that is watched. Whoever knows the news before is told the difference, anybody else the
/// whole top.
#[derive(Default)]
pub struct Board(RefCell<Option<Shown>>);

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

impl Topic for Board {
    type News = BoardNews;
    type Request = WatchBoardRequest;
    /// Newer news takes the place of what nobody has been told yet.
    type Waiting = BoardNews;
    /// The number of the news.
    type Seen = u64;
    /// A JSON text, and the board's version then.
    type Told = (u64, Bytes);

    const METHOD: Method = Method::WatchBoard;
    const KIND: &'static str = "board";
    const MOST: usize = WATCHED_BOARDS_MAX;

    fn new(_: u64) -> Board {
        Board::default()
    }

    fn key(id: u64) -> u64 {
        mix(id)
    }

    fn request(id: u64, caller: Option<Caller>) -> WatchBoardRequest {
        WatchBoardRequest { caller, board: id }
    }

    fn join(_: Option<BoardNews>, news: BoardNews) -> BoardNews {
        news
    }

    fn pace(_: usize) -> Duration {
        NEWS_PAUSE
    }

    /// Those who wait are told also if the top is the same: a rank below it may not be.
    fn take(&self, news: BoardNews) -> bool {
        let mut shown = self.0.borrow_mut();
        let old = shown.take();
        let number = old.as_ref().map_or(0, |old| old.number) + 1;
        // Stale news is told as a whole: its age belongs to all of it.
        let fresh = |old: &Shown| old.news.stale_ms == 0 && news.stale_ms == 0;
        *shown = Some(match old {
            Some(old) if fresh(&old) => match json::delta(&old.news, &news) {
                Some(delta) => Shown { number, news, whole: None, delta: Some(delta.into()) },
                None => old,
            },
            _ => Shown { number, news, whole: None, delta: None },
        });
        true
    }

    fn is_known(&self) -> bool {
        self.0.borrow().is_some()
    }

    fn tell(&self, seen: &mut u64, paused: bool) -> Option<(u64, Bytes)> {
        let mut shown = self.0.borrow_mut();
        let last = if paused { 0 } else { *seen };
        let shown = shown.as_mut().filter(|shown| shown.number != last)?;
        let delta = shown.delta.as_ref().filter(|_| last != 0 && last + 1 == shown.number);
        let bytes = match delta {
            Some(delta) => delta.clone(),
            None => {
                shown.whole.get_or_insert_with(|| Bytes::from(json::board(&shown.news))).clone()
            }
        };
        *seen = shown.number;
        Some((shown.news.version, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::Board;
    use crate::live::{Told, Watched};
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
        fn told(&mut self, board: &Watched<Board>) -> Option<(String, Option<u64>)> {
            let (version, bytes) = match board.word(&mut self.seen, &mut self.paused)? {
                Told::News(news) => news,
                Told::Paused => return Some(("paused".to_owned(), None)),
                Told::Over => panic!("it goes on"),
            };
            let body: Value = serde_json::from_slice(&bytes).expect("JSON");
            assert_eq!(body["version"].as_u64(), Some(version));
            Some((body["type"].as_str().expect("a type").to_owned(), Some(version)))
        }
    }

    fn told(kind: &str, version: u64) -> Option<(String, Option<u64>)> {
        Some((kind.to_owned(), Some(version)))
    }

    #[test]
    fn who_follows_is_told_differences_and_who_missed_one_the_whole() {
        let board = Watched::<Board>::new(0);
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
        let board = Watched::<Board>::new(0);
        let mut watcher = Watcher::default();
        board.publish(news(1, 1000));
        watcher.told(&board);
        let before = board.heard();
        board.publish(news(2, 1000));
        assert_eq!(watcher.told(&board), None);
        assert_ne!(board.heard(), before);
    }

    #[test]
    fn a_pause_is_told_once_and_the_whole_follows_it() {
        let board = Watched::<Board>::new(0);
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
        let board = Watched::<Board>::new(0);
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
        let board = Watched::<Board>::new(9);
        assert_eq!(board.outcome(), None);
        board.pause(Failure::new(Code::BoardNotFound));
        assert_eq!(board.outcome(), Some(Err(Failure::new(Code::BoardNotFound))));
        board.publish(news(1, 1000));
        board.pause(Failure::new(Code::Unavailable));
        assert_eq!(board.outcome(), Some(Ok(())));
    }
}
