//! A private Souk: `souk up` of this build or another.

use super::{Held, Service, Target};
use crate::Failed;
use crate::procs::{Process, children};
use souk_stack::{PrivateDir, Program, ProgramSpec};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a private Souk may take to be ready. Ten million users are seeded in minutes, and a
/// slow disk takes several times as long.
const READY_WITHIN: Duration = Duration::from_secs(3600);

/// What to start.
#[derive(Clone, Debug)]
pub struct SoukOptions {
    /// Its name in tables.
    pub name: String,
    /// The `souk` program; `soukd` and `souk-front` lie beside it.
    pub program: PathBuf,
    /// Where it lives; a private directory that goes with it if none.
    pub dir: Option<PathBuf>,
    /// How many demo users there must be.
    pub users: u64,
    /// Read every row from the database.
    pub no_cache: bool,
    /// Another one's database to use.
    pub mysql: Option<(String, Vec<Process>)>,
    /// More settings, as `SOUK_SECTION_KEY` and value.
    pub settings: Vec<(String, String)>,
}

/// Starts it and waits until it serves.
///
/// # Errors
/// With its last lines, if it does not.
pub fn souk(options: &SoukOptions) -> Result<Target, Failed> {
    let home = if options.dir.is_none() { Some(PrivateDir::new()?) } else { None };
    let dir = match (&options.dir, &home) {
        (Some(dir), _) => dir.clone(),
        (None, Some(home)) => home.path().join("s"),
        (None, None) => return Err(Failed::new("a Souk needs a directory")),
    };
    let mut spec = ProgramSpec::new(&options.name, options.program.clone())
        .arg("up")
        .arg("--dir")
        .arg(&dir)
        .arg("--http")
        .arg("127.0.0.1:0")
        .arg("--users")
        .arg(options.users.to_string())
        .arg("--no-limits");
    if options.no_cache {
        spec = spec.arg("--no-cache");
    }
    if let Some((url, _)) = &options.mysql {
        spec = spec.arg("--mysql").arg(url);
    }
    "souk ready ".clone_into(&mut spec.ready);
    spec.ready_within = READY_WITHIN;
    spec.inherit_settings = false;
    spec.environment.clone_from(&options.settings);
    let program = Program::start(&spec)?;
    let host = program.address().to_owned();
    let address = host.parse().map_err(|why| Failed::new(format!("{host}: {why}")))?;
    let mut target = Target::new(&options.name, &host, address);
    target.bids = program.other("bids").and_then(|bids| bids.parse().ok());
    target.processes = processes(program.pid());
    if let Some((_, processes)) = &options.mysql {
        target.processes.extend_from_slice(processes);
    }
    target.admin = admin(&dir);
    target.mysql = mysql(&dir);
    target.service = Some(Service::Made { program: options.program.clone(), dir });
    target.held = Held { program: Some(program), home, ..Held::default() };
    Ok(target)
}

/// Who of Souk's processes plays which part.
fn processes(up: u32) -> Vec<Process> {
    let role = |name: &str| match name {
        "souk-front" => Some("front"),
        "soukd" => Some("daemon"),
        "redis-server" | "valkey-server" => Some("redis"),
        "mariadbd" | "mysqld" => Some("mysql"),
        _ => None,
    };
    let found = children(up).into_iter();
    found.filter_map(|(pid, name)| Some(Process { role: role(&name)?, pid })).collect()
}

/// The admin sockets that its programs have opened.
fn admin(dir: &Path) -> Vec<PathBuf> {
    let sockets = ["front-admin.sock", "soukd-admin.sock"].map(|name| dir.join("run").join(name));
    sockets.into_iter().filter(|path| path.exists()).collect()
}

/// The database that the daemon's settings name.
fn mysql(dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(dir.join("conf/soukd.toml")).ok()?;
    let table: toml::Table = text.parse().ok()?;
    Some(table.get("mysql")?.get("url")?.as_str()?.to_owned())
}
