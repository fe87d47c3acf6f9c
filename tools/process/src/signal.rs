//! Requests to stop as bytes on a socket, so that a ring or a blocking thread can wait for them.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io;
use std::os::unix::net::UnixStream;

/// A socket that receives one byte for each SIGTERM, SIGINT or SIGHUP from now on. Call it once.
///
/// SIGHUP means that the terminal is gone, unless whoever started us has us ignore it (`nohup`):
/// then it stays ignored.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn termination() -> io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    if !ignores(&own_status()?, SIGHUP) {
        signal_hook::low_level::pipe::register(SIGHUP, writer.try_clone()?)?;
    }
    signal_hook::low_level::pipe::register(SIGTERM, writer.try_clone()?)?;
    signal_hook::low_level::pipe::register(SIGINT, writer)?;
    Ok(reader)
}

fn own_status() -> io::Result<String> {
    std::fs::read_to_string("/proc/self/status")
}

/// Whether a process with this `/proc/PID/status` ignores `signal`.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::{SIGHUP, SIGINT, SIGTERM, ignores, own_status, termination};
    use rustix::process::{Signal, getpid, kill_process};
    use std::io::Read;

    #[test]
    fn each_request_to_stop_is_one_byte_and_ends_nothing_by_itself() {
        // The tests themselves may run under nohup.
        let hangup = (!ignores(&own_status().expect("readable"), SIGHUP)).then_some(Signal::HUP);
        let mut requests = termination().expect("installed");
        for signal in [Signal::TERM, Signal::INT].into_iter().chain(hangup) {
            kill_process(getpid(), signal).expect("sent to ourselves");
            requests.read_exact(&mut [0]).expect("a byte");
        }
    }

    #[test]
    fn a_signal_that_the_starter_has_us_ignore_is_seen_in_the_mask() {
        let status = "Name:\tsoukd\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, SIGHUP));
        assert!(!ignores(status, SIGINT) && !ignores(status, SIGTERM));
        assert!(!ignores("Name:\tsoukd\n", SIGHUP));
    }
}
