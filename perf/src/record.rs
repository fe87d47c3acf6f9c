//! What is kept of a run: one line of JSON.

use crate::Failed;
use crate::assertion::Assertion;
use crate::machine::Machine;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

/// A run. Fields are added, never renamed: old lines stay readable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it began, RFC 3339 in UTC.
    pub began: String,
    /// Which runs belong together: those of one `souk bench compare` share it.
    pub batch: String,
    /// The scenario's name.
    pub scenario: String,
    /// Who was asked: `souk`, `nginx`, `baseline`, …
    pub target: String,
    /// The round of a comparison, from 1; 0 for a run by itself.
    #[serde(default)]
    pub round: u32,
    /// The version of the program that measured.
    pub version: String,
    /// The commit that it was built from; empty if that is not known.
    pub commit: String,
    /// Where it ran.
    pub machine: Machine,
    /// How much was asked.
    pub load: LoadRecord,
    /// What came out.
    pub figures: Figures,
}

/// How much was asked, and of whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadRecord {
    /// Users that there were.
    pub users: u64,
    /// Whether the cache was on.
    pub cache: bool,
    /// Generator threads.
    pub threads: usize,
    /// Connections.
    pub connections: usize,
    /// `open`, `closed` or `once`.
    pub mode: String,
    /// Requests a second that were due, in an open loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// `constant` or `poisson`, in an open loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<String>,
    /// Requests in flight on a connection, in a closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<usize>,
    /// Wait between answer and request, milliseconds, in a closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think_ms: Option<u64>,
    /// Full load before the measurement, seconds.
    pub warm_up_s: f64,
    /// What was measured, seconds.
    pub duration_s: f64,
    /// Where random choices began.
    pub seed: u64,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Requests that were due in the time measured and were sent.
    pub sent: u64,
    /// Of these, answered as expected.
    pub answered: u64,
    /// Of these, declined as the server may: bids below the minimum, for one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub declined: u64,
    /// Expected answers a second.
    pub rps: f64,
    /// Errors by class.
    pub errors: BTreeMap<String, u64>,
    /// Time from when a request was due to the end of its answer.
    pub latency: Times,
    /// Time from sending to the end of the answer.
    pub service: Times,
    /// Latency by kind of request.
    pub kinds: BTreeMap<String, Times>,
    /// CPU time for each answer, microseconds, by role; `generator` is our own.
    pub cpu_us: BTreeMap<String, f64>,
    /// Resident memory after the run, MiB, by role.
    pub memory_mib: BTreeMap<String, f64>,
    /// What an open connection added to the front's memory, KiB; only where connections idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_kib: Option<f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A distribution of times, microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// Half are faster.
    pub p50_us: f64,
    /// 90 of 100 are faster.
    pub p90_us: f64,
    /// 95 of 100 are faster.
    pub p95_us: f64,
    /// 99 of 100 are faster.
    pub p99_us: f64,
    /// 999 of 1,000 are faster.
    pub p999_us: f64,
    /// 9,999 of 10,000 are faster.
    pub p9999_us: f64,
    /// The slowest.
    pub max_us: f64,
    /// The mean.
    pub mean_us: f64,
}

impl Times {
    /// The figures of a histogram of nanoseconds.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Times {
        let at = |quantile| us(histogram.value_at_quantile(quantile));
        Times {
            count: histogram.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p95_us: at(0.95),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: us(histogram.max()),
            mean_us: (histogram.mean() / 100.0).round() / 10.0,
        }
    }

    /// A time by its name in conditions, seconds.
    fn seconds(&self, name: &str) -> Option<f64> {
        let us = match name {
            "p50" => self.p50_us,
            "p90" => self.p90_us,
            "p95" => self.p95_us,
            "p99" => self.p99_us,
            "p99.9" => self.p999_us,
            "p99.99" => self.p9999_us,
            "mean" => self.mean_us,
            "max" => self.max_us,
            _ => return None,
        };
        Some(us / 1e6)
    }
}

/// Microseconds with one decimal.
fn us(nanoseconds: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)] // a minute at most
    let us = (nanoseconds as f64 / 100.0).round();
    us / 10.0
}

