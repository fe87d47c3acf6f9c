//! One thread's figures while it runs, and how they become a run's.

use super::{ErrorClass, Errors, Example, Measured, Plan, Slot, Tag, histogram, limits};
use crate::engine::Load;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The parts of a run, in nanoseconds since its start.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// What is due before is not measured.
    pub begin: u64,
    /// What is due from here on is not asked.
    pub end: u64,
    slot: u64,
}

impl Window {
    /// As the plan wants it. A load that asks once is measured from its start until it is done.
    pub fn new(plan: &Plan) -> Self {
        let full = plan.ramp + plan.warm_up;
        let slot = |whole: Duration| nanos(limits::SLOT.max(whole / limits::SLOTS_MAX));
        match plan.load {
            Load::Once => {
                let longest = full + plan.duration + plan.request_timeout;
                Self { begin: 0, end: u64::MAX, slot: slot(longest) }
            }
            _ => Self {
                begin: nanos(full),
                end: nanos(full + plan.duration),
                slot: slot(plan.duration),
            },
        }
    }

    /// Whether what is due then is measured.
    pub fn contains(&self, due: u64) -> bool {
        (self.begin..self.end).contains(&due)
    }

    /// The slot of a time, counted from the one that begins the measurement.
    fn slot(&self, now: u64) -> i64 {
        let (now, begin) = (now.cast_signed(), self.begin.cast_signed());
        (now - begin).div_euclid(self.slot.cast_signed())
    }
}

/// What the thread that watches a run sees of the others.
#[derive(Debug, Default)]
pub struct Watched(Mutex<Recent>);

/// What happened since the last look.
#[derive(Debug, Default, Clone)]
pub struct Recent {
    pub slot: Slot,
    pub errors: Errors,
    /// Connections open at the end of the last slot.
    pub open: u64,
}

impl Watched {
    /// Takes what happened since the last time; `errors` and `open` are as they stand.
    pub fn take(&self) -> Recent {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Recent { slot: std::mem::take(&mut recent.slot), ..recent.clone() }
    }
}

/// One thread's figures. Recording neither locks nor allocates but at a slot's end.
pub struct Recorder<'a> {
    window: Window,
    watched: &'a Watched,
    /// In a closed loop both times are the same and one is kept.
    closed: bool,
    sent: u64,
    answered: u64,
    declined: u64,
    errors: Errors,
    /// Errors since the start, measured or not.
    all_errors: Errors,
    latency: Vec<Option<Histogram<u64>>>,
    service_time: Vec<Option<Histogram<u64>>>,
    timeline: Vec<Slot>,
    current: Slot,
    current_number: i64,
    /// CPU time at the begin and the end of the window.
    cpu: (Option<Duration>, Option<Duration>),
    examples: Vec<Example>,
}

impl<'a> Recorder<'a> {
    /// Nothing recorded yet.
    pub fn new(window: Window, closed: bool, watched: &'a Watched) -> Self {
        let none = || std::iter::repeat_with(|| None).take(limits::TAGS_MAX).collect();
        Self {
            window,
            watched,
            closed,
            sent: 0,
            answered: 0,
            declined: 0,
            errors: Errors::default(),
            all_errors: Errors::default(),
            latency: none(),
            service_time: none(),
            timeline: Vec::new(),
            current: Slot::default(),
            current_number: window.slot(0),
            cpu: (None, None),
            examples: Vec::new(),
        }
    }

    /// When the current parts end.
    pub fn window(&self) -> Window {
        self.window
    }

    /// The run is over or was stopped: nothing that is due from now on is measured.
    pub fn end_at(&mut self, now: u64) {
        self.window.end = self.window.end.min(now.max(self.window.begin));
    }

    /// Time goes on: closes the slot when it is over. To be called once a turn.
    pub fn tick(&mut self, now: u64, open_connections: usize) {
        if self.cpu.0.is_none() && now >= self.window.begin {
            self.cpu.0 = Some(cpu_time());
        }
        if self.cpu.1.is_none() && now >= self.window.end {
            self.cpu.1 = Some(cpu_time());
        }
        let number = self.window.slot(now);
        if number == self.current_number {
            return;
        }
        let slot = std::mem::take(&mut self.current);
        {
            let recent = &self.watched.0;
            let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.slot.add(&slot);
            recent.errors = self.all_errors;
            recent.open = open_connections as u64;
        }
        // Slots in which the thread did not wake are empty.
        if let Ok(place) = usize::try_from(self.current_number) {
            self.timeline.resize_with(place, Slot::default);
            self.timeline.push(slot);
        }
        self.current_number = number;
    }

