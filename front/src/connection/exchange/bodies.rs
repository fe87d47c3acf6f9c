//! A request body on its way in: gathered whole, or handed on in pieces.

use super::{Exchange, Reading, cut_short};
use crate::connection::body::BodySender;
use crate::connection::trace::Trace;
use crate::http::{BodyDecoder, Framing, Head, Refusal};
use crate::limits::BODY_FIRST;
use crate::routes::{Found, RequestBody};
use std::time::Instant;

pub(super) struct Gathering {
    pub(super) decoder: BodyDecoder,
    pub(super) head: Head,
    pub(super) found: Found,
    pub(super) bytes: Vec<u8>,
    /// When all of it must be there; set once it begins and is not whole.
    pub(super) until: Option<Instant>,
    /// Bytes of the request so far, with its head.
    pub(super) received: usize,
    pub(super) trace: Trace,
}

pub(super) struct Streaming {
    pub(super) decoder: BodyDecoder,
    pub(super) sender: BodySender,
    pub(super) persistent: bool,
}

impl Exchange {
    /// Adds to a body that is handed over whole. False if more must come.
    pub(super) fn gather(&mut self) -> bool {
        let Reading::Gathered(gathering) = &mut self.reading else { return false };
        loop {
            let input = &self.input[self.start..];
            let progress = match gathering.decoder.decode(input) {
                Ok(progress) => progress,
                Err(refusal) => return self.refuse_body(&refusal),
            };
            let data = &input[progress.data];
            if gathering.bytes.capacity() == 0 && !data.is_empty() {
                gathering.bytes.reserve(expected(&gathering.head).max(data.len()));
            }
            gathering.bytes.extend_from_slice(data);
            gathering.received += progress.used;
            self.start += progress.used;
            if progress.done {
                break;
            }
            if self.start < self.input.len() {
                continue;
            }
            if progress.used == 0 {
                return false;
            }
            let now = Instant::now();
            let total = self.thread.app.settings.timeouts.body_total();
            if now > *gathering.until.get_or_insert(now + total) {
                return self.refuse_body(&cut_short(true));
            }
            return false;
        }
        if let Reading::Gathered(whole) = std::mem::replace(&mut self.reading, Reading::Over) {
            let body = RequestBody::Full(whole.bytes);
            self.handle(whole.head, whole.found, body, whole.received, whole.trace);
        }
        true
    }

    /// Answers a request whose gathered body is not what it should be.
    fn refuse_body(&mut self, refusal: &Refusal) -> bool {
        if let Reading::Gathered(body) = std::mem::replace(&mut self.reading, Reading::Over) {
            self.refuse_request(refusal, body.trace);
        }
        true
    }

    /// Hands on the next piece of a body. False if more must come, or the handler must take it
    /// first.
    pub(super) fn stream(&mut self) -> bool {
        let Reading::Streamed(streaming) = &mut self.reading else { return false };
        if streaming.sender.is_unwanted() {
            self.last_answer();
            return true;
        }
        if !streaming.sender.has_room() {
            self.blocked = true;
            return false;
        }
        let input = &self.input[self.start..];
        let progress = match streaming.decoder.decode(input) {
            Ok(progress) => progress,
            Err(refusal) => {
                streaming.sender.end(Err(refusal.into()));
                self.last_answer();
                return true;
            }
        };
        if !progress.data.is_empty() {
            streaming.sender.send(input[progress.data].to_vec());
        }
        self.start += progress.used;
        if let Some(meter) = self.slots.back().and_then(|slot| slot.meter.as_ref()) {
            meter.received(progress.used);
        }
        if progress.done {
            streaming.sender.end(Ok(()));
            let persistent = streaming.persistent;
            self.reading = if persistent { Reading::Head } else { Reading::Over };
            return true;
        }
        self.start < self.input.len()
    }
}

/// How much room to make for a body before it is there.
fn expected(head: &Head) -> usize {
    match head.framing {
        Framing::Length(length) => usize::try_from(length).unwrap_or(BODY_FIRST).min(BODY_FIRST),
        _ => 0,
    }
}
