//! One thread of a run: begins what is due, lets the ring turn, takes what came.

use super::arrivals::Schedule;
use super::connection::{Connection, State};
use super::limits::{OPEN_QUEUE_MAX, STOP_GRACE, TICK_MAX};
use super::recorder::{Recorder, Watched, Window, nanos};
use super::ring::{Completion, Ring};
use super::{EngineError, ErrorClass, Load, Measured, Plan, Stop, Workload};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

mod links;

pub(crate) use links::socket;

/// A thread's share of a run.
pub struct Driver<'a, W> {
    plan: &'a Plan,
    /// Ends the run early; the user's and the crew's.
    stops: [&'a Stop; 2],
    workload: W,
    recorder: Recorder<'a>,
    ring: Ring,
    connections: Vec<Connection>,
    /// Connections to be made, by when.
    timers: BinaryHeap<Reverse<(u64, usize)>>,
    /// Open load: when requests are due; who is free; what is due and found nobody free.
    schedule: Option<Schedule>,
    free: VecDeque<usize>,
    queue: VecDeque<u64>,
    /// Closed load: who asks again when, in order since all think equally long.
    thinking: VecDeque<(u64, usize)>,
    /// A load that asks once: connections without an outcome.
    without_outcome: usize,
    open: usize,
    in_flight: usize,
    started: Instant,
    now: u64,
    /// No request that is due from here on begins.
    end: u64,
    stopped: bool,
    next_sweep: u64,
}

