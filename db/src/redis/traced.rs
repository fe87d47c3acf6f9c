//! Spans of the batches in which commands of sampled requests leave.
//!
//! Several requests share a batch, and each sampled one gets a span of its own for it, so that its
//! trace is whole; the batch's number says who shared it. While nothing is sampled this is one
//! branch for each command and each reply.

use souk_trace::{Context, Span, child, current};
use std::collections::VecDeque;

/// Batches that sampled requests wait for, on one connection. Not more than are commands in flight.
#[derive(Debug, Default)]
pub struct Traced {
    /// In order of their last commands.
    waiting: VecDeque<Part>,
    /// Batches written so far.
    written: i64,
}

/// A request's part of a batch.
#[derive(Debug)]
struct Part {
    request: Context,
    span: Span,
    batch: i64,
    /// So many of the batch's commands are the request's.
    commands: usize,
    /// So many replies have come when the last of them is answered.
    answered_at: u64,
}

impl Traced {
    /// A command was queued as the `issued`th of the connection.
    pub fn issued(&mut self, issued: u64) {
        let request = current();
        if request.span.is_none() {
            return;
        }
        let batch = self.written;
        // What a request asks at once stands together.
        match self.waiting.back_mut() {
            Some(part) if part.batch == batch && part.request == request => {
                part.commands += 1;
                part.answered_at = issued;
            }
            _ => {
                if let Some(mut span) = child("redis batch") {
                    span.set("db.system.name", "redis");
                    span.set("souk.batch.number", batch);
                    let (commands, answered_at) = (1, issued);
                    self.waiting.push_back(Part { request, span, batch, commands, answered_at });
                }
            }
        }
    }

    /// All that was queued is being written: so many commands.
    pub fn written(&mut self, size: usize) {
        let batch = self.written;
        for part in self.waiting.iter_mut().rev().take_while(|part| part.batch == batch) {
            part.span.set("db.operation.batch.size", size);
            part.span.set("souk.batch.own", part.commands);
        }
        self.written += 1;
    }

    /// So many replies have come.
    pub fn answered(&mut self, answered: u64) {
        while self.waiting.pop_front_if(|part| part.answered_at <= answered).is_some() {}
    }

    /// The connection is lost, and the replies that were to come with it.
    pub fn lost(self, why: &str) {
        for mut part in self.waiting {
            part.span.fail(why.to_owned());
        }
    }
}
