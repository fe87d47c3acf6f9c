//! The list of one's logins, and ending them.

use super::caller::visitor;
use crate::context::Context;
use crate::limiter::Class;
use crate::services::store_failure;
use data_encoding::HEXLOWER;
use souk_db::{SessionId, SessionRecord};
use souk_proto::accounts::{CallerRequest, RevokeSessionRequest, Session, SessionList};
use souk_proto::common::Empty;
use souk_proto::{Code, Failure};
use std::time::Instant;

/// The caller's sessions, newest first.
///
/// # Errors
/// `unauthenticated`, `rate_limited`, or a store's failure.
pub async fn list_sessions(
    cx: &Context,
    request: CallerRequest,
    deadline: Instant,
) -> Result<SessionList, Failure> {
    let visitor = visitor(cx, Class::Read, request.caller.as_ref(), deadline).await?;
    let found = cx.stores.accounts.sessions(visitor.user_id, deadline).await;
    let now_ms = cx.unix_ms();
    let items = found
        .map_err(store_failure)?
        .into_iter()
        .filter(|(_, record)| record.expires_at_ms > now_ms)
        .map(|(id, record)| session(&id, record, id == visitor.session_id))
        .collect();
    Ok(SessionList { items })
}

/// Ends one of the caller's sessions; it may be the one that the caller came with.
///
/// # Errors
/// `session_not_found`, `unauthenticated`, `rate_limited`, or a store's failure.
pub async fn revoke_session(
    cx: &Context,
    request: RevokeSessionRequest,
    deadline: Instant,
) -> Result<Empty, Failure> {
    let visitor = visitor(cx, Class::Write, request.caller.as_ref(), deadline).await?;
    let id = session_id(&request.session_id).ok_or(Code::SessionNotFound)?;
    let closed = cx.stores.accounts.close_session(visitor.user_id, &id, deadline).await;
    match closed.map_err(store_failure)? {
        true => Ok(Empty {}),
        false => Err(Failure::new(Code::SessionNotFound)),
    }
}

/// Ends all of the caller's sessions but the one that the caller came with.
///
/// # Errors
/// `unauthenticated`, `rate_limited`, or a store's failure.
pub async fn revoke_other_sessions(
    cx: &Context,
    request: CallerRequest,
    deadline: Instant,
) -> Result<Empty, Failure> {
    let visitor = visitor(cx, Class::Write, request.caller.as_ref(), deadline).await?;
    let accounts = &cx.stores.accounts;
    let closed =
        accounts.close_other_sessions(visitor.user_id, &visitor.session_id, deadline).await;
    closed.map_err(store_failure).map(|_| Empty {})
}

fn session(id: &SessionId, record: SessionRecord, current: bool) -> Session {
    Session {
        id: HEXLOWER.encode(id),
        device: record.device,
        address: record.address,
        created_at_ms: record.created_at_ms,
        last_seen_at_ms: record.last_seen_ms,
        current,
    }
}

/// The session of 32 hex digits.
fn session_id(text: &str) -> Option<SessionId> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}
