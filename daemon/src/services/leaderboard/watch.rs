//! News of a board, for whoever watches it.

use super::caller::admit_reader;
use super::known_board;
use super::page::first_page;
use crate::context::Context;
use crate::limits::{BOARD_READ_MAX, NEWS_EVERY, NEWS_LINES, WATCH_MARGIN};
use souk_proto::Failure;
use souk_proto::leaderboard::{BoardNews, WatchBoardRequest};
use std::pin::pin;
use std::time::Instant;

/// Somebody who watches a board.
#[derive(Debug)]
pub struct Watch {
    board: u64,
    until: Instant,
    /// When the last news was given.
    given: Option<Instant>,
    /// The version that it was of, and whether it was old.
    last: Option<(u64, bool)>,
}

/// Begins to watch a board. The watch ends by itself a moment before the deadline.
///
/// # Errors
/// `board_not_found`, `rate_limited`, or a store's failure.
pub async fn watch_board(
    cx: &Context,
    request: WatchBoardRequest,
    deadline: Instant,
) -> Result<Watch, Failure> {
    // A front that goes on for many names nobody.
    if let Some(caller) = &request.caller {
        admit_reader(cx, Some(caller))?;
    }
    known_board(cx, request.board, deadline).await?;
    let until = deadline.checked_sub(WATCH_MARGIN).unwrap_or(deadline);
    Ok(Watch { board: request.board, until, given: None, last: None })
}

impl Watch {
    /// The next news: the first at once, each other after a change and no sooner than
    /// [`NEWS_EVERY`] after the one before. Nothing when the watch is over: its time is, or the
    /// daemon stops.
    ///
    /// # Errors
    /// A store's failure, when there is not even old news.
    pub async fn next(&mut self, cx: &Context) -> Result<Option<BoardNews>, Failure> {
        loop {
            let earliest = self.given.map_or(self.until, |given| given + NEWS_EVERY);
            let mut changed = pin!(cx.boards.changed());
            // From here on, so that no change is lost between the look and the wait.
            changed.as_mut().enable();
            let now = Instant::now();
            if cx.boards.is_stopping() || now >= self.until {
                return Ok(None);
            }
            if self.given.is_none() || now >= earliest {
                let deadline = now + BOARD_READ_MAX;
                let (first, stale_ms) =
                    first_page(cx, self.board, NEWS_LINES, true, deadline).await?;
                let state = Some((first.version, stale_ms > 0));
                if self.last != state {
                    (self.last, self.given) = (state, Some(Instant::now()));
                    let (version, page) = (first.version, &first.page);
                    let (total, items) = (page.total, page.items.clone());
                    return Ok(Some(BoardNews { version, total, items, stale_ms }));
                }
            }
            let wake = if now < earliest { earliest.min(self.until) } else { self.until };
            // Either way the loop looks.
            let _ = tokio::time::timeout_at(wake.into(), changed).await;
        }
    }
}