    /// Requests were sent that were due at these times.
    pub fn sent(&mut self, due: u64) {
        self.sent += u64::from(self.window.contains(due));
        self.current.sent += 1;
    }

    /// An answer as expected.
    pub fn answered(&mut self, tag: Tag, due: u64, sent: u64, now: u64) {
        let latency = now.saturating_sub(due);
        self.current.answered += 1;
        self.current.latency.saturating_record(latency);
        if self.window.contains(due) {
            self.answered += 1;
            let place = usize::from(tag.0);
            record(&mut self.latency[place], latency);
            if !self.closed {
                record(&mut self.service_time[place], now.saturating_sub(sent));
            }
        }
    }

    /// The server said no, as it may.
    pub fn declined(&mut self, due: u64) {
        self.declined += u64::from(self.window.contains(due));
    }

    /// Something went wrong with requests, or a connection, due at a time. `text` is asked for at
    /// the first of a class.
    pub fn failed(&mut self, class: ErrorClass, due: u64, text: impl FnOnce() -> String) {
        if self.all_errors.of(class) == 0 {
            self.examples.push(Example { class, text: text() });
        }
        self.all_errors.count(class, 1);
        self.current.errors += 1;
        if self.window.contains(due) {
            self.errors.count(class, 1);
        }
    }

    /// The figures, at the thread's end.
    pub fn finish(mut self, now: u64, unfinished: u64, open_connections: usize) -> Measured {
        self.tick(now + self.window.slot, open_connections);
        let elapsed = self.window.end.min(now).saturating_sub(self.window.begin);
        let slots = elapsed.div_ceil(self.window.slot);
        self.timeline.resize_with(usize::try_from(slots).unwrap_or(usize::MAX), Slot::default);
        let latency = by_tag(self.latency);
        let service_time = if self.closed { latency.clone() } else { by_tag(self.service_time) };
        let used = self.cpu.1.unwrap_or_else(cpu_time);
        Measured {
            elapsed: Duration::from_nanos(elapsed),
            sent: self.sent,
            answered: self.answered,
            declined: self.declined,
            errors: self.errors,
            unfinished,
            open_at_end: open_connections as u64,
            latency,
            service_time,
            timeline: self.timeline,
            slot: Duration::from_nanos(self.window.slot),
            cpu: used.saturating_sub(self.cpu.0.unwrap_or(used)),
            examples: self.examples,
        }
    }
}

impl Measured {
    /// Adds what another thread of the same run measured.
    pub(super) fn add(&mut self, other: Self) {
        self.elapsed = self.elapsed.max(other.elapsed);
        self.sent += other.sent;
        self.answered += other.answered;
        self.declined += other.declined;
        self.errors.add(&other.errors);
        self.unfinished += other.unfinished;
        self.open_at_end += other.open_at_end;
        add_by_tag(&mut self.latency, other.latency);
        add_by_tag(&mut self.service_time, other.service_time);
        let slots = self.timeline.len().max(other.timeline.len());
        self.timeline.resize_with(slots, Slot::default);
        for (mine, theirs) in self.timeline.iter_mut().zip(&other.timeline) {
            mine.add(theirs);
        }
        self.cpu += other.cpu;
        for example in other.examples {
            if self.examples.iter().all(|known| known.class != example.class) {
                self.examples.push(example);
            }
        }
    }
}

fn record(histogram: &mut Option<Histogram<u64>>, nanos: u64) {
    histogram.get_or_insert_with(super::histogram).saturating_record(nanos);
}

fn by_tag(histograms: Vec<Option<Histogram<u64>>>) -> BTreeMap<Tag, Histogram<u64>> {
    (0_u16..).map(Tag).zip(histograms).filter_map(|(tag, one)| Some((tag, one?))).collect()
}

fn add_by_tag(mine: &mut BTreeMap<Tag, Histogram<u64>>, theirs: BTreeMap<Tag, Histogram<u64>>) {
    for (tag, one) in theirs {
        mine.entry(tag).or_insert_with(histogram).add(one).expect("the same bounds");
    }
}

/// CPU time of the calling thread so far, in user and kernel.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Saturates after 584 years.
pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
