//! Where the time of a connection's requests goes: each is measured from the last byte that it
//! needed to the last byte of its answer.

use crate::connection::slot::Slot;
use crate::connection::trace::Trace;
use souk_meter::{Request, Stage, mark, recent, turn};
use souk_trace::Slow;
use std::collections::VecDeque;
use std::time::Instant;

/// The outcome of a request whose client went away before its answer was out, as nginx counts it.
const CLIENT_GONE: u16 = 499;

/// What the exchange measures. Without a meter on this thread it stays empty.
#[derive(Default)]
pub(super) struct Times {
    /// When the last read was done.
    read_at: Option<Instant>,
    /// When the first bytes came of a request that is not all there.
    waits_since: Option<Instant>,
    /// Requests whose answers are encoded and not written.
    out: Vec<Out>,
    /// How many of them have the time of their encoding.
    timed: usize,
    /// How many of them are in the write that is in flight.
    in_write: usize,
}

/// An answer that is encoded.
struct Out {
    meter: Request,
    status: u16,
    /// Its span ends with the write.
    trace: Trace,
}

impl Out {
    /// It ended at `at`.
    fn finish(self, at: Instant, slow: &Slow) {
        let Out { meter, status, trace } = self;
        let _entered = trace.context.enter();
        let stages = || meter.stages().into_iter().map(|(stage, time)| (stage.name(), time));
        slow.look(trace.route, status, (meter.total(at), at), stages);
        meter.finish(usize::from(status), at);
    }
}

impl Times {
    /// A read is done.
    pub(super) fn read(&mut self) {
        self.read_at = turn();
    }

    /// The input was used as far as possible; what is left may wait for more.
    pub(super) fn waits(&mut self, waits: bool) {
        self.waits_since = if waits { self.waits_since.or(self.read_at) } else { None };
    }

    /// A request begins: it is all there, as far as it is needed.
    pub(super) fn begin(&mut self, route: usize, received: usize) -> Option<Request> {
        let began = self.read_at?;
        let request = Request::begin(route, began);
        let waited = self.waits_since.take().map(|since| began.duration_since(since));
        request.add(Stage::Head, waited.unwrap_or_default());
        request.received(received);
        if let Some(parsed) = mark() {
            request.lap_at(Stage::Parse, parsed);
        }
        Some(request)
    }

    /// Bytes of an answer were encoded.
    pub(super) fn sent(meter: Option<&Request>, bytes: usize) {
        if let Some(meter) = meter {
            meter.sent(bytes);
        }
    }

    /// A piece of a streamed answer came over the link and was encoded.
    pub(super) fn came(meter: Option<&Request>, bytes: usize) {
        if let Some(meter) = meter {
            meter.lap_at(Stage::Link, recent());
            meter.sent(bytes);
        }
    }

    /// An answer is encoded to its end.
    pub(super) fn encoded(&mut self, slot: Slot) {
        let Slot { meter: Some(meter), status, trace, .. } = slot else { return };
        // Most connections have one answer at a time: they need no room for more.
        if self.out.capacity() == 0 {
            self.out.reserve_exact(1);
        }
        self.out.push(Out { meter, status, trace });
    }

    /// No more is encoded in this turn.
    pub(super) fn all_encoded(&mut self) {
        if self.timed == self.out.len() {
            return;
        }
        let now = mark();
        for out in &self.out[self.timed..] {
            now.into_iter().for_each(|now| out.meter.lap_at(Stage::Encode, now));
        }
        self.timed = self.out.len();
    }

    /// All that is encoded is being written.
    pub(super) fn taken(&mut self) {
        self.in_write = self.out.len();
    }

    /// The write is done.
    pub(super) fn written(&mut self, slow: &Slow) {
        if self.in_write > 0 {
            let now = turn().unwrap_or_else(recent);
            for out in self.out.drain(..self.in_write) {
                out.meter.lap_at(Stage::Write, now);
                out.finish(now, slow);
            }
        }
        self.timed = self.out.len();
        self.in_write = 0;
    }

    /// The connection is lost: nobody gets what is still owed.
    pub(super) fn lost(&mut self, slots: &mut VecDeque<Slot>, slow: &Slow) {
        let now = recent();
        let owed = slots.drain(..).filter_map(|slot| {
            let Slot { meter, status, trace, .. } = slot;
            meter.map(|meter| Out { meter, status, trace })
        });
        for mut out in self.out.drain(..).chain(owed) {
            out.status = CLIENT_GONE;
            out.trace.lost();
            out.finish(now, slow);
        }
        (self.timed, self.in_write) = (0, 0);
    }
}
