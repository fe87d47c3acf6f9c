//! A profiler in the process itself, for machines where `perf` may not look at it.
//!
//! The kernel's profiling timer interrupts whichever thread uses the processor; the handler walks
//! that thread's frame pointers into a buffer of fixed size. Functions are named afterwards, on the
//! thread that asked. While nobody asks, nothing of this runs.

mod handler;
pub mod names;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Mutex, TryLockError};
use std::thread;
use std::time::Duration;

use handler::{Samples, Ticking};

/// How long a profile may take, s: as `souk flamegraph` allows.
pub const SECONDS: RangeInclusive<u32> = 1..=300;
/// Samples in each second of processor time. The kernel looks at its timers CONFIG_HZ times a
/// second, often 250: more are not to be had there.
pub const HZ: RangeInclusive<u32> = 1..=999;

/// The buffer's bounds, in words of 8 bytes. A sample has some 40; what does not fit is counted.
const WORDS: RangeInclusive<usize> = 1 << 16..=1 << 22;
/// Words that a sample is expected to need.
const WORDS_EACH: usize = 64;

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum SamplerError {
    /// The request is not understood.
    #[error("{0}")]
    Request(String),
    /// Somebody else profiles: a process has one profiling timer.
    #[error("a profile is being taken already: try again when it is done")]
    Busy,
    /// The system does not let us.
    #[error("cannot sample: {0}")]
    Refused(io::Error),
}

/// Takes a profile as `/profile?seconds=N&hz=M` asks, with defaults of 10 and 99, and returns
/// folded stacks: lines of `thread;outer;…;inner count`. Blocks for as many seconds; a thread of an
/// admin listener is the place to call it.
///
/// # Errors
/// If a value is wrong, a profile is under way, or the system refuses.
pub fn answer(seconds: Option<&str>, hz: Option<&str>) -> Result<String, SamplerError> {
    let seconds = number("seconds", seconds, 10, &SECONDS)?;
    let hz = number("hz", hz, 99, &HZ)?;
    sample(Duration::from_secs(seconds.into()), hz)
}

fn number(
    name: &str,
    text: Option<&str>,
    default: u32,
    range: &RangeInclusive<u32>,
) -> Result<u32, SamplerError> {
    let Some(text) = text else { return Ok(default) };
    text.parse().ok().filter(|value| range.contains(value)).ok_or_else(|| {
        let (first, last) = (range.start(), range.end());
        SamplerError::Request(format!("{name}={text}: it must be from {first} to {last}"))
    })
}

/// Samples this process for `length`, `hz` times in each second of processor time.
///
/// # Errors
/// See [`SamplerError`].
pub fn sample(length: Duration, hz: u32) -> Result<String, SamplerError> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = match ONE.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return Err(SamplerError::Busy),
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let seconds = usize::try_from(length.as_secs()).unwrap_or(usize::MAX).saturating_add(1);
    let wanted = seconds.saturating_mul(hz as usize).saturating_mul(cores * WORDS_EACH);
    let samples = Samples::new(wanted.clamp(*WORDS.start(), *WORDS.end()));
    let ticking = Ticking::start(&samples, hz).map_err(SamplerError::Refused)?;
    thread::sleep(length);
    drop(ticking);
    Ok(fold(&samples))
}

fn fold(samples: &Samples) -> String {
    let mut stacks: HashMap<(String, Vec<u64>), u64> = HashMap::new();
    samples.for_each(|thread, frames| {
        *stacks.entry((thread, frames.to_vec())).or_default() += 1;
    });
    let mut names = HashMap::new();
    let mut lines: HashMap<String, u64> = HashMap::new();
    for ((mut line, frames), count) in stacks {
        for (index, address) in frames.iter().enumerate().rev() {
            // All but the innermost hold where their function goes on after a call, which may be
            // the next function already.
            let inside = if index == 0 { *address } else { address.saturating_sub(1) };
            for name in names.entry(inside).or_insert_with(|| names::at(inside)) {
                line.push(';');
                line.push_str(name);
            }
        }
        *lines.entry(line).or_default() += count;
    }
    backtrace::clear_symbol_cache();
    let mut lines: Vec<_> = lines.into_iter().collect();
    lines.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut text = String::new();
    for (line, count) in lines {
        writeln!(text, "{line} {count}").expect("strings take any text");
    }
    if samples.dropped() > 0 {
        writeln!(text, "[the buffer was full] {}", samples.dropped())
            .expect("strings take any text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{SamplerError, Samples, answer, fold, sample};
    use std::hint::black_box;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    #[inline(never)]
    fn spends_all_the_time(stop: &AtomicBool) -> u64 {
        let mut number = 1_u64;
        while !stop.load(Ordering::Relaxed) {
            number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        number
    }

    /// One test, since a process has one timer.
    #[test]
    fn a_profile_names_thread_and_function_and_only_one_is_taken_at_a_time() {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let busy = thread::Builder::new().name("a busy one".into());
            busy.spawn_scoped(scope, || spends_all_the_time(&stop)).expect("a thread");
            let first = scope.spawn(|| sample(Duration::from_secs(2), 99));
            // The first may not have begun yet: then it is the one that is refused.
            let second = sample(Duration::from_millis(900), 99);
            let first = first.join().expect("no panic");
            stop.store(true, Ordering::Relaxed);
            let (done, refused) = if first.is_ok() { (first, second) } else { (second, first) };
            assert!(matches!(refused, Err(SamplerError::Busy)), "{refused:?}");
            let stacks = done.expect("sampled");
            let found = stacks.lines().any(|line| {
                line.starts_with("a busy one;") && line.contains("spends_all_the_time")
            });
            assert!(found, "{stacks}");
            let whole = stacks.lines().filter(|line| line.contains("thread_start"));
            assert!(whole.count() > 0, "no stack reaches its thread's start: {stacks}");
        });
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        for (seconds, hz, part) in [
            (Some("0"), None, "seconds=0: it must be from 1 to 300"),
            (Some("301"), None, "from 1 to 300"),
            (Some(""), None, "from 1 to 300"),
            (None, Some("1000"), "hz=1000: it must be from 1 to 999"),
            (None, Some("fast"), "from 1 to 999"),
        ] {
            let refused = answer(seconds, hz).expect_err(part).to_string();
            assert!(refused.contains(part), "{refused}");
        }
    }

    #[test]
    fn a_full_buffer_keeps_what_it_has_and_says_how_much_is_missing() {
        let samples = Samples::new(9);
        samples.add(*b"worker\0\0\0\0\0\0\0\0\0\0", &[1, 2]);
        for _ in 0..3 {
            samples.add(*b"worker\0\0\0\0\0\0\0\0\0\0", &[1, 2, 3]);
        }
        let text = fold(&samples);
        assert!(text.starts_with("worker;") && text.contains(" 1\n"), "{text}");
        assert!(text.ends_with("[the buffer was full] 3\n"), "{text}");
    }
}
