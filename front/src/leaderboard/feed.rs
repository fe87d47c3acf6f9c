//! What one watcher is told: of the board, and of the own rank.

use super::board::BoardWatcher;
use super::json::{self, RankJson};
use crate::live::{self, PAUSED, Told, Word};
use crate::upstream::{CallContext, Upstream};
use bytes::Bytes;
use souk_proto::common::Caller;
use souk_proto::leaderboard::{GetRankRequest, Rank};
use souk_proto::{Code, Failure, Method};
use souk_trace::Context;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

/// A question for a rank that is on its way.
type Asking = Pin<Box<dyn Future<Output = Result<Rank, Failure>>>>;

/// Whose rank a watcher wants to know, and how to ask for it.
pub struct Mine {
    /// The way to the daemons.
    pub upstream: Upstream,
    /// What is asked.
    pub request: GetRankRequest,
    /// The trace that the questions belong to.
    pub trace: Context,
    /// How long an answer may take.
    pub patience: Duration,
}

impl Mine {
    /// A user's rank on a board.
    pub fn request(caller: Caller, board: u64, user_id: u64) -> GetRankRequest {
        GetRankRequest { caller: Some(caller), board, user_id }
    }

    fn ask(&self) -> Asking {
        let (upstream, request) = (self.upstream.clone(), self.request.clone());
        let context = CallContext { deadline: Instant::now() + self.patience, trace: self.trace };
        Box::pin(
            async move { upstream.call(Method::GetRank, request.user_id, &request, context).await },
        )
    }
}

/// The own rank, as far as it was told.
struct Follow {
    mine: Mine,
    asking: Option<Asking>,
    /// The change of the board that was asked about last.
    asked: u64,
    told: Option<Option<RankJson>>,
}

/// All that a watcher is told.
pub struct Feed {
    watcher: BoardWatcher,
    follow: Option<Follow>,
}

impl Feed {
    /// The news of a board, and perhaps of somebody's rank on it.
    pub fn new(watcher: BoardWatcher, mine: Option<Mine>) -> Feed {
        let follow = mine.map(|mine| Follow { mine, asking: None, asked: 0, told: None });
        Feed { watcher, follow }
    }
}

impl live::Feed for Feed {
    fn poll_next(&mut self, cx: &mut task::Context<'_>) -> Poll<Word> {
        if let Poll::Ready(told) = self.watcher.poll_told(cx) {
            return Poll::Ready(match told {
                Told::News((version, bytes)) => Word::Say(Some(version), bytes),
                Told::Paused => Word::Say(None, Bytes::from_static(PAUSED)),
                Told::Over => Word::Over,
            });
        }
        match &mut self.follow {
            Some(follow) => follow.poll_rank(self.watcher.heard(), cx),
            None => Poll::Pending,
        }
    }
}

impl Follow {
    /// Asks after each change of the board, one question at a time, and tells what is new.
    fn poll_rank(&mut self, changes: u64, cx: &mut task::Context<'_>) -> Poll<Word> {
        loop {
            if self.asking.is_none() && self.asked != changes {
                self.asked = changes;
                self.asking = Some(self.mine.ask());
            }
            let Some(asking) = &mut self.asking else { return Poll::Pending };
            let Poll::Ready(answer) = asking.as_mut().poll(cx) else { return Poll::Pending };
            self.asking = None;
            let rank = match answer {
                Ok(rank) => Some(RankJson::new(&rank)),
                Err(Failure { code: Code::NotRanked | Code::UserNotFound, .. }) => None,
                // The next change asks again; until then the rank told last stands.
                Err(_) => continue,
            };
            if self.told != Some(rank) {
                self.told = Some(rank);
                let bytes = Bytes::from(json::rank(rank.as_ref()));
                return Poll::Ready(Word::Say(None, bytes));
            }
        }
    }
}
