//! The leaderboard: ratings, the boards they make, and who may change them.
//!
//! A board's order is an index, and how many players it has at each rating is a small table that
//! changes in the transaction that changes the players. So a page is a range of the index, and a
//! rank is a sum over the table.

mod change;
mod rate;
mod read;
mod statements;
mod sums;

pub(crate) use read::boards;
pub(crate) use sums::{RUNNING, Sums, departure, renaming};

use crate::StoreSettings;
use crate::accounts::USERS;
use crate::cache::Cache;
use crate::error::{StoreError, WriteError};
use crate::limits::{EVENTS_SWEEP_EVERY, EVENTS_SWEPT, NEAR_SETTLE};
use crate::mysql::{Effect, Grouped, Write, Writer, json, snapshots};
use crate::redis::Redis;
use change::{Change, Changed, Hide};
use mysql_async::Opts;
use rate::Rating;
use read::{Ask, BoardReads, Said, mistaken};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;
use thiserror::Error;

/// The board of all users; every other number is a season's.
pub const ALL_TIME: u64 = 0;
/// Lowest rating.
pub const RATING_MIN: i32 = 100;
/// Highest rating.
pub const RATING_MAX: i32 = 5000;
/// Rating of a new user, and of a player at the start of a season.
pub const FIRST_RATING: i32 = 1000;

/// A line of a board, without its rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The player.
    pub user_id: u64,
    /// On a season's board, the name at the season's end.
    pub username: String,
    /// 1 to 64 characters; that of a deleted user is the username.
    pub nickname: String,
    /// Content hash of the picture, 64 hex digits, or empty.
    pub picture: String,
    /// [`RATING_MIN`] to [`RATING_MAX`].
    pub rating: i32,
}

/// Where a line stands: what a cursor names. Boards are ordered by rating, the highest first, then
/// by username, where `_` comes after the letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line's rating.
    pub rating: i32,
    /// The line's username.
    pub username: String,
}

/// On which side of a place lines are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Towards worse ranks.
    After,
    /// Towards rank 1.
    Before,
}

/// Lines of one consistent moment, in board order whatever the side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// At most as many as were asked for.
    pub lines: Vec<Line>,
    /// Players with a higher rating than the first line; 0 without lines.
    pub above: u64,
    /// Players with the rating of the first line, some of whom may stand before it; 0 without
    /// lines.
    pub level: u64,
    /// Players on the board.
    pub total: u64,
    /// The board's version; 0 if there is no such board.
    pub version: u64,
}

/// How many players a board has at each rating, of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// The board's version; 0 if there is no such board.
    pub version: u64,
    /// Ratings that somebody has, in rising order, and how many have them.
    pub players: Vec<(i32, u64)>,
}

/// A board as its table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardRow {
    /// [`ALL_TIME`] or the season.
    pub id: u64,
    /// 1 to 64 characters.
    pub name: String,
    /// Unix time in milliseconds.
    pub starts_at_ms: i64,
    /// Unix time in milliseconds; `None` while the end is open.
    pub ends_at_ms: Option<i64>,
    /// Grows with each transaction that changes the board's lines.
    pub version: u64,
}

/// A token of a program or a moderator that is not revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceToken {
    /// BLAKE3 of the token's text.
    pub hash: [u8; 32],
    /// "service" or "admin".
    pub role: String,
    /// The token's number.
    pub id: u64,
    /// Whose it is.
    pub label: String,
}

/// Everything small that a daemon keeps in memory, in one look: cheap enough for each tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// In order of id.
    pub boards: Vec<BoardRow>,
    /// Users that no board shows, in order of id.
    pub hidden: Vec<u64>,
    /// Those that are not revoked.
    pub tokens: Vec<ServiceToken>,
}

/// New ratings from the present ones, in the order of the users.
pub type Decide = Box<dyn Fn(&[i32]) -> Vec<i32>>;

/// What changes ratings of one or two users, who must exist.
pub struct RatingEvent {
    /// One, or two different ones.
    pub users: Vec<u64>,
    /// Pure, and never panics: called again when a transaction is tried again, and for the running
    /// season's ratings.
    /// There a result outside [`RATING_MIN`] to [`RATING_MAX`] is moved to the nearer bound.
    pub decide: Decide,
    /// Name (1 to 64 visible ASCII characters) and digest of the request: the same event again
    /// within 24 hours changes nothing and has the first answer.
    pub once: Option<(String, [u8; 16])>,
}

