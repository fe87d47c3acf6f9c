//! soukd: reads the command line and the settings, then runs the daemon.

use clap::Parser;
use souk_process::{Sources, load, to_toml};
use soukd::config::Settings;
use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Souk's daemon: all business logic, on io_uring shards, over MySQL and Redis.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Settings file; see the documented soukd.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address that fronts connect to; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Ring threads; 0 means half the cores.
    #[arg(long, value_name = "N")]
    shards: Option<u32>,
    /// Read every row from the database.
    #[arg(long)]
    no_cache: bool,
    /// Lift the rate limits.
    #[arg(long)]
    no_limits: bool,
    /// Print the settings as they came together, and exit.
    #[arg(long)]
    print_config: bool,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let sources = Sources::new(flags.config)
        .flag("link.listen", flags.listen)
        .flag("daemon.shards", flags.shards)
        .flag("cache.enabled", flags.no_cache.then_some(false))
        .flag("limits.enabled", flags.no_limits.then_some(false));
    let settings = match load::<Settings>(&sources) {
        Ok(settings) => settings,
        Err(error) => return fail(&error, 2),
    };
    if flags.print_config {
        souk_process::say(to_toml(&settings).trim_end());
        return ExitCode::SUCCESS;
    }
    if let Err(error) = souk_process::log::init(&settings.log, souk_trace::current_id) {
        return fail(&error, 2);
    }
    match soukd::startup::run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, error.exit_code()),
    }
}

fn fail(error: &impl std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("soukd: {error}");
    ExitCode::from(code)
}
