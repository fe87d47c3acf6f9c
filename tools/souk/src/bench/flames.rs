//! Flamegraphs of the front and the daemon while a run measures them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use souk_perf::target::Target;
use souk_process::say;

use crate::flamegraph::{self, Kind, Plan, Recorder, Wanted};
use crate::{Failed, limits};

/// Recordings that run beside a measurement.
pub struct Flames {
    stop: Arc<AtomicBool>,
    recordings: Vec<(PathBuf, JoinHandle<Result<(), Failed>>)>,
}

impl Flames {
    /// Begins to record every front and daemon of the target into this folder.
    ///
    /// # Errors
    /// If the folder cannot be made, or none of the target's processes is known.
    pub fn start(dir: &Path, target: &Target) -> Result<Flames, Failed> {
        fs::create_dir_all(dir).map_err(|why| Failed(format!("{}: {why}", dir.display())))?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut recordings = Vec::new();
        for role in ["front", "daemon"] {
            for (number, pid) in target.pids(role).enumerate() {
                let name = if number == 0 { role.into() } else { format!("{role}-{number}") };
                let path = dir.join(name).with_extension("svg");
                let plan = plan(pid, Arc::clone(&stop))?;
                let output = path.clone();
                let record = move || flamegraph::record(&plan, &output).map(drop);
                recordings.push((path, thread::spawn(record)));
            }
        }
        if recordings.is_empty() {
            let why = "--flamegraph needs the programs' processes: measure a private Souk, without \
                       --url, or use `souk flamegraph front` on the machine where they run";
            return Err(Failed(why.into()));
        }
        Ok(Flames { stop, recordings })
    }

    /// Ends the recordings, draws them, and says where they are. A recording that failed is told
    /// and costs the run nothing.
    pub fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        for (path, recording) in self.recordings {
            match recording.join() {
                Ok(Ok(())) => say(format_args!("{}", path.display())),
                Ok(Err(Failed(why))) => say(format_args!("no {}: {why}", path.display())),
                Err(_) => say(format_args!("no {}: its recording panicked", path.display())),
            }
        }
    }
}

fn plan(pid: u32, stop: Arc<AtomicBool>) -> Result<Plan, Failed> {
    Ok(Plan {
        target: flamegraph::Target::find(Wanted::Pid(pid), None)?,
        kind: Kind::Cpu,
        with: Recorder::Auto,
        // The end of the run ends it earlier.
        seconds: u32::try_from(*limits::FLAME_SECONDS.end()).expect("a few minutes"),
        hz: limits::FLAME_HZ_USUAL,
        admin: None,
        stop,
    })
}
