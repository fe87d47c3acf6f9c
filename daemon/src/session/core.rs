//! What a link's frames mean: which requests run, what a frame starts or stops, when the peer is
//! lost. No I/O and no clock of its own; the ring loops feed it and do what it says.
//!
//! A request is in the table from its start to the end of its task, also when it was given up
//! meanwhile, so the bound on requests in flight bounds the work, not just the answers.

use super::stream::{BodySender, Budget};
use crate::limits::{DRAIN_PING, LATE_TICK, REQUESTS_PER_LINK_MAX};
use souk_proto::limits::{DEADLINE_MAX, PING_EVERY, SILENCE_MAX};
use souk_proto::{Code, Failure, Flags, FrameRef, Header, Kind, Method};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The requests and the health of one link. `T` is the handle of a running task.
#[derive(Debug)]
pub(crate) struct Core<T> {
    running: HashMap<u64, Entry<T>, foldhash::fast::RandomState>,
    /// Bytes of request bodies that wait for their services.
    budget: Budget,
    last_heard: Instant,
    last_ping: Instant,
    last_tick: Instant,
    drain: Drain,
}

#[derive(Debug)]
struct Entry<T> {
    deadline: Instant,
    /// Taken when the request is given up, or never there when it must run to its end.
    task: Option<T>,
    body: Option<BodySender>,
    /// Whether somebody still waits for the answer.
    awaited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    /// Serving.
    Off,
    /// GOAWAY is sent; what the peer sent before it read that may still arrive.
    Announced,
    /// The peer has read the GOAWAY: nothing new comes.
    Acknowledged,
}

/// A request that may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) id: u64,
    pub(crate) method: Method,
    pub(crate) deadline: Instant,
    pub(crate) trace_id: u128,
    /// Whether a body follows as PUSH frames.
    pub(crate) streams: bool,
}

/// What to do about a frame.
#[derive(Debug)]
pub(crate) enum Step<'a, T> {
    /// Nothing.
    Quiet,
    /// Decode this payload and start the request.
    Start(Call, &'a [u8]),
    /// Answer this failure at once.
    Refuse(u64, Failure),
    /// Abort this task: nobody waits for it.
    Abort(T),
    /// Answer this PING.
    Pong(u64),
}

/// What to do at a tick.
#[derive(Debug)]
pub(crate) enum Tick<T> {
    /// Answer these with "deadline exceeded" and abort those that have a task to abort.
    Serve { late: Vec<(u64, Option<T>)>, ping: bool },
    /// The peer is gone.
    Lost,
}

/// What no sound peer sends. The link closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("the peer sent a {0:?} frame, which only a daemon sends")]
    Unexpected(Kind),
    #[error("the peer sent a request with the id 0")]
    NoId,
    #[error("the peer used the id of a request that is still in flight")]
    Reused,
}

impl<T> Core<T> {
    /// A link that was just heard from.
    pub(crate) fn new(now: Instant) -> Core<T> {
        Core {
            running: HashMap::default(),
            budget: Budget::default(),
            last_heard: now,
            last_ping: now,
            last_tick: now,
            drain: Drain::Off,
        }
    }

