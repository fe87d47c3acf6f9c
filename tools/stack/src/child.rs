//! One child process: its log lines, its end, and the signals sent to it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::StackError;
use crate::limits;
use crate::spawn::spawn_bound;

/// Told what children write and when they end, from threads of their own.
pub trait Watch: Send + Sync {
    /// `label` wrote `line` to its standard output or error.
    fn line(&self, label: &str, line: &str) {
        let _ = (label, line);
    }
    /// `label` ended, whether asked to or not.
    fn exited(&self, label: &str, status: ExitStatus) {
        let _ = (label, status);
    }
}

/// Keeps everything to itself; the last lines still appear in errors.
pub struct Quiet;

impl Watch for Quiet {}

/// A running or ended child process. Dropping it kills it.
pub struct Child {
    label: String,
    pid: Pid,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    tail: VecDeque<String>,
    ready: Option<String>,
    pipes_open: usize,
    exit: Option<ExitStatus>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state stays consistent whatever a watcher does.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Child {
    /// Spawns `command` with both outputs captured. A line on standard output that begins with
    /// `ready` is kept for [`Child::ready`] instead of being passed on as a log line.
    pub fn spawn(
        label: &str,
        mut command: Command,
        ready: Option<&str>,
        watch: &Arc<dyn Watch>,
    ) -> Result<Child, StackError> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child =
            spawn_bound(command).map_err(StackError::io(format!("start {label} ({program})")))?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State { pipes_open: 2, ..State::default() }),
            changed: Condvar::new(),
        });
        let stdout = child.stdout.take().expect("standard output was piped");
        let stderr = child.stderr.take().expect("standard error was piped");
        let pid = Pid::from_child(&child);
        let ready = ready.map(str::to_owned);
        for (pipe, ready) in
            [(Box::new(stdout) as Box<dyn Read + Send>, ready), (Box::new(stderr), None)]
        {
            let (label, shared, watch) = (label.to_owned(), shared.clone(), watch.clone());
            thread::spawn(move || read_lines(pipe, &label, ready.as_deref(), &shared, &*watch));
        }
        {
            let (label, shared, watch) = (label.to_owned(), shared.clone(), watch.clone());
            thread::spawn(move || {
                let status = reap(pid, child, &shared);
                watch.exited(&label, status);
            });
        }
        Ok(Child { label: label.to_owned(), pid, shared })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How it ended, if it has.
    pub fn status(&self) -> Option<ExitStatus> {
        self.shared.lock().exit
    }

    /// The last lines it wrote, oldest first, newline separated.
    pub fn tail(&self) -> String {
        let state = self.shared.lock();
        state.tail.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Waits for the ready line. An end before it is an error that carries the last lines.
    pub fn ready(&self, within: Duration) -> Result<String, StackError> {
        let deadline = Instant::now() + within;
        let mut state = self.shared.lock();
        loop {
            if let Some(line) = &state.ready {
                return Ok(line.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.exit.is_some() || left.is_zero() {
                drop(state);
                return Err(self.not_ready(within));
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The error for a child that ended or stayed silent instead of becoming ready.
    pub fn not_ready(&self, waited: Duration) -> StackError {
        let label = self.label.clone();
        if self.status().is_none() {
            return StackError::NotReady { label, waited, tail: self.tail() };
        }
        // The last words are in the pipes still; a grandchild may hold them open for ever.
        let deadline = Instant::now() + limits::PIPES_CLOSE_WITHIN;
        let mut state = self.shared.lock();
        while state.pipes_open > 0 && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let status = state.exit.expect("an exit status is never taken back");
        drop(state);
        StackError::Exited { label, status, tail: self.tail() }
    }

    /// Waits for the end; `None` if it still runs after `within`.
    pub fn wait(&self, within: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + within;
        let mut state = self.shared.lock();
        while state.exit.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.exit
    }

    /// Sends `signal` unless it has ended already.
    pub fn signal(&self, signal: Signal) {
        let state = self.shared.lock();
        // Reaping happens under this lock, so the id cannot belong to another process yet.
        if state.exit.is_none() {
            // It may be a zombie by now, which is as good as ended.
            rustix::process::kill_process(self.pid, signal).ok();
        }
    }

    /// SIGKILL to it and to what it started in turn, and waits for the end.
    pub fn kill(&self) {
        let mut state = self.shared.lock();
        if state.exit.is_none() {
            // It leads a group of its own; as long as it is not reaped the group is its own too.
            rustix::process::kill_process_group(self.pid, Signal::KILL).ok();
        }
        while state.exit.is_none() {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// SIGTERM, and waits for the end; after `within` it is killed and that is an error.
    pub fn stop(&self, within: Duration) -> Result<ExitStatus, StackError> {
        self.signal(Signal::TERM);
        self.wait(within).ok_or_else(|| {
            self.kill();
            StackError::NotStopped { label: self.label.clone(), waited: within }
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_lines(
    pipe: Box<dyn Read + Send>,
    label: &str,
    ready: Option<&str>,
    shared: &Shared,
    watch: &dyn Watch,
) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match pipe.by_ref().take(limits::LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.is_empty() {
            continue;
        }
        let is_ready = ready.is_some_and(|prefix| text.starts_with(prefix));
        {
            let mut state = shared.lock();
            if is_ready && state.ready.is_none() {
                state.ready = Some(text.to_owned());
                shared.changed.notify_all();
            }
            if state.tail.len() == limits::TAIL_LINES {
                state.tail.pop_front();
            }
            state.tail.push_back(text.to_owned());
        }
        if !is_ready {
            watch.line(label, text);
        }
    }
    shared.lock().pipes_open -= 1;
    shared.changed.notify_all();
}

/// Waits for the end without reaping, then reaps under the lock: whoever sends a signal holds the
/// lock too and so never hits a process id that was given to someone else.
fn reap(pid: Pid, mut child: std::process::Child, shared: &Shared) -> ExitStatus {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), options) {}
    let mut state = shared.lock();
    let status = child.wait().expect("a child of ours can be waited for once");
    state.exit = Some(status);
    shared.changed.notify_all();
    status
}
