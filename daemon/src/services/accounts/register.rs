//! Registration.

use super::caller::admit;
use super::user;
use crate::context::Context;
use crate::identity::names;
use crate::limiter::Class;
use crate::services::{store_failure, write_failure};
use souk_db::{NewUser, WriteError};
use souk_proto::Failure;
use souk_proto::accounts::{CreateUserRequest, User};
use std::time::Instant;
use zeroize::Zeroizing;

/// Adds a user.
///
/// # Errors
/// `invalid_field`, `username_taken`, `rate_limited`, `busy`, or a store's failure.
pub async fn create_user(
    cx: &Context,
    request: CreateUserRequest,
    deadline: Instant,
) -> Result<User, Failure> {
    let password = Zeroizing::new(request.password);
    admit(cx, Class::Login, request.caller.as_ref())?;
    let username = names::username(&request.username)?.into_owned();
    names::new_password("password", &password)?;
    let nickname = match &request.nickname {
        Some(nickname) => names::nickname(nickname)?.to_owned(),
        None => username.clone(),
    };
    // A taken name is found out before a hash is paid for; the database has the last word.
    let accounts = &cx.stores.accounts;
    if accounts.by_name(&username, deadline).await.map_err(store_failure)?.is_some() {
        return Err(write_failure(WriteError::Taken));
    }
    let password_hash = cx.shared.hashing.make(password, cx.random()?, deadline).await?;
    let new = NewUser { username, nickname, password_hash };
    accounts.create(new, deadline).await.map(user).map_err(write_failure)
}
