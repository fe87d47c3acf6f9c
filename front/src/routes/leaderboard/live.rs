//! `GET /api/v1/leaderboard/live?season=&user_id=`: news of a board, as a WebSocket or an event
//! stream.

use super::board;
use crate::http::Response;
use crate::leaderboard::{Feed, Mine};
use crate::routes::answer::Call;
use crate::routes::live as form;
use crate::routes::query::{Query, digits};
use souk_proto::Failure;
use souk_trace::Context;

/// Answers with the news from now on.
pub async fn live(call: &Call<'_>) -> Result<Response, Failure> {
    let query = Query::read(call.head.query())?;
    let board = board(&query)?;
    let user_id = match query.get("user_id")? {
        None => None,
        Some(text) => {
            let wrong = || Failure::field("user_id", "A user's id is a whole number.");
            Some(digits(text).ok_or_else(wrong)?)
        }
    };
    form::answer(call, async {
        let watcher = call.app.live.watch(board, call.caller(), call.trace).await?;
        let mine = user_id.map(|user_id| Mine {
            upstream: call.app.upstream.clone(),
            request: Mine::request(call.caller(), board, user_id),
            // The request's span ends with its answer; what is asked later has the same trace id.
            trace: Context { span: None, ..call.trace },
            patience: call.app.settings.timeouts.request(),
        });
        Ok(Feed::new(watcher, mine))
    })
    .await
}
