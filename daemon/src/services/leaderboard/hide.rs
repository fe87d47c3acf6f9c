//! Moderation: taking users off all boards, and putting them back.

use super::caller::holder;
use super::rate_failure;
use crate::context::Context;
use crate::leaderboard::state::Role;
use crate::limits::REASON_MAX;
use souk_proto::Failure;
use souk_proto::leaderboard::{HideUserAnswer, HideUserRequest};
use std::time::Instant;

/// Hides a user, or shows one again. Pages and ranks of this shard are right at once.
///
/// # Errors
/// `unauthenticated` or `missing_role` unless the caller has an admin's token; `invalid_field`,
/// `user_not_found`, or a store's failure.
pub async fn hide_user(
    cx: &Context,
    request: HideUserRequest,
    deadline: Instant,
) -> Result<HideUserAnswer, Failure> {
    let holder = holder(cx, Role::Admin, request.caller.as_ref(), deadline).await?;
    if request.reason.chars().count() > REASON_MAX {
        return Err(Failure::field("reason", "A reason has up to 200 characters."));
    }
    let (user_id, hidden) = (request.user_id, request.hidden);
    let leaderboard = &cx.stores.leaderboard;
    let done = leaderboard.hide(user_id, hidden, &holder.name, &request.reason, deadline).await;
    done.map_err(|error| rate_failure(error, "user_id"))?;
    cx.boards.end_pages();
    if let Err(error) = cx.boards.refresh(&cx.stores).await {
        // It is done all the same; the next look shows it.
        tracing::warn!(%error, "the boards could not be read after a change");
    }
    Ok(HideUserAnswer { user_id, hidden })
}
