//! `souk season`: boards that begin and end.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Subcommand;
use jiff::Timestamp;
use souk_db::leaderboard::BoardRow;
use souk_db::operator::seasons;
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
    /// End the season that runs; its board stays as it is then
    End {
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
            let [from, until] = [at, until].map(|time| time.map(|time| time.as_millisecond()));
            let id = block_on(seasons::start(&database.url()?, name, from, until))??;
            let begins = from.map_or_else(|| "now".to_owned(), time_text);
            let ends = until.map_or_else(String::new, |it| format!(" and ends {}", time_text(it)));
            say(format_args!("season {id} \"{name}\" starts {begins}{ends}"));
        }
        SeasonCommand::End { database } => {
            let url = database.url()?;
            let now = now_ms();
            let all = block_on(seasons::list(&url))??;
            let runs = all.iter().find(|season| state(season, now) == "runs");
            let season = runs.ok_or("no season runs: see `souk season list`")?;
            block_on(seasons::end(&url, season.id))??;
            say(format_args!("season {} \"{}\" has ended", season.id, season.name));
        }
        SeasonCommand::List { database } => list(&database.url()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(url: &str) -> Result<(), Failed> {
    let all = block_on(seasons::list(url))??;
    if all.is_empty() {
        say("no seasons: `souk season start NAME` begins one");
        return Ok(());
    }
    let now = now_ms();
    say(format_args!("{:>4}  {:9} {:20} {:20} {}", "id", "", "from", "until", "name"));
    for season in all {
        let until = season.ends_at_ms.map_or_else(String::new, time_text);
        let state = state(&season, now);
        let from = time_text(season.starts_at_ms);
        say(format_args!("{:>4}  {state:9} {from:20} {until:20} {}", season.id, season.name));
    }
    Ok(())
}

fn state(season: &BoardRow, now_ms: i64) -> &'static str {
    match season.ends_at_ms {
        _ if season.starts_at_ms > now_ms => "scheduled",
        Some(end) if end <= now_ms => "ended",
        _ => "runs",
    }
}

/// Unix milliseconds as people read them, to the second, in UTC.
fn time_text(unix_ms: i64) -> String {
    let time = Timestamp::from_second(unix_ms.div_euclid(1000));
    time.map_or_else(|_| unix_ms.to_string(), |time| time.to_string())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