impl<'a, W: Workload> Driver<'a, W> {
    /// The share of thread `thread`; to be called on it.
    ///
    /// # Errors
    /// If the kernel offers no fitting ring.
    pub fn new(
        plan: &'a Plan,
        stops: [&'a Stop; 2],
        thread: usize,
        workload: W,
        watched: &'a Watched,
    ) -> Result<Self, EngineError> {
        // Timers fire when they are due and not up to 50 µs later; a refusal costs precision only.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let share = plan.share(thread);
        let ring = Ring::new(share.len(), plan.address.into())?;
        let mut timers = BinaryHeap::with_capacity(share.len());
        let mut connections = Vec::with_capacity(share.len());
        for (slot, number) in share.clone().enumerate() {
            let of_ramp = u128::from(nanos(plan.ramp)) * number as u128 / plan.connections as u128;
            timers.push(Reverse((u64::try_from(of_ramp).unwrap_or(u64::MAX), slot)));
            connections.push(Connection::new(number, plan.protocol));
        }
        let schedule = match plan.load {
            Load::Open { rate_per_s, arrivals } => {
                let place = (thread, plan.threads);
                Some(Schedule::new(arrivals, rate_per_s, plan.ramp, plan.seed, place))
            }
            _ => None,
        };
        let closed = matches!(plan.load, Load::Closed { .. });
        Ok(Self {
            plan,
            stops,
            workload,
            recorder: Recorder::new(Window::new(plan), closed, watched),
            ring,
            connections,
            timers,
            schedule,
            free: VecDeque::with_capacity(share.len()),
            queue: VecDeque::new(),
            thinking: VecDeque::new(),
            without_outcome: share.len(),
            open: 0,
            in_flight: 0,
            started: Instant::now(),
            now: 0,
            end: nanos(plan.ramp + plan.warm_up + plan.duration),
            stopped: false,
            next_sweep: 0,
        })
    }

    /// Runs from the moment given, which is the same for all threads.
    ///
    /// # Errors
    /// If there are not enough files or ports, or the ring breaks.
    pub fn run(mut self, start: Instant) -> Result<Measured, EngineError> {
        self.started = start;
        std::thread::sleep(start.saturating_duration_since(Instant::now()));
        let mut batch = Vec::new();
        loop {
            self.look_at_the_clock();
            self.recorder.tick(self.now, self.open);
            self.see_stop();
            self.connect_due()?;
            self.ask_due();
            self.sweep();
            if self.finished() {
                return Ok(self.finish());
            }
            let wait = Duration::from_nanos(self.next_event().saturating_sub(self.now));
            self.ring.turn(wait, &mut batch).map_err(|source| EngineError::Ring {
                what: "to go on with the io_uring",
                source,
                fix: "see io_uring_enter(2)",
            })?;
            self.look_at_the_clock();
            for completion in batch.drain(..) {
                self.complete(completion)?;
            }
        }
    }

    fn look_at_the_clock(&mut self) {
        self.now = nanos(self.started.elapsed());
    }

    fn see_stop(&mut self) {
        if !self.stopped && self.stops.iter().any(|stop| stop.stopped()) {
            self.stopped = true;
            self.end = self.end.min(self.now);
            self.recorder.end_at(self.now);
        }
    }

    /// Connects whose time has come.
    fn connect_due(&mut self) -> Result<(), EngineError> {
        while let Some(Reverse((due, slot))) = self.timers.peek().copied()
            && due <= self.now
        {
            self.timers.pop();
            if !self.stopped {
                self.connect(slot, due)?;
            }
        }
        Ok(())
    }

    /// Asks what is due by now.
    fn ask_due(&mut self) {
        while let Some((due, slot)) = self.thinking.front().copied()
            && due <= self.now
        {
            self.thinking.pop_front();
            self.ask_again(slot, 1);
        }
        while let Some(due) = self.due_next().filter(|due| *due <= self.now) {
            if let Some(schedule) = &mut self.schedule {
                schedule.advance();
            }
            if let Some(slot) = self.next_free() {
                self.ask(slot, due);
                self.flush(slot);
            } else if self.queue.len() < OPEN_QUEUE_MAX {
                self.queue.push_back(due);
            } else {
                self.recorder.failed(ErrorClass::NotSent, due, || {
                    format!("{OPEN_QUEUE_MAX} requests were due before it and none was free")
                });
            }
        }
    }

    /// When the next request of an open load is due, if it is still to be asked.
    fn due_next(&self) -> Option<u64> {
        self.schedule.as_ref().map(Schedule::due).filter(|due| *due < self.end)
    }

    /// A free connection. Those that were lost since they became free are passed over.
    fn next_free(&mut self) -> Option<usize> {
        while let Some(slot) = self.free.pop_front() {
            let connection = &mut self.connections[slot];
            connection.listed = false;
            if connection.state == State::Open && connection.asked.is_empty() {
                return Some(slot);
            }
        }
        None
    }

    /// A connection is there: what it has to ask at once.
    fn begin(&mut self, slot: usize) {
        match self.plan.load {
            Load::Closed { pipeline, .. } => self.ask_again(slot, pipeline),
            Load::Open { .. } => self.serve_or_rest(slot),
            Load::Once => {
                self.ask(slot, self.connections[slot].since);
                self.flush(slot);
            }
        }
    }

    /// A connection was answered: what it has to do next.
    fn go_on(&mut self, slot: usize, answers: usize) {
        self.in_flight -= answers;
        self.connections[slot].attempts = 0;
        match self.plan.load {
            Load::Closed { think, .. } if think.is_zero() => self.ask_again(slot, answers),
            Load::Closed { think, .. } => {
                let due = self.now + nanos(think);
                self.thinking.extend(std::iter::repeat_n((due, slot), answers));
            }
            Load::Open { .. } => self.serve_or_rest(slot),
            Load::Once => self.without_outcome -= answers,
        }
    }

    /// Closed load: asks up to so many times, within the pipeline's depth.
    fn ask_again(&mut self, slot: usize, times: usize) {
        let Load::Closed { pipeline, .. } = self.plan.load else { return };
        let connection = &self.connections[slot];
        if self.now >= self.end || connection.state != State::Open {
            return;
        }
        for _ in 0..times.min(pipeline.saturating_sub(connection.asked.len())) {
            self.ask(slot, self.now);
        }
        self.flush(slot);
    }

    /// Open load: takes the oldest request that is waiting, or joins the free.
    fn serve_or_rest(&mut self, slot: usize) {
        if let Some(due) = self.queue.pop_front() {
            self.ask(slot, due);
            self.flush(slot);
        } else if !self.connections[slot].listed {
            self.connections[slot].listed = true;
            self.free.push_back(slot);
        }
    }

    fn ask(&mut self, slot: usize, due: u64) {
        self.connections[slot].ask(&mut self.workload, due, self.now);
        self.in_flight += 1;
        self.recorder.sent(due);
    }

    /// The next time at which something is to be done, whatever comes.
    fn next_event(&self) -> u64 {
        let timer = self.timers.peek().map(|Reverse((due, _))| *due);
        let thought = self.thinking.front().map(|(due, _)| *due);
        let end = Some(self.end).filter(|end| *end > self.now);
        let all = [timer, thought, self.due_next(), end];
        all.into_iter().flatten().fold(self.next_sweep, u64::min)
    }

    fn finished(&self) -> bool {
        if self.now < self.end {
            return false;
        }
        if self.stopped && self.now >= self.end + nanos(STOP_GRACE) {
            return true;
        }
        match self.plan.load {
            Load::Once => self.without_outcome == 0 || (self.stopped && self.in_flight == 0),
            _ => {
                let last = self.end + nanos(self.plan.request_timeout + TICK_MAX);
                let waits = !self.queue.is_empty() && self.open > 0 && !self.stopped;
                self.now >= last || (self.in_flight == 0 && !waits)
            }
        }
    }

    fn finish(mut self) -> Measured {
        let window = self.recorder.window();
        let due = self.connections.iter().flat_map(|connection| &connection.asked);
        let mut unfinished = due.filter(|asked| window.contains(asked.due)).count() as u64;
        for due in std::mem::take(&mut self.queue) {
            if self.stopped {
                unfinished += u64::from(window.contains(due));
            } else {
                self.recorder.failed(ErrorClass::NotSent, due, || {
                    "no connection was free up to the end".to_owned()
                });
            }
        }
        if self.plan.load == Load::Once {
            self.recorder.end_at(self.now);
        }
        // Their receives end by this at once, which spares the ring to cancel each.
        for socket in self.connections.iter().filter_map(|connection| connection.socket.as_ref()) {
            let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
        }
        self.recorder.finish(self.now, unfinished, self.open)
    }

    /// Counts a completion and has it handled.
    fn complete(&mut self, completion: Completion) -> Result<(), EngineError> {
        use super::ring::Operation::{Cancel, Connect, Receive, Send};
        let slot = completion.slot;
        if !completion.more {
            self.connections[slot].operations -= 1;
        }
        match completion.operation {
            Receive => self.received(completion),
            Send => self.sent(slot),
            Connect => self.connected(slot, completion.result)?,
            Cancel => {}
        }
        self.settle(slot);
        Ok(())
    }
}
