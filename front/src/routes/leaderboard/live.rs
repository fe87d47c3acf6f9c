//! `GET /api/v1/leaderboard/live?season=&user_id=`: news of a board, as a WebSocket or an event
//! stream.

use super::{board, digits};
use crate::http::{Body, Method, Response};
use crate::leaderboard::sources::{Events, Socket};
use crate::leaderboard::{Feed, Mine};
use crate::routes::answer::Call;
use crate::routes::query::Query;
use crate::routes::{caller, problem};
use crate::websocket::handshake;
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
    let upgrade = if handshake::is_wanted(call.head) {
        // No CORS rule keeps other sites' pages from opening WebSockets.
        caller::check_origin(call.head, call.http())?;
        match handshake::accept(call.head) {
            Ok(response) => Some(response),
            Err(failure) => {
                let problem = problem::answer(&(&failure).into(), call.trace.trace_id);
                return Ok(problem.header("sec-websocket-version", handshake::VERSION));
            }
        }
    } else {
        None
    };
    if call.head.method == Method::Head {
        return Ok(event_stream());
    }
    let watcher = call.app.live.watch(board, call.caller(), call.trace).await?;
    let mine = user_id.map(|user_id| Mine {
        upstream: call.app.upstream.clone(),
        request: Mine::request(call.caller(), board, user_id),
        // The request's span ends with its answer; what is asked later has the same trace id.
        trace: Context { span: None, ..call.trace },
        patience: call.app.settings.timeouts.request(),
    });
    let feed = Feed::new(watcher, mine);
    Ok(match upgrade {
        Some(mut response) => {
            response.body =
                Body::Upgrade(Box::new(|incoming| Box::new(Socket::new(feed, incoming))));
            response
        }
        None => {
            let mut response = event_stream();
            response.body = Body::Endless(Box::new(Events::new(feed)));
            response
        }
    })
}

fn event_stream() -> Response {
    // Nginx, unless told, would gather the stream into its buffers.
    Response::new(200)
        .header("content-type", "text/event-stream")
        .header("cache-control", "no-store")
        .header("x-accel-buffering", "no")
}
