//! `souk leaderboard`: do the counts that ranks are made of agree with the players?

use std::process::ExitCode;

use clap::Subcommand;
use souk_db::operator::recount::verify;
use souk_process::say;

use crate::database::DatabaseArgs;
use crate::{Failed, block_on, limits};

/// What `souk leaderboard` can do.
#[derive(Subcommand)]
pub enum LeaderboardCommand {
    /// Recount all boards from their players and compare; fails if something differs
    Verify {
        /// Mend what differs, while everything runs
        #[arg(long)]
        fix: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Does it.
pub fn run(command: &LeaderboardCommand) -> Result<ExitCode, Failed> {
    let LeaderboardCommand::Verify { fix, database } = command;
    let found = block_on(verify(&database.url()?, *fix))??.differences;
    for line in found.iter().take(limits::DIFFERENCES_SHOWN) {
        let board =
            if line.board == 0 { "all time".into() } else { format!("season {}", line.board) };
        say(format_args!(
            "{board}, rating {}: counted {}, found {}",
            line.rating, line.counted, line.found
        ));
    }
    let shown = found.len().min(limits::DIFFERENCES_SHOWN);
    if shown < found.len() {
        say(format_args!("and {} more", found.len() - shown));
    }
    Ok(match (found.len(), *fix) {
        (0, _) => {
            say("every count is right");
            ExitCode::SUCCESS
        }
        (wrong, true) => {
            say(format_args!("{wrong} counts were wrong and are mended"));
            ExitCode::SUCCESS
        }
        (wrong, false) => {
            say(format_args!(
                "{wrong} counts are wrong: `souk leaderboard verify --fix` mends them"
            ));
            ExitCode::FAILURE
        }
    })
}
