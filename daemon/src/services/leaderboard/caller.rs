//! Who asks the leaderboard: people, under their limits, and programs with a token of their own.

use crate::context::Context;
use crate::leaderboard::state::{Holder, Role};
use crate::limiter::Class;
use crate::services::accounts::caller::{admit, visitor};
use crate::services::store_failure;
use souk_proto::common::Caller;
use souk_proto::{Code, Failure};
use std::time::Instant;

/// What the token of a program begins with; no session's does.
const PREFIX: &str = "souk_";

/// Length of a program's token: the prefix, and 32 bytes in base64url.
const TOKEN_LEN: usize = PREFIX.len() + 43;

/// Admits somebody who reads. Programs with a token are not limited.
///
/// # Errors
/// `rate_limited`.
pub(super) fn admit_reader(cx: &Context, caller: Option<&Caller>) -> Result<(), Failure> {
    if service_token(caller).is_some_and(|token| cx.boards.holder(token).is_some()) {
        return Ok(());
    }
    admit(cx, Class::Read, caller)
}

/// The caller's program or moderator, who must have this role or a higher one.
///
/// # Errors
/// `unauthenticated` without a valid token, `missing_role` with a lower one or a session,
/// `rate_limited` for all but valid tokens; a store's failure.
pub(super) async fn holder(
    cx: &Context,
    role: Role,
    caller: Option<&Caller>,
    deadline: Instant,
) -> Result<Holder, Failure> {
    let Some(token) = service_token(caller) else {
        visitor(cx, Class::Write, caller, deadline).await?;
        return Err(Failure::new(Code::MissingRole));
    };
    cx.boards.look(&cx.stores, deadline).await.map_err(store_failure)?;
    let known = match cx.boards.holder(token) {
        Some(known) => Some(known),
        None => {
            // It may be newer than the last look. Who tries tokens is slowed down like anybody.
            admit(cx, Class::Write, caller)?;
            cx.boards.refresh(&cx.stores).await.map_err(store_failure)?;
            cx.boards.holder(token)
        }
    };
    let holder = known.ok_or(Code::Unauthenticated)?;
    match holder.role >= role {
        true => Ok(holder),
        false => Err(Failure::new(Code::MissingRole)),
    }
}

/// The caller's token, if it has the form of a program's.
fn service_token(caller: Option<&Caller>) -> Option<&str> {
    let token = caller?.token.as_str();
    (token.len() == TOKEN_LEN && token.starts_with(PREFIX)).then_some(token)
}
