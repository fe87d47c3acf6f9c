//! Who is asked: a server at an address, or one that we start for the run.

mod baseline;
mod nginx;
mod souk;

pub use baseline::baseline;
pub use nginx::nginx;
pub use souk::{SoukOptions, souk};

use crate::Failed;
use crate::procs::Process;
use crate::visitor::Eyes;
use souk_stack::{Child, PrivateDir, Program, Redis};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

/// How long nginx may take to stop; it does at once.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A server to ask. Dropping it stops what was started for it.
pub struct Target {
    /// Its name in tables and records.
    pub name: String,
    /// `http://host:port`, without a slash at the end.
    pub base: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its binary port for bids is, if it has one.
    pub bids: Option<SocketAddr>,
    /// What to write in the Host field.
    pub host: String,
    /// How strictly its answers are read.
    pub eyes: Eyes,
    /// The processes whose cost is its cost; none if they are not on this machine or not known.
    pub processes: Vec<Process>,
    /// The admin listeners of its programs, if they have any: paths of Unix sockets.
    pub admin: Vec<PathBuf>,
    /// The database that it uses, if that is known.
    pub mysql: Option<String>,
    /// How to get a token of the role `service`, if there is a way.
    pub service: Option<Service>,
    held: Held,
}

/// Where a token of the role `service` comes from.
#[derive(Clone, Debug)]
pub enum Service {
    /// Here it is.
    Token(String),
    /// The `souk` program makes one for the Souk in this directory.
    Made {
        /// The program.
        program: PathBuf,
        /// The directory.
        dir: PathBuf,
    },
}

impl Service {
    /// The token.
    ///
    /// # Errors
    /// If the program makes none, with what it said.
    pub fn token(&self) -> Result<String, Failed> {
        let (program, dir) = match self {
            Service::Token(token) => return Ok(token.clone()),
            Service::Made { program, dir } => (program, dir),
        };
        let args = ["token", "--role", "service", "--label", "souk bench", "--dir"];
        let output = std::process::Command::new(program).args(args).arg(dir).output()?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(said(&output.stdout))
        } else {
            Err(Failed::new(format!("there is no service token: {}", said(&output.stderr))))
        }
    }
}

/// What runs for a target. Dropped in this order: what serves before its stores before their
/// directory.
#[derive(Default)]
struct Held {
    program: Option<Program>,
    child: Option<Child>,
    redis: Option<Redis>,
    home: Option<PrivateDir>,
}

impl Target {
    /// A server that runs already, at `http://host[:port]`.
    ///
    /// # Errors
    /// If this is no such address, or the name is not known.
    pub fn at(url: &str) -> Result<Target, Failed> {
        let refuse = |why: &str| Failed::new(format!("--url {url}: {why}"));
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", _)) => {
                return Err(refuse("TLS is not spoken here; ask the front itself"));
            }
            _ => return Err(refuse("it must begin with http://")),
        };
        let host = rest.strip_suffix('/').unwrap_or(rest);
        if host.is_empty() || host.contains(['/', '?', '#', '@']) {
            return Err(refuse("give host and port alone, as in http://127.0.0.1:8080"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let full = if has_port { host.to_owned() } else { format!("{host}:80") };
        let mut found = full.to_socket_addrs().map_err(|why| refuse(&why.to_string()))?;
        let address = found.next().ok_or_else(|| refuse("the name has no address"))?;
        Ok(Target::new("url", &full, address))
    }

    fn new(name: &str, host: &str, address: SocketAddr) -> Target {
        Target {
            name: name.to_owned(),
            base: format!("http://{host}"),
            address,
            bids: None,
            host: host.to_owned(),
            eyes: Eyes::Sharp,
            processes: Vec::new(),
            admin: Vec::new(),
            mysql: None,
            service: None,
            held: Held::default(),
        }
    }

    /// The processes that play a role.
    pub fn pids(&self, role: &str) -> impl Iterator<Item = u32> + '_ {
        let role = role.to_owned();
        self.processes.iter().filter(move |process| process.role == role).map(|p| p.pid)
    }

    /// Stops what was started, in order, so that what it keeps is whole.
    ///
    /// # Errors
    /// If something does not stop in time.
    pub fn stop(mut self) -> Result<(), Failed> {
        let Held { program, child, redis, home } = std::mem::take(&mut self.held);
        if let Some(program) = program {
            program.stop()?;
        }
        if let Some(child) = child {
            child.stop(STOP_WITHIN)?;
        }
        if let Some(mut redis) = redis {
            redis.stop()?;
        }
        drop(home);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn an_address_is_read_or_refused_with_the_reason() {
        let target = Target::at("http://127.0.0.1:8080/").expect("good");
        assert_eq!((target.host.as_str(), target.address.port()), ("127.0.0.1:8080", 8080));
        assert_eq!(Target::at("http://127.0.0.1").expect("good").address.port(), 80);
        for (url, word) in [
            ("https://127.0.0.1", "TLS"),
            ("127.0.0.1:80", "http://"),
            ("http://", "host and port"),
            ("http://127.0.0.1:80/x", "host and port"),
            ("http://user@127.0.0.1:80", "host and port"),
            ("http://no such host:80", "no such host"),
        ] {
            let why = Target::at(url).err().expect(url).to_string();
            assert!(why.contains(word), "{url}: {why}");
        }
    }
}
