//! Matches: two ratings that change together.

use super::caller::holder;
use super::rate_failure;
use super::rating::{done, event_id, once};
use crate::context::Context;
use crate::leaderboard::elo::Score;
use crate::leaderboard::state::Role;
use souk_db::leaderboard::{RateError, RatingEvent};
use souk_proto::leaderboard::{MatchDone, RecordMatchRequest};
use souk_proto::{Code, Failure};
use std::time::Instant;

/// Changes the ratings of two players by Elo's formula, in one transaction.
///
/// # Errors
/// `unauthenticated` or `missing_role` unless the caller has a token; `invalid_field`,
/// `user_not_found`, `event_conflict`, or a store's failure.
pub async fn record_match(
    cx: &Context,
    request: RecordMatchRequest,
    deadline: Instant,
) -> Result<MatchDone, Failure> {
    holder(cx, Role::Service, request.caller.as_ref(), deadline).await?;
    if request.event_id.is_empty() {
        return Err(Failure::field("event_id", "Name the match, so that it counts once."));
    }
    let (winner, loser) = (request.winner, request.loser);
    if winner == loser {
        return Err(Failure::field("loser", "Nobody plays against themselves."));
    }
    // Of a draw it does not matter who is named first, so it is always the same one.
    let swapped = request.draw && winner > loser;
    let (users, score) = match request.draw {
        false => (vec![winner, loser], Score::Win),
        true => (vec![winner.min(loser), winner.max(loser)], Score::Draw),
    };
    let name = event_id(&request.event_id)?;
    let body =
        [&[b'M', u8::from(request.draw)][..], &users[0].to_be_bytes(), &users[1].to_be_bytes()];
    let elo = cx.elo;
    let decide = move |ratings: &[i32]| match *ratings {
        [first, second] => <[i32; 2]>::from(elo.rate(first, second, score)).to_vec(),
        _ => Vec::new(),
    };
    let event = RatingEvent {
        users: users.clone(),
        decide: Box::new(decide),
        once: once(name, &body.concat()),
    };
    let rated = cx.stores.leaderboard.rate(event, deadline).await;
    let rated = rated.map_err(|error| match error {
        RateError::Missing(user) => {
            let field = if user == winner { "winner" } else { "loser" };
            Failure { field: field.into(), ..Failure::new(Code::UserNotFound) }
        }
        error => rate_failure(error, "winner"),
    })?;
    cx.boards.rated(&users, &rated);
    let (first, second) = (done(&users, &rated, 0)?, done(&users, &rated, 1)?);
    let (winner, loser) = if swapped { (second, first) } else { (first, second) };
    Ok(MatchDone { winner: Some(winner), loser: Some(loser) })
}
