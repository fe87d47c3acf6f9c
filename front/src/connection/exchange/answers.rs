//! The answers on their way out: handlers run, what is ready is encoded, writes take it.

use super::times::Times;
use super::{Exchange, Reading};
use crate::connection::slot::{Work, next_chunk};
use crate::http::{Body, Encoding, response};
use crate::limits::{LINGER_BYTES, WRITE_HIGH};
use std::task::{Context, Poll};

impl Exchange {
    /// Lets the handlers run and encodes what is ready.
    pub fn work(&mut self, cx: &mut Context<'_>) {
        for slot in &mut self.slots {
            let Work::Running(handler) = &mut slot.work else { continue };
            let _entered = slot.trace.context.enter();
            let mut poll = || handler.as_mut().poll(cx);
            let polled = match &slot.meter {
                Some(meter) => meter.enter(poll),
                None => poll(),
            };
            if let Poll::Ready(response) = polled {
                slot.work = Work::Ready(response);
            }
        }
        let unwanted =
            matches!(&self.reading, Reading::Streamed(body) if body.sender.is_unwanted());
        if unwanted {
            self.last_answer();
        }
        let owed = self.slots.len();
        self.encode(cx);
        self.times.all_encoded();
        if self.blocked || unwanted {
            self.advance();
            self.again = !self.blocked;
        } else if self.slots.len() != owed {
            self.note_wait();
        }
    }

    /// Whether the turn has to be gone through once more; asking resets it.
    pub fn again(&mut self) -> bool {
        std::mem::take(&mut self.again)
    }

    /// Encodes the answers at the front, as far as they are ready and there is room.
    fn encode(&mut self, cx: &mut Context<'_>) {
        while self.output.len() < WRITE_HIGH {
            let last = self.slots.len() == 1 && matches!(self.reading, Reading::Head);
            let Some(slot) = self.slots.front_mut() else { return };
            let before = self.output.len();
            // What has nothing to send for now holds no buffer: most watchers are idle.
            let idle = matches!(slot.work, Work::Running(_) | Work::Endless(_));
            if self.output.capacity() == 0 && !idle {
                self.output = self.thread.buffer();
            }
            match &mut slot.work {
                Work::Running(_) => return,
                Work::Continue => self.output.extend_from_slice(response::CONTINUE),
                Work::Ready(response) => {
                    slot.trace.answered(response.status);
                    let last = last && !self.partial && self.start == self.input.len();
                    // An answer without an end needs the connection to itself, and learns of the
                    // drain by itself.
                    let head_only = slot.facts.head_only;
                    let endless = !head_only && matches!(response.body, Body::Endless(_));
                    slot.facts.persistent &= !endless;
                    let taken = endless || matches!(response.body, Body::Upgrade(_));
                    if last && !taken && self.thread.sweeper.is_draining() {
                        slot.facts.persistent = false;
                        self.reading = Reading::Over;
                        // What crosses this answer must not reset it away.
                        self.linger = LINGER_BYTES;
                    }
                    let how = Encoding {
                        date: &{ *self.thread.date.borrow().text() },
                        persistent: slot.facts.persistent,
                        version: slot.facts.version,
                        head_only,
                        common: self.thread.common(response),
                    };
                    response::encode(response, &how, &mut self.output);
                    slot.status = response.status;
                    Times::sent(slot.meter.as_ref(), self.output.len() - before);
                    let bodiless = head_only || !response::has_body(response.status);
                    match std::mem::take(&mut response.body) {
                        Body::Stream { length, source } if !bodiless && length > 0 => {
                            slot.work = Work::Sending(length, Box::pin(next_chunk(source)));
                            continue;
                        }
                        Body::Endless(source) if !bodiless => return self.begin_endless(source),
                        Body::Upgrade(takeover) => return self.hand_over(takeover),
                        _ => {}
                    }
                }
                Work::Endless(_) => return self.next_of_endless(cx),
                Work::Sending(left, next) => {
                    let _entered = slot.trace.context.enter();
                    let Poll::Ready((chunk, source)) = next.as_mut().poll(cx) else { return };
                    let fits = |chunk: &Vec<u8>| chunk.len() as u64 <= *left;
                    let Some(chunk) = chunk.and_then(Result::ok).filter(fits) else {
                        // The length is announced: cutting the answer short is all that tells.
                        tracing::debug!(missing = *left, "a streamed answer broke off");
                        self.lost();
                        return;
                    };
                    self.output.extend_from_slice(&chunk);
                    *left -= chunk.len() as u64;
                    let whole = *left == 0;
                    if !whole {
                        *next = Box::pin(next_chunk(source));
                    }
                    Times::came(slot.meter.as_ref(), chunk.len());
                    if !whole {
                        continue;
                    }
                }
            }
            self.slots.pop_front().into_iter().for_each(|slot| self.times.encoded(slot));
        }
    }

    /// What is to be written now, if no write is in flight.
    pub fn take_output(&mut self) -> Option<Vec<u8>> {
        if self.writing || self.output.is_empty() {
            return None;
        }
        self.writing = true;
        self.times.taken();
        self.watch.writes();
        Some(std::mem::take(&mut self.output))
    }

    /// The write is done.
    pub fn written(&mut self, buffer: Vec<u8>) {
        self.thread.recycle(buffer);
        self.writing = false;
        self.times.written(&self.thread.slow);
        self.watch.wrote();
        self.again |= !self.slots.is_empty();
        self.note_wait();
    }
}
