//! `souk-perf`: the load tools behind the figures in `perf/README.md` that wrk cannot take.

use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::process::ExitCode;

mod argon;
mod connections;

#[derive(Parser)]
#[command(name = "souk-perf", version, about = "Load tools behind Souk's recorded figures")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Argon2id hashes per second of the bare crate, at Souk's default cost.
    Argon2 {
        /// Threads; 0 means one for each core.
        #[arg(long, default_value_t = 0)]
        threads: usize,
        /// How long to measure, in seconds.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
    },
    /// Opens many connections at once, unpaced, asks each once, then holds them idle and reports
    /// latencies and the server's memory for each connection.
    Connections {
        /// Where Souk listens.
        #[arg(long)]
        http: SocketAddr,
        /// How many connections.
        #[arg(long, default_value_t = 10_000, value_parser = count_range())]
        count: u32,
        /// Process whose memory is read (the front).
        #[arg(long)]
        pid: u32,
    },
}

/// One address has about 28,000 ports to connect from.
fn count_range() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=25_000)
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Argon2 { threads, seconds } => argon::measure(threads, seconds),
        Command::Connections { http, count, pid } => connections::measure(http, count, pid),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("souk-perf: {error}");
            ExitCode::FAILURE
        }
    }
}