impl Figures {
    /// A figure by its name in conditions: times in seconds. None if it was not measured.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
        let number = |count: u64| Some(count as f64);
        let cpu = |role: &str| self.cpu_us.get(role).copied();
        match name {
            "rps" => Some(self.rps),
            "sent" => number(self.sent),
            "answered" => number(self.answered),
            "declined" => number(self.declined),
            "errors" => number(self.errors.values().sum()),
            "front_us" => cpu("front"),
            "daemon_us" => cpu("daemon"),
            "server_us" => Some(cpu("front")? + cpu("daemon")?),
            "redis_us" => cpu("redis"),
            "mysql_us" => cpu("mysql"),
            "front_mib" => self.memory_mib.get("front").copied(),
            "daemon_mib" => self.memory_mib.get("daemon").copied(),
            "idle_kib" => self.idle_kib,
            _ => match self.latency.seconds(name) {
                // Without an answer there is no time that could be good enough.
                Some(time) => (self.latency.count > 0).then_some(time),
                None => {
                    let (kind, figure) = name.split_once('.')?;
                    let times = self.kinds.get(kind).filter(|times| times.count > 0)?;
                    match figure {
                        "answered" => number(times.count),
                        _ => times.seconds(figure),
                    }
                }
            },
        }
    }

    /// The conditions that do not hold, each with what was measured in its place.
    #[must_use]
    pub fn broken(&self, assertions: &[Assertion]) -> Vec<String> {
        let judge = |assertion: &Assertion| match self.named(&assertion.figure) {
            Some(measured) if assertion.holds(measured) => None,
            Some(measured) => Some(format!("{assertion}, measured {}", assertion.shown(measured))),
            None => Some(format!("{assertion}, not measured")),
        };
        assertions.iter().filter_map(judge).collect()
    }
}

/// Appends a run to a file of lines; one write, so that two programs do not mix theirs.
///
/// # Errors
/// If the file cannot be written.
pub fn append(path: &Path, record: &Record) -> Result<(), Failed> {
    let mut line = serde_json::to_string(record)?;
    line.push('\n');
    let named = |why: std::io::Error| Failed::new(format!("{}: {why}", path.display()));
    let mut file = OpenOptions::new().append(true).create(true).open(path).map_err(named)?;
    file.write_all(line.as_bytes()).map_err(named)
}

/// Reads a file of runs.
///
/// # Errors
/// If it cannot be read, or a line is no run.
pub fn read(path: &Path) -> Result<Vec<Record>, Failed> {
    let named = |why: &dyn std::fmt::Display| Failed::new(format!("{}: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|why| named(&why))?;
    let mut records = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|why| named(&why))?;
        let at = |why: serde_json::Error| named(&format!("line {}: {why}", number + 1));
        records.push(serde_json::from_str(&line).map_err(at)?);
    }
    Ok(records)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Figures, LoadRecord, Record, Times, append, read};
    use crate::assertion;
    use crate::engine::histogram;
    use crate::machine::Machine;

    /// A record of some run.
    pub(crate) fn record(target: &str, round: u32, rps: f64) -> Record {
        let mut latencies = histogram();
        for n in 1..=1000 {
            latencies.saturating_record(n * 10_000);
        }
        let latency = Times::of(&latencies);
        Record {
            began: "2026-11-21T00:00:00Z".into(),
            batch: "2026-11-21T00:00:00Z".into(),
            scenario: "me".into(),
            target: target.into(),
            round,
            version: "0.1.0".into(),
            commit: "abc".into(),
            machine: Machine { kernel: "Linux 6".into(), cpu: "x".into(), cores: 2, memory_mib: 1 },
            load: LoadRecord {
                users: 200,
                cache: true,
                threads: 1,
                connections: 10,
                mode: "closed".into(),
                rate: None,
                arrivals: None,
                pipeline: Some(1),
                think_ms: Some(0),
                warm_up_s: 1.0,
                duration_s: 5.0,
                seed: 1,
            },
            figures: Figures {
                sent: 1000,
                answered: 1000,
                rps,
                kinds: [("me".to_owned(), latency.clone())].into(),
                latency,
                cpu_us: [("front".to_owned(), 9.0), ("daemon".to_owned(), 4.0)].into(),
                ..Figures::default()
            },
        }
    }

    #[test]
    fn conditions_see_every_figure_and_say_what_was_measured_instead() {
        let figures = record("souk", 0, 100.0).figures;
        let broken = |text| figures.broken(&assertion::parse(text).expect("good"));
        assert!(broken("rps>=100,errors==0,p99<10ms,me.p50<=5.1ms,server_us<14").is_empty());
        assert_eq!(broken("rps>100"), ["rps>100, measured 100.0"]);
        assert_eq!(broken("p50<5ms"), ["p50<5ms, measured 5.001 ms"]);
        assert_eq!(broken("login.p50<5ms,redis_us<2").len(), 2);
        for name in assertion::TIMES {
            assert!(figures.named(name).is_some(), "{name}");
        }
        let nothing = Figures::default();
        assert!(!nothing.broken(&assertion::parse("p99<1s").expect("good")).is_empty());
    }

    #[test]
    fn what_is_appended_is_read_again() {
        let folder = souk_stack::PrivateDir::new().expect("a directory");
        let path = folder.path().join("runs.jsonl");
        let runs = [record("souk", 1, 2.5), record("nginx", 1, 3.0)];
        for run in &runs {
            append(&path, run).expect("written");
        }
        assert_eq!(read(&path).expect("read"), runs);
        std::fs::write(&path, "{}\n").expect("written");
        let why = read(&path).expect_err("no run").to_string();
        assert!(why.contains("line 1"), "{why}");
    }
}
