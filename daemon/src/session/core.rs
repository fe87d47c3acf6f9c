//! What a link's frames mean: which requests run, what a frame starts or stops, when the peer is
//! lost. No I/O and no clock of its own; the ring loops feed it and do what it says.
//!
//! A request is in the table from its start to the end of its task, also when it was given up
//! meanwhile, so the bound on requests in flight bounds the work, not just the answers.

use super::stream::{BodySender, Budget};
use crate::limits::{DRAIN_PING, LATE_TICK, REQUESTS_PER_LINK_MAX};
use souk_proto::limits::{DEADLINE_MAX, PING_EVERY, SILENCE_MAX};
use souk_proto::{Code, Failure, Flags, FrameRef, Header, Kind, Method};
use souk_trace::Context;
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
    answered: Answered,
}

/// How much of an answer was sent; it says how the answer may still end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// Nothing: it ends with a RESPONSE.
    Nothing,
    /// The head of a stream: it ends with a PUSH, and never with a second RESPONSE.
    Head,
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
    /// When it was read.
    pub(crate) began: Instant,
    pub(crate) deadline: Instant,
    /// The trace that it belongs to.
    pub(crate) trace: Context,
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
    /// End these answers with "deadline exceeded" and abort those that have a task to abort.
    Serve { late: Vec<Late<T>>, ping: bool },
    /// The peer is gone.
    Lost,
}

