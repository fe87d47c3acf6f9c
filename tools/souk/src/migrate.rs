//! `souk migrate`.

use souk_process::say;
use std::process::ExitCode;

use souk_db::migrate::MigrationReport;

use crate::database::DatabaseArgs;
use crate::{Failed, block_on};

/// Flags of `souk migrate`.
#[derive(clap::Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Brings the schema up to date and says what was done.
pub fn run(args: &MigrateArgs) -> Result<ExitCode, Failed> {
    let url = args.database.url()?;
    let report = block_on(souk_db::migrate::migrate(&url))??;
    say(describe(&report));
    Ok(ExitCode::SUCCESS)
}

/// One line about what was done.
pub fn describe(report: &MigrationReport) -> String {
    let created = if report.created_database { "created the database; " } else { "" };
    let version = report.version;
    if report.applied.is_empty() {
        return format!("{created}the schema is current (version {version})");
    }
    format!("{created}applied {} (now version {version})", report.applied.join(", "))
}
