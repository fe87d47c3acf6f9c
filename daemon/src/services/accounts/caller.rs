//! Who asks: the limits they are under, and the session they name.

use crate::context::Context;
use crate::identity::token::SessionToken;
use crate::limiter::{Class, Subject, address_key};
use crate::limits::{BACKGROUND_LIMIT, LAST_SEEN_EVERY};
use crate::services::store_failure;
use souk_db::{SessionId, SessionRecord, UserRow};
use souk_proto::common::Caller;
use souk_proto::{Code, Failure};
use std::net::IpAddr;
use std::time::Instant;

/// Somebody with a valid session.
pub(super) struct Visitor {
    pub(super) user_id: u64,
    pub(super) session_id: SessionId,
}

/// The client's address, if the front gave one of 4 or 16 bytes.
pub(super) fn address(caller: &Caller) -> Option<IpAddr> {
    match *caller.address.as_slice() {
        [a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
        ref bytes => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

/// Takes a token of this class from the caller's address, and from the user whom the session token
/// names if there is a valid one.
///
/// # Errors
/// `rate_limited`.
pub(super) fn admit(cx: &Context, class: Class, caller: Option<&Caller>) -> Result<(), Failure> {
    let limiter = &cx.shared.limiter;
    if !limiter.is_enabled() {
        return Ok(());
    }
    let address = caller.and_then(address);
    limiter.take(class, Subject::Address(address_key(address)), cx.monotonic_ns())?;
    match caller.and_then(|caller| token(cx, caller)) {
        Some(token) => limiter.take(class, Subject::User(token.user_id), cx.monotonic_ns()),
        None => Ok(()),
    }
}

/// The caller's session, once admitted.
///
/// # Errors
/// `rate_limited`; `unauthenticated` when there is no valid session; a store's failure.
pub(super) async fn visitor(
    cx: &Context,
    class: Class,
    caller: Option<&Caller>,
    deadline: Instant,
) -> Result<Visitor, Failure> {
    let token = admit_session(cx, class, caller)?;
    let found = cx.stores.accounts.session(token.user_id, &token.session_id, deadline).await;
    let record = found.map_err(store_failure)?.ok_or(Code::Unauthenticated)?;
    enter(cx, &token, record)
}

/// The caller's session and user, once admitted: one round trip when the user is cached.
///
/// # Errors
/// As [`visitor`].
pub(super) async fn visitor_and_user(
    cx: &Context,
    class: Class,
    caller: Option<&Caller>,
    deadline: Instant,
) -> Result<(Visitor, UserRow), Failure> {
    let token = admit_session(cx, class, caller)?;
    let accounts = &cx.stores.accounts;
    let found = accounts.session_and_user(token.user_id, &token.session_id, deadline).await;
    let (record, row) = found.map_err(store_failure)?.ok_or(Code::Unauthenticated)?;
    let visitor = enter(cx, &token, record)?;
    // Its user was deleted while the session could not be.
    let row = row.ok_or(Code::Unauthenticated)?;
    Ok((visitor, row))
}

/// What the caller's session token says, if it is valid and the caller is within the limits.
///
/// # Errors
/// `rate_limited` or `unauthenticated`.
pub(super) fn admit_session(
    cx: &Context,
    class: Class,
    caller: Option<&Caller>,
) -> Result<SessionToken, Failure> {
    let address = Subject::Address(address_key(caller.and_then(address)));
    cx.shared.limiter.take(class, address, cx.monotonic_ns())?;
    let token = caller.and_then(|caller| token(cx, caller)).ok_or(Code::Unauthenticated)?;
    cx.shared.limiter.take(class, Subject::User(token.user_id), cx.monotonic_ns())?;
    Ok(token)
}

fn token(cx: &Context, caller: &Caller) -> Option<SessionToken> {
    if caller.token.is_empty() {
        return None;
    }
    cx.shared.tokens.read_session(&caller.token, cx.unix_ms() / 1_000)
}

/// The visitor of a session's record, unless it is over. Being seen is written down now and then.
fn enter(cx: &Context, token: &SessionToken, record: SessionRecord) -> Result<Visitor, Failure> {
    let now_ms = cx.unix_ms();
    if record.expires_at_ms <= now_ms {
        return Err(Failure::new(Code::Unauthenticated));
    }
    if u128::try_from(now_ms - record.last_seen_ms)
        .is_ok_and(|ms| ms >= LAST_SEEN_EVERY.as_millis())
    {
        touch(cx, token, SessionRecord { last_seen_ms: now_ms, ..record });
    }
    Ok(Visitor { user_id: token.user_id, session_id: token.session_id })
}

/// Writes "last seen" off the answer's path.
fn touch(cx: &Context, token: &SessionToken, record: SessionRecord) {
    let (user_id, session_id) = (token.user_id, token.session_id);
    cx.in_background(|stores| async move {
        let deadline = Instant::now() + BACKGROUND_LIMIT;
        let touched = stores.accounts.touch_session(user_id, &session_id, &record, deadline);
        if let Err(error) = touched.await {
            tracing::debug!(%error, "a session's last use could not be written down");
        }
    });
}
