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
pub(in crate::services) struct Visitor {
    pub(in crate::services) user_id: u64,
    pub(super) session_id: SessionId,
}

/// The client's address, if the front gave one of 4 or 16 bytes.
pub(super) fn address(caller: &Caller) -> Option<IpAddr> {
    match *caller.address.as_slice() {
        [a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
        ref bytes => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

/// Takes a token of this class from the caller's address. Users are charged once they are known to
/// be who they say, so that nobody spends the tokens of others; see [`visitor`].
///
/// # Errors
/// `rate_limited`.
pub(in crate::services) fn admit(
    cx: &Context,
    class: Class,
    caller: Option<&Caller>,
) -> Result<(), Failure> {
    let address = Subject::Address(address_key(caller.and_then(address)));
    cx.shared.limiter.take(class, address, cx.monotonic_ns())
}

/// The caller's session, once admitted.
///
/// # Errors
/// `rate_limited`; `unauthenticated` when there is no valid session; a store's failure.
pub(in crate::services) async fn visitor(
    cx: &Context,
    class: Class,
    caller: Option<&Caller>,
    deadline: Instant,
) -> Result<Visitor, Failure> {
    let token = admit_session(cx, class, caller)?;
    let found = cx.stores.accounts.session(token.user_id, &token.session_id, deadline).await;
    let record = found.map_err(store_failure)?.ok_or(Code::Unauthenticated)?;
    let visitor = enter(cx, &token, &record)?;
    charge(cx, class, &visitor)?;
    Ok(visitor)
}

/// As [`visitor`], for a request of several things that are limited one by one. How many of them
/// are admitted, at least one, comes with the visitor.
///
/// # Errors
/// As [`visitor`]; `rate_limited` if not even one of them is admitted.
pub(in crate::services) async fn visitor_of_some(
    cx: &Context,
    class: Class,
    count: usize,
    caller: Option<&Caller>,
    deadline: Instant,
) -> Result<(Visitor, usize), Failure> {
    let address = Subject::Address(address_key(caller.and_then(address)));
    let count = cx.shared.limiter.take_some(class, address, count, cx.monotonic_ns())?;
    let token = caller.and_then(|caller| token(cx, caller)).ok_or(Code::Unauthenticated)?;
    let found = cx.stores.accounts.session(token.user_id, &token.session_id, deadline).await;
    let record = found.map_err(store_failure)?.ok_or(Code::Unauthenticated)?;
    let visitor = enter(cx, &token, &record)?;
    let user = Subject::User(token.user_id);
    let count = cx.shared.limiter.take_some(class, user, count, cx.monotonic_ns())?;
    Ok((visitor, count))
}

/// Who the caller is, for an answer that is everybody's but says more to some. Whoever cannot be
/// known, without a session or while sessions cannot be read, is nobody.
///
/// # Errors
/// `rate_limited`.
pub(in crate::services) async fn guest(
    cx: &Context,
    caller: Option<&Caller>,
    deadline: Instant,
) -> Result<Option<u64>, Failure> {
    admit(cx, Class::Read, caller)?;
    let Some(token) = caller.and_then(|caller| token(cx, caller)) else { return Ok(None) };
    let found = cx.stores.accounts.session(token.user_id, &token.session_id, deadline).await;
    let record = found.ok().flatten().filter(|record| record.expires_at_ms > cx.unix_ms());
    Ok(record.map(|_| token.user_id))
}

/// Looks once more for the session of a visitor whose request took long.
///
/// # Errors
/// `unauthenticated` when it is over; a store's failure.
pub(in crate::services) async fn still_there(
    cx: &Context,
    visitor: &Visitor,
    deadline: Instant,
) -> Result<(), Failure> {
    let found = cx.stores.accounts.session(visitor.user_id, &visitor.session_id, deadline).await;
    let record = found.map_err(store_failure)?.ok_or(Code::Unauthenticated)?;
    match record.expires_at_ms > cx.unix_ms() {
        true => Ok(()),
        false => Err(Failure::new(Code::Unauthenticated)),
    }
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
    // Its user was deleted while the session could not be.
    let row = row.ok_or(Code::Unauthenticated)?;
    let visitor = enter(cx, &token, &record)?;
    charge(cx, class, &visitor)?;
    Ok((visitor, row))
}

/// What the caller's session token says, if we made it and the address is within its limits. The
/// session itself may be over.
///
/// # Errors
/// `rate_limited` or `unauthenticated`.
pub(super) fn admit_session(
    cx: &Context,
    class: Class,
    caller: Option<&Caller>,
) -> Result<SessionToken, Failure> {
    admit(cx, class, caller)?;
    Ok(caller.and_then(|caller| token(cx, caller)).ok_or(Code::Unauthenticated)?)
}

fn token(cx: &Context, caller: &Caller) -> Option<SessionToken> {
    if caller.token.is_empty() {
        return None;
    }
    cx.shared.tokens.read_session(&caller.token, cx.unix_ms() / 1_000)
}

fn charge(cx: &Context, class: Class, visitor: &Visitor) -> Result<(), Failure> {
    cx.shared.limiter.take(class, Subject::User(visitor.user_id), cx.monotonic_ns())
}

/// The visitor of a session's record, unless it is over. Being seen is written down now and then.
fn enter(cx: &Context, token: &SessionToken, record: &SessionRecord) -> Result<Visitor, Failure> {
    let now_ms = cx.unix_ms();
    if record.expires_at_ms <= now_ms {
        return Err(Failure::new(Code::Unauthenticated));
    }
    if u128::try_from(now_ms - record.last_seen_ms)
        .is_ok_and(|ms| ms >= LAST_SEEN_EVERY.as_millis())
    {
        touch(cx, token, SessionRecord { last_seen_ms: now_ms, ..record.clone() });
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
