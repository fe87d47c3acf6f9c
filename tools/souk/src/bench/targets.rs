//! `souk bench targets`: required, measured, reached?

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use souk_perf::assertion;
use souk_perf::engine::Stop;
use souk_perf::machine::Machine;
use souk_perf::record::{self, Record};
use souk_perf::report::thousands;
use souk_perf::run::{self, Options, Scene};
use souk_perf::scenario::{self, Scenario};
use souk_perf::target::{self, Target};
use souk_perf::targets::{self, Pace, Required, USERS};
use souk_process::say;

use super::args::{StackArgs, time};
use super::progress::{Line, stop_at_signal};
use crate::Failed;

/// Flags of `souk bench targets`.
#[derive(clap::Args)]
pub struct TargetsArgs {
    /// Where the private Souk lives, kept for the next time; a temporary directory if left out
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How many users there are
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..=crate::limits::SEED_USERS_MAX))]
    users: u64,
    /// How long each figure is measured
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    duration: Duration,
    /// Append each run to this file, as a line of JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Measures all of them; a failure if one is not reached.
pub fn run(args: &TargetsArgs) -> Result<ExitCode, Failed> {
    let stop = stop_at_signal()?;
    let batch = run::now();
    let mut results = Vec::new();
    for cache in [true, false] {
        let wanted: Vec<&Required> = targets::all().filter(|one| one.cache == cache).collect();
        let (Some(first), false) = (wanted.first(), stop.stopped()) else { continue };
        let stack = StackArgs { dir: args.dir.clone(), users: Some(args.users), no_cache: !cache };
        let mut line = Line::new();
        line.say(&format!("starting a private Souk with {} users", args.users));
        let any = stack.people(scenario::find(first.scenario)?)?;
        let target = target::souk(&stack.souk(&any)?)?;
        let mut before: Option<Record> = None;
        for required in wanted {
            if stop.stopped() {
                break;
            }
            line.say(required.what);
            let scenario = people(required, args.users)?;
            let record = measure(
                args,
                required,
                &scenario,
                &target,
                before.as_ref(),
                &stop,
                &mut line,
                &batch,
            )?;
            if let Some(path) = &args.out {
                record::append(path, &record)?;
            }
            results.push((required, record.clone()));
            before = Some(record);
        }
        line.clear();
        target.stop()?;
    }
    show(&results, args.users)
}

/// The scenario, with all users where it is about all of them.
fn people(required: &Required, users: u64) -> Result<Scenario, Failed> {
    let mut scenario = scenario::find(required.scenario)?;
    // A scenario of 200 hot users means these, however many there are.
    if scenario.users > 1000 {
        scenario.users = users;
    }
    Ok(scenario)
}

#[allow(clippy::too_many_arguments)] // one call, and each of them is needed
fn measure(
    args: &TargetsArgs,
    required: &Required,
    scenario: &Scenario,
    target: &Target,
    before: Option<&Record>,
    stop: &Stop,
    line: &mut Line,
    batch: &str,
) -> Result<Record, Failed> {
    let mut options = Options { closed: required.load == Pace::Closed, ..Options::default() };
    if !scenario.load.once {
        options.duration = Some(args.duration);
    }
    if required.load == Pace::Half {
        options.rate = before.map(|record| (record.figures.rps / 2.0).max(1.0));
    }
    let scene = Scene::prepare(scenario, target, required.cache, batch)?;
    Ok(run::run(&scene, &options, stop, |progress| line.show(progress))?.record)
}

fn show(results: &[(&Required, Record)], users: u64) -> Result<ExitCode, Failed> {
    #[allow(clippy::cast_precision_loss)] // users are far below 2^52
    let count = |users: u64| thousands(users as f64);
    say(format_args!("{}, {} users", Machine::this(), count(users)));
    if users < USERS {
        say(format_args!("the figures are required with {}: --users {USERS}", count(USERS)));
    }
    if cfg!(debug_assertions) {
        say("this is a debug build: its figures say nothing");
    }
    say("");
    let mut code = ExitCode::SUCCESS;
    for (required, record) in results {
        say(required.what);
        for condition in assertion::parse(required.assert)? {
            let figures = &record.figures;
            let holds = figures.broken(std::slice::from_ref(&condition)).is_empty();
            let measured = figures.named(&condition.figure);
            let measured = measured.map_or_else(|| "not measured".into(), |m| condition.shown(m));
            let word = if holds { "reached" } else { "NOT REACHED" };
            say(format_args!("  {:20} {measured:>14}  {word}", condition.to_string()));
            if !holds {
                code = ExitCode::FAILURE;
            }
        }
    }
    if results.len() < targets::all().count() {
        say("ended early: the others were not measured");
        code = ExitCode::FAILURE;
    }
    Ok(code)
}
