//! Ratings that programs set.

use super::caller::holder;
use super::rate_failure;
use crate::context::Context;
use crate::leaderboard::state::Role;
use crate::limits::{EVENT_ID_MAX, RATINGS_MAX};
use futures_util::future::join_all;
use souk_db::leaderboard::{RATING_MAX, RATING_MIN, Rated, RatingEvent};
use souk_proto::common::Error;
use souk_proto::leaderboard::rating_change::Change;
use souk_proto::leaderboard::rating_outcome::Outcome;
use souk_proto::leaderboard::{
    RatingChange, RatingDone, RatingOutcome, RatingOutcomes, SetRatingRequest, SetRatingsRequest,
};
use souk_proto::{Code, Failure};
use std::time::Instant;

/// Largest change of a rating: from one end of the range to the other.
const DELTA_MAX: i32 = RATING_MAX - RATING_MIN;

/// Changes one rating.
///
/// # Errors
/// `unauthenticated` or `missing_role` unless the caller has a token; `invalid_field`,
/// `user_not_found`, `event_conflict`, or a store's failure.
pub async fn set_rating(
    cx: &Context,
    request: SetRatingRequest,
    deadline: Instant,
) -> Result<RatingDone, Failure> {
    holder(cx, Role::Service, request.caller.as_ref(), deadline).await?;
    change(cx, request.change.unwrap_or_default(), deadline).await
}

/// Changes many ratings, each by itself.
///
/// # Errors
/// `unauthenticated` or `missing_role` unless the caller has a token; `invalid_field` for no items
/// or too many. What goes wrong with one item is its own answer.
pub async fn set_ratings(
    cx: &Context,
    request: SetRatingsRequest,
    deadline: Instant,
) -> Result<RatingOutcomes, Failure> {
    holder(cx, Role::Service, request.caller.as_ref(), deadline).await?;
    if request.items.is_empty() || request.items.len() > RATINGS_MAX {
        return Err(Failure::field("items", "A request has 1 to 1000 items."));
    }
    let changes = request.items.into_iter().map(async |item| {
        let outcome = match change(cx, item, deadline).await {
            Ok(done) => Outcome::Done(done),
            Err(failure) => Outcome::Failed(Error::from(&failure)),
        };
        RatingOutcome { outcome: Some(outcome) }
    });
    Ok(RatingOutcomes { items: join_all(changes).await })
}

async fn change(
    cx: &Context,
    change: RatingChange,
    deadline: Instant,
) -> Result<RatingDone, Failure> {
    let (kind, value, field) = match change.change {
        Some(Change::Rating(value)) => (b'=', value, "rating"),
        Some(Change::Delta(value)) => (b'+', value, "delta"),
        None => return Err(Failure::field("rating", "Give a rating or a delta.")),
    };
    if kind == b'=' && !(RATING_MIN..=RATING_MAX).contains(&value) {
        return Err(Failure::field(field, "A rating is 100 to 5000."));
    }
    if kind == b'+' && !(-DELTA_MAX..=DELTA_MAX).contains(&value) {
        return Err(Failure::field(field, "A delta is -4900 to 4900."));
    }
    let name = event_id(&change.event_id)?;
    let body = [&[b'R', kind][..], &change.user_id.to_be_bytes(), &value.to_be_bytes()].concat();
    let decide = move |ratings: &[i32]| {
        let new = |rating: &i32| if kind == b'=' { value } else { rating + value };
        ratings.iter().map(new).collect()
    };
    let users = [change.user_id];
    let event =
        RatingEvent { users: users.to_vec(), decide: Box::new(decide), once: once(name, &body) };
    let rated = cx.stores.leaderboard.rate(event, deadline).await;
    let rated = rated.map_err(|error| rate_failure(error, field))?;
    cx.boards.rated(&users, &rated);
    done(&users, &rated, 0)
}

/// The name of an event; empty for none.
///
/// # Errors
/// `invalid_field`.
pub(super) fn event_id(text: &str) -> Result<&str, Failure> {
    match text.len() <= EVENT_ID_MAX && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text),
        false => {
            let why = "An event_id is 1 to 64 visible ASCII characters.";
            Err(Failure::field("event_id", why))
        }
    }
}

/// What makes an event count once: its name, and the digest of what it asks for.
pub(super) fn once(name: &str, body: &[u8]) -> Option<(String, [u8; 16])> {
    let mut digest = [0; 16];
    digest.copy_from_slice(&blake3::hash(body).as_bytes()[..16]);
    (!name.is_empty()).then(|| (name.to_owned(), digest))
}

/// What an event did to one of its users.
///
/// # Errors
/// `internal` if the answer does not speak of that user.
pub(super) fn done(users: &[u64], rated: &Rated, place: usize) -> Result<RatingDone, Failure> {
    let user = users.get(place).zip(rated.before.get(place)).zip(rated.after.get(place));
    let ((user_id, before), rating) = user.ok_or(Code::Internal)?;
    let (user_id, before, rating) = (*user_id, *before, *rating);
    Ok(RatingDone { user_id, before, rating, repeated: rated.repeated })
}

#[cfg(test)]
mod tests {
    use super::{event_id, once};

    #[test]
    fn an_event_id_is_64_visible_characters_at_most() {
        assert_eq!(event_id("").expect("none"), "");
        assert!(event_id(&"x".repeat(64)).is_ok() && event_id("a-b:c/d~!").is_ok());
        for wrong in ["with space", "tab\t", "é", "\0", &"x".repeat(65)] {
            assert_eq!(event_id(wrong).expect_err(wrong).field, "event_id");
        }
    }

    #[test]
    fn an_event_without_a_name_counts_each_time() {
        assert_eq!(once("", b"body"), None);
        assert_ne!(once("name", b"body"), once("name", b"other"));
        assert_eq!(once("name", b"body"), once("name", b"body"));
    }
}
