//! Recording with Linux' `perf`, as a child that dies with us.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use souk_stack::{PrivateDir, find_program, spawn_bound};

use super::inlined::Inlined;
use super::offcpu::OffCpu;
use super::{Kind, Plan, Recorded};
use crate::{Failed, limits};

/// Why there is no recording.
#[derive(Debug)]
pub enum PerfError {
    /// `perf` is not there or the kernel does not let it look: another way may do.
    Unavailable(String),
    /// Anything else.
    Failed(Failed),
}

impl<E: Into<Failed>> From<E> for PerfError {
    fn from(error: E) -> PerfError {
        PerfError::Failed(error.into())
    }
}

/// Records and folds.
///
/// # Errors
/// See [`PerfError`].
pub fn record(plan: &Plan) -> Result<Recorded, PerfError> {
    let perf = find_program("perf").ok_or_else(|| {
        PerfError::Unavailable(
            "perf is not installed (Debian: apt-get install linux-perf)".to_owned(),
        )
    })?;
    if plan.kind == Kind::OffCpu {
        may_see_switches().map_err(PerfError::Unavailable)?;
    }
    let dir = PrivateDir::new()?;
    let data = dir.path().join("perf.data");
    let (end, seconds) = run(plan, &perf, &data, &dir.path().join("stderr"))?;
    let stacks = fold(plan, &perf, &data)?;
    let mut notes = Vec::new();
    let why = match end {
        End::InTime => None,
        End::Asked => Some("the recording was ended".to_owned()),
        End::TargetGone => Some(format!("{} ended", plan.target)),
        End::Full => Some(format!("perf's {} of data were full", limits::PERF_DATA_MAX)),
    };
    notes.extend(why.map(|why| {
        let asked = plan.seconds;
        format!("{why} after {seconds:.1} of {asked} s: the graph covers only these")
    }));
    if !sees_kernel() {
        notes.push(format!("without the kernel's part of each stack: {}", allow(1)));
    }
    let whole = end == End::InTime;
    Ok(Recorded { stacks, seconds, how: "perf", notes, whole })
}

/// What ended a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Its time was over.
    InTime,
    /// The user did.
    Asked,
    /// There is no process any more.
    TargetGone,
    /// There is as much data as there may be.
    Full,
}

/// Records into `data`; says what ended it and how many seconds it took.
fn run(plan: &Plan, perf: &Path, data: &Path, stderr: &Path) -> Result<(End, f64), PerfError> {
    let mut command = Command::new(perf);
    command.args(["record", "--call-graph", "fp", "--max-size", limits::PERF_DATA_MAX]);
    match plan.kind {
        Kind::Cpu => command.args(["-F", &plan.hz.to_string()]),
        // Every switch with its stack, and who left and came when. Needs no tracefs.
        Kind::OffCpu => command.args(["-e", "context-switches", "-c", "1", "--switch-events"]),
    };
    command.args(["-p", &plan.target.pid.to_string(), "-o"]).arg(data);
    // perf starts it when it records, which on a busy machine is seconds after its own start.
    command.args(["--", "sleep", &plan.seconds.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(stderr)?);
    let mut child = Recorder(spawn_bound(command)?);
    let began = Instant::now();
    let mut ended = None;
    while ended.is_none() && began.elapsed() < plan.length() + limits::PERF_STARTS_WITHIN {
        thread::sleep(limits::PERF_POLL);
        ended = child.0.try_wait()?;
        if !plan.target.runs() || plan.stop.load(Ordering::Relaxed) {
            break;
        }
    }
    let seconds = began.elapsed().as_secs_f64().min(plan.length().as_secs_f64());
    let end = if !plan.target.runs() {
        End::TargetGone
    } else if plan.stop.load(Ordering::Relaxed) {
        End::Asked
    } else if began.elapsed() < plan.length() {
        End::Full
    } else {
        End::InTime
    };
    let status = match ended {
        Some(status) => status,
        None => child.finish()?,
    };
    let recorded = fs::metadata(data).is_ok_and(|data| data.len() > 0);
    if recorded && (status.success() || end != End::Full) {
        return Ok((end, seconds));
    }
    let nothing =
        |why: &str| Err(PerfError::Failed(Failed(format!("{why} before anything was recorded"))));
    match end {
        End::TargetGone => nothing(&format!("{} ended", plan.target)),
        End::Asked => nothing("the recording was ended"),
        End::InTime | End::Full => Err(diagnose(&fs::read_to_string(stderr)?, plan)),
    }
}

/// A `perf record` that is killed rather than left behind.
struct Recorder(Child);

impl Recorder {
    /// Has it write what it has.
    fn finish(&mut self) -> Result<ExitStatus, Failed> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        pid.map(|pid| kill_process(pid, Signal::INT)).transpose().ok();
        let deadline = Instant::now() + limits::PERF_ENDS_WITHIN;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                let within = limits::PERF_ENDS_WITHIN;
                return Err(Failed(format!(
                    "perf did not end within {within:?}: try fewer --seconds"
                )));
            }
            thread::sleep(limits::PERF_POLL);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            // It leads a group of its own, with the sleep that it waits for.
            let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
            group.map(|group| kill_process_group(group, Signal::KILL)).transpose().ok();
            self.0.wait().ok();
        }
    }
}

