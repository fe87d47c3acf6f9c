//! `souk bench compare`: Souk takes turns with others.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use souk_perf::compare::{self, Against, Observer, Plan, median, ratios};
use souk_perf::engine::Progress;
use souk_perf::record::{self, Record};
use souk_perf::report::thousands;
use souk_perf::scenario;
use souk_process::say;

use super::args::{LoadArgs, StackArgs};
use super::progress::{Line, stop_at_signal};
use crate::Failed;

/// Flags of `souk bench compare`.
#[derive(clap::Args)]
pub struct CompareArgs {
    /// One of `souk bench list`, or a scenario file
    scenario: String,
    /// Whom Souk takes turns with
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["nginx", "baseline"])]
    against: Vec<Other>,
    /// Another build of Souk to take turns with: its `souk` program, or the folder that it is in
    #[arg(long, value_name = "PATH")]
    with: Option<PathBuf>,
    /// How often everybody takes a turn
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Requests a second, open loop; the highest rate of each (closed loop) if left out
    #[arg(long, value_name = "R", conflicts_with = "closed")]
    rate: Option<f64>,
    /// Append each run to this file, as a line of JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    stack: StackArgs,
}

/// Whom Souk takes turns with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Other {
    /// nginx, one worker, `return 200` with a body of the same size
    Nginx,
    /// perf/baseline: axum, sqlx and redis in one process
    Baseline,
    /// Souk with the epoll driver in the front
    Epoll,
    /// Souk with latency.enabled off: what measuring costs
    Unmeasured,
    /// The bare argon2 crate on all cores, for login-cold
    Argon2,
    /// Nobody but the build given with --with
    None,
}

/// Compares, and shows ratios with their spread.
pub fn run(args: &CompareArgs) -> Result<ExitCode, Failed> {
    let stop = stop_at_signal()?;
    let scenario = args.stack.people(scenario::find(&args.scenario)?)?;
    let mut against: Vec<Against> =
        args.against.iter().filter_map(|other| other.against()).collect();
    if let Some(path) = &args.with {
        against.push(Against::Build(program_in(path)?));
    }
    if against.is_empty() {
        return Err(Failed("there is nobody to compare with: give --against or --with".into()));
    }
    let mut options = args.load.options(args.rate);
    options.closed = args.rate.is_none();
    let souk = args.stack.souk(&scenario)?;
    let plan = Plan {
        scenario: &scenario,
        souk: &souk,
        against: &against,
        rounds: args.rounds,
        options: &options,
    };
    let mut shown = Shown { line: Line::new(), out: args.out.clone() };
    let records = compare::compare(&plan, &stop, &mut shown)?;
    shown.line.clear();
    if records.is_empty() {
        return Err(Failed("stopped before a round was complete".into()));
    }
    table(&records);
    let errors: u64 = records.iter().flat_map(|record| record.figures.errors.values()).sum();
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Other {
    fn against(self) -> Option<Against> {
        match self {
            Other::Nginx => Some(Against::Nginx),
            Other::Baseline => Some(Against::Baseline),
            Other::Epoll => Some(Against::Epoll),
            Other::Unmeasured => Some(Against::Unmeasured),
            Other::Argon2 => Some(Against::Argon2),
            Other::None => None,
        }
    }
}

/// The `souk` program at a path, or in the folder there.
fn program_in(path: &std::path::Path) -> Result<PathBuf, Failed> {
    let program = if path.is_dir() { path.join("souk") } else { path.to_owned() };
    let program = std::path::absolute(program)?;
    if program.is_file() {
        return Ok(program);
    }
    Err(Failed(format!("--with {}: there is no souk program", path.display())))
}

/// Shows progress and keeps records.
struct Shown {
    line: Line,
    out: Option<PathBuf>,
}

impl Observer for Shown {
    fn says(&mut self, line: &str) {
        self.line.say(line);
    }

    fn progress(&mut self, progress: &Progress) {
        self.line.show(progress);
    }

    fn done(&mut self, record: &Record) -> Result<(), souk_perf::Failed> {
        let figures = &record.figures;
        let errors: u64 = figures.errors.values().sum();
        let rate = thousands(figures.rps);
        self.line.say(&format!("{:15} {rate:>10}/s  {errors} errors", record.target));
        self.out.as_ref().map_or(Ok(()), |path| record::append(path, record))
    }
}

fn table(records: &[Record]) {
    let first = &records[0];
    say(format_args!(
        "\n{}: {} connections, {} users, cache {}\n{}\n",
        first.scenario,
        first.load.connections,
        first.load.users,
        if first.load.cache { "on" } else { "off" },
        first.machine
    ));
    say(format_args!(
        "{:15} {:>10} {:>9} {:>9} {:>9}  {:>8}  {}",
        "", "answers/s", "p50", "p99", "errors", "CPU µs", "souk's rate over it (spread)"
    ));
    let ratios = ratios(records);
    let mut names: Vec<&str> = Vec::new();
    for record in records {
        if !names.contains(&record.target.as_str()) {
            names.push(&record.target);
        }
    }
    for name in names {
        let runs: Vec<&Record> = records.iter().filter(|record| record.target == name).collect();
        let of = |figure: fn(&Record) -> f64| median(runs.iter().map(|r| figure(r)).collect());
        let errors: u64 = runs.iter().flat_map(|record| record.figures.errors.values()).sum();
        let cpu = of(|record| {
            let all = record.figures.cpu_us.iter().filter(|(role, _)| *role != "generator");
            all.map(|(_, us)| us).sum()
        });
        // The bare crate has a rate and nothing else.
        let or_none =
            |figure: f64, text: String| if figure > 0.0 { text } else { "–".to_owned() };
        let time = |us: f64| or_none(us, souk_perf::report::milliseconds(us));
        let ratio = ratios
            .iter()
            .find(|ratio| ratio.target == name)
            .map(|ratio| format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.low, ratio.high));
        say(format_args!(
            "{name:15} {:>10} {:>9} {:>9} {errors:>9}  {:>8}  {}",
            thousands(of(|record| record.figures.rps)),
            time(of(|record| record.figures.latency.p50_us)),
            time(of(|record| record.figures.latency.p99_us)),
            or_none(cpu, format!("{cpu:.1}")),
            ratio.unwrap_or_default(),
        ));
    }
}
