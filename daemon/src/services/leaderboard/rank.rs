//! Ranks: a sum over the counts, no query.

use super::caller::admit_reader;
use super::known_board;
use crate::context::Context;
use crate::services::store_failure;
use souk_db::leaderboard::ALL_TIME;
use souk_proto::leaderboard::{GetRankRequest, Rank};
use souk_proto::{Code, Failure};
use std::time::Instant;

/// A user's rank on a board.
///
/// # Errors
/// `board_not_found`, `user_not_found`, `not_ranked`, `rate_limited`, or a store's failure.
pub async fn get_rank(
    cx: &Context,
    request: GetRankRequest,
    deadline: Instant,
) -> Result<Rank, Failure> {
    admit_reader(cx, request.caller.as_ref())?;
    let (board, user_id) = (request.board, request.user_id);
    known_board(cx, board, deadline).await?;
    let rating = match board {
        ALL_TIME => {
            let found = cx.stores.accounts.by_id(user_id, deadline).await.map_err(store_failure)?;
            found.ok_or(Code::UserNotFound)?.rating
        }
        season => {
            let found = cx.stores.leaderboard.place_of(season, user_id, deadline).await;
            match found.map_err(store_failure)? {
                Some(place) => place.rating,
                None => return Err(not_ranked(cx, user_id, deadline).await),
            }
        }
    };
    let counted = cx.boards.count(&cx.stores, board, deadline, |counts| Rank {
        rank: counts.above(rating) + 1,
        rating,
        // The user may be counted elsewhere for another moment.
        ties: counts.at(rating).saturating_sub(1),
        total: counts.total(),
    });
    let rank = counted.await.map_err(store_failure)?.ok_or(Code::BoardNotFound)?;
    // After the counts: these are never older.
    match cx.boards.is_hidden(user_id) {
        true => Err(Failure::new(Code::NotRanked)),
        false => Ok(rank),
    }
}

/// Why a user is not on a board: nobody has this id, or the user has no line there.
pub(super) async fn not_ranked(cx: &Context, user_id: u64, deadline: Instant) -> Failure {
    match cx.stores.accounts.by_id(user_id, deadline).await {
        Ok(Some(_)) => Failure::new(Code::NotRanked),
        Ok(None) => Failure::new(Code::UserNotFound),
        Err(error) => store_failure(error),
    }
}
