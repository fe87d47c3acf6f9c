//! The threads of a run: started together, watched once a second, joined into one result.

use super::driver::Driver;
use super::limits::FILES_BESIDES;
use super::recorder::{Recent, Watched};
use super::{EngineError, Errors, Load, Measured, Phase, Plan, Progress, Slot, Stop, Workload};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Between two calls of the observer.
const LOOK: Duration = Duration::from_secs(1);
/// From "all are ready" to the start, so that all threads begin together.
const LEAD: Duration = Duration::from_millis(5);

/// As [`super::run`], for a plan that makes sense.
pub fn run<W: Workload>(
    plan: &Plan,
    stop: &Stop,
    make: impl Fn(usize) -> W,
    observe: impl FnMut(&Progress),
) -> Result<Measured, EngineError> {
    check_files(plan)?;
    let watched: Vec<Watched> = (0..plan.threads).map(|_| Watched::default()).collect();
    let abort = Stop::default();
    thread::scope(|scope| {
        let (ready, readies) = channel();
        let (done, results) = channel();
        let mut starts = Vec::new();
        for (number, watched) in watched.iter().enumerate() {
            let (start, started) = channel();
            starts.push(start);
            let (workload, ready, done) = (make(number), ready.clone(), done.clone());
            let stops = [stop, &abort];
            let spawned = thread::Builder::new().name(format!("load-{number}"));
            let spawned = spawned.spawn_scoped(scope, move || {
                let one = || one_thread(plan, stops, number, workload, watched, &ready, &started);
                let result = catch_unwind(AssertUnwindSafe(one));
                // Nobody waits any more if the run has failed elsewhere.
                let _ = done.send(result.unwrap_or(Err(EngineError::Panicked)));
            });
            spawned.map_err(|source| EngineError::Ring {
                what: "a thread",
                source,
                fix: "raise the limit of processes (ulimit -u) or ask for fewer threads",
            })?;
        }
        drop((ready, done));
        let all = readies.iter().take(plan.threads).all(|ready| ready);
        let start = Instant::now() + LEAD;
        if all {
            for thread in &starts {
                let _ = thread.send(start);
            }
        }
        drop(starts);
        collect(plan, &abort, start, &results, &watched, observe)
    })
}

/// One thread's run; nothing if another thread could not begin.
fn one_thread<W: Workload>(
    plan: &Plan,
    stops: [&Stop; 2],
    number: usize,
    workload: W,
    watched: &Watched,
    ready: &Sender<bool>,
    started: &Receiver<Instant>,
) -> Result<Option<Measured>, EngineError> {
    let driver = Driver::new(plan, stops, number, workload, watched);
    let _ = ready.send(driver.is_ok());
    let driver = driver?;
    let Ok(start) = started.recv() else { return Ok(None) };
    driver.run(start).map(Some)
}

/// Takes the threads' results and lets the observer look meanwhile. The first error ends all.
fn collect(
    plan: &Plan,
    abort: &Stop,
    start: Instant,
    results: &Receiver<Result<Option<Measured>, EngineError>>,
    watched: &[Watched],
    mut observe: impl FnMut(&Progress),
) -> Result<Measured, EngineError> {
    let (mut measured, mut failed): (Option<Measured>, Option<EngineError>) = (None, None);
    let mut looked = start;
    loop {
        let wait = (looked + LOOK).saturating_duration_since(Instant::now());
        match results.recv_timeout(wait) {
            Ok(Ok(Some(one))) => match &mut measured {
                Some(measured) => measured.add(one),
                None => measured = Some(one),
            },
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                abort.stop();
                failed.get_or_insert(error);
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = Instant::now();
                observe(&progress(plan, now - start, now - looked, watched));
                looked = now;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    match (failed, measured) {
        (Some(error), _) => Err(error),
        (None, Some(measured)) => Ok(measured),
        (None, None) => Err(EngineError::Panicked),
    }
}

fn progress(plan: &Plan, elapsed: Duration, interval: Duration, watched: &[Watched]) -> Progress {
    let full = plan.ramp + plan.warm_up;
    let phase = match elapsed {
        _ if plan.load == Load::Once => Phase::Measuring,
        now if now < plan.ramp => Phase::Ramp,
        now if now < full => Phase::WarmUp,
        now if now < full + plan.duration => Phase::Measuring,
        _ => Phase::Draining,
    };
    let (mut recent, mut errors, mut open_connections) = (Slot::default(), Errors::default(), 0);
    for Recent { slot, errors: some, open } in watched.iter().map(Watched::take) {
        recent.add(&slot);
        errors.add(&some);
        open_connections += open;
    }
    let total = full + plan.duration;
    Progress { elapsed, total, phase, open_connections, interval, recent, errors }
}

/// Raises the limit of open files as far as it goes.
fn check_files(plan: &Plan) -> Result<(), EngineError> {
    let needed = plan.connections as u64 + 2 * plan.threads as u64 + FILES_BESIDES;
    let limit = souk_process::raise_open_files()
        .map_err(|source| EngineError::Socket { address: plan.address, source })?;
    if needed > limit {
        return Err(EngineError::Files { connections: plan.connections, needed, limit });
    }
    Ok(())
}

impl Plan {
    /// Why there is no socket, in words that help.
    pub(super) fn no_socket(&self, source: std::io::Error) -> EngineError {
        use rustix::io::Errno;
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => {
                EngineError::Ports { address: self.address }
            }
            Some(Errno::MFILE | Errno::NFILE) => {
                let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
                let needed = self.connections as u64 + FILES_BESIDES;
                let limit = limit.unwrap_or(u64::MAX);
                EngineError::Files { connections: self.connections, needed, limit }
            }
            _ => EngineError::Socket { address: self.address, source },
        }
    }
}
