//! What every Souk program does as a process: settings, logs, signals, open-file
//! limits, and the profiler that samples it from within.

pub mod log;
pub mod sampler;
pub mod settings;
pub mod signal;

pub use log::LogSettings;
pub use settings::{
    Settings, SettingsError, Sources, in_range, invalid, load, read_secret, to_toml,
};

/// Writes a line to standard output at once. A reader that has gone, as in `souk doctor | head`, is
/// no reason to stop: the line is then dropped.
pub fn say(line: impl std::fmt::Display) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Raises the soft limit of open files to the hard one and returns it.
///
/// # Errors
/// If the kernel refuses.
pub fn raise_open_files() -> std::io::Result<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.current.unwrap_or(u64::MAX))
}
