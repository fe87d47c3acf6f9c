//! A program of ours that says on standard output when it serves, and where.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use crate::child::{Child, Quiet, Watch};
use crate::{StackError, limits};

/// What to start.
#[derive(Clone)]
pub struct ProgramSpec {
    /// Names it in logs and errors.
    pub label: String,
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Additions to our environment.
    pub environment: Vec<(String, String)>,
    /// Whether our own `SOUK_…` variables, which are settings, reach it.
    pub inherit_settings: bool,
    /// Variables of ours that do not reach it in any case.
    pub without: Vec<String>,
    /// How the ready line begins; the word after it is the address. More words may follow, by
    /// twos: a name and another address.
    pub ready: String,
    /// How long it may take until that line comes.
    pub ready_within: Duration,
    /// Gets its log lines and its end.
    pub watch: Arc<dyn Watch>,
}

impl ProgramSpec {
    /// `program` with the usual ready line, `NAME ready ADDRESS`, and nobody watching.
    pub fn new(label: &str, program: PathBuf) -> ProgramSpec {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        ProgramSpec {
            label: label.to_owned(),
            ready: format!("{name} ready "),
            ready_within: limits::PROGRAM_READY_WITHIN,
            program,
            args: Vec::new(),
            environment: Vec::new(),
            inherit_settings: true,
            without: Vec::new(),
            watch: Arc::new(Quiet),
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> ProgramSpec {
        self.args.push(arg.into());
        self
    }

    /// Sets who watches.
    pub fn watch(mut self, watch: &Arc<dyn Watch>) -> ProgramSpec {
        self.watch = watch.clone();
        self
    }
}

/// A program that has said that it serves. Dropping it kills it.
pub struct Program {
    child: Child,
    address: String,
    /// What else it serves, by name, and where.
    others: Vec<(String, String)>,
}

impl Program {
    /// Starts it and waits for its ready line.
    pub fn start(spec: &ProgramSpec) -> Result<Program, StackError> {
        let mut command = Command::new(&spec.program);
        if !spec.inherit_settings {
            let ours = std::env::vars_os().map(|(name, _)| name);
            for name in ours.filter(|name| name.as_encoded_bytes().starts_with(b"SOUK_")) {
                command.env_remove(name);
            }
        }
        for name in &spec.without {
            command.env_remove(name);
        }
        command.args(&spec.args).envs(spec.environment.iter().map(|(k, v)| (k, v)));
        let child = Child::spawn(&spec.label, command, Some(&spec.ready), &spec.watch)?;
        let line = child.ready(spec.ready_within)?;
        let words: Vec<&str> = line[spec.ready.len()..].split_whitespace().collect();
        let (address, others) = words.split_first().map_or(("", &[][..]), |(at, rest)| (*at, rest));
        let address = address.strip_prefix("http://").unwrap_or(address).to_owned();
        let others = others.chunks_exact(2).map(|two| (two[0].to_owned(), two[1].to_owned()));
        Ok(Program { child, address, others: others.collect() })
    }

    /// The address it serves, `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address at which it serves something else, `host:port`, by the name in its ready line.
    pub fn other(&self, name: &str) -> Option<&str> {
        let found = self.others.iter().find(|(known, _)| known == name);
        found.map(|(_, address)| &**address)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Its last log lines, newline separated.
    pub fn log(&self) -> String {
        self.child.tail()
    }

    /// How it ended, if it has.
    pub fn status(&self) -> Option<ExitStatus> {
        self.child.status()
    }

    /// Sends SIGTERM and returns at once.
    pub fn terminate(&self) {
        self.child.signal(rustix::process::Signal::TERM);
    }

    /// Waits for its end; `None` if it still runs after `within`.
    pub fn wait(&self, within: Duration) -> Option<ExitStatus> {
        self.child.wait(within)
    }

    /// SIGTERM, and waits for its end. One that does not end in time is killed: an error.
    pub fn stop(&self) -> Result<ExitStatus, StackError> {
        self.child.stop(limits::PROGRAM_STOP_WITHIN)
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(&self) {
        self.child.kill();
    }
}
