//! `souk doctor`: what this machine has, what it lacks, and how to fix it.

mod machine;
mod stores;

use souk_process::say;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::up::{Addresses, runs_in};
use crate::{Failed, version};

/// Flags of `souk doctor`.
#[derive(clap::Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    addresses: Addresses,
    /// The directory of `souk up`
    #[arg(long, value_name = "DIR", default_value = "./var")]
    dir: PathBuf,
    /// The database to look at, instead of the one of `souk up`
    #[arg(long, value_name = "URL", env = "SOUK_MYSQL_URL", hide_env_values = true)]
    mysql: Option<String>,
    /// The Redis to look at, instead of the one of `souk up`
    #[arg(long, value_name = "URL", env = "SOUK_REDIS_URL", hide_env_values = true)]
    redis: Option<String>,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Ok,
    /// Souk runs, but slower or smaller than it could.
    Warn,
    /// Souk does not run.
    Fail,
}

/// One line of the table.
#[derive(Debug)]
struct Finding {
    verdict: Verdict,
    subject: String,
    found: String,
    fix: String,
}

impl Finding {
    fn ok(subject: &str, found: impl Into<String>) -> Finding {
        Finding::new(Verdict::Ok, subject, found, "")
    }

    fn warn(subject: &str, found: impl Into<String>, fix: &str) -> Finding {
        Finding::new(Verdict::Warn, subject, found, fix)
    }

    fn fail(subject: &str, found: impl Into<String>, fix: &str) -> Finding {
        Finding::new(Verdict::Fail, subject, found, fix)
    }

    fn new(verdict: Verdict, subject: &str, found: impl Into<String>, fix: &str) -> Finding {
        Finding { verdict, subject: subject.into(), found: found.into(), fix: fix.into() }
    }
}

/// Looks at everything and prints the table; a failure if something keeps Souk from running.
pub fn run(args: &DoctorArgs) -> Result<ExitCode, Failed> {
    let mut findings = machine::look();
    findings.extend(args.addresses.all().map(|(address, flag)| port(args, address, flag)));
    findings.extend(version::PROGRAMS.map(program));
    findings.extend(stores::look(args)?);
    say(table(&findings).trim_end());
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn port(args: &DoctorArgs, address: SocketAddr, flag: &str) -> Finding {
    let subject = format!("address {address}");
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(&subject, "free"),
        Err(_) if runs_in(&args.dir).is_some() => Finding::ok(&subject, "in use by `souk up`"),
        Err(error) => {
            let fix = format!("stop what uses it, or choose another with {flag}");
            Finding::fail(&subject, error.to_string(), &fix)
        }
    }
}

fn program(name: &str) -> Finding {
    match version::of(name) {
        Ok(found) if found == version::OURS => Finding::ok(name, found),
        Ok(found) => Finding::fail(
            name,
            format!("{found}, while souk is {}", version::OURS),
            "build all programs together: cargo build --workspace --release",
        ),
        Err(Failed(why)) => Finding::fail(name, why, "cargo build --workspace --release"),
    }
}

fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { verdict, subject, found, fix } in findings {
        let verdict = match verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        // Some errors have several lines; a table has one for each.
        let found = found.lines().next().unwrap_or_default();
        text.push_str(&format!("{verdict}  {subject:<width$}  {found}\n"));
        if !fix.is_empty() {
            text.push_str(&format!("      {:<width$}  fix: {fix}\n", ""));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_that_is_not_fine_shows_its_fix_below_it() {
        let findings = [
            Finding::ok("kernel", "6.12"),
            Finding::fail("mariadbd", "missing\nsecond line", "apt-get install mariadb-server"),
        ];
        assert_eq!(
            table(&findings),
            "ok    kernel    6.12\n\
             FAIL  mariadbd  missing\n                \
             fix: apt-get install mariadb-server\n"
        );
    }
}
