//! What processes cost: CPU time and memory, read from `/proc`.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the clock of each process is read. Its resolution is one tick of 10 ms.
const EVERY: Duration = Duration::from_millis(100);

/// Samples of one run: a day of [`EVERY`] and no more.
const SAMPLES_MAX: usize = 864_000;

/// A process whose cost counts, and the part it plays: `front`, `daemon`, `redis`, `mysql`, …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its part. Several processes may play one.
    pub role: &'static str,
    /// Its id.
    pub pid: u32,
}

/// CPU time of all processes so far, by role, in the order of [`Watch::roles`].
#[derive(Clone, Debug)]
struct Sample {
    at: Instant,
    cpu: Vec<Duration>,
}

/// Reads the clocks of processes while a run goes on.
pub struct Watch {
    roles: Vec<&'static str>,
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to read.
    #[must_use]
    pub fn begin(processes: &[Process]) -> Watch {
        let mut roles: Vec<&'static str> = Vec::new();
        for process in processes {
            if !roles.contains(&process.role) {
                roles.push(process.role);
            }
        }
        let samples = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (ours, asked) = (samples.clone(), stop.clone());
        let (names, processes) = (roles.clone(), processes.to_vec());
        let thread = thread::spawn(move || {
            let mut until = Instant::now();
            loop {
                let last = asked.load(Ordering::Relaxed);
                let sample = sample(&names, &processes);
                let mut samples = ours.lock().unwrap_or_else(PoisonError::into_inner);
                if samples.len() < SAMPLES_MAX {
                    samples.push(sample);
                }
                drop(samples);
                if last {
                    return;
                }
                until += EVERY;
                thread::sleep(until.saturating_duration_since(Instant::now()));
            }
        });
        Watch { roles, samples, stop, thread: Some(thread) }
    }

    /// Reads a last time and gives what was read.
    #[must_use]
    pub fn end(mut self) -> Costs {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        Costs { roles: std::mem::take(&mut self.roles), samples: std::mem::take(&mut samples) }
    }
}

/// CPU times over a run.
pub struct Costs {
    roles: Vec<&'static str>,
    samples: Vec<Sample>,
}

impl Costs {
    /// CPU time that each role took from one moment to another.
    #[must_use]
    pub fn between(&self, from: Instant, to: Instant) -> Vec<(&'static str, Duration)> {
        let (from, to) = (self.at(from), self.at(to));
        let spent = from.iter().zip(&to).map(|(from, to)| to.saturating_sub(*from));
        self.roles.iter().copied().zip(spent).collect()
    }

    /// CPU time of each role up to a moment, between two samples as if spent evenly.
    fn at(&self, when: Instant) -> Vec<Duration> {
        let after = self.samples.partition_point(|sample| sample.at <= when);
        match (after.checked_sub(1).map(|i| &self.samples[i]), self.samples.get(after)) {
            (Some(before), Some(next)) => {
                let gap = (next.at - before.at).as_secs_f64();
                let share = (when - before.at).as_secs_f64() / gap.max(1e-9);
                let both = before.cpu.iter().zip(&next.cpu);
                both.map(|(a, b)| *a + b.saturating_sub(*a).mul_f64(share)).collect()
            }
            (Some(edge), None) | (None, Some(edge)) => edge.cpu.clone(),
            (None, None) => vec![Duration::ZERO; self.roles.len()],
        }
    }
}

fn sample(roles: &[&'static str], processes: &[Process]) -> Sample {
    let mut cpu = vec![Duration::ZERO; roles.len()];
    for process in processes {
        let role = roles.iter().position(|role| *role == process.role);
        if let Some(sum) = role.and_then(|role| cpu.get_mut(role)) {
            *sum += cpu_time(process.pid).unwrap_or_default();
        }
    }
    Sample { at: Instant::now(), cpu }
}

/// CPU time of a process, its own and the kernel's for it; none if it is gone.
#[must_use]
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; what follows it is numbers.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_micros((user + system) * 1_000_000 / ticks))
}

/// Resident memory of a process, KiB; none if it is gone.
#[must_use]
pub fn resident_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// The children of a process with their names, as the kernel has them (15 bytes at most).
#[must_use]
pub fn children(parent: u32) -> Vec<(u32, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, rest) = stat.rsplit_once(") ")?;
        let above: u32 = rest.split(' ').nth(1)?.parse().ok()?;
        let (_, name) = head.split_once('(')?;
        (above == parent).then(|| (pid, name.to_owned()))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::{Costs, Process, Sample, Watch, children, cpu_time, resident_kib};
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    #[test]
    fn our_own_work_is_seen() {
        let us = std::process::id();
        let watch = Watch::begin(&[Process { role: "test", pid: us }]);
        let (from, before) = (Instant::now(), cpu_time(us).expect("we are here"));
        let mut sum = 0u64;
        while cpu_time(us).expect("we are here") < before + Duration::from_millis(200) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let to = Instant::now();
        let spent = watch.end().between(from, to);
        assert_eq!(spent[0].0, "test");
        assert!(spent[0].1 >= Duration::from_millis(100), "{spent:?}");
        assert!(resident_kib(us).expect("we are here") > 100);
        assert_eq!(resident_kib(u32::MAX), None);
    }

    #[test]
    fn children_are_found_by_their_parent() {
        let mut child =
            Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("sleep is there");
        let found = children(std::process::id());
        child.kill().expect("ours");
        child.wait().expect("ours");
        assert!(found.contains(&(child.id(), "sleep".into())), "{found:?}");
    }

    #[test]
    fn time_between_samples_is_shared_evenly() {
        let start = Instant::now();
        let sample = |s, cpu| Sample {
            at: start + Duration::from_secs(s),
            cpu: vec![Duration::from_secs(cpu)],
        };
        let costs = Costs { roles: vec!["x"], samples: vec![sample(0, 0), sample(10, 4)] };
        let spent = |a, b| {
            let at = |s| start + Duration::from_secs(s);
            costs.between(at(a), at(b))[0].1
        };
        assert_eq!(spent(0, 10), Duration::from_secs(4));
        assert_eq!(spent(5, 10), Duration::from_secs(2));
        assert_eq!(spent(5, 50), Duration::from_secs(2));
    }
}
