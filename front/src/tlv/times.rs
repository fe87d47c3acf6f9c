//! Where the time of frames goes, from the read that brought them to the write of their answers.

use super::Route;
use crate::routes::status;
use souk_meter::{Request, Stage, mark, recent, refused, turn};
use souk_proto::Code;
use souk_trace::{Context, Slow};
use std::time::Instant;

/// The outcome of what was done.
const DONE: u16 = 200;

/// The outcome of what nobody waits for any more, as HTTP has it here.
const CLIENT_GONE: u16 = 499;

/// Places for answers that an idle connection keeps.
const OUT_KEPT: usize = 8;

/// A frame that gets an answer.
#[derive(Debug)]
pub struct Timed {
    route: Route,
    meter: Option<Request>,
    /// Why it was not done, if it was not.
    pub code: Option<Code>,
    trace: u128,
}

impl Timed {
    /// Its request is made now, in this trace.
    pub fn asked(&mut self, trace: u128) {
        self.trace = trace;
        self.lap(Stage::Queue);
    }

    /// The answer is there.
    pub fn answered(&self) {
        self.lap(Stage::Link);
    }

    /// The answer has so many bytes.
    pub fn sent(&self, bytes: usize) {
        self.meter.iter().for_each(|meter| meter.sent(bytes));
    }

    fn lap(&self, stage: Stage) {
        self.meter.iter().for_each(|meter| meter.lap_at(stage, recent()));
    }

    fn finish(self, gone: bool, at: Instant, slow: &Slow) {
        let Some(meter) = self.meter else { return };
        let outcome = if gone { CLIENT_GONE } else { self.code.map_or(DONE, status) };
        let _entered = Context { trace_id: self.trace, span: None }.enter();
        let stages = || meter.stages().into_iter().map(|(stage, time)| (stage.name(), time));
        slow.look(self.route.name(), outcome, (meter.total(at), at), stages);
        meter.finish(usize::from(outcome), at);
    }
}

/// Counts a frame that has no times.
pub fn count(route: Route, code: Option<Code>) {
    refused(route.number(), usize::from(code.map_or(DONE, status)));
}

/// The times of a connection. Without a meter on this thread it stays empty.
#[derive(Debug, Default)]
pub struct Out {
    /// When the last read was done.
    read_at: Option<Instant>,
    /// Answers that are encoded and not written.
    out: Vec<Timed>,
    /// How many of them have the time of their encoding.
    timed: usize,
    /// How many of them are in the write that is in flight.
    in_write: usize,
}

impl Out {
    /// A read was done.
    pub fn read(&mut self, at: Option<Instant>) {
        self.read_at = at;
    }

    /// A frame of so many bytes was read.
    pub fn begin(&self, route: Route, bytes: usize) -> Timed {
        let meter = self.read_at.map(|read_at| {
            let meter = Request::begin(route.number(), read_at);
            meter.received(bytes);
            meter.lap_at(Stage::Parse, recent());
            meter
        });
        Timed { route, meter, code: None, trace: 0 }
    }

    /// The answer is encoded.
    pub fn encoded(&mut self, timed: Timed) {
        if timed.meter.is_some() {
            self.out.push(timed);
        }
    }

    /// No more is encoded in this turn.
    pub fn all_encoded(&mut self) {
        if self.timed == self.out.len() {
            return;
        }
        let now = mark();
        for timed in &self.out[self.timed..] {
            let meters = timed.meter.iter().zip(now);
            meters.for_each(|(meter, now)| meter.lap_at(Stage::Encode, now));
        }
        self.timed = self.out.len();
    }

    /// All that is encoded is being written.
    pub fn taken(&mut self) {
        self.in_write = self.out.len();
    }

    /// The write is done.
    pub fn written(&mut self, slow: &Slow) {
        if self.in_write > 0 {
            let now = turn().unwrap_or_else(recent);
            for timed in self.out.drain(..self.in_write) {
                timed.meter.iter().for_each(|meter| meter.lap_at(Stage::Write, now));
                timed.finish(false, now, slow);
            }
        }
        self.timed = self.out.len();
        self.in_write = 0;
        if self.out.is_empty() && self.out.capacity() > OUT_KEPT {
            self.out = Vec::new();
        }
    }

    /// The connection is lost, and with it what was owed.
    pub fn lost(&mut self, owed: impl Iterator<Item = Timed>, slow: &Slow) {
        let now = recent();
        self.out.drain(..).chain(owed).for_each(|timed| timed.finish(true, now, slow));
        (self.timed, self.in_write) = (0, 0);
    }
}
