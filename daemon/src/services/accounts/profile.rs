//! Profiles: one's own, and others'.

use super::caller::{admit, visitor, visitor_and_user};
use super::user;
use crate::context::Context;
use crate::identity::names;
use crate::limiter::Class;
use crate::services::{store_failure, write_failure};
use souk_db::Change;
use souk_proto::accounts::{
    CallerRequest, EditMeRequest, GetUserByNameRequest, GetUserRequest, User,
};
use souk_proto::{Code, Failure};
use std::borrow::Cow;
use std::time::Instant;

/// The user who asks.
///
/// # Errors
/// `unauthenticated`, `rate_limited`, or a store's failure.
pub async fn get_me(
    cx: &Context,
    request: CallerRequest,
    deadline: Instant,
) -> Result<User, Failure> {
    let (_, row) = visitor_and_user(cx, Class::Read, request.caller.as_ref(), deadline).await?;
    Ok(user(row))
}

/// Changes the username, the nickname or both, if the user still has the version that was seen.
///
/// # Errors
/// `invalid_field`, `version_conflict`, `username_taken`, `unauthenticated`, `rate_limited`, or a
/// store's failure.
pub async fn edit_me(
    cx: &Context,
    request: EditMeRequest,
    deadline: Instant,
) -> Result<User, Failure> {
    let caller = request.caller.as_ref();
    let username = request.username.as_deref().map(names::username).transpose();
    let nickname = request.nickname.as_deref().map(names::nickname).transpose();
    let change = |username: Option<Cow<'_, str>>, nickname: Option<&str>| Change {
        username: username.map(Cow::into_owned),
        nickname: nickname.map(str::to_owned),
        ..Change::default()
    };
    if request.username.is_none() && request.nickname.is_none() {
        let (_, row) = visitor_and_user(cx, Class::Write, caller, deadline).await?;
        return match request.if_version {
            Some(version) if version != row.version => Err(Failure::new(Code::VersionConflict)),
            _ => Ok(user(row)),
        };
    }
    let visitor = visitor(cx, Class::Write, caller, deadline).await?;
    let change = change(username?, nickname?);
    let changed = cx.stores.accounts.change(visitor.user_id, request.if_version, change, deadline);
    changed.await.map(user).map_err(write_failure)
}

/// The user with this id.
///
/// # Errors
/// `user_not_found`, `rate_limited`, or a store's failure.
pub async fn get_user(
    cx: &Context,
    request: GetUserRequest,
    deadline: Instant,
) -> Result<User, Failure> {
    admit(cx, Class::Read, request.caller.as_ref())?;
    let found = cx.stores.accounts.by_id(request.id, deadline).await.map_err(store_failure)?;
    found.map(user).ok_or_else(|| Failure::new(Code::UserNotFound))
}

/// The user with this name, in either case.
///
/// # Errors
/// `user_not_found`, `rate_limited`, or a store's failure.
pub async fn get_user_by_name(
    cx: &Context,
    request: GetUserByNameRequest,
    deadline: Instant,
) -> Result<User, Failure> {
    admit(cx, Class::Read, request.caller.as_ref())?;
    // Nobody has a name that nobody can have.
    let name = names::username(&request.username).map_err(|_| Code::UserNotFound)?;
    let found = cx.stores.accounts.by_name(&name, deadline).await.map_err(store_failure)?;
    found.map(user).ok_or_else(|| Failure::new(Code::UserNotFound))
}
