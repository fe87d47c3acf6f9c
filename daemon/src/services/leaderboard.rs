//! The leaderboard: pages, ranks, ratings, and who may change them.

mod caller;
mod distribution;
mod hide;
mod matches;
mod neighbours;
mod page;
mod rank;
mod rating;
mod seasons;
mod watch;

pub use distribution::get_distribution;
pub use hide::hide_user;
pub use matches::record_match;
pub use neighbours::get_neighbours;
pub use page::get_page;
pub use rank::get_rank;
pub use rating::{set_rating, set_ratings};
pub use seasons::list_seasons;
pub use watch::{Watch, watch_board};

use crate::context::Context;
use crate::leaderboard::ranks::ranks;
use crate::services::store_failure;
use souk_db::leaderboard::{RateError, Slice};
use souk_proto::leaderboard::Entry;
use souk_proto::{Code, Failure};
use std::time::Instant;

/// Refuses a board that is not there.
///
/// # Errors
/// `board_not_found`, or a store's failure if nothing is known yet.
async fn known_board(cx: &Context, board: u64, deadline: Instant) -> Result<(), Failure> {
    if cx.boards.exists(board) {
        return Ok(());
    }
    cx.boards.look(&cx.stores, deadline).await.map_err(store_failure)?;
    match cx.boards.exists(board) {
        true => Ok(()),
        false => Err(Failure::new(Code::BoardNotFound)),
    }
}

/// The slice's lines with their ranks.
fn entries(slice: Slice) -> Vec<Entry> {
    let ratings: Vec<i32> = slice.lines.iter().map(|line| line.rating).collect();
    let ranks = ranks(&ratings, slice.above, slice.level);
    let lines = slice.lines.into_iter().zip(ranks);
    lines
        .map(|(line, rank)| Entry {
            rank,
            user_id: line.user_id,
            username: line.username,
            nickname: line.nickname,
            picture: line.picture,
            rating: line.rating,
        })
        .collect()
}

/// What a client is told of a rating that did not change. `field` is what a rating out of range
/// came from.
fn rate_failure(error: RateError, field: &str) -> Failure {
    match error {
        RateError::Missing(_) => Failure::new(Code::UserNotFound),
        RateError::OutOfRange => Failure::field(field, "A rating is 100 to 5000."),
        RateError::OtherEvent => Failure::new(Code::EventConflict),
        RateError::Store(error) => store_failure(error),
    }
}
