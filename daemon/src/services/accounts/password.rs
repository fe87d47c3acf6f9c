//! What takes the password once more: changing it, and deleting the account.

use super::caller::{Visitor, visitor};
use crate::context::Context;
use crate::identity::guesses::Attempt;
use crate::identity::hashing::{Check, Verdict};
use crate::identity::names;
use crate::limiter::Class;
use crate::limits::PASSWORD_CHANGE_ATTEMPTS;
use crate::services::{store_failure, write_failure};
use souk_db::{Change, UserRow, WriteError};
use souk_proto::accounts::{ChangePasswordRequest, DeleteMeRequest};
use souk_proto::common::Empty;
use souk_proto::{Code, Failure};
use std::time::Instant;
use zeroize::Zeroizing;

/// Changes the password and ends all other sessions.
///
/// # Errors
/// `wrong_password`, `invalid_field`, `too_many_failures`, `version_conflict` when the password
/// changed meanwhile, `unauthenticated`, `rate_limited`, `busy`, or a store's failure.
pub async fn change_password(
    cx: &Context,
    request: ChangePasswordRequest,
    deadline: Instant,
) -> Result<Empty, Failure> {
    let (current, new) = (Zeroizing::new(request.current), Zeroizing::new(request.new));
    let visitor = visitor(cx, Class::Login, request.caller.as_ref(), deadline).await?;
    names::given_password("current", &current)?;
    names::new_password("new", &new)?;
    let row = confirm(cx, &visitor, current, "current", deadline).await?;
    let password_hash = cx.shared.hashing.make(new, cx.random()?, deadline).await?;
    let accounts = &cx.stores.accounts;
    // Before the change, so that it does not happen when sessions cannot be ended at all; after
    // it, for logins with the old password that came in between.
    let ended = accounts.close_other_sessions(row.id, &visitor.session_id, deadline).await;
    ended.map_err(store_failure)?;
    store(cx, &row, password_hash, deadline).await?;
    let ended = accounts.close_other_sessions(row.id, &visitor.session_id, deadline).await;
    ended.map_err(|error| {
        let why = "The password was changed, but logins of this very moment may not have been \
                   ended. Look at the list of sessions.";
        Failure { detail: why.into(), ..store_failure(error) }
    })?;
    Ok(Empty {})
}

/// Puts the new hash in the place of the one that was confirmed. Other changes of the row (a
/// nickname) may come in between, another change of the password may not.
async fn store(
    cx: &Context,
    confirmed: &UserRow,
    password_hash: String,
    deadline: Instant,
) -> Result<(), Failure> {
    let accounts = &cx.stores.accounts;
    let change = Change { password_hash: Some(password_hash), ..Change::default() };
    let mut version = confirmed.version;
    for _ in 0..PASSWORD_CHANGE_ATTEMPTS {
        match accounts.change(confirmed.id, Some(version), change.clone(), deadline).await {
            Err(WriteError::Conflict) => {}
            done => return done.map(drop).map_err(write_failure),
        }
        let found = accounts.with_hash_by_id(confirmed.id, deadline).await;
        let row = found.map_err(store_failure)?.ok_or(Code::Unauthenticated)?;
        if row.credential_tag != confirmed.credential_tag {
            break;
        }
        version = row.version;
    }
    Err(write_failure(WriteError::Conflict))
}

/// Deletes the account and ends all its sessions.
///
/// # Errors
/// `wrong_password`, `invalid_field`, `too_many_failures`, `unauthenticated`, `rate_limited`,
/// `busy`, or a store's failure.
pub async fn delete_me(
    cx: &Context,
    request: DeleteMeRequest,
    deadline: Instant,
) -> Result<Empty, Failure> {
    let password = Zeroizing::new(request.password);
    let visitor = visitor(cx, Class::Login, request.caller.as_ref(), deadline).await?;
    names::given_password("password", &password)?;
    let row = confirm(cx, &visitor, password, "password", deadline).await?;
    let accounts = &cx.stores.accounts;
    accounts.delete(row.id, deadline).await.map_err(write_failure)?;
    // Sessions without a user are good for nothing and run out by themselves.
    if let Err(error) = accounts.close_all_sessions(row.id, deadline).await {
        tracing::warn!(%error, user = row.id, "sessions of a deleted user run out by themselves");
    }
    Ok(Empty {})
}

/// Verifies the visitor's password, at full cost and under the budget of the session, so that a
/// stolen session cannot be used to guess it and cannot lock the owner's other sessions out.
async fn confirm(
    cx: &Context,
    visitor: &Visitor,
    password: Zeroizing<String>,
    field: &str,
    deadline: Instant,
) -> Result<UserRow, Failure> {
    let found = cx.stores.accounts.with_hash_by_id(visitor.user_id, deadline).await;
    let mut row = found.map_err(store_failure)?.ok_or(Code::Unauthenticated)?;
    let check = Check {
        stored: row.password_hash.take(),
        password,
        attempt: Attempt::Session { id: visitor.session_id },
        salt: cx.random()?,
    };
    match cx.shared.hashing.verify(check, deadline).await? {
        Verdict::Right { .. } => Ok(row),
        Verdict::Wrong => {
            Err(Failure { field: field.to_owned(), ..Failure::new(Code::WrongPassword) })
        }
    }
}
