//! Where the admin listeners are.

use std::cmp::Ordering;
use std::fmt::{self, Display, Formatter};
use std::io::ErrorKind;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use souk_meter::{Place, client};

use crate::{Failed, limits};

/// Which programs a command looks at.
#[derive(clap::Args)]
pub struct AdminArgs {
    /// The directory of `souk up`, where the admin sockets of its programs are
    #[arg(long, value_name = "DIR", default_value = "./var")]
    dir: PathBuf,
    /// Admin listeners to read instead: host:port or unix:/path, as in the programs' [admin] listen
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    admin: Vec<Admin>,
}

impl AdminArgs {
    /// The listeners that there are now: those named, else the sockets of the directory, else the
    /// addresses that the programs have by default.
    pub fn find(&self) -> Vec<Admin> {
        if !self.admin.is_empty() {
            return self.admin.clone();
        }
        let found = sockets_in(&self.dir.join("run"));
        if !found.is_empty() {
            return found;
        }
        limits::ADMIN_DEFAULTS.iter().filter_map(|address| address.parse().ok()).collect()
    }

    /// The error when none of them answers.
    pub fn nobody(&self, why: &str) -> Failed {
        if self.admin.is_empty() {
            return Failed(format!(
                "no program answers: there is no admin socket in {} and nobody at {} ({why}). \
                 Start `souk up`, name its directory with --dir, or an admin listener with --admin",
                self.dir.join("run").display(),
                limits::ADMIN_DEFAULTS.join(" or "),
            ));
        }
        Failed(format!(
            "no program answers: {why}. The address is the program's setting [admin] listen"
        ))
    }
}

/// The admin sockets of a `souk up` or of a test's stack, by name.
fn sockets_in(run: &Path) -> Vec<Admin> {
    let entries = std::fs::read_dir(run).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".sock") && name.contains("-admin")
        })
        .collect();
    found.sort();
    found.truncate(limits::PROGRAMS_MAX);
    found.into_iter().map(Admin::from).collect()
}

/// One admin listener. Those of one program have one name; that is what they are told apart by.
#[derive(Clone, Debug)]
pub struct Admin {
    name: String,
    place: Place,
}

impl FromStr for Admin {
    type Err = String;

    fn from_str(text: &str) -> Result<Admin, String> {
        let name = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/').to_owned();
        let place = Place::parse(&name).or_else(|| {
            let mut addresses = name.to_socket_addrs().ok()?;
            addresses.next().map(Place::Tcp)
        });
        let place = place.ok_or("expected host:port or unix:/path")?;
        Ok(Admin { name, place })
    }
}

impl From<PathBuf> for Admin {
    fn from(socket: PathBuf) -> Admin {
        let place = Place::Unix(socket);
        Admin { name: place.to_string(), place }
    }
}

impl Admin {
    /// The body that `GET path` gives; each pause is at most [`limits::ADMIN_PAUSE_MAX`].
    ///
    /// # Errors
    /// A text that names the listener: it cannot be reached, is silent, or refuses.
    pub fn get(&self, path: &str) -> Result<String, String> {
        self.get_within(path, limits::ADMIN_PAUSE_MAX)
    }

    /// The same with another bound on each pause, for answers that take their time.
    ///
    /// # Errors
    /// As [`Admin::get`].
    pub fn get_within(&self, path: &str, within: Duration) -> Result<String, String> {
        client::get(&self.place, path, within).map_err(|error| {
            let silent = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            match silent {
                true => format!("{self}: silent for {within:?}"),
                false => format!("{self}: {error}"),
            }
        })
    }
}

impl Display for Admin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Ord for Admin {
    fn cmp(&self, other: &Admin) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl PartialOrd for Admin {
    fn partial_cmp(&self, other: &Admin) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Admin {
    fn eq(&self, other: &Admin) -> bool {
        self.name == other.name
    }
}

impl Eq for Admin {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_programs_write_them() {
        let read = |text: &str| text.parse::<Admin>().map(|admin| admin.to_string());
        assert_eq!(read("127.0.0.1:9101").as_deref(), Ok("127.0.0.1:9101"));
        assert_eq!(read("http://[::1]:9101/").as_deref(), Ok("[::1]:9101"));
        assert_eq!(read("unix:/run/a.sock").as_deref(), Ok("unix:/run/a.sock"));
        assert_eq!(read("localhost:9101").as_deref(), Ok("localhost:9101"));
        for wrong in ["", "9101", ":9101", "localhost", "localhost:port", "unix:"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn admin_sockets_are_told_from_other_files_and_come_in_order() {
        let dir = souk_stack::PrivateDir::new().expect("a directory");
        for name in ["soukd-admin.sock", "front-admin-1.sock", "front-admin.sock", "mysqld.sock"] {
            std::fs::write(dir.path().join(name), "").expect("written");
        }
        let found: Vec<String> = sockets_in(dir.path())
            .iter()
            .map(|admin| admin.to_string().rsplit('/').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(found, ["front-admin-1.sock", "front-admin.sock", "soukd-admin.sock"]);
        assert!(sockets_in(&dir.path().join("absent")).is_empty());
    }
}
