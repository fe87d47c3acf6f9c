//! The server programs, whether the stores answer, and the schema.

use std::process::{Command, Stdio};

use redis::ErrorKind;
use souk_db::migrate::{SchemaState, check};
use souk_db::operator::durability::{self, Loose};
use souk_stack::find_program;

use super::{DoctorArgs, Finding};
use crate::database::{daemon_file, stores_of};
use crate::up::runs_in;
use crate::{Failed, block_on, limits};

/// Everything about the stores.
pub fn look(args: &DoctorArgs) -> Result<Vec<Finding>, Failed> {
    let mut findings = vec![
        program("mariadbd", "mariadb-server", args.mysql.is_some()),
        program("mariadb-install-db", "mariadb-server", args.mysql.is_some()),
        program("redis-server", "redis-server", args.redis.is_some()),
    ];
    let private = runs_in(&args.dir).and_then(|_| stores_of(&daemon_file(&args.dir)).ok());
    let mysql = args.mysql.clone().or_else(|| private.as_ref().map(|p| p.mysql.clone()));
    let redis = args.redis.clone().or_else(|| private.as_ref().map(|p| p.redis.clone()));
    let idle = "none is running: `souk up` starts it";
    match mysql {
        Some(url) => findings.extend([Some(schema(&url)?), durable(&url)?].into_iter().flatten()),
        None => findings.push(Finding::ok("database", idle)),
    }
    findings.push(match redis {
        Some(url) => reach_redis(&url),
        None => Finding::ok("Redis", idle),
    });
    Ok(findings)
}

fn program(name: &str, package: &str, spare: bool) -> Finding {
    let fix = format!("apt-get install {package}");
    match find_program(name) {
        Some(path) => {
            // The installer of MariaDB's tables has no version of its own.
            let found = if name == "mariadb-install-db" { None } else { version_line(&path) };
            Finding::ok(name, found.unwrap_or_else(|| path.display().to_string()))
        }
        None if spare => Finding::ok(name, "not installed, and not needed: a URL is given"),
        None => Finding::fail(name, "not installed", &fix),
    }
}

fn version_line(path: &std::path::Path) -> Option<String> {
    let output = Command::new(path).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(|line| line.trim().to_owned())
}

fn schema(url: &str) -> Result<Finding, Failed> {
    let state = block_on(async { tokio::time::timeout(limits::REACH_WITHIN, check(url)).await })?;
    let subject = "database";
    let fix = "start it, and check the URL";
    Ok(match state {
        Err(_) => {
            let found = format!("no answer within {:?}", limits::REACH_WITHIN);
            Finding::fail(subject, found, fix)
        }
        Ok(Err(error)) => Finding::fail(subject, error.to_string(), fix),
        Ok(Ok(SchemaState::Current)) => Finding::ok(subject, "answers; the schema is current"),
        Ok(Ok(SchemaState::Missing)) => {
            Finding::fail(subject, "answers; it has no tables yet", "souk migrate")
        }
        Ok(Ok(SchemaState::Older { have, want })) => {
            let found = format!("answers; schema version {have}, needed is {want}");
            Finding::fail(subject, found, "souk migrate")
        }
        Ok(Ok(SchemaState::Newer { have, want })) => {
            let found = format!("answers; schema version {have}, this build knows {want}");
            Finding::fail(subject, found, "run the build that made it, or a newer one")
        }
    })
}

/// Whether commits are flushed; nothing if the database cannot be asked, which is said already.
fn durable(url: &str) -> Result<Option<Finding>, Failed> {
    let loose = block_on(async {
        tokio::time::timeout(limits::REACH_WITHIN, durability::loose(url)).await
    })?;
    let Ok(Ok(loose)) = loose else { return Ok(None) };
    let subject = "durability";
    if loose.is_empty() {
        return Ok(Some(Finding::ok(subject, "each commit is flushed to the database's disk")));
    }
    let is = |it: &Loose| format!("{} is {}", it.setting, it.value);
    let found = format!(
        "{}: a crash of the database's machine can take acknowledged writes away",
        loose.iter().map(is).collect::<Vec<_>>().join(", ")
    );
    let set = |it: &Loose| format!("SET GLOBAL {} = 1", it.setting);
    let fix = loose.iter().map(set).collect::<Vec<_>>().join("; ");
    Ok(Some(Finding::warn(subject, found, &format!("{fix}; and in the server's configuration"))))
}

fn reach_redis(url: &str) -> Finding {
    match ping(url) {
        Ok(()) => Finding::ok("Redis", "answers"),
        Err(error) if error.kind() == ErrorKind::InvalidClientConfig => {
            let fix = "write redis://[user:password@]host[:port][/db] or unix:///path";
            Finding::fail("Redis", error.to_string(), fix)
        }
        Err(error) if error.is_io_error() => {
            Finding::fail("Redis", error.to_string(), "start it, and check the URL")
        }
        Err(error) => {
            let fix = "check the URL's login and database, and the server's log; Redis must be 6 or \
                       newer, and the user allowed to call HELLO and CLIENT";
            Finding::fail("Redis", error.to_string(), fix)
        }
    }
}

/// Logs in, chooses the database and asks for what the daemon will ask for, as the URL says.
fn ping(url: &str) -> redis::RedisResult<()> {
    let mut connection =
        redis::Client::open(url)?.get_connection_with_timeout(limits::REACH_WITHIN)?;
    connection.set_read_timeout(Some(limits::REACH_WITHIN))?;
    redis::cmd("HELLO").arg(3).exec(&mut connection)?;
    redis::cmd("CLIENT").arg("TRACKING").arg("ON").arg("OPTIN").exec(&mut connection)
}
