//! Flags that several commands of `souk bench` share.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use souk_perf::engine::Arrivals;
use souk_perf::run::Options;
use souk_perf::scenario::Scenario;
use souk_perf::target::SoukOptions;
use souk_stack::sibling;

use crate::{Failed, limits};

/// How much load. What is left out, the scenario says.
#[derive(clap::Args)]
pub struct LoadArgs {
    /// Threads of the load generator
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
    /// Connections over all threads
    #[arg(long, value_name = "N")]
    pub connections: Option<usize>,
    /// Ask again as soon as answered (closed loop): finds the highest rate and hides stalls
    #[arg(long)]
    pub closed: bool,
    /// Requests in flight on each connection, closed loop
    #[arg(long, value_name = "N", default_value_t = 1, requires = "closed")]
    pub pipeline: usize,
    /// Wait between an answer and the next request, closed loop
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time, requires = "closed")]
    pub think: Duration,
    /// How the requests of an open loop are spread
    #[arg(long, value_enum, default_value_t = Spread::Poisson)]
    pub arrivals: Spread,
    /// Full load before the measurement
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    pub warm_up: Duration,
    /// Over how long connections are opened
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub ramp: Option<Duration>,
    /// How long to measure
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub duration: Option<Duration>,
    /// Longest wait for an answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub timeout: Duration,
    /// Where random choices begin: the same seed asks the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// How the requests of an open loop are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Spread {
    /// Evenly
    Constant,
    /// At random, as those of many users are
    Poisson,
}

impl LoadArgs {
    /// What the engine is told, with this rate.
    pub fn options(&self, rate: Option<f64>) -> Options {
        Options {
            threads: self.threads,
            connections: self.connections,
            rate,
            arrivals: match self.arrivals {
                Spread::Constant => Arrivals::Constant,
                Spread::Poisson => Arrivals::Poisson,
            },
            closed: self.closed,
            pipeline: self.pipeline,
            think: self.think,
            ramp: self.ramp,
            warm_up: self.warm_up,
            duration: self.duration,
            timeout: self.timeout,
            seed: self.seed,
        }
    }
}

/// The private Souk that is measured.
#[derive(clap::Args)]
pub struct StackArgs {
    /// Where the private Souk lives, kept for the next time; a temporary directory if left out
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// How many users there are; the scenario says if left out
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=limits::SEED_USERS_MAX))]
    pub users: Option<u64>,
    /// Read every row from the database
    #[arg(long)]
    pub no_cache: bool,
}

impl StackArgs {
    /// The scenario with as many users as were asked for.
    pub fn people(&self, mut scenario: Scenario) -> Result<Scenario, Failed> {
        if let Some(users) = self.users {
            if users < scenario.members {
                let Scenario { name, members, .. } = &scenario;
                return Err(Failed(format!("{name} needs {members} users: give more --users")));
            }
            scenario.users = users;
        }
        Ok(scenario)
    }

    /// How the private Souk of a scenario is started.
    pub fn souk(&self, scenario: &Scenario) -> Result<SoukOptions, Failed> {
        Ok(SoukOptions {
            name: "souk".to_owned(),
            program: sibling("souk")?,
            dir: self.dir.clone(),
            users: scenario.users,
            no_cache: self.no_cache,
            mysql: None,
            settings: Vec::new(),
        })
    }
}

/// Reads a time: `500ms`, `10s`, `2m`; a number alone is seconds.
pub fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[digits.len()..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        unit => return Err(format!("{unit:?} is no unit: take us, ms, s, m or h")),
    };
    let number: f64 = digits.parse().map_err(|_| "it has no number, as in 10s".to_owned())?;
    Duration::try_from_secs_f64(number * scale).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use super::time;
    use std::time::Duration;

    #[test]
    fn times_are_read_with_their_unit_or_refused() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("1.5", 1_500), ("2m", 120_000)] {
            assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "s", "-1s", "1d", "NaN", "infs", "1e300"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
