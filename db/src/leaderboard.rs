//! The leaderboard: ratings, the boards they make, and who may change them.
//!
//! A board's order is an index, and how many players it has at each rating is a small table that
//! changes in the transaction that changes the players. So a page is a range of the index, and a
//! rank is a sum over the table.

use crate::error::StoreError;
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
    /// On a season's board, the name under which the player was last rated.
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
    /// Players with the rating of the first line, some of whom may stand before it; 0 without lines.
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
    /// Pure: called again when a transaction is tried again, and for the running season's ratings.
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
pub struct Leaderboard {}

impl Leaderboard {
    pub(crate) fn new() -> Leaderboard {
        Leaderboard {}
    }

    /// Boards, hidden users and tokens as they are now.
    pub async fn look(&self, deadline: Instant) -> Result<Look, StoreError> {
        Err(not_there(deadline))
    }

    /// How many players a board has at each rating.
    pub async fn counts(&self, _board: u64, deadline: Instant) -> Result<Counts, StoreError> {
        Err(not_there(deadline))
    }

    /// Lines next to a place, or from the board's end on that side when `from` is `None`: at most
    /// `limit`.
    pub async fn slice(
        &self,
        _board: u64,
        _from: Option<&Place>,
        _side: Side,
        _limit: u32,
        deadline: Instant,
    ) -> Result<Slice, StoreError> {
        Err(not_there(deadline))
    }

    /// Where a user stands on a board; `None`: not on it, being hidden, unknown, or not rated in
    /// that season. Straight from the database.
    pub async fn place_of(
        &self,
        _board: u64,
        _user_id: u64,
        deadline: Instant,
    ) -> Result<Option<Place>, StoreError> {
        Err(not_there(deadline))
    }

    /// One rating event. Committed with others; when this returns, it is durable and every reader
    /// sees it.
    pub async fn rate(&self, _event: RatingEvent, deadline: Instant) -> Result<Rated, RateError> {
        Err(not_there(deadline).into())
    }

    /// Takes a user off all boards, or puts it back. Hiding whom nobody sees changes nothing.
    pub async fn hide(
        &self,
        _user_id: u64,
        _hidden: bool,
        _actor: &str,
        _reason: &str,
        deadline: Instant,
    ) -> Result<(), RateError> {
        Err(not_there(deadline).into())
    }
}

fn not_there(_deadline: Instant) -> StoreError {
    StoreError::database("the leaderboard is not there yet")
}
