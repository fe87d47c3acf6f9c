//! The schema: numbered SQL files, applied in order, once each.
//!
//! Every applied file is recorded with its checksum in `schema_migrations`. A lock in the database
//! keeps two programs from migrating at once. Nothing here needs a ring: any tokio runtime will do.

use crate::limits::{DATABASE_CONNECT_MAX, MIGRATE_LOCK_S};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder};
use thiserror::Error;

/// One embedded file. It holds one statement: the database commits each of those by itself.
struct Migration {
    version: u32,
    name: &'static str,
    sql: &'static str,
}

/// A file of the folder `migrations`.
macro_rules! embedded {
    ($version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../migrations/", $name, ".sql")),
        }
    };
}

/// All migrations, in order; the last one's number is the version this program needs.
const MIGRATIONS: [Migration; 19] = [
    embedded!(1, "0001_users"),
    embedded!(2, "0002_boards"),
    embedded!(3, "0003_all_time"),
    embedded!(4, "0004_rating_counts"),
    embedded!(5, "0005_count_users"),
    embedded!(6, "0006_season_ratings"),
    embedded!(7, "0007_rating_events"),
    embedded!(8, "0008_hidden_users"),
    embedded!(9, "0009_moderation"),
    embedded!(10, "0010_service_tokens"),
    embedded!(11, "0011_unfenced_users"),
    embedded!(12, "0012_auctions"),
    embedded!(13, "0013_bids"),
    embedded!(14, "0014_auction_watches"),
    embedded!(15, "0015_settlements"),
    embedded!(16, "0016_notifications"),
    embedded!(17, "0017_auction_clock"),
    embedded!(18, "0018_auction_clock_row"),
    embedded!(19, "0019_outages"),
];

const RECORDS: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (\
     version INT UNSIGNED NOT NULL PRIMARY KEY, \
     name VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, \
     checksum CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, \
     applied_at DATETIME(3) NOT NULL) ENGINE = InnoDB";

/// There is no such database.
const NO_DATABASE: u16 = 1049;
/// There is no such table.
const NO_TABLE: u16 = 1146;

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
    #[error(
        "the database URL cannot be used: {0}. It must look like \
         mysql://user:password@host:3306/souk or mysql://user@localhost/souk?socket=/path"
    )]
    Url(String),
    /// The server cannot be reached or refused us.
    #[error("the database did not answer: {0}. Check that it runs and that the URL is right")]
    Database(#[from] mysql_async::Error),
    /// No connection in time.
    #[error("no connection to the database in time. Check that it runs and that the URL is right")]
    TimedOut,
    /// Another program holds the migration lock.
    #[error(
        "another program is migrating this database and did not finish in time. \
         Wait for it, then try again"
    )]
    Locked,
    /// The schema was made by a newer program.
    #[error(
        "the schema has version {have}, this program knows versions up to {want}. \
         Install the newer program"
    )]
    Newer {
        /// Version of the schema.
        have: u32,
        /// Version this program needs.
        want: u32,
    },
    /// An applied migration is not the one this program carries.
    #[error(
        "migration {name} was applied with another content than this program carries. \
         Install the program that made the schema; applied migrations are never edited"
    )]
    Changed {
        /// Name of the migration.
        name: String,
    },
}

/// Applies what is missing; creates the database if it is absent. Safe to run twice, and by two
/// programs at once.
pub async fn migrate(url: &str) -> Result<MigrationReport, MigrateError> {
    let opts = parse(url)?;
    let (mut conn, created_database) = connect_or_create(opts).await?;
    let lock = format!("souk.migrate.{}", conn.opts().db_name().unwrap_or_default());
    let held: Option<Option<i64>> =
        conn.exec_first("SELECT GET_LOCK(?, ?)", (&lock, MIGRATE_LOCK_S)).await?;
    if held.flatten() != Some(1) {
        return Err(MigrateError::Locked);
    }
    let result = apply(&mut conn).await;
    // The lock ends with the connection in any case; what counts is `result`.
    let _ = conn.exec_drop("DO RELEASE_LOCK(?)", (&lock,)).await;
    let _ = conn.disconnect().await;
    let (applied, version) = result?;
    Ok(MigrationReport { created_database, applied, version })
}