/// A request whose deadline passed while somebody waited for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Late<T> {
    pub(crate) id: u64,
    pub(crate) task: Option<T>,
    pub(crate) answered: Answered,
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
        let trace = Context { trace_id: header.trace_id, span: header.parent_span };
        let deadline = now + left;
        let call = Call { id, method, began: now, deadline, trace, streams };
        Ok(Step::Start(call, payload))
    }

    /// The bound that all bodies of this link share.
    pub(crate) fn budget(&self) -> Budget {
        self.budget.clone()
    }

    /// Enters a request whose work begins.
    pub(crate) fn enter(&mut self, call: &Call, body: Option<BodySender>) {
        let (deadline, answered) = (call.deadline, Answered::Nothing);
        let entry = Entry { deadline, task: None, body, awaited: true, answered };
        self.running.insert(call.id, entry);
    }

    /// Notes the task to abort when nobody waits for this request any more. Work that must run to
    /// its end has none.
    pub(crate) fn attach(&mut self, id: u64, task: T) {
        if let Some(entry) = self.running.get_mut(&id) {
            entry.task = Some(task);
        }
    }

    /// Takes out a request whose task has ended; how much of its answer was sent, if somebody
    /// still waits for the rest.
    pub(crate) fn leave(&mut self, id: u64) -> Option<Answered> {
        let entry = self.running.remove(&id)?;
        entry.awaited.then_some(entry.answered)
    }

    /// Notes that the head of this request's answer is being sent; false if nobody waits for it.
    pub(crate) fn begin_answer(&mut self, id: u64) -> bool {
        let entry = self.running.get_mut(&id).filter(|entry| entry.awaited);
        entry.map(|entry| entry.answered = Answered::Head).is_some()
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
            .filter_map(|id| {
                let answered = self.running.get(&id)?.answered;
                Some(Late { id, task: self.give_up(id, Code::DeadlineExceeded)?, answered })
            })
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

#[cfg(test)]
mod tests {
    use super::{Answered, Call, Core, Late, Step, Tick, Violation};
    use crate::limits::{DRAIN_PING, LATE_TICK, REQUESTS_PER_LINK_MAX};
    use crate::session::stream::body;
    use proptest::prelude::*;
    use souk_proto::limits::{DEADLINE_MAX, PING_EVERY, SILENCE_MAX};
    use souk_proto::{Code, Flags, FrameRef, Header, Kind, Method};
    use std::collections::HashMap;
    use std::time::{Duration, Instant};

    fn frame(kind: Kind, id: u64) -> FrameRef<'static> {
        let method = if kind == Kind::Request { Method::GetUser as u16 } else { 0 };
        FrameRef {
            header: Header { method, deadline_ms: 1_000, ..Header::new(kind, id) },
            payload: b"",
        }
    }

    /// Starts a request whose task is its own id.
    fn start(core: &mut Core<u64>, id: u64, now: Instant) -> Call {
        match core.receive(frame(Kind::Request, id), now) {
            Ok(Step::Start(call, _)) => {
                core.enter(&call, None);
                core.attach(id, id);
                call
            }
            other => panic!("{id} must start: {other:?}"),
        }
    }

    fn refusal(core: &mut Core<u64>, frame: FrameRef<'_>, now: Instant) -> Code {
        match core.receive(frame, now) {
            Ok(Step::Refuse(_, failure)) => failure.code,
            other => panic!("must be refused: {other:?}"),
        }
    }

    #[test]
    fn over_the_bound_in_flight_is_busy_at_once_and_given_up_work_still_counts() {
        let now = Instant::now();
        let mut core = Core::new(now);
        for id in 1..=REQUESTS_PER_LINK_MAX as u64 {
            start(&mut core, id, now);
        }
        let extra = u64::MAX - 1;
        assert_eq!(refusal(&mut core, frame(Kind::Request, extra), now), Code::Busy);
        let aborted = core.receive(frame(Kind::Cancel, 1), now);
        assert!(matches!(aborted, Ok(Step::Abort(1))), "{aborted:?}");
        assert_eq!(refusal(&mut core, frame(Kind::Request, extra), now), Code::Busy);
        assert_eq!(core.leave(1), None, "nobody waits for a cancelled request");
        start(&mut core, extra, now);
    }

    #[test]
    fn what_cannot_start_is_refused_before_any_work() {
        let now = Instant::now();
        let mut core = Core::<u64>::new(now);
        let mut late = frame(Kind::Request, 1);
        late.header.deadline_ms = 0;
        assert_eq!(refusal(&mut core, late, now), Code::DeadlineExceeded);
        let mut unknown = frame(Kind::Request, 1);
        unknown.header.method = u16::MAX;
        assert_eq!(refusal(&mut core, unknown, now), Code::UnknownMethod);
        let mut long = frame(Kind::Request, 1);
        long.header.deadline_ms = u32::MAX;
        match core.receive(long, now) {
            Ok(Step::Start(call, _)) => assert_eq!(call.deadline, now + DEADLINE_MAX),
            other => panic!("must start: {other:?}"),
        }
    }

    #[test]
    fn what_no_sound_peer_sends_ends_the_link() {
        let now = Instant::now();
        let mut core = Core::<u64>::new(now);
        start(&mut core, 7, now);
        for (sent, expected) in [
            (frame(Kind::Request, 0), Violation::NoId),
            (frame(Kind::Request, 7), Violation::Reused),
            (frame(Kind::Hello, 0), Violation::Unexpected(Kind::Hello)),
            (frame(Kind::Response, 7), Violation::Unexpected(Kind::Response)),
        ] {
            assert_eq!(core.receive(sent, now).err(), Some(expected));
        }
    }

    #[test]
    fn a_cancelled_body_ends_with_a_failure_and_its_work_is_not_aborted() {
        let now = Instant::now();
        let mut core = Core::<u64>::new(now);
        let call = match core.receive(frame(Kind::Request, 1), now) {
            Ok(Step::Start(call, _)) => call,
            other => panic!("must start: {other:?}"),
        };
        let (sender, mut stream) = body(core.budget());
        core.enter(&call, Some(sender));
        let item = FrameRef { header: Header::new(Kind::Push, 1), payload: b"half" };
        assert!(matches!(core.receive(item, now), Ok(Step::Quiet)));
        assert!(matches!(core.receive(frame(Kind::Cancel, 1), now), Ok(Step::Quiet)));
        let end = futures_now(stream.next());
        assert!(matches!(end, Some(Err(failure)) if failure.code == Code::Cancelled));
        assert!(!core.awaits(1));
    }

    #[test]
    fn a_silent_peer_is_asked_and_then_lost_but_not_for_our_own_standstill() {
        let start = Instant::now();
        let mut core = Core::<u64>::new(start);
        let mut now = start;
        let mut pings = 0;
        while now < start + SILENCE_MAX {
            now += Duration::from_millis(200);
            match core.tick(now) {
                Tick::Serve { ping, .. } => pings += u32::from(ping),
                Tick::Lost => break,
            }
        }
        assert!(pings >= 2, "asked {pings} times");
        assert!(matches!(core.tick(now + PING_EVERY), Tick::Lost));

        let mut core = Core::<u64>::new(start);
        let woken = start + SILENCE_MAX + LATE_TICK;
        assert!(matches!(core.tick(woken), Tick::Serve { .. }));
        core.heard(woken);
        assert!(matches!(core.tick(woken + LATE_TICK), Tick::Serve { ping: true, .. }));
    }

    #[test]
    fn an_answer_whose_head_was_sent_is_known_to_be_under_way_when_it_ends() {
        let start_at = Instant::now();
        let mut core = Core::new(start_at);
        for id in 1..=4 {
            start(&mut core, id, start_at);
        }
        assert!(core.begin_answer(1) && core.begin_answer(2));
        assert_eq!(core.leave(1), Some(Answered::Head));
        assert_eq!(core.leave(3), Some(Answered::Nothing));
        let after = start_at + Duration::from_secs(1);
        let Tick::Serve { mut late, .. } = core.tick(after) else { panic!("it was just heard") };
        late.sort_unstable_by_key(|late| late.id);
        let expected = [(2, Answered::Head), (4, Answered::Nothing)].map(|(id, answered)| Late {
            id,
            task: Some(id),
            answered,
        });
        assert_eq!(late, expected);
        assert!(!core.begin_answer(4), "nobody waits any more");
        assert_eq!((core.leave(2), core.leave(4)), (None, None));
    }

    #[test]
    fn a_drain_serves_what_was_sent_before_the_goaway_was_read_and_nothing_after() {
        let now = Instant::now();
        let mut core = Core::new(now);
        start(&mut core, 1, now);
        assert!(core.announce_drain());
        assert!(!core.announce_drain());
        start(&mut core, 2, now);
        assert!(core.leave(1).is_some() && core.leave(2).is_some());
        assert!(!core.is_drained(), "more may be on its way");
        start(&mut core, 3, now);
        assert!(matches!(core.receive(frame(Kind::Pong, DRAIN_PING), now), Ok(Step::Quiet)));
        assert!(!core.is_drained(), "one is in flight");
        assert_eq!(refusal(&mut core, frame(Kind::Request, 4), now), Code::Unavailable);
        assert!(core.leave(3).is_some());
        assert!(core.is_drained());
    }

    fn futures_now<F: Future>(future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(output) => output,
            std::task::Poll::Pending => panic!("it must be ready"),
        }
    }

    proptest! {
        /// Against a plain map: each request that started is answered, aborted by a cancel or
        /// answered late; never two of these, and never a request that did not start.
        #[test]
        fn every_request_has_one_end(steps in proptest::collection::vec(
            (0u8..5, 1u64..12, 1u32..2_000), 1..300)) {
            let mut now = Instant::now();
            let mut core = Core::<u64>::new(now);
            let mut model: HashMap<u64, (Instant, bool)> = HashMap::new();
            for (action, id, ms) in steps {
                match action {
                    0 | 1 => {
                        let mut request = frame(Kind::Request, id);
                        request.header.deadline_ms = ms;
                        request.header.flags = Flags::NONE;
                        match core.receive(request, now) {
                            Ok(Step::Start(call, _)) => {
                                prop_assert!(!model.contains_key(&id));
                                core.enter(&call, None);
                core.attach(id, id);
                                model.insert(id, (call.deadline, true));
                            }
                            end => {
                                prop_assert!(matches!(end, Err(Violation::Reused)));
                                prop_assert!(model.contains_key(&id));
                            }
                        }
                    }
                    2 => {
                        let step = core.receive(frame(Kind::Cancel, id), now).expect("sound");
                        let aborted = matches!(step, Step::Abort(task) if task == id);
                        let entry = model.get_mut(&id);
                        let awaited = entry.map(|it| std::mem::replace(&mut it.1, false));
                        prop_assert_eq!(aborted, awaited.unwrap_or(false));
                    }
                    3 => {
                        let expected = model.remove(&id).is_some_and(|(_, awaited)| awaited);
                        prop_assert_eq!(core.leave(id).is_some(), expected);
                    }
                    _ => {
                        now += Duration::from_millis(u64::from(ms));
                        core.heard(now);
                        let Tick::Serve { late, .. } = core.tick(now) else {
                            return Err(TestCaseError::fail("it was just heard"));
                        };
                        let mut late: Vec<_> =
                            late.into_iter().map(|late| (late.id, late.task)).collect();
                        late.sort_unstable();
                        let mut expected: Vec<(u64, Option<u64>)> = Vec::new();
                        for (id, (deadline, awaited)) in &mut model {
                            if *awaited && *deadline <= now {
                                *awaited = false;
                                expected.push((*id, Some(*id)));
                            }
                        }
                        expected.sort_unstable();
                        prop_assert_eq!(late, expected);
                    }
                }
                for id in 1..12 {
                    prop_assert_eq!(core.awaits(id), model.get(&id).is_some_and(|it| it.1));
                }
            }
        }
    }
}
