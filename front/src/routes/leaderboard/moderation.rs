//! Taking users off all boards, and letting them back.

use super::user_id;
use crate::http::Response;
use crate::routes::answer::Call;
use crate::routes::input::Fields;
use crate::routes::json;
use serde::Serialize;
use souk_proto::leaderboard::{HideUserAnswer, HideUserRequest};
use souk_proto::{Failure, Method};

#[derive(Serialize)]
struct Hidden {
    user_id: u64,
    hidden: bool,
}

/// `POST /api/v1/users/{id}/hide` and `/unhide`: `{reason}`
pub async fn hide(
    call: &Call<'_>,
    parameter: &str,
    mut fields: Fields,
    hidden: bool,
) -> Result<Response, Failure> {
    let user_id = user_id(parameter)?;
    let reason = fields.text("reason")?;
    fields.finish()?;
    let request = HideUserRequest { caller: Some(call.caller()), user_id, hidden, reason };
    let done: HideUserAnswer = call.ask(Method::HideUser, user_id, &request).await?;
    let body = Hidden { user_id: done.user_id, hidden: done.hidden };
    Ok(json::answer(200, &body).header("cache-control", "no-store"))
}
