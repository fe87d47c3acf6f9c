//! The sessions of the user who asks: listed and revoked.

use crate::http::Response;
use crate::routes::answer::Call;
use crate::routes::json;
use souk_proto::accounts::{CallerRequest, RevokeSessionRequest, SessionList};
use souk_proto::common::Empty;
use souk_proto::{Code, Failure, Method};

/// Length of a session's id in hex digits.
const ID_LEN: usize = 32;

/// `GET /api/v1/me/sessions`
pub async fn list(call: &Call<'_>) -> Result<Response, Failure> {
    let (caller, id) = call.user()?;
    let request = CallerRequest { caller: Some(caller) };
    let sessions: SessionList = call.ask(Method::ListSessions, id, &request).await?;
    Ok(json::sessions(&sessions))
}

/// `DELETE /api/v1/me/sessions/{id}`
pub async fn revoke(call: &Call<'_>, session_id: String) -> Result<Response, Failure> {
    let (caller, id) = call.user()?;
    if session_id.len() != ID_LEN || !session_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::new(Code::SessionNotFound));
    }
    let request = RevokeSessionRequest { caller: Some(caller), session_id };
    let Empty {} = call.ask(Method::RevokeSession, id, &request).await?;
    Ok(Response::new(204))
}

/// `DELETE /api/v1/me/sessions`
pub async fn revoke_others(call: &Call<'_>) -> Result<Response, Failure> {
    let (caller, id) = call.user()?;
    let request = CallerRequest { caller: Some(caller) };
    let Empty {} = call.ask(Method::RevokeOtherSessions, id, &request).await?;
    Ok(Response::new(204))
}
