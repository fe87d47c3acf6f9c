//! Answers without an end that is known: event streams, and connections that another protocol
//! takes over. Their pieces are fetched only when everything before is written, so a client that
//! is slow has at most one piece waiting for it.

use super::{Exchange, Reading};
use crate::connection::body;
use crate::connection::slot::{Slot, Work, next_chunk};
use crate::connection::trace::Trace;
use crate::http::{BodySource, Takeover};
use crate::limits::LINGER_BYTES;
use std::task::{Context, Poll};

impl Exchange {
    /// The answer at the front goes on with pieces until its source or the client ends it. Nothing
    /// more is read but the end.
    pub(super) fn begin_endless(&mut self, source: Box<dyn BodySource>) {
        self.reading = Reading::Over;
        self.go_on_with(source);
    }

    /// The answer at the front was the last of this protocol: what comes in goes to the other one,
    /// and what that one makes of it goes out.
    pub(super) fn hand_over(&mut self, takeover: Takeover) {
        let (sender, reader) = body::pipe();
        self.reading = Reading::HandedOn(sender);
        self.go_on_with(takeover(Box::new(reader)));
        // What the client sent behind its request waits.
        self.advance();
    }

    fn go_on_with(&mut self, source: Box<dyn BodySource>) {
        if self.ended {
            return self.lost();
        }
        let Some(slot) = self.slots.front_mut() else { return };
        slot.work = Work::Endless(Box::pin(next_chunk(source)));
        // As a request it ends here: measured to the end of such a stream, it would look slow.
        let rest = Trace::unread(slot.trace.context.trace_id);
        let head = Slot {
            work: Work::Continue,
            meter: slot.meter.take(),
            status: slot.status,
            facts: slot.facts,
            trace: std::mem::replace(&mut slot.trace, rest),
        };
        self.times.encoded(head);
        self.again = true;
    }

    /// Fetches the next piece if nothing else waits for the client.
    pub(super) fn next_of_endless(&mut self, cx: &mut Context<'_>) {
        if self.writing || !self.output.is_empty() {
            return;
        }
        let Some(slot) = self.slots.front_mut() else { return };
        let Work::Endless(next) = &mut slot.work else { return };
        let _entered = slot.trace.context.enter();
        let Poll::Ready((chunk, source)) = next.as_mut().poll(cx) else { return };
        match chunk {
            Some(Ok(chunk)) => {
                self.output = self.thread.buffer();
                self.output.extend_from_slice(&chunk);
                *next = Box::pin(next_chunk(source));
            }
            Some(Err(_)) => self.lost(),
            None => {
                self.slots.pop_front();
                self.reading = Reading::Over;
                // What crosses the last piece must not reset it away.
                self.linger = if self.ended { 0 } else { LINGER_BYTES };
                self.again = true;
            }
        }
    }

    /// Hands on what came for the other protocol. False if more must come, or the last piece must
    /// be taken first.
    pub(super) fn hand_on(&mut self) -> bool {
        let Reading::HandedOn(sender) = &self.reading else { return false };
        if self.start == self.input.len() {
            return false;
        }
        if !sender.has_room() {
            self.blocked = true;
            return false;
        }
        sender.send(self.input[self.start..].to_vec());
        self.start = self.input.len();
        true
    }

    /// Whether the answer at the front has no end that is known.
    pub(super) fn is_endless(&self) -> bool {
        matches!(self.slots.front(), Some(Slot { work: Work::Endless(_), .. }))
    }
}
