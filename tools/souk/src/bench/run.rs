//! `souk bench run`: one scenario, one server.

use std::path::PathBuf;
use std::process::ExitCode;

use souk_perf::assertion::{self, Assertion};
use souk_perf::engine::Stop;
use souk_perf::record;
use souk_perf::run::{self, Options, Outcome, Scene};
use souk_perf::scenario::{self, Scenario};
use souk_perf::search::Search;
use souk_perf::target::{self, Service, Target};
use souk_perf::{hdr, report};
use souk_process::say;

use super::args::{LoadArgs, StackArgs, time};
use super::flames::Flames;
use super::output;
use super::progress::{Line, stop_at_signal};
use crate::Failed;

/// Flags of `souk bench run`.
#[derive(clap::Args)]
pub struct RunArgs {
    /// One of `souk bench list`, or a scenario file
    scenario: String,
    /// Measure the server at this address instead of a private Souk; its rate limits must be off
    #[arg(long, value_name = "URL", conflicts_with_all = ["dir", "no_cache"])]
    url: Option<String>,
    /// With --url: a file with a token of the role "service", for scenarios that change ratings
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// With --url: where its binary port is, for scenarios that bid there
    #[arg(long, value_name = "HOST:PORT", requires = "url")]
    bids: Option<std::net::SocketAddr>,
    /// Requests a second, open loop; or "max": the highest that stays within --p99-under
    #[arg(long, value_name = "R|max", conflicts_with = "closed")]
    rate: Option<Rate>,
    /// The p99 that "--rate max" accepts
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = time)]
    p99_under: std::time::Duration,
    /// What must hold, beside the scenario's own conditions: 'rps>=16000,p99<50ms,errors==0'
    #[arg(long = "assert", value_name = "CONDITIONS")]
    assertions: Option<Conditions>,
    /// Append the run to this file, as a line of JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the times to this file, as an HdrHistogram interval log
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,
    /// Write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Draw flamegraphs of the front and the daemon during the run into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    flamegraph: Option<PathBuf>,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    stack: StackArgs,
}

/// Conditions that a run must meet.
#[derive(Clone, Debug)]
struct Conditions(Vec<Assertion>);

impl std::str::FromStr for Conditions {
    type Err = assertion::BadAssertion;

    fn from_str(text: &str) -> Result<Conditions, assertion::BadAssertion> {
        assertion::parse(text).map(Conditions)
    }
}

/// A rate, or the search for the highest.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rate {
    Fixed(f64),
    Max,
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        match text.parse() {
            _ if text == "max" => Ok(Rate::Max),
            Ok(rate) if f64::is_finite(rate) && rate > 0.0 => Ok(Rate::Fixed(rate)),
            _ => Err("give a number above 0, or max".to_owned()),
        }
    }
}

/// Runs the scenario and shows what came out; a failure if a condition does not hold.
pub fn run(args: &RunArgs) -> Result<ExitCode, Failed> {
    let stop = stop_at_signal()?;
    let line = Line::new();
    let scenario = args.stack.people(scenario::find(&args.scenario)?)?;
    let rate = match args.rate {
        Some(_) if scenario.load.once => {
            return Err(Failed(format!("{} asks once and has no --rate", scenario.name)));
        }
        Some(Rate::Fixed(rate)) => Some(rate),
        _ => None,
    };
    let target = bring_up(args, &scenario, &line)?;
    line.say("preparing those who take part");
    let batch = run::now();
    let scene = Scene::prepare(&scenario, &target, !args.stack.no_cache, &batch)?;
    let options = args.load.options(rate);
    let flames = args.flamegraph.as_deref().map(|dir| Flames::start(dir, &target)).transpose()?;
    let outcome = if args.rate == Some(Rate::Max) {
        search(&scene, options, args, &stop, line)?
    } else {
        once(&scene, &options, &stop, line)?
    };
    output::show(&outcome);
    flames.into_iter().for_each(Flames::finish);
    let code = judge(args, &scenario, &outcome)?;
    target.stop()?;
    Ok(code)
}

fn bring_up(args: &RunArgs, scenario: &Scenario, line: &Line) -> Result<Target, Failed> {
    match &args.url {
        Some(url) => {
            let mut target = Target::at(url)?;
            target.bids = args.bids;
            if let Some(file) = &args.token_file {
                let text = std::fs::read_to_string(file)
                    .map_err(|why| Failed(format!("--token-file {}: {why}", file.display())))?;
                target.service = Some(Service::Token(text.trim().to_owned()));
            }
            Ok(target)
        }
        None => {
            line.say(&format!("starting a private Souk with {} users", scenario.users));
            Ok(target::souk(&args.stack.souk(scenario)?)?)
        }
    }
}

fn once(
    scene: &Scene<'_>,
    options: &Options,
    stop: &Stop,
    mut line: Line,
) -> Result<Outcome, Failed> {
    let outcome = run::run(scene, options, stop, |progress| line.show(progress))?;
    line.clear();
    Ok(outcome)
}

/// The run at the highest rate whose p99 is low enough; without one, the last that was tried.
fn search(
    scene: &Scene<'_>,
    mut options: Options,
    args: &RunArgs,
    stop: &Stop,
    mut line: Line,
) -> Result<Outcome, Failed> {
    let start = scene.scenario.load.rate.unwrap_or(1000.0);
    let mut search = Search::new(start);
    let mut best = None;
    let mut last = None;
    while let Some(rate) = search.rate().filter(|_| !stop.stopped()) {
        options.rate = Some(rate);
        let outcome = run::run(scene, &options, stop, |progress| line.show(progress))?;
        let figures = &outcome.record.figures;
        let p99 = figures.named("p99");
        // A server that falls behind answers late what it answers at all; latency shows it too,
        // but only after a while.
        let kept_up = figures.rps >= rate * 0.97;
        let good = kept_up
            && figures.errors.is_empty()
            && p99.is_some_and(|p99| p99 < args.p99_under.as_secs_f64());
        let p99 = report::milliseconds(figures.latency.p99_us);
        let word = if good { "good" } else { "too much" };
        line.say(&format!("{}/s: p99 {p99}, {word}", report::thousands(rate)));
        search.tell(good);
        if good {
            best = Some(outcome);
        } else {
            last = Some(outcome);
        }
    }
    line.clear();
    if best.is_none() {
        say(format_args!("no rate had a p99 under {:?}; the last one tried:", args.p99_under));
    }
    best.or(last).ok_or_else(|| Failed("stopped before a rate was tried".into()))
}

/// Keeps what shall be kept, and says which conditions do not hold.
fn judge(args: &RunArgs, scenario: &Scenario, outcome: &Outcome) -> Result<ExitCode, Failed> {
    if let Some(path) = &args.out {
        record::append(path, &outcome.record)?;
    }
    if let Some(path) = &args.hdr {
        hdr::write(path, outcome)?;
    }
    if let Some(path) = &args.report {
        let page = report::page(outcome, &scenario.about);
        std::fs::write(path, page).map_err(|why| Failed(format!("{}: {why}", path.display())))?;
    }
    let mut conditions = assertion::parse(&scenario.success.assert)?;
    conditions.extend(args.assertions.iter().flat_map(|given| given.0.clone()));
    let broken = outcome.record.figures.broken(&conditions);
    for condition in &broken {
        say(format_args!("does not hold: {condition}"));
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
