//! One run: a scenario, a target, a load; and what came out.

use crate::Failed;
use crate::cast::{self, Cast};
use crate::engine::{self, Arrivals, Load, Measured, Plan, Progress, Protocol, Stop};
use crate::machine::Machine;
use crate::procs::{self, Costs, Watch};
use crate::record::{Figures, LoadRecord, Record, Times};
use crate::scenario::{Pick, Scenario};
use crate::stages::{self, Stage};
use crate::target::Target;
use crate::tlv;
use crate::visitor::{Play, Visitor, kind_of};
use crate::watchers;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What flags say about the load. What they leave out, the scenario says.
#[derive(Clone, Debug)]
pub struct Options {
    /// Generator threads.
    pub threads: usize,
    /// Connections.
    pub connections: Option<usize>,
    /// Requests a second, open loop.
    pub rate: Option<f64>,
    /// How the requests of an open loop are spread.
    pub arrivals: Arrivals,
    /// Ask again as soon as answered, in place of a rate.
    pub closed: bool,
    /// Requests in flight on a connection, closed loop.
    pub pipeline: usize,
    /// Wait between answer and request, closed loop.
    pub think: Duration,
    /// Over how long connections are opened.
    pub ramp: Option<Duration>,
    /// Full load that is not measured.
    pub warm_up: Duration,
    /// What is measured.
    pub duration: Option<Duration>,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Where random choices begin.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            threads: 1,
            connections: None,
            rate: None,
            arrivals: Arrivals::Poisson,
            closed: false,
            pipeline: 1,
            think: Duration::ZERO,
            ramp: None,
            warm_up: Duration::from_secs(2),
            duration: None,
            timeout: Duration::from_secs(10),
            seed: 1,
        }
    }
}

/// How long is measured unless flags or scenario say otherwise.
pub const DURATION: Duration = Duration::from_secs(10);

/// How long a storm of connections is held.
const HOLD: Duration = Duration::from_secs(1);

impl Options {
    /// The engine's plan for a scenario.
    ///
    /// # Errors
    /// If the scenario is about the binary port and it is not known where that is.
    pub fn plan(&self, scenario: &Scenario, target: &Target) -> Result<Plan, Failed> {
        let table = &scenario.load;
        let load = if table.once {
            Load::Once
        } else if self.closed {
            Load::Closed { pipeline: self.pipeline, think: self.think }
        } else {
            let rate_per_s = self.rate.or(table.rate).unwrap_or(1.0);
            Load::Open { rate_per_s, arrivals: self.arrivals }
        };
        let usual = if table.once { HOLD } else { DURATION };
        let connections = self.connections.unwrap_or(table.connections);
        let (address, protocol) = if scenario.is_binary() {
            let none = || Failed::new("where is the binary port? Give --bids HOST:PORT");
            (target.bids.ok_or_else(none)?, Protocol::Frames(tlv::ANSWERS))
        } else {
            (target.address, Protocol::Http)
        };
        Ok(Plan {
            address,
            protocol,
            threads: self.threads.min(connections.max(1)),
            connections,
            load,
            ramp: self.ramp.unwrap_or(Duration::from_secs_f64(table.ramp_s.clamp(0.0, 3600.0))),
            warm_up: if table.once { Duration::ZERO } else { self.warm_up },
            duration: self.duration.unwrap_or_else(|| {
                table.duration_s.map_or(usual, |s| Duration::from_secs_f64(s.clamp(0.0, 86400.0)))
            }),
            request_timeout: self.timeout,
            seed: self.seed,
        })
    }
}

/// A run, with what a report shows of it.
pub struct Outcome {
    /// What is kept.
    pub record: Record,
    /// What the engine measured.
    pub measured: Measured,
    /// Where the time went in the programs, if they say.
    pub stages: Vec<Stage>,
    /// Share of one core that each role took, in slices of [`CPU_SLICE`].
    pub cpu: Vec<(String, Vec<f64>)>,
    /// Whether it was ended early.
    pub stopped: bool,
}

