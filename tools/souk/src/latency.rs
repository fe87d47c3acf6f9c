//! `souk latency`: where the time of requests goes, by route and stage.

mod table;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::observe::{Admin, AdminArgs, Reading, Routes, ask_all};
use crate::{Failed, limits};
use table::Figures;

/// Flags of `souk latency`.
#[derive(clap::Args)]
pub struct LatencyArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Seconds between two readings
    #[arg(long, value_name = "S", default_value = "2", value_parser = interval)]
    interval: Duration,
    /// Go on until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Only routes whose name contains this, as in "/me" or "login", whatever the case
    #[arg(long, value_name = "R")]
    route: Option<String>,
    /// One JSON object for each interval, a line each; times in nanoseconds
    #[arg(long)]
    json: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|value| limits::INTERVAL_S.contains(value));
    let seconds = seconds.ok_or_else(|| {
        let (least, most) = (limits::INTERVAL_S.start(), limits::INTERVAL_S.end());
        format!("expected seconds from {least} to {most}")
    })?;
    Ok(Duration::from_secs_f64(seconds))
}

/// Reads twice, an interval apart, and shows what happened in between and since the start.
pub fn run(args: &LatencyArgs) -> Result<ExitCode, Failed> {
    let mut round = Round::read(args)?;
    round.complain(&BTreeMap::new());
    loop {
        std::thread::sleep(args.interval);
        let next = match Round::read(args) {
            Ok(next) => next,
            // Programs that are started again come back; whoever watches waits for them.
            Err(Failed(why)) if args.watch => {
                eprintln!("souk: {why}");
                continue;
            }
            Err(failed) => return Err(failed),
        };
        next.complain(&round.silent);
        let text = if args.json { next.json(&round, args) } else { next.text(&round, args) };
        match std::io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            written => written?,
        }
        if !args.watch {
            break;
        }
        round = next;
    }
    Ok(ExitCode::SUCCESS)
}

/// What all listeners said at one time.
struct Round {
    at: Instant,
    readings: BTreeMap<Admin, Reading>,
    /// Who did not answer, and why.
    silent: BTreeMap<Admin, String>,
}

impl Round {
    fn read(args: &LatencyArgs) -> Result<Round, Failed> {
        let admins = args.admin.find();
        let at = Instant::now();
        let answers = ask_all(&admins, Reading::ask);
        let mut round = Round { at, readings: BTreeMap::new(), silent: BTreeMap::new() };
        for (admin, answer) in admins.into_iter().zip(answers) {
            match answer {
                Ok(reading) => {
                    round.readings.insert(admin, reading);
                }
                Err(why) => {
                    round.silent.insert(admin, why);
                }
            }
        }
        if round.readings.is_empty() {
            let why: Vec<&str> = round.silent.values().map(String::as_str).collect();
            return Err(args.admin.nobody(&why.join("; ")));
        }
        Ok(round)
    }

    /// Says once who does not answer.
    fn complain(&self, known: &BTreeMap<Admin, String>) {
        for (admin, why) in &self.silent {
            if !known.contains_key(admin) {
                eprintln!("souk: no answer from {why}; the figures are without it");
            }
        }
    }

    fn text(&self, before: &Round, args: &LatencyArgs) -> String {
        let (recent, all) = self.routes(before, args);
        let seconds = (self.at - before.at).as_secs_f64();
        let mut text = format!("{}\n\n", self.programs());
        text.push_str(&table::text(&format!("last {seconds:.1} s"), &recent));
        text.push('\n');
        text.push_str(&table::text("since the start", &all));
        if args.watch {
            text.push('\n');
        }
        text
    }

    fn json(&self, before: &Round, args: &LatencyArgs) -> String {
        let (recent, all) = self.routes(before, args);
        let programs: Vec<Value> = self
            .readings
            .iter()
            .map(|(admin, reading)| {
                json!({
                    "admin": admin.to_string(),
                    "program": reading.program,
                    "version": reading.version,
                    "start_unix_ms": reading.start_unix_ms,
                })
            })
            .collect();
        let line = json!({
            "now_unix_ms": self.readings.values().map(|reading| reading.now_unix_ms).max(),
            "interval_s": (self.at - before.at).as_secs_f64(),
            "programs": programs,
            "silent": self.silent.values().collect::<Vec<_>>(),
            "interval": rows(&recent),
            "since_start": rows(&all),
        });
        format!("{line}\n")
    }

    /// The routes of the interval since `before`, and those since the start.
    fn routes(&self, before: &Round, args: &LatencyArgs) -> (Routes, Routes) {
        let since =
            |(admin, reading): (&Admin, &Reading)| reading.since(before.get(admin, reading));
        let recent: Vec<Reading> = self.readings.iter().map(since).collect();
        let mut both = (Routes::merge(&recent), Routes::merge(self.readings.values()));
        if let Some(route) = &args.route {
            both.0.keep(route);
            both.1.keep(route);
        }
        both
    }

    /// The earlier reading of `admin`. One that was not there counts as read at its start if it
    /// was started since; else everything it ever measured would look recent.
    fn get<'a>(&'a self, admin: &Admin, now: &'a Reading) -> Option<&'a Reading> {
        self.readings.get(admin).or_else(|| {
            let known = self.readings.values().map(|reading| reading.now_unix_ms).max()?;
            (now.start_unix_ms < known).then_some(now)
        })
    }

    /// `souk-front 0.1.0 (2 programs), soukd 0.1.0`
    fn programs(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for reading in self.readings.values() {
            *counts.entry(format!("{} {}", reading.program, reading.version)).or_default() += 1;
        }
        let name = |(name, count): (&String, &usize)| match count {
            1 => name.clone(),
            _ => format!("{name} ({count} programs)"),
        };
        counts.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

fn rows(routes: &Routes) -> Vec<Value> {
    let mut rows = Vec::new();
    for (program, routes) in routes.programs() {
        for route in routes {
            for stage in route.stages.iter().filter(|stage| !stage.times.is_empty()) {
                let figures = Figures::of(&stage.times);
                rows.push(json!({
                    "program": program,
                    "route": route.name,
                    "stage": stage.name,
                    "count": figures.count,
                    "p50_ns": figures.times[0],
                    "p90_ns": figures.times[1],
                    "p99_ns": figures.times[2],
                    "p99_9_ns": figures.times[3],
                    "max_ns": figures.times[4],
                }));
            }
        }
    }
    rows
}
