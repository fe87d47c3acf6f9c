//! What the kernel says of this process, read from `/proc/self`.

use std::fs;

/// A look at the process. What cannot be read is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Process {
    /// CPU time in user mode, seconds.
    pub(crate) user_s: Option<f64>,
    /// CPU time in the kernel, seconds.
    pub(crate) system_s: Option<f64>,
    /// Resident memory, bytes.
    pub(crate) resident: Option<u64>,
    /// Open files.
    pub(crate) files: Option<u64>,
    /// The limit of open files.
    pub(crate) files_max: Option<u64>,
}

impl Process {
    pub(crate) fn look() -> Process {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).ok();
        let (user_s, system_s) = read("stat").and_then(|text| cpu_seconds(&text)).unzip();
        Process {
            user_s,
            system_s,
            resident: read("status").and_then(|text| resident(&text)),
            // Since Linux 6.2 the folder's size is the number of its entries.
            files: fs::metadata("/proc/self/fd").ok().map(|fd| fd.len()),
            files_max: read("limits").and_then(|text| files_max(&text)),
        }
    }
}

/// Clock ticks of `/proc/PID/stat` in a second: the same on every Linux that Rust knows.
const TICKS_PER_S: f64 = 100.0;

/// Seconds in user mode and in the kernel. The second field is the program's name in brackets and
/// may hold anything.
fn cpu_seconds(stat: &str) -> Option<(f64, f64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok().map(|ticks| ticks / TICKS_PER_S);
    Some((next()?, next()?))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn files_max(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The rings of this process: how many operations went into each so far.
#[derive(Debug, Default)]
pub(crate) struct Rings {
    /// Descriptor, the 32-bit count that was read last, and all of them together.
    rings: Vec<(String, u32, u64)>,
}

impl Rings {
    /// Operations submitted since the start, over all rings. The kernel counts in 32 bits: look at
    /// least once in 4 billion operations.
    pub(crate) fn submissions(&mut self) -> u64 {
        if self.rings.is_empty() {
            self.rings = find_rings();
        }
        for (descriptor, last, all) in &mut self.rings {
            let path = format!("/proc/self/fdinfo/{descriptor}");
            let tail = fs::read_to_string(path).ok().and_then(|text| submission_tail(&text));
            if let Some(tail) = tail {
                *all += u64::from(tail.wrapping_sub(*last));
                *last = tail;
            }
        }
        self.rings.iter().map(|(.., all)| all).sum()
    }
}

/// A program opens its rings at start, so they are looked for among few files.
fn find_rings() -> Vec<(String, u32, u64)> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let is_ring = |path: &std::path::Path| {
        fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("[io_uring]"))
    };
    let rings = entries.flatten().filter(|entry| is_ring(&entry.path()));
    rings.map(|entry| (entry.file_name().to_string_lossy().into_owned(), 0, 0)).collect()
}

fn submission_tail(fdinfo: &str) -> Option<u32> {
    let text = fdinfo.lines().find_map(|line| line.strip_prefix("SqTail:"))?.trim();
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Process, cpu_seconds, files_max, resident, submission_tail};

    #[test]
    fn what_the_kernel_writes_is_understood() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 1 0 5 1000 200";
        assert_eq!(cpu_seconds(stat), Some((1.5, 0.25)));
        assert_eq!(resident("VmPeak:\t9 kB\nVmRSS:\t    5120 kB\n"), Some(5_242_880));
        let limits = "Limit   Soft   Hard   Units\nMax open files   1024   4096   files\n";
        assert_eq!(files_max(limits), Some(1024));
        assert_eq!(submission_tail("SqMask:\t0xfff\nSqHead:\t12\nSqTail:\t14\n"), Some(14));
        assert_eq!(submission_tail("SqTail:\t0x1f\n"), Some(31));
        assert_eq!(submission_tail("pos:\t0\n"), None);
    }

    #[test]
    fn this_process_has_memory_files_and_a_limit() {
        let process = Process::look();
        assert!(process.resident.expect("known") > 0);
        assert!(process.files.expect("known") > 2);
        assert!(process.files_max >= process.files);
        assert!(process.user_s.expect("known") + process.system_s.expect("known") >= 0.0);
    }
}
