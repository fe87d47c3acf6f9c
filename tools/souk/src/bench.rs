//! `souk bench`: how fast is it, here and now?

mod args;
mod compare;
mod flames;
mod output;
mod progress;
mod run;
mod targets;

use souk_perf::{argon, scenario, table};
use souk_process::say;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::Failed;

/// What to measure.
#[derive(clap::Subcommand)]
pub enum BenchCommand {
    /// Run a scenario once and show what came out
    Run(Box<run::RunArgs>),
    /// List the scenarios
    List,
    /// Let Souk take turns with nginx, the baseline, its epoll driver or another build
    Compare(Box<compare::CompareArgs>),
    /// Measure every required figure and say which are reached
    Targets(targets::TargetsArgs),
    /// Make the README's table from recorded comparisons
    Table(TableArgs),
    /// Argon2id hashes a second of the bare crate, at Souk's default cost
    Argon2(ArgonArgs),
}

/// Flags of `souk bench table`.
#[derive(clap::Args)]
pub struct TableArgs {
    /// The folder with recorded runs
    #[arg(long, value_name = "DIR", default_value = "perf/results")]
    results: PathBuf,
    /// Put the table into this document, in place of the one that it has
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// Flags of `souk bench argon2`.
#[derive(clap::Args)]
pub struct ArgonArgs {
    /// Threads; 0 means one for each core
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// How long to measure, in seconds
    #[arg(long, value_name = "S", default_value_t = 5,
          value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

/// Does what was asked.
pub fn run(command: &BenchCommand) -> Result<ExitCode, Failed> {
    match command {
        BenchCommand::Run(args) => run::run(args),
        BenchCommand::List => list(),
        BenchCommand::Compare(args) => compare::run(args),
        BenchCommand::Targets(args) => targets::run(args),
        BenchCommand::Table(args) => make_table(args),
        BenchCommand::Argon2(args) => {
            say(format_args!("{:.1} hashes/s", argon::measure(args.threads, args.seconds)?));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn list() -> Result<ExitCode, Failed> {
    for scenario in scenario::all()? {
        say(format_args!("{:16} {}", scenario.name, scenario.about));
    }
    Ok(ExitCode::SUCCESS)
}

fn make_table(args: &TableArgs) -> Result<ExitCode, Failed> {
    let fresh = table::table(&table::results(&args.results)?);
    match &args.write {
        None => say(fresh.trim_end()),
        Some(path) => {
            let named = |why: std::io::Error| Failed(format!("{}: {why}", path.display()));
            let document = std::fs::read_to_string(path).map_err(named)?;
            let document = table::put(&document, &fresh)?;
            std::fs::write(path, document).map_err(named)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
