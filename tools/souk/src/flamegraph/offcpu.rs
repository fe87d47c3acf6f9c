//! From context switches to the time that each stack was off the processor.
//!
//! Takes the text of `perf script --show-switch-events` line by line and does no I/O. A thread that
//! leaves the processor gives a sample with its stack; its switch record says whether it waits or
//! was pushed off; its next record says when it came back. What lies between belongs to the stack.

use std::collections::HashMap;

/// The top of a stack that had to leave the processor though it had work.
const PREEMPTED: &str = "[had to wait for a core]";

/// Sums up time off the processor.
#[derive(Default)]
pub struct OffCpu {
    threads: HashMap<u64, Thread>,
    /// Stack to nanoseconds.
    totals: HashMap<String, u64>,
    sample: Option<Sample>,
    /// The latest time seen, ns.
    now: u64,
}

/// A thread since it last left.
#[derive(Default)]
struct Thread {
    stack: Option<String>,
    away_since: Option<u64>,
}

/// A sample whose frames are being read, the innermost first.
struct Sample {
    tid: u64,
    name: String,
    frames: Vec<String>,
}

impl OffCpu {
    /// Takes the next line, without its line end.
    pub fn line(&mut self, line: &str) {
        if line.trim().is_empty() {
            self.end_sample();
        } else if line.starts_with([' ', '\t']) && self.sample.is_some() {
            if let (Some(sample), Some(frame)) = (&mut self.sample, frame(line)) {
                sample.frames.push(frame);
            }
        } else {
            self.end_sample();
            self.header(line);
        }
    }

    /// Folded stacks in microseconds, heaviest first. Threads that are still away are counted up
    /// to the last event.
    pub fn finish(mut self) -> String {
        self.end_sample();
        let now = self.now;
        let threads = std::mem::take(&mut self.threads);
        for thread in threads.into_values() {
            self.back(thread, now);
        }
        let mut totals: Vec<_> = self.totals.into_iter().collect();
        totals.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let lines = totals.into_iter().map(|(stack, ns)| (stack, ns / 1000));
        lines.filter(|(_, us)| *us > 0).map(|(stack, us)| format!("{stack} {us}\n")).collect()
    }

    /// "name 1234 [001] 12.345678: …"; the name may hold blanks.
    fn header(&mut self, line: &str) {
        let Some((head, event)) = line.split_once(": ") else { return };
        let mut words = head.split_whitespace().rev();
        let Some(time) = words.next().and_then(nanoseconds) else { return };
        let tid = words.find(|word| !word.starts_with('[')).and_then(|word| word.parse().ok());
        let Some(tid) = tid else { return };
        let mut name: Vec<&str> = words.collect();
        name.reverse();
        self.now = self.now.max(time);
        if let Some((_, switch)) = event.split_once("PERF_RECORD_SWITCH") {
            let mut thread = self.threads.remove(&tid).unwrap_or_default();
            if switch.contains("OUT") {
                if switch.contains("preempt")
                    && let Some(stack) = &mut thread.stack
                {
                    stack.push(';');
                    stack.push_str(PREEMPTED);
                }
                thread.away_since = Some(time);
                self.threads.insert(tid, thread);
            } else {
                self.back(thread, time);
            }
        } else {
            let name = name.join(" ").replace(';', ":");
            self.sample = Some(Sample { tid, name, frames: Vec::new() });
        }
    }

    fn end_sample(&mut self) {
        let Some(sample) = self.sample.take() else { return };
        let mut stack = sample.name;
        for frame in sample.frames.iter().rev() {
            stack.push(';');
            stack.push_str(frame);
        }
        self.threads.entry(sample.tid).or_default().stack = Some(stack);
    }

    fn back(&mut self, thread: Thread, now: u64) {
        if let (Some(stack), Some(since)) = (thread.stack, thread.away_since) {
            *self.totals.entry(stack).or_default() += now.saturating_sub(since);
        }
    }
}

/// The function of "  ffff1234 name+0x12 (module)".
fn frame(line: &str) -> Option<String> {
    let (_, rest) = line.trim_start().split_once(' ')?;
    let (name, module) = rest.rsplit_once(" (").unwrap_or((rest, "unknown"));
    if name == "[unknown]" {
        let module = module.trim_end_matches(')');
        let file = module.rsplit('/').next().unwrap_or(module);
        return Some(format!("[{}]", file.trim_matches(['[', ']'])));
    }
    let name = name.rsplit_once("+0x").map_or(name, |(name, _)| name);
    Some(name.replace(';', ":"))
}

/// Seconds as perf prints them, "12.345678" or "12.345678901".
fn nanoseconds(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.')?;
    let digits = u32::try_from(part.len()).ok().filter(|digits| (1..=9).contains(digits))?;
    let part: u64 = part.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(part * 10u64.pow(9 - digits))
}

#[cfg(test)]
mod tests {
    use super::OffCpu;
    use proptest::prelude::*;

    fn fold(text: &str) -> String {
        let mut off = OffCpu::default();
        text.lines().for_each(|line| off.line(line));
        off.finish()
    }

    /// As perf 6.1 prints it.
    const WAIT: &str = "\
my worker 30 [001] 10.000000: PERF_RECORD_SWITCH IN
my worker 30 [001] 10.100000:          1 context-switches:
\tffffffff821f5f83 schedule+0x23 ([kernel.kallsyms])
\t           cf545 [unknown] (/usr/lib/libc.so.6)
\t           2d0e4 souk::run+0x64 (/bin/soukd)

my worker 30 [001] 10.100001: PERF_RECORD_SWITCH OUT
my worker 30 [000] 10.350001: PERF_RECORD_SWITCH IN
";

    #[test]
    fn a_stack_gets_the_time_from_leaving_to_coming_back() {
        assert_eq!(fold(WAIT), "my worker;souk::run;[libc.so.6];schedule 250000\n");
        assert_eq!(fold(&WAIT.repeat(3)).lines().count(), 1);
    }

    #[test]
    fn a_thread_that_is_pushed_off_waits_for_a_core() {
        let text = WAIT.replace("SWITCH OUT", "SWITCH OUT preempt");
        assert!(
            fold(&text).contains("schedule;[had to wait for a core] 250000"),
            "{}",
            fold(&text)
        );
    }

    #[test]
    fn a_thread_that_never_comes_back_is_counted_to_the_last_event() {
        let cut = WAIT.rsplit_once("my worker").expect("lines").0;
        let other = "main 31 [000] 10.600001: PERF_RECORD_SWITCH IN\n";
        assert!(fold(&format!("{cut}{other}")).ends_with("schedule 500000\n"));
        assert_eq!(fold(cut), "", "no time, no stack");
    }

    #[test]
    fn an_end_without_a_beginning_is_nobodys_time() {
        assert_eq!(fold("main 31 [000] 10.600001: PERF_RECORD_SWITCH IN\n"), "");
        let (_, after) = WAIT.split_once("\n\n").expect("lines");
        assert_eq!(fold(after), "");
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_gives_folded_lines_only(
            lines in proptest::collection::vec(
                prop_oneof![
                    "[ \ta-z0-9:.;()\\[\\]+]{0,40}",
                    proptest::sample::select(WAIT.lines().map(str::to_owned).collect::<Vec<_>>()),
                ],
                0..60,
            )
        ) {
            for line in fold(&lines.join("\n")).lines() {
                let (stack, count) = line.rsplit_once(' ').expect("a count");
                prop_assert!(!stack.is_empty() && count.parse::<u64>().is_ok_and(|n| n > 0));
            }
        }
    }
}
