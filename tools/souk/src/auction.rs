//! `souk auction`: are auctions, bids and settlements what they must be?

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use souk_db::operator::auctions::{Which, verify};
use souk_process::say;

use crate::database::DatabaseArgs;
use crate::{Failed, block_on, limits};

/// What `souk auction` can do.
#[derive(Subcommand)]
pub enum AuctionCommand {
    /// Walk an auction's bids, or all of them, and check numbers, prices, leaders, the chain and
    /// settlements; fails if something is wrong
    Verify {
        /// The auction
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<u64>,
        /// All auctions
        #[arg(long)]
        all: bool,
        /// Answers to accepted bids, a JSON object a line: each must be there
        #[arg(long, value_name = "FILE")]
        acks: Option<PathBuf>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Does it.
pub fn run(command: &AuctionCommand) -> Result<ExitCode, Failed> {
    let AuctionCommand::Verify { id, acks, database, .. } = command;
    let mut acks = match acks {
        Some(path) => Some(BufReader::new(
            File::open(path).map_err(|error| format!("{}: {error}", path.display()))?,
        )),
        None => None,
    };
    let acks = acks.as_mut().map(|lines| lines as &mut dyn BufRead);
    let which = id.map_or(Which::All, Which::One);
    let report = block_on(verify(&database.url()?, which, acks))??;
    for it in report.findings.iter().take(limits::DIFFERENCES_SHOWN) {
        let at = it.sequence.map_or_else(String::new, |sequence| format!(", bid {sequence}"));
        say(format_args!("auction {}{at}: {}", it.auction_id, it.what));
    }
    let wrong = report.findings.len() as u64 + report.more;
    let shown = report.findings.len().min(limits::DIFFERENCES_SHOWN) as u64;
    if shown < wrong {
        say(format_args!("and {} more", wrong - shown));
    }
    say(format_args!(
        "checked {} auctions, {} bids, {} settlements and {} acknowledged bids: {}",
        report.auctions,
        report.bids,
        report.settlements,
        report.acks,
        if wrong == 0 { "everything is right".to_owned() } else { format!("{wrong} findings") }
    ));
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
