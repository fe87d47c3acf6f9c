//! `souk flamegraph`: where a running program spends its time, as a picture.
//!
//! `perf` records where the kernel allows it. Where not, our own programs sample themselves
//! behind their admin listener. Either way folded stacks come out, and one picture.

mod draw;
mod inlined;
mod offcpu;
mod perf;
mod sampler;
mod target;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use souk_process::say;

use crate::observe::Admin;
use crate::{Failed, limits};
use draw::Summary;
use perf::PerfError;

pub use target::{Target, Wanted};

/// Flags of `souk flamegraph`.
#[derive(clap::Args)]
pub struct FlamegraphArgs {
    /// front, daemon, or the number of a process
    target: Wanted,
    /// How long to look
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(limits::FLAME_SECONDS))]
    seconds: u32,
    /// How often to look in each second of processor time
    #[arg(long, value_name = "HZ", default_value_t = limits::FLAME_HZ_USUAL,
          value_parser = clap::value_parser!(u32).range(limits::FLAME_HZ))]
    hz: u32,
    /// Where the picture goes; a name that ends with .folded gets the folded stacks instead
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show what threads wait for, instead of what they do
    #[arg(long)]
    off_cpu: bool,
    /// What looks: perf, the program itself (sampler), or whichever can
    #[arg(long, value_enum, default_value_t = Recorder::Auto)]
    with: Recorder,
    /// The admin listener of the process (host:port or unix:/path), if it is not in its settings
    #[arg(long, value_name = "ADDR")]
    admin: Option<Admin>,
    /// The directory of the `souk up` whose front or daemon to take [default: ./var if it runs]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Stacks that run.
    Cpu,
    /// Stacks that wait.
    OffCpu,
}

/// What records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Recorder {
    /// perf if it can, else the sampler
    Auto,
    /// Linux perf
    Perf,
    /// The program itself, behind its admin listener
    Sampler,
}

/// A recording to make.
pub struct Plan {
    /// Of which process.
    pub target: Target,
    /// Of what.
    pub kind: Kind,
    /// With what.
    pub with: Recorder,
    /// How long.
    pub seconds: u32,
    /// Samples in each second of processor time.
    pub hz: u32,
    /// The admin listener, if the target's settings do not say.
    pub admin: Option<Admin>,
    /// Set to end early; what was recorded by then is kept.
    pub stop: Arc<AtomicBool>,
}

impl Plan {
    fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

/// What was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// Folded stacks: a line for each, with samples or microseconds.
    pub stacks: String,
    /// How long was looked.
    pub seconds: f64,
    /// With what.
    pub how: &'static str,
    /// What the user should know about it.
    pub notes: Vec<String>,
    /// Whether it is as long as was asked.
    pub whole: bool,
}

