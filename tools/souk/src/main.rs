//! `souk`: the operator's command. It runs a whole Souk on one machine, prepares databases, fills
//! them with demo users and says what a machine lacks.

mod auction;
mod bench;
mod bid;
mod database;
mod doctor;
mod flamegraph;
mod latency;
mod leaderboard;
mod limits;
mod migrate;
mod observe;
mod season;
mod seed;
mod token;
mod top;
mod up;
mod version;

use std::fmt::Display;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "souk", version, about = "Runs and looks after Souk.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything on this machine: private MariaDB and Redis, soukd, souk-front
    Up(up::UpArgs),
    /// Bring the database schema up to date
    Migrate(migrate::MigrateArgs),
    /// Make demo users user1…userN, all with the password "password", and auctions of theirs
    Seed(seed::SeedArgs),
    /// Check the leaderboard's counts
    #[command(subcommand)]
    Leaderboard(leaderboard::LeaderboardCommand),
    /// Check auctions and their bids
    #[command(subcommand)]
    Auction(auction::AuctionCommand),
    /// Start, end and list seasons of the leaderboard
    #[command(subcommand)]
    Season(season::SeasonCommand),
    /// Make, list and revoke tokens for programs and moderators
    Token(token::TokenArgs),
    /// Bid over the binary port, or watch an auction there, and show what it says
    Bid(bid::BidArgs),
    /// Say what this machine lacks and how to fix it
    Doctor(doctor::DoctorArgs),
    /// Show where the time of requests goes, by route and stage
    Latency(latency::LatencyArgs),
    /// Show rates, latencies, caches and stores on a screen that is drawn anew each second
    Top(top::TopArgs),
    /// Draw where a running program spends its time
    Flamegraph(flamegraph::FlamegraphArgs),
    /// Measure how fast Souk is on this machine
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Show the versions of all programs
    Version,
}

/// Why a command failed: a text for people that says what is wrong, why, and how to fix it.
#[derive(Debug)]
struct Failed(String);

impl<E: Display> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed(error.to_string())
    }
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Up(args) => up::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Seed(args) => seed::run(&args),
        Command::Leaderboard(command) => leaderboard::run(&command),
        Command::Auction(command) => auction::run(&command),
        Command::Season(command) => season::run(&command),
        Command::Token(args) => token::run(&args),
        Command::Bid(args) => bid::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Latency(args) => latency::run(&args),
        Command::Top(args) => top::run(args),
        Command::Flamegraph(args) => flamegraph::run(&args),
        Command::Bench(command) => bench::run(&command),
        Command::Version => version::run(),
    };
    match done {
        Ok(code) => code,
        Err(Failed(why)) => {
            eprintln!("souk: {why}");
            ExitCode::FAILURE
        }
    }
}

/// An async loop for the commands that talk to a database.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(work))
}
