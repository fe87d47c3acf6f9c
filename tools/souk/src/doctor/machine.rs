//! The kernel and its limits.

use std::fs;

use io_uring::IoUring;
use io_uring::cqueue::Entry as Cqe;
use io_uring::squeue::Entry as Sqe;
use rustix::process::{Resource, getrlimit};

use super::Finding;

/// Everything about the machine.
pub fn look() -> Vec<Finding> {
    vec![
        kernel(),
        io_uring_switch(),
        daemon_ring(),
        front_ring(),
        open_files(),
        backlog(),
        overcommit(),
    ]
}

fn kernel() -> Finding {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    match version(&release) {
        Some(version) if version >= (6, 1) => Finding::ok("kernel", release),
        Some(version) if version >= (6, 0) => {
            Finding::warn("kernel", release, "with Linux 6.1 or newer the front uses io_uring")
        }
        _ => Finding::fail("kernel", release, "use Linux 6.1 or newer: Debian 12 has it"),
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn io_uring_switch() -> Finding {
    let subject = "kernel.io_uring_disabled";
    let fix = "sysctl kernel.io_uring_disabled=0";
    match read("/proc/sys/kernel/io_uring_disabled").as_deref() {
        // Kernels before 6.6 have no such switch.
        None => Finding::ok(subject, "no such switch in this kernel"),
        Some("0") => Finding::ok(subject, "0"),
        Some("1") => Finding::warn(subject, "1: only for root and one group", fix),
        Some(other) => Finding::fail(subject, other, fix),
    }
}

/// A ring with the flags of soukd's shards.
fn daemon_ring() -> Finding {
    let ring = IoUring::<Sqe, Cqe>::builder().setup_single_issuer().setup_coop_taskrun().build(8);
    match ring {
        Ok(_) => Finding::ok("io_uring for soukd", "works"),
        Err(error) => Finding::fail(
            "io_uring for soukd",
            error.to_string(),
            "allow io_uring: in a container, a seccomp profile that does not block it",
        ),
    }
}

/// A ring with the flags of souk-front's threads.
fn front_ring() -> Finding {
    let ring = IoUring::<Sqe, Cqe>::builder().setup_single_issuer().setup_defer_taskrun().build(8);
    match ring {
        Ok(_) => Finding::ok("io_uring for souk-front", "works"),
        Err(error) => Finding::warn(
            "io_uring for souk-front",
            format!("{error}; the front will use epoll"),
            "allow io_uring, on Linux 6.1 or newer",
        ),
    }
}

fn open_files() -> Finding {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let fix = "raise it: `ulimit -Hn 1048576`, or LimitNOFILE= in the service's unit";
    match hard {
        65_536.. => Finding::ok("open files", format!("up to {hard}")),
        4_096.. => Finding::warn("open files", format!("up to {hard}: few connections"), fix),
        _ => Finding::fail("open files", format!("up to {hard}"), fix),
    }
}

fn backlog() -> Finding {
    let subject = "net.core.somaxconn";
    let found = read("/proc/sys/net/core/somaxconn").unwrap_or_default();
    if found.parse().is_ok_and(|value: u64| value >= 4_096) {
        return Finding::ok(subject, found);
    }
    Finding::warn(subject, found, "sysctl net.core.somaxconn=4096: bursts of connections get in")
}

/// Redis copies itself to write its file anew. The kernel must not refuse the copy for its size:
/// hardly any of it is ever used.
fn overcommit() -> Finding {
    let subject = "vm.overcommit_memory";
    let found = read("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    if found == "1" {
        return Finding::ok(subject, found);
    }
    let fix = "sysctl vm.overcommit_memory=1";
    Finding::warn(subject, format!("{found}: Redis may lack memory to tidy its file"), fix)
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn kernel_releases_of_all_spellings_are_read() {
        assert_eq!(version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(version("6.18.44-fc-v445"), Some((6, 18)));
        assert_eq!(version("5.15+"), Some((5, 15)));
        assert_eq!(version("unknown"), None);
    }
}
