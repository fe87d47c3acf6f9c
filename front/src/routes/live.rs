//! News without an end, as a WebSocket for those who ask for one, else as an event stream.

use super::answer::Call;
use super::{caller, problem};
use crate::http::{Body, Method, Response};
use crate::live::{Events, Feed, Socket};
use crate::websocket::handshake;
use souk_proto::Failure;
use std::future::Future;

/// Answers with the words of a feed, which is opened when all else is well.
pub(super) async fn answer<F: Feed>(
    call: &Call<'_>,
    open: impl Future<Output = Result<F, Failure>>,
) -> Result<Response, Failure> {
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
    let feed = open.await?;
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
