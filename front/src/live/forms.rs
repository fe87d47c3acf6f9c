//! The two forms in which a watcher is told: an event stream, and a WebSocket.

use super::{Feed, Word};
use crate::http::{BodySource, NextChunk};
use crate::limits::{LIVE_KEEP_ALIVE, WEBSOCKET_CLOSE_TIME, WEBSOCKET_SILENCE_MAX};
use crate::websocket::{CloseCode, WebSocket};
use futures_util::future::{Either, select};
use std::future::poll_fn;
use std::pin::pin;
use std::time::{Duration, Instant};

/// How an event stream begins: whoever loses it may come back after two seconds.
const PRELUDE: &[u8] = b"retry: 2000\n\n";

/// A comment, which readers of event streams pass over.
const COMMENT: &[u8] = b":\n\n";

/// News as an event stream (`text/event-stream` of the HTML standard).
pub struct Events<F> {
    feed: F,
    begun: bool,
}

impl<F: Feed> Events<F> {
    /// A stream of which nothing is sent.
    pub fn new(feed: F) -> Events<F> {
        Events { feed, begun: false }
    }

    async fn piece(&mut self) -> Option<Vec<u8>> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some(PRELUDE.to_vec());
        }
        let word = pin!(poll_fn(|cx| self.feed.poll_next(cx)));
        let silence = pin!(monoio::time::sleep(LIVE_KEEP_ALIVE));
        match select(word, silence).await {
            Either::Left((Word::Say(id, json), _)) => Some(event(id, &json)),
            Either::Left((Word::Over, _)) => None,
            Either::Right(_) => Some(COMMENT.to_vec()),
        }
    }
}

/// One event; its data is JSON and so has no line break.
fn event(id: Option<u64>, json: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(json.len() + 40);
    if let Some(id) = id {
        bytes.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    bytes.extend_from_slice(b"data: ");
    bytes.extend_from_slice(json);
    bytes.extend_from_slice(b"\n\n");
    bytes
}

impl<F: Feed> BodySource for Events<F> {
    fn next(&mut self) -> NextChunk<'_> {
        Box::pin(async { self.piece().await.map(Ok) })
    }
}

/// News over a WebSocket, once the connection is its own.
pub struct Socket<F> {
    websocket: WebSocket,
    feed: F,
    incoming: Box<dyn BodySource>,
    /// When the client said something last.
    heard: Instant,
    /// When it was sent something last.
    said: Instant,
    /// When the close was sent, if it was.
    closing: Option<Instant>,
}

/// What happens next to a WebSocket.
enum Step {
    Came(Option<Vec<u8>>),
    Word(Word),
    Timer,
}

impl<F: Feed> Socket<F> {
    /// A WebSocket whose handshake is done; `incoming` is what the client sends.
    pub fn new(feed: F, incoming: Box<dyn BodySource>) -> Socket<F> {
        let now = Instant::now();
        let websocket = WebSocket::new();
        Socket { websocket, feed, incoming, heard: now, said: now, closing: None }
    }

    async fn piece(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(bytes) = self.websocket.take_output() {
                self.said = Instant::now();
                return Some(bytes);
            }
            if self.websocket.is_over() {
                return None;
            }
            match self.step().await {
                Step::Came(None) => return None,
                Step::Came(Some(bytes)) => {
                    self.heard = Instant::now();
                    self.websocket.receive(&bytes);
                }
                Step::Word(Word::Say(_, json)) => self.websocket.say(&json),
                Step::Word(Word::Over) => self.close(),
                Step::Timer => {
                    let silent = self.heard.elapsed() >= WEBSOCKET_SILENCE_MAX;
                    if self.closing.is_some() || silent {
                        return None;
                    }
                    if self.said.elapsed() >= LIVE_KEEP_ALIVE {
                        self.websocket.ping();
                    }
                }
            }
        }
    }

    fn close(&mut self) {
        self.websocket.close(CloseCode::Away);
        self.closing = Some(Instant::now());
    }

    async fn step(&mut self) -> Step {
        let timer = pin!(monoio::time::sleep(self.pause()));
        let came = pin!(self.incoming.next());
        if self.closing.is_some() {
            return match select(came, timer).await {
                Either::Left((came, _)) => Step::Came(came.and_then(Result::ok)),
                Either::Right(_) => Step::Timer,
            };
        }
        let word = pin!(poll_fn(|cx| self.feed.poll_next(cx)));
        match select(select(came, word), timer).await {
            Either::Left((Either::Left((came, _)), _)) => Step::Came(came.and_then(Result::ok)),
            Either::Left((Either::Right((word, _)), _)) => Step::Word(word),
            Either::Right(_) => Step::Timer,
        }
    }

    /// How long nothing needs to be done unless something happens.
    fn pause(&self) -> Duration {
        let until = match self.closing {
            Some(since) => since + WEBSOCKET_CLOSE_TIME,
            None => (self.said + LIVE_KEEP_ALIVE).min(self.heard + WEBSOCKET_SILENCE_MAX),
        };
        until.saturating_duration_since(Instant::now())
    }
}

impl<F: Feed> BodySource for Socket<F> {
    fn next(&mut self) -> NextChunk<'_> {
        Box::pin(async { self.piece().await.map(Ok) })
    }
}

#[cfg(test)]
mod tests {
    use super::event;

    #[test]
    fn an_event_has_its_number_as_its_id_and_one_line_of_data() {
        assert_eq!(event(Some(7), b"{}"), b"id: 7\ndata: {}\n\n");
        assert_eq!(event(None, b"{}"), b"data: {}\n\n");
    }
}
