//! The task that keeps the stream of one thing's news, as long as somebody watches it.

use super::Topic;
use super::hub::{Hub, Watched};
use crate::limits::{WATCH_BACKOFF_FIRST, WATCH_BACKOFF_MAX, WATCH_TIME};
use crate::upstream::{CallContext, ItemStream};
use futures_util::future::{Either, select};
use prost::Message;
use souk_proto::common::{Caller, Empty};
use souk_proto::error::Fault;
use souk_proto::{Code, Failure};
use souk_trace::Context;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

/// Keeps the stream of news until nobody watches any more.
pub(super) async fn keep<T: Topic>(
    hub: Rc<Hub<T>>,
    watched: Rc<Watched<T>>,
    caller: Caller,
    trace_id: u128,
) {
    // Those who follow share the stream, so it is nobody's session. Whoever begins it pays for
    // that; when it is renewed it is everybody's, and nobody's limit must pause it for the others.
    let mut begins = Some(Caller { address: caller.address, ..Caller::default() });
    let mut backoff = WATCH_BACKOFF_FIRST;
    let mut free_at = Instant::now();
    while watched.watchers() > 0 && !hub.is_draining() {
        let before = watched.heard();
        let trace = Context { trace_id, span: None };
        let context = CallContext { deadline: Instant::now() + WATCH_TIME, trace };
        let key = T::key(watched.id);
        let request = T::request(watched.id, begins.take());
        let opened = hub.upstream.download(T::METHOD, key, &request, context).await;
        let ended = match opened {
            Ok((Empty {}, items)) => follow(&hub, &watched, items, &mut free_at).await,
            Err(failure) => Err(failure),
        };
        let heard = watched.heard() != before;
        if heard {
            backoff = WATCH_BACKOFF_FIRST;
        }
        match ended {
            // A stream has an end now and then; its successor says how things are.
            Ok(()) if heard => continue,
            // Items came faster than a busy thread took them, so the link cut the stream.
            Err(Failure { code: Code::Busy, .. }) if heard => continue,
            Ok(()) => {}
            Err(failure) => {
                if failure.code.fault() != Fault::Client {
                    let (kind, id) = (T::KIND, watched.id);
                    tracing::warn!(kind, id, ?failure, "no news comes; asking again");
                }
                watched.pause(failure);
            }
        }
        let pause = pin!(monoio::time::sleep(backoff));
        select(pause, pin!(watched.unwatched(&hub))).await;
        backoff = (backoff * 2).min(WATCH_BACKOFF_MAX);
    }
    // Nothing is awaited between the last look at the watchers and this.
    hub.topics.borrow_mut().remove(&watched.id);
}

/// Shows what comes, at the topic's pace, until nobody watches or the stream ends.
async fn follow<T: Topic>(
    hub: &Hub<T>,
    watched: &Watched<T>,
    mut items: ItemStream,
    free_at: &mut Instant,
) -> Result<(), Failure> {
    let mut waiting: Option<T::Waiting> = None;
    let topic = watched.topic();
    loop {
        let free = waiting.as_ref().map(|_| *free_at);
        let due = free.into_iter().chain(topic.alarm()).min();
        let item = match next(hub, watched, &mut items, due).await {
            Step::Unwatched => return Ok(()),
            Step::Due => {
                if let Some(news) = waiting.take_if(|_| *free_at <= Instant::now()) {
                    publish(watched, news, free_at);
                } else if topic.ring() {
                    watched.wake_all();
                }
                continue;
            }
            Step::Item(Some(Ok(item))) => item,
            Step::Item(end) => {
                // What came before the end is true all the same.
                if let Some(news) = waiting {
                    publish(watched, news, free_at);
                }
                return end.map_or(Ok(()), |end| end.map(drop));
            }
        };
        let news = T::News::decode(&*item).map_err(|error| {
            tracing::error!(%error, "a daemon's news cannot be read");
            Failure::new(Code::MalformedMessage)
        })?;
        waiting = Some(T::join(waiting.take(), news));
    }
}

fn publish<T: Topic>(watched: &Watched<T>, news: T::Waiting, free_at: &mut Instant) {
    watched.publish(news);
    *free_at = Instant::now() + T::pace(watched.watchers());
}

/// What happens next to a stream of news.
enum Step {
    Item(Option<Result<Vec<u8>, Failure>>),
    /// It is time to show what waits, or to look.
    Due,
    Unwatched,
}

async fn next<T: Topic>(
    hub: &Hub<T>,
    watched: &Watched<T>,
    items: &mut ItemStream,
    due: Option<Instant>,
) -> Step {
    let timer = async {
        match due {
            Some(at) => monoio::time::sleep(at.saturating_duration_since(Instant::now())).await,
            None => pending().await,
        }
    };
    let (item, end, timer) = (pin!(items.next()), pin!(watched.unwatched(hub)), pin!(timer));
    match select(select(end, item), timer).await {
        Either::Left((Either::Left(_), _)) => Step::Unwatched,
        Either::Left((Either::Right((item, _)), _)) => Step::Item(item),
        Either::Right(_) => Step::Due,
    }
}