/// What `perf record` meant.
fn diagnose(stderr: &str, plan: &Plan) -> PerfError {
    let said = stderr.lines().map(str::trim).find(|line| !line.is_empty() && *line != "Error:");
    let said = said.unwrap_or("it gave no reason");
    let refused = ["perf_event_paranoid", "ermission", "not permitted", "Access to performance"];
    if refused.iter().any(|word| stderr.contains(word)) {
        return PerfError::Unavailable(format!(
            "perf may not look at {}: {said} To allow it, run as the process's own user or as \
             root; {}",
            plan.target,
            allow(1)
        ));
    }
    if ["not supported", "not found", "No such file", "not implemented"]
        .iter()
        .any(|word| stderr.contains(word))
    {
        return PerfError::Unavailable(format!("perf cannot record here: {said}"));
    }
    PerfError::Failed(Failed(format!("perf record: {said}")))
}

/// Context switches happen in the kernel: who may not look there sees none of them.
fn may_see_switches() -> Result<(), String> {
    if sees_kernel() {
        return Ok(());
    }
    Err(format!("perf may not see context switches: {}", allow(1)))
}

fn sees_kernel() -> bool {
    // CAP_SYS_ADMIN is bit 21, CAP_PERFMON bit 38.
    let privileged = fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask & (1 << 21 | 1 << 38) != 0)
    });
    privileged || paranoid().is_some_and(|level| level <= 1)
}

fn paranoid() -> Option<i32> {
    fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?.trim().parse().ok()
}

/// How to let `perf` look further.
fn allow(level: i32) -> String {
    let is = paranoid().map_or("unknown".to_owned(), |level| level.to_string());
    format!(
        "kernel.perf_event_paranoid is {is}; `sudo sysctl kernel.perf_event_paranoid={level}` \
         allows it, as does CAP_PERFMON: `sudo setcap cap_perfmon,cap_sys_ptrace+ep $(which perf)` \
         (in a container: --cap-add PERFMON)"
    )
}

/// Lets perf name the functions and folds what it prints.
fn fold(plan: &Plan, perf: &Path, data: &Path) -> Result<String, PerfError> {
    let mut command = Command::new(perf);
    // Inlined functions are ours to find: perf 6.1 asks for each frame anew, and finds few.
    command.args(["script", "-f", "--no-inline", "-i"]).arg(data);
    // Without the period: each sample counts as one, whatever clock drove it.
    command.args(["-F", "comm,tid,time,event,ip,sym,symoff,dso"]);
    if plan.kind == Kind::OffCpu {
        command.arg("--show-switch-events");
    }
    let stderr = data.with_extension("stderr");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&stderr)?);
    let mut child = spawn_bound(command)?;
    let out = child.stdout.take().ok_or_else(|| Failed("perf script has no output".into()))?;
    let lines = BufReader::new(Expanded {
        inner: BufReader::new(out),
        inlined: Inlined::default(),
        text: String::new(),
        taken: 0,
    });
    let stacks = match plan.kind {
        Kind::Cpu => {
            let mut folded = Vec::new();
            Folder::from(Options::default()).collapse(lines, &mut folded)?;
            String::from_utf8_lossy(&folded).into_owned()
        }
        Kind::OffCpu => {
            let mut off = OffCpu::default();
            for line in lines.lines() {
                off.line(&line?);
            }
            off.finish()
        }
    };
    let status = child.wait()?;
    if status.success() {
        return Ok(stacks);
    }
    let said = fs::read_to_string(stderr)?;
    Err(PerfError::Failed(Failed(format!("perf script ended with {status}: {}", said.trim()))))
}

/// The text of `perf script` with the lines of inlined functions.
struct Expanded<R> {
    inner: R,
    inlined: Inlined,
    text: String,
    /// How much of `text` was read.
    taken: usize,
}

impl<R: BufRead> Read for Expanded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.text.len() {
            self.text.clear();
            self.taken = 0;
            let mut line = Vec::new();
            if self.inner.read_until(b'\n', &mut line)? > 0 {
                let line = String::from_utf8_lossy(&line);
                self.inlined.expand(line.trim_end_matches('\n'), &mut self.text);
            }
        }
        let left = &self.text.as_bytes()[self.taken..];
        let count = left.len().min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        Ok(count)
    }
}
