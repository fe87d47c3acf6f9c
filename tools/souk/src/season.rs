//! `souk season`: boards that begin and end.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Subcommand;
use jiff::Timestamp;
use souk_db::leaderboard::admin;
use souk_process::say;

use crate::database::DatabaseArgs;
use crate::{Failed, block_on};

/// What `souk season` can do.
#[derive(Subcommand)]
pub enum SeasonCommand {
    /// Start a season now or at a time; its ratings begin at 1000
    Start {
        /// Its name
        name: String,
        /// When it starts, as 2026-12-01T00:00:00Z; now if left out
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
        /// When it ends; open if left out
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// End a season now or at a time; its board stays as it is then
    End {
        /// Its number; the season that runs if left out
        id: Option<u64>,
        /// When it ends; now if left out
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Show all seasons
    List {
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Does it.
pub fn run(command: &SeasonCommand) -> Result<ExitCode, Failed> {
    match command {
        SeasonCommand::Start { name, at, until, database } => {
            let at = at.map_or_else(now_ms, |at| at.as_millisecond());
            let until = until.map(|until| until.as_millisecond());
            let id = block_on(admin::start_season(&database.url()?, name, at, until))??;
            let begins = time_text(at);
            say(format_args!("season {id} \"{name}\" starts {begins}{}", end_text(until)));
        }
        SeasonCommand::End { id, at, database } => {
            let at = at.map_or_else(now_ms, |at| at.as_millisecond());
            let id = block_on(admin::end_season(&database.url()?, *id, at))??;
            say(format_args!("season {id} ends {}", time_text(at)));
        }
        SeasonCommand::List { database } => list(&database.url()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(url: &str) -> Result<(), Failed> {
    let seasons = block_on(admin::seasons(url))??;
    if seasons.is_empty() {
        say("no seasons: `souk season start NAME` begins one");
        return Ok(());
    }
    let now = now_ms();
    say(format_args!("{:>4}  {:9} {:20} {:20} {}", "id", "", "from", "until", "name"));
    for season in seasons {
        let until = season.ends_at_ms.map_or_else(String::new, time_text);
        let state = match season.ends_at_ms {
            _ if season.starts_at_ms > now => "scheduled",
            Some(end) if end <= now => "ended",
            _ => "runs",
        };
        let from = time_text(season.starts_at_ms);
        say(format_args!("{:>4}  {state:9} {from:20} {until:20} {}", season.id, season.name));
    }
    Ok(())
}

fn end_text(until: Option<i64>) -> String {
    until.map_or_else(String::new, |until| format!(" and ends {}", time_text(until)))
}

/// Unix milliseconds as people read them, to the second, in UTC.
pub fn time_text(unix_ms: i64) -> String {
    let time = Timestamp::from_second(unix_ms.div_euclid(1000));
    time.map_or_else(|_| unix_ms.to_string(), |time| time.to_string())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
