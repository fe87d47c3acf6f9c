//! Which database a command works on.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Failed;

/// Says which database to use; the first one given counts.
#[derive(clap::Args)]
pub struct DatabaseArgs {
    /// The database's URL: mysql://user:password@host:port/name, or …@localhost/name?socket=/path
    #[arg(long, value_name = "URL", env = "SOUK_MYSQL_URL", hide_env_values = true)]
    pub mysql: Option<String>,
    /// A soukd.toml whose database to use
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The directory of a running `souk up` whose database to use
    #[arg(long, value_name = "DIR", default_value = "./var")]
    pub dir: PathBuf,
}

/// The part of soukd's settings that names the database.
#[derive(Default, Deserialize)]
#[serde(default)]
struct DaemonFile {
    mysql: MysqlSection,
    redis: RedisSection,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MysqlSection {
    url: String,
    url_file: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RedisSection {
    url: String,
}

/// The stores that a settings file names.
pub struct Stores {
    /// The database's URL.
    pub mysql: String,
    /// Redis's URL; empty if the file names none.
    pub redis: String,
}

impl DatabaseArgs {
    /// The URL of the database to work on.
    pub fn url(&self) -> Result<String, Failed> {
        match (&self.mysql, &self.config) {
            (Some(url), _) => Ok(url.clone()),
            (None, Some(file)) => Ok(stores_of(file)?.mysql),
            (None, None) => {
                let file = daemon_file(&self.dir);
                if !file.exists() {
                    let dir = self.dir.display();
                    return Err(Failed(format!(
                        "no database was named and there is none in {dir}: \
                         give --mysql URL or --config soukd.toml, or run `souk up` first"
                    )));
                }
                Ok(stores_of(&file)?.mysql)
            }
        }
    }
}

/// Where `souk up` writes the daemon's settings.
pub fn daemon_file(dir: &Path) -> PathBuf {
    dir.join("conf/soukd.toml")
}

/// Reads which stores a soukd.toml names.
pub fn stores_of(file: &Path) -> Result<Stores, Failed> {
    let broken = |why: &dyn std::fmt::Display| Failed(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| broken(&error))?;
    let read: DaemonFile = toml::from_str(&text).map_err(|error| broken(&error))?;
    let mut mysql = read.mysql.url;
    if mysql.is_empty() && !read.mysql.url_file.is_empty() {
        let url_file = Path::new(&read.mysql.url_file);
        let text = std::fs::read_to_string(url_file)
            .map_err(|error| broken(&format!("mysql.url_file {}: {error}", url_file.display())))?;
        text.trim().clone_into(&mut mysql);
    }
    if mysql.is_empty() {
        return Err(broken(&"it names no database: set mysql.url or mysql.url_file"));
    }
    Ok(Stores { mysql, redis: read.redis.url })
}