/// Compares the schema with this program; changes nothing.
pub async fn check(url: &str) -> Result<SchemaState, MigrateError> {
    let mut conn = match connect(parse(url)?).await {
        Err(MigrateError::Database(Error::Server(said))) if said.code == NO_DATABASE => {
            return Ok(SchemaState::Missing);
        }
        other => other?,
    };
    let have = recorded(&mut conn).await;
    let _ = conn.disconnect().await;
    let have = match have {
        Err(MigrateError::Database(Error::Server(said))) if said.code == NO_TABLE => {
            return Ok(SchemaState::Missing);
        }
        other => other?,
    };
    let want = wanted();
    Ok(match have {
        0 => SchemaState::Missing,
        have if have < want => SchemaState::Older { have, want },
        have if have > want => SchemaState::Newer { have, want },
        _ => SchemaState::Current,
    })
}

fn wanted() -> u32 {
    MIGRATIONS.last().expect("there is one").version
}

async fn apply(conn: &mut Conn) -> Result<(Vec<String>, u32), MigrateError> {
    conn.query_drop(RECORDS).await?;
    let (have, want) = (recorded(conn).await?, wanted());
    if have > want {
        return Err(MigrateError::Newer { have, want });
    }
    let mut applied = Vec::new();
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > have) {
        conn.query_drop(migration.sql).await?;
        conn.exec_drop(
            "INSERT INTO schema_migrations (version, name, checksum, applied_at) \
             VALUES (?, ?, ?, UTC_TIMESTAMP(3))",
            (migration.version, migration.name, checksum(migration)),
        )
        .await?;
        applied.push(migration.name.to_owned());
    }
    Ok((applied, want))
}

/// The version of the schema, 0 if nothing was applied. Refuses files that changed since.
async fn recorded(conn: &mut Conn) -> Result<u32, MigrateError> {
    let rows: Vec<(u32, String, String)> = conn
        .query("SELECT version, name, checksum FROM schema_migrations ORDER BY version")
        .await?;
    for (version, name, sum) in &rows {
        let ours = MIGRATIONS.iter().find(|migration| migration.version == *version);
        if ours.is_some_and(|ours| checksum(ours) != *sum) {
            return Err(MigrateError::Changed { name: name.clone() });
        }
    }
    Ok(rows.last().map_or(0, |row| row.0))
}

fn checksum(migration: &Migration) -> String {
    blake3::hash(migration.sql.as_bytes()).to_hex().to_string()
}

fn parse(url: &str) -> Result<Opts, MigrateError> {
    let opts = Opts::from_url(url).map_err(|error| MigrateError::Url(error.to_string()))?;
    if opts.db_name().is_none_or(str::is_empty) {
        return Err(MigrateError::Url("it names no database".to_owned()));
    }
    Ok(OptsBuilder::from_opts(opts).prefer_socket(false).into())
}

async fn connect(opts: Opts) -> Result<Conn, MigrateError> {
    match tokio::time::timeout(DATABASE_CONNECT_MAX, Conn::new(opts)).await {
        Ok(conn) => Ok(conn?),
        Err(_) => Err(MigrateError::TimedOut),
    }
}

async fn connect_or_create(opts: Opts) -> Result<(Conn, bool), MigrateError> {
    match connect(opts.clone()).await {
        Err(MigrateError::Database(Error::Server(said))) if said.code == NO_DATABASE => {}
        other => return Ok((other?, false)),
    }
    let name = opts.db_name().unwrap_or_default().replace('`', "``");
    let mut server =
        connect(OptsBuilder::from_opts(opts.clone()).db_name(None::<String>).into()).await?;
    server
        .query_drop(format!("CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4"))
        .await?;
    let _ = server.disconnect().await;
    Ok((connect(opts).await?, true))
}