/// What a rating event did, in the order of its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rated {
    /// Ratings of all time before it.
    pub before: Vec<i32>,
    /// Ratings of all time after it.
    pub after: Vec<i32>,
    /// Whether this is the first answer to the event, given again.
    pub repeated: bool,
    /// The boards that the commit changed. Others may have been part of it.
    pub boards: Vec<BoardDelta>,
}

/// A board's version as a commit made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoardDelta {
    /// [`ALL_TIME`] or the season.
    pub board: u64,
    /// The new version.
    pub version: u64,
}

/// Why ratings did not change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RateError {
    /// There is no such user.
    #[error("there is no user {0}")]
    Missing(u64),
    /// A new rating is not within [`RATING_MIN`] to [`RATING_MAX`].
    #[error("a rating would leave its range")]
    OutOfRange,
    /// An event of this name was another change.
    #[error("the event's name belongs to another change")]
    OtherEvent,
    /// A store failed. With [`StoreError::Unavailable`] the change may have happened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Boards and ratings of one shard's stores. Deadlines are moments past which nobody waits any
/// more: what has not been begun by then fails with [`StoreError::DeadlineExceeded`].
pub struct Leaderboard {
    reads: Grouped<BoardReads>,
    changes: Grouped<Rating>,
    /// As [`Rating`] has it.
    cache: Option<Cache>,
    redis: Rc<Redis>,
    writer: Rc<Writer>,
    /// When old rating events are looked for again.
    sweep_at: Rc<Cell<Instant>>,
}

impl Leaderboard {
    pub(crate) fn new(
        settings: &StoreSettings,
        opts: &Opts,
        redis: Rc<Redis>,
        writer: Rc<Writer>,
    ) -> Leaderboard {
        let cache = || {
            let cache = Cache::new(redis.clone(), settings.users_ttl, settings.negative_ttl);
            settings.cache_enabled.then_some(cache)
        };
        let rating = Rating { cache: cache() };
        Leaderboard {
            reads: Grouped::new(BoardReads, &snapshots(opts), settings.mysql_connections),
            changes: Grouped::new(rating, opts, 1),
            cache: cache(),
            redis,
            writer,
            sweep_at: Rc::new(Cell::new(Instant::now())),
        }
    }

    /// Boards, hidden users and tokens as they are now. In passing it mends what was left undone
    /// while Redis was away, and has a few old rating events deleted. Call it now and then.
    pub async fn look(&self, deadline: Instant) -> Result<Look, StoreError> {
        let Said::Look(look, unfenced) = self.ask(Ask::Look, deadline).await? else {
            return Err(mistaken());
        };
        if !unfenced.is_empty() {
            self.mend_rows(&unfenced, deadline).await?;
        }
        self.sweep_events();
        Ok(look)
    }

    /// Fences in Redis what was changed while a daemon could not reach it. Does nothing while this
    /// one cannot.
    pub async fn mend(&self, deadline: Instant) -> Result<(), StoreError> {
        self.look(deadline).await.map(drop)
    }

    /// How many players a board has at each rating.
    pub async fn counts(&self, board: u64, deadline: Instant) -> Result<Counts, StoreError> {
        match self.ask(Ask::Counts(board), deadline).await? {
            Said::Counts(counts) => Ok(counts),
            _ => Err(mistaken()),
        }
    }

    /// Lines next to a place, or from the board's end when `from` is `None` (the best for
    /// [`Side::After`], the worst for [`Side::Before`]): at most `limit`, and never more than 501.
    pub async fn slice(
        &self,
        board: u64,
        from: Option<&Place>,
        side: Side,
        limit: u32,
        deadline: Instant,
    ) -> Result<Slice, StoreError> {
        let ask = Ask::Slice { board, from: from.cloned(), side, limit };
        match self.ask(ask, deadline).await? {
            Said::Slice(slice) => Ok(slice),
            _ => Err(mistaken()),
        }
    }