/// One slice of [`Outcome::cpu`]: shorter ones would show the clock's own ticks of 10 ms.
pub const CPU_SLICE: Duration = Duration::from_millis(500);

/// Who asks whom, and for what.
pub struct Scene<'a> {
    /// What is asked.
    pub scenario: &'a Scenario,
    /// Who is asked.
    pub target: &'a Target,
    /// Who takes part.
    pub cast: Arc<Cast>,
    /// Whether the target's cache is on.
    pub cache: bool,
    /// Which runs belong together.
    pub batch: &'a str,
    /// The round of a comparison; 0 for a run by itself.
    pub round: u32,
}

impl<'a> Scene<'a> {
    /// Prepares a run by itself: logs in those who take part.
    ///
    /// # Errors
    /// If they cannot.
    pub fn prepare(
        scenario: &'a Scenario,
        target: &'a Target,
        cache: bool,
        batch: &'a str,
    ) -> Result<Scene<'a>, Failed> {
        let cast = Arc::new(cast::gather(scenario, target)?);
        Ok(Scene { scenario, target, cast, cache, batch, round: 0 })
    }
}

/// Now, as records have it.
#[must_use]
pub fn now() -> String {
    Timestamp::now().round(jiff::Unit::Second).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// Makes a run.
///
/// # Errors
/// If the engine cannot make it, or users came twice where each must come once. What the target
/// does wrong is counted, and no error.
pub fn run(
    scene: &Scene<'_>,
    options: &Options,
    stop: &Stop,
    mut observe: impl FnMut(&Progress),
) -> Result<Outcome, Failed> {
    let Scene { scenario, target, .. } = scene;
    let plan = options.plan(scenario, target)?;
    souk_process::raise_open_files()?;
    let play = Play::new((*scenario).clone(), scene.cast.clone(), &target.host, target.eyes);
    let began = now();
    let stages = stages::read(target);
    let resident = || target.pids("front").filter_map(procs::resident_kib).sum::<u64>();
    let (before, mut held) = (resident(), None);
    let watch = Watch::begin(&target.processes);
    let start = Instant::now();
    let make = |thread| {
        let seed = plan.seed.wrapping_mul(31).wrapping_add(thread as u64);
        Visitor::new(&play, plan.share(thread), seed)
    };
    let measured = if scenario.watches() {
        watchers::run(&plan, &play, stop, || held = Some(resident()), observe)
    } else {
        engine::run(&plan, stop, make, |progress| {
            // While all are open and idle; a later look finds answers' buffers given back.
            if plan.load == Load::Once && progress.open_connections == plan.connections as u64 {
                held = Some(resident());
            }
            observe(progress);
        })
        .map_err(Failed::from)
    };
    let costs = watch.end();
    let measured = measured?;
    refuse_returning(scene)?;
    let from = start + plan.ramp + plan.warm_up;
    let to = from + measured.elapsed;
    let mut figures = figures(&measured, &costs.between(from, to));
    figures.memory_mib = memory(target);
    // Without growth the connections took room that an earlier run had left: that says nothing.
    if let Some(held) = held.filter(|held| before > 0 && *held > before) {
        #[allow(clippy::cast_precision_loss)] // KiB of one machine
        let each = (held - before) as f64 / plan.connections.max(1) as f64;
        figures.idle_kib = Some((each * 100.0).round() / 100.0);
    }
    let record = Record {
        began,
        batch: scene.batch.to_owned(),
        scenario: scenario.name.clone(),
        target: target.name.clone(),
        round: scene.round,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("SOUK_COMMIT").to_owned(),
        machine: Machine::this(),
        load: load_record(scene, &plan, &measured),
        figures,
    };
    Ok(Outcome {
        record,
        stages: stages::since(&stages, &stages::read(target)),
        cpu: slices(&costs, from, to),
        measured,
        stopped: stop.stopped(),
    })
}

/// Where everybody comes once, whoever comes again meets what the first time has warmed.
fn refuse_returning(scene: &Scene<'_>) -> Result<(), Failed> {
    let (came, Scenario { name, users, pick, .. }) = (scene.cast.queue.came(), scene.scenario);
    if *pick == Pick::Each && came > *users {
        return Err(Failed::new(format!(
            "{name} asks of everybody once, and {came} requests came to {users} users: the figures \
             would be wrong. Give more --users, or measure for a shorter time"
        )));
    }
    Ok(())
}

fn load_record(scene: &Scene<'_>, plan: &Plan, measured: &Measured) -> LoadRecord {
    let mut record = LoadRecord {
        users: scene.scenario.users,
        cache: scene.cache,
        threads: plan.threads,
        connections: plan.connections,
        mode: "once".to_owned(),
        rate: None,
        arrivals: None,
        pipeline: None,
        think_ms: None,
        warm_up_s: plan.warm_up.as_secs_f64(),
        duration_s: (measured.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
        seed: plan.seed,
    };
    match plan.load {
        Load::Once => {}
        Load::Closed { pipeline, think } => {
            "closed".clone_into(&mut record.mode);
            record.pipeline = Some(pipeline);
            record.think_ms = Some(u64::try_from(think.as_millis()).unwrap_or(u64::MAX));
        }
        Load::Open { rate_per_s, arrivals } => {
            "open".clone_into(&mut record.mode);
            record.rate = Some(rate_per_s);
            let name = match arrivals {
                Arrivals::Constant => "constant",
                Arrivals::Poisson => "poisson",
            };
            record.arrivals = Some(name.to_owned());
        }
    }
    record
}

fn figures(measured: &Measured, cpu: &[(&'static str, Duration)]) -> Figures {
    let arrived: u64 = measured.timeline.iter().map(|slot| slot.answered).sum();
    let each = |spent: Duration| {
        #[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
        let us = spent.as_secs_f64() * 1e6 / arrived.max(1) as f64;
        (us * 100.0).round() / 100.0
    };
    let mut cpu_us: BTreeMap<String, f64> =
        cpu.iter().map(|(role, spent)| ((*role).to_owned(), each(*spent))).collect();
    cpu_us.insert("generator".to_owned(), each(measured.cpu));
    if arrived == 0 {
        cpu_us.clear();
    }
    let errors = measured.errors.iter().map(|(class, count)| (class.name().to_owned(), count));
    let kinds = measured.latency.iter().filter(|(_, times)| !times.is_empty());
    Figures {
        sent: measured.sent,
        answered: measured.answered,
        declined: measured.declined,
        rps: (measured.rate_per_s() * 10.0).round() / 10.0,
        errors: errors.collect(),
        latency: Times::of(&measured.latency_of_all()),
        service: Times::of(&measured.service_time_of_all()),
        kinds: kinds.map(|(tag, h)| (kind_of(*tag).name().to_owned(), Times::of(h))).collect(),
        cpu_us,
        ..Figures::default()
    }
}

fn memory(target: &Target) -> BTreeMap<String, f64> {
    let mut memory = BTreeMap::new();
    for process in &target.processes {
        let kib = procs::resident_kib(process.pid).unwrap_or(0);
        #[allow(clippy::cast_precision_loss)] // KiB of one machine
        let mib = (kib as f64 / 102.4).round() / 10.0;
        *memory.entry(process.role.to_owned()).or_insert(0.0) += mib;
    }
    memory
}

/// The share of one core that each role took, slice by slice.
fn slices(costs: &Costs, from: Instant, to: Instant) -> Vec<(String, Vec<f64>)> {
    let mut all: Vec<(String, Vec<f64>)> = Vec::new();
    let mut at = from;
    while at + CPU_SLICE <= to {
        for (index, (role, spent)) in costs.between(at, at + CPU_SLICE).into_iter().enumerate() {
            if all.len() == index {
                all.push((role.to_owned(), Vec::new()));
            }
            all[index].1.push(spent.as_secs_f64() / CPU_SLICE.as_secs_f64());
        }
        at += CPU_SLICE;
    }
    all
}