    /// Notes that bytes came.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// What to do about a frame.
    pub(crate) fn receive<'a>(
        &mut self,
        frame: FrameRef<'a>,
        now: Instant,
    ) -> Result<Step<'a, T>, Violation> {
        let id = frame.header.request_id;
        match frame.header.kind {
            Kind::Request => self.request(&frame.header, frame.payload, now),
            Kind::Push => {
                self.item(&frame.header, frame.payload);
                Ok(Step::Quiet)
            }
            Kind::Cancel => {
                Ok(self.give_up(id, Code::Cancelled).flatten().map_or(Step::Quiet, Step::Abort))
            }
            Kind::Ping => Ok(Step::Pong(id)),
            Kind::Pong => {
                if id == DRAIN_PING && self.drain == Drain::Announced {
                    self.drain = Drain::Acknowledged;
                }
                Ok(Step::Quiet)
            }
            // A front that drains sends nothing more and closes when its answers are in.
            Kind::GoAway => Ok(Step::Quiet),
            kind @ (Kind::Hello | Kind::Response) => Err(Violation::Unexpected(kind)),
        }
    }

    fn request<'a>(
        &mut self,
        header: &Header,
        payload: &'a [u8],
        now: Instant,
    ) -> Result<Step<'a, T>, Violation> {
        let id = header.request_id;
        if id == 0 {
            return Err(Violation::NoId);
        }
        if self.running.contains_key(&id) {
            return Err(Violation::Reused);
        }
        let refuse = |failure| Ok(Step::Refuse(id, failure));
        if self.running.len() >= REQUESTS_PER_LINK_MAX {
            let why = format!("{REQUESTS_PER_LINK_MAX} requests are in flight on this link.");
            let busy = Failure::because(Code::Busy, why);
            return refuse(busy.retry_after(Duration::from_secs(1)));
        }
        if self.drain == Drain::Acknowledged {
            return refuse(Failure::because(Code::Unavailable, "This daemon is stopping."));
        }
        if header.deadline_ms == 0 {
            return refuse(Failure::new(Code::DeadlineExceeded));
        }
        let Some(method) = Method::from_number(header.method) else {
            return refuse(Failure::new(Code::UnknownMethod));
        };
        let left = Duration::from_millis(u64::from(header.deadline_ms)).min(DEADLINE_MAX);
        let streams = header.flags.has(Flags::STREAM);
        let trace_id = header.trace_id;
        Ok(Step::Start(Call { id, method, deadline: now + left, trace_id, streams }, payload))
    }

    /// The bound that all bodies of this link share.
    pub(crate) fn budget(&self) -> Budget {
        self.budget.clone()
    }

    /// Enters a request whose task was started. A task that must run to its end, whoever still
    /// waits for it, gives no handle.
    pub(crate) fn enter(&mut self, call: &Call, task: Option<T>, body: Option<BodySender>) {
        let entry = Entry { deadline: call.deadline, task, body, awaited: true };
        self.running.insert(call.id, entry);
    }

    /// Takes out a request whose task has ended; whether its answer is still awaited.
    pub(crate) fn leave(&mut self, id: u64) -> bool {
        self.running.remove(&id).is_some_and(|entry| entry.awaited)
    }

    /// Whether somebody still waits for this request.
    pub(crate) fn awaits(&self, id: u64) -> bool {
        self.running.get(&id).is_some_and(|entry| entry.awaited)
    }

    fn item(&mut self, header: &Header, payload: &[u8]) {
        // An item may cross the answer that ended its request: unknown ids are no violation.
        let Some(body) = self.running.get(&header.request_id).and_then(|it| it.body.as_ref())
        else {
            return;
        };
        if header.flags.has(Flags::ERROR) {
            body.end(Err(Failure::because(Code::Cancelled, "The body was broken off.")));
            return;
        }
        body.push(payload);
        if header.flags.has(Flags::END) {
            body.end(Ok(()));
        }
    }

    /// Stops waiting for a request: its task to abort if it has one, or nothing if it was not
    /// awaited.
    fn give_up(&mut self, id: u64, code: Code) -> Option<Option<T>> {
        let entry = self.running.get_mut(&id).filter(|entry| entry.awaited)?;
        Some(entry.give_up(code))
    }

    /// The link is gone: nobody waits for anything. Returns the tasks to abort.
    pub(crate) fn give_up_all(&mut self) -> Vec<T> {
        self.running.values_mut().filter_map(|entry| entry.give_up(Code::Cancelled)).collect()
    }

    /// What the passing of time asks for.
    pub(crate) fn tick(&mut self, now: Instant) -> Tick<T> {
        // A tick that comes late means that this thread stood still, not that the peer did.
        let stalled = now.duration_since(self.last_tick) > LATE_TICK;
        self.last_tick = now;
        let silence = now.duration_since(self.last_heard);
        if silence > SILENCE_MAX && !stalled {
            return Tick::Lost;
        }
        let ping = silence >= PING_EVERY && now.duration_since(self.last_ping) >= PING_EVERY;
        if ping {
            self.last_ping = now;
        }
        let late: Vec<u64> = self
            .running
            .iter()
            .filter(|(_, entry)| entry.awaited && entry.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        let late = late
            .into_iter()
            .filter_map(|id| Some((id, self.give_up(id, Code::DeadlineExceeded)?)))
            .collect();
        Tick::Serve { late, ping }
    }

    /// GOAWAY is being sent, and a PING with [`DRAIN_PING`] behind it. Whether it was not before.
    pub(crate) fn announce_drain(&mut self) -> bool {
        let first = self.drain == Drain::Off;
        if first {
            self.drain = Drain::Announced;
        }
        first
    }

    /// Whether the peer knows of the drain and everything it had asked before is answered.
    pub(crate) fn is_drained(&self) -> bool {
        self.drain == Drain::Acknowledged && self.running.is_empty()
    }
}

impl<T> Entry<T> {
    fn give_up(&mut self, code: Code) -> Option<T> {
        self.awaited = false;
        if let Some(body) = self.body.take() {
            body.end(Err(Failure::new(code)));
        }
        self.task.take()
    }
}