    /// Where a user stands on a board; `None`: not on it, being hidden, unknown, or not rated in
    /// that season. Straight from the database.
    pub async fn place_of(
        &self,
        board: u64,
        user_id: u64,
        deadline: Instant,
    ) -> Result<Option<Place>, StoreError> {
        match self.ask(Ask::Place { board, user_id }, deadline).await? {
            Said::Place(place) => Ok(place),
            _ => Err(mistaken()),
        }
    }

    /// One rating event. Committed with others; when this returns, it is durable and every reader
    /// sees it.
    pub async fn rate(&self, event: RatingEvent, deadline: Instant) -> Result<Rated, RateError> {
        let event = Change::Rate(event);
        let Changed::Rated(committed) = self.changes.submit(event, deadline).await? else {
            return Err(mistaken().into());
        };
        if let Some(fenced) = committed.fenced {
            // No process serves a copy of the old row after this.
            tokio::time::sleep_until((fenced + NEAR_SETTLE).into()).await;
        }
        Ok(committed.rated)
    }

    /// Takes a user off all boards, or puts it back. Hiding whom nobody sees changes nothing.
    /// `actor` is 1 to 64 characters, `reason` up to 200.
    pub async fn hide(
        &self,
        user_id: u64,
        hidden: bool,
        actor: &str,
        reason: &str,
        deadline: Instant,
    ) -> Result<(), RateError> {
        let (actor, reason) = (actor.to_owned(), reason.to_owned());
        let hide = Change::Hide(Hide { user_id, hidden, actor, reason });
        self.changes.submit(hide, deadline).await.map(drop)
    }

    async fn ask(&self, ask: Ask, deadline: Instant) -> Result<Said, StoreError> {
        self.reads.submit(ask, deadline).await
    }

    /// Fences rows, then takes away their lines as they were read: who changed one since then has
    /// written another version.
    async fn mend_rows(
        &self,
        unfenced: &[(u64, u64)],
        deadline: Instant,
    ) -> Result<(), StoreError> {
        if !self.redis.is_up() {
            return Ok(());
        }
        if let Some(cache) = &self.cache {
            let rows = unfenced.iter().map(|&(id, version)| (cache.key_of(USERS, id), version));
            if cache.fence_all(rows).await.is_err() {
                return Ok(()); // at the next look
            }
        }
        let write = Write {
            sql: MENDED,
            params: vec![json(&unfenced)],
            fenced_at: None,
            effect: Effect::Nothing,
        };
        match self.writer.submit(write, deadline).await {
            Ok(_) => Ok(()),
            Err(WriteError::Store(error)) => Err(error),
            Err(other) => Err(StoreError::database(other.to_string())),
        }
    }

    /// Has some old rating events deleted, if it is time; more soon, if there were many.
    fn sweep_events(&self) {
        let now = Instant::now();
        if now < self.sweep_at.get() {
            return;
        }
        self.sweep_at.set(now + EVENTS_SWEEP_EVERY);
        let (writer, sweep_at) = (self.writer.clone(), self.sweep_at.clone());
        tokio_uring::spawn(async move {
            let params = vec![EVENTS_SWEPT.into()];
            let write = Write { sql: SWEEP, params, fenced_at: None, effect: Effect::Nothing };
            let done = writer.submit(write, now + EVENTS_SWEEP_EVERY).await;
            if done.is_ok_and(|done| done.affected >= EVENTS_SWEPT) {
                sweep_at.set(now);
            }
        });
    }

    /// How many reads and changes wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.reads.waiting(), self.changes.waiting())
    }

    /// Finishes what waits and closes the connections.
    pub(crate) async fn close(&self) {
        self.changes.close().await;
        self.reads.close().await;
    }
}

const MENDED: &str = "DELETE f FROM JSON_TABLE(?, '$[*]' COLUMNS ( \
       user_id BIGINT UNSIGNED PATH '$[0]', version BIGINT UNSIGNED PATH '$[1]')) AS d \
     STRAIGHT_JOIN unfenced_users AS f ON f.user_id = d.user_id AND f.version = d.version";

const SWEEP: &str = "DELETE FROM rating_events \
     WHERE at <= UTC_TIMESTAMP(3) - INTERVAL 1 DAY ORDER BY at LIMIT ?";