/// Records, draws and says what came out.
pub fn run(args: &FlamegraphArgs) -> Result<ExitCode, Failed> {
    let target = Target::find(args.target, args.dir.as_deref())?;
    let kind = if args.off_cpu { Kind::OffCpu } else { Kind::Cpu };
    let output = args.output.clone().unwrap_or_else(|| file_name(&target, kind));
    let plan = Plan {
        target,
        kind,
        with: args.with,
        seconds: args.seconds,
        hz: args.hz,
        admin: args.admin.clone(),
        stop: stop_on_signal()?,
    };
    eprintln!("souk: looking at {} for {} s (Ctrl-C ends early)", plan.target, plan.seconds);
    let recorded = record(&plan, &output)?;
    for note in &recorded.notes {
        eprintln!("souk: {note}");
    }
    report(&plan, &recorded, &output);
    let asked = plan.stop.load(Ordering::Relaxed);
    Ok(if recorded.whole || asked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Records by `plan` and writes the picture, or the folded stacks, to `output`. Blocks as long as
/// the recording takes.
///
/// # Errors
/// If nothing can be recorded or nothing was, or the file cannot be written.
pub fn record(plan: &Plan, output: &Path) -> Result<Recorded, Failed> {
    // Found out before the recording rather than after it.
    writable(output)?;
    let mut recorded = stacks(plan)?;
    if recorded.stacks.trim().is_empty() {
        let did = match plan.kind {
            Kind::Cpu => "used no processor time: give it work, or look longer with --seconds",
            Kind::OffCpu => "never left and came back: give it work, or look longer with --seconds",
        };
        return Err(Failed(format!("{} {did}", plan.target)));
    }
    if plan.target.is_replaced() {
        recorded.notes.push(format!(
            "the file of {} was replaced since it started, so its functions have no names: \
             restart it",
            plan.target
        ));
    }
    let folded = output.extension().is_some_and(|extension| extension == "folded");
    let bytes = match folded {
        true => recorded.stacks.clone().into_bytes(),
        false => draw::svg(plan, &recorded)?,
    };
    fs::write(output, bytes).map_err(|error| cannot_write(output, &error))?;
    Ok(recorded)
}

fn stacks(plan: &Plan) -> Result<Recorded, Failed> {
    if plan.with == Recorder::Sampler {
        return sampler::record(plan);
    }
    let why = match perf::record(plan) {
        Ok(recorded) => return Ok(recorded),
        Err(PerfError::Failed(why)) => return Err(why),
        Err(PerfError::Unavailable(why)) => why,
    };
    if plan.with == Recorder::Perf {
        return Err(Failed(why));
    }
    if plan.kind == Kind::OffCpu {
        return Err(Failed(format!("{why}. Only perf sees what a process waits for")));
    }
    let mut recorded = sampler::record(plan)
        .map_err(|Failed(sampler)| Failed(format!("{why}. The other way: {sampler}")))?;
    recorded.notes.push(format!("{why}. The program has sampled itself instead"));
    Ok(recorded)
}

fn file_name(target: &Target, kind: Kind) -> PathBuf {
    let kind = if kind == Kind::OffCpu { "-off-cpu" } else { "" };
    let name = target.name.replace(|sign: char| !sign.is_ascii_alphanumeric(), "-");
    format!("{name}-{}{kind}.svg", target.pid).into()
}

fn writable(output: &Path) -> Result<(), Failed> {
    let there = output.exists();
    let opened = fs::File::options().append(true).create(true).open(output);
    opened.map_err(|error| cannot_write(output, &error))?;
    if !there {
        fs::remove_file(output)?;
    }
    Ok(())
}

fn cannot_write(output: &Path, error: &std::io::Error) -> Failed {
    Failed(format!("cannot write {}: {error}. Choose another file with -o", output.display()))
}

/// A flag that the first signal sets; the second ends the process.
fn stop_on_signal() -> Result<Arc<AtomicBool>, Failed> {
    let mut signals = souk_process::signal::termination()?;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    thread::spawn(move || {
        let mut byte = [0];
        while signals.read_exact(&mut byte).is_ok() {
            if asked.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        }
    });
    Ok(stop)
}

fn report(plan: &Plan, recorded: &Recorded, output: &Path) {
    let summary = Summary::of(&recorded.stacks);
    let unit = match plan.kind {
        Kind::Cpu => "samples",
        Kind::OffCpu => "µs off the processor",
    };
    let share = |part: u64| 100.0 * part as f64 / summary.total.max(1) as f64;
    say(format_args!(
        "{}: {} {unit} in {:.1} s with {}; {:.1} % in whole stacks, {:.1} % in code without a name",
        plan.target,
        summary.total,
        recorded.seconds,
        recorded.how,
        share(summary.whole),
        share(summary.nameless)
    ));
    for (function, count) in &summary.top {
        let function: String = function.chars().take(limits::FLAME_NAME).collect();
        say(format_args!("{:>6.1} %  {function}", share(*count)));
    }
    say(format_args!("{}: open it in a browser; a click zooms, Ctrl-F searches", output.display()));
}
