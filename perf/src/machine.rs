//! The facts about this machine that a figure is worth nothing without.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The kernel's name and version.
    pub kernel: String,
    /// The processor's name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory, MiB.
    pub memory_mib: u64,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn this() -> Machine {
        let uname = rustix::system::uname();
        let name = uname.sysname().to_string_lossy();
        let release = uname.release().to_string_lossy();
        let memory = rustix::system::sysinfo();
        let memory = u64::from(memory.mem_unit) * memory.totalram;
        Machine {
            kernel: format!("{name} {release}"),
            cpu: processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory >> 20,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { kernel, cpu, cores, memory_mib } = self;
        let many = if *cores == 1 { "core" } else { "cores" };
        write!(out, "{kernel}, {cores} {many} ({cpu}), {memory_mib} MiB")
    }
}

fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(": ")?.1.trim().to_owned())
}
