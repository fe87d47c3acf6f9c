//! Which process to look at.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::observe::{self, Admin};
use crate::{Failed, limits};

/// What the command line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The `souk-front` that runs.
    Front,
    /// The `soukd` that runs.
    Daemon,
    /// A process of any program.
    Pid(u32),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Wanted, String> {
        match text {
            "front" => Ok(Wanted::Front),
            "daemon" => Ok(Wanted::Daemon),
            _ => match text.parse() {
                Ok(pid) if pid > 0 => Ok(Wanted::Pid(pid)),
                _ => Err("use front, daemon or the number of a process".into()),
            },
        }
    }
}

/// A running process. It stays this one: a number that is used again is noticed.
#[derive(Debug)]
pub struct Target {
    /// Its number.
    pub pid: u32,
    /// Its program's name, at most 15 bytes.
    pub name: String,
    /// When it began, in ticks since the machine did.
    started: u64,
    /// Its command line.
    arguments: Vec<String>,
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

impl Target {
    /// Finds what is wanted. `dir` is the directory of a `souk up`; none means that of `./var` if
    /// its programs run, else whatever runs.
    ///
    /// # Errors
    /// If there is no such process, or there are several.
    pub fn find(wanted: Wanted, dir: Option<&Path>) -> Result<Target, Failed> {
        let program = match wanted {
            Wanted::Pid(pid) => {
                return Target::open(pid).ok_or_else(|| {
                    Failed(format!("there is no process {pid}: `pgrep -a souk` lists Souk's"))
                });
            }
            Wanted::Front => FRONT,
            Wanted::Daemon => DAEMON,
        };
        let all: Vec<Target> = pids().filter_map(Target::open).collect();
        let all: Vec<Target> = all.into_iter().filter(|it| it.name == program.name).collect();
        choose(all, program, dir)
    }

    /// The process `pid`, unless it is gone.
    fn open(pid: u32) -> Option<Target> {
        let (name, started) = identity(pid)?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = line.split(|byte| *byte == 0);
        let arguments = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        Some(Target { pid, name, started, arguments })
    }

    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        identity(self.pid).is_some_and(|(_, started)| started == self.started)
    }

    /// Whether the file of its program was replaced since it started, so that functions cannot be
    /// named.
    pub fn is_replaced(&self) -> bool {
        fs::read_link(format!("/proc/{}/exe", self.pid))
            .is_ok_and(|path| path.to_string_lossy().ends_with(" (deleted)"))
    }

    /// The setting `[admin] listen` that one of our programs runs with: from its environment, its
    /// settings file or its default. None for other programs, and if its listener is off or on a
    /// port that only its log names.
    pub fn admin(&self) -> Option<Admin> {
        let program = [FRONT, DAEMON].into_iter().find(|program| program.name == self.name)?;
        let listen = self
            .variable("SOUK_ADMIN_LISTEN")
            .or_else(|| admin_in(&self.settings_file()?))
            .unwrap_or_else(|| program.admin.to_owned());
        (!listen.ends_with(":0")).then(|| listen.parse().ok()).flatten()
    }

    fn variable(&self, name: &str) -> Option<String> {
        let block = fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let block = String::from_utf8_lossy(&block).into_owned();
        let mut pairs = block.split('\0').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }

    /// The file that `--config` names.
    fn settings_file(&self) -> Option<PathBuf> {
        let mut words = self.arguments.iter();
        let file = words.find_map(|word| word.strip_prefix("--config"))?;
        let file =
            file.strip_prefix('=').map_or_else(|| words.next().cloned(), |it| Some(it.into()));
        let base = fs::read_link(format!("/proc/{}/cwd", self.pid)).unwrap_or_default();
        file.map(|file| base.join(file))
    }
}

/// What tells the processes of one of our programs.
#[derive(Clone, Copy)]
struct Program {
    /// The name of its process.
    name: &'static str,
    /// What `souk flamegraph` calls it.
    noun: &'static str,
    /// Its settings file in the directory of `souk up`.
    file: &'static str,
    /// Its default for `[admin] listen`.
    admin: &'static str,
}

const FRONT: Program = Program {
    name: observe::FRONT,
    noun: "front",
    file: "conf/souk-front.toml",
    admin: limits::ADMIN_DEFAULTS[0],
};

const DAEMON: Program = Program {
    name: observe::DAEMON,
    noun: "daemon",
    file: "conf/soukd.toml",
    admin: limits::ADMIN_DEFAULTS[1],
};

fn choose(mut all: Vec<Target>, program: Program, dir: Option<&Path>) -> Result<Target, Failed> {
    let Program { name, noun, file, .. } = program;
    let home = dir.unwrap_or(Path::new("./var"));
    let belongs = |target: &Target| {
        let theirs = target.settings_file().and_then(|file| file.canonicalize().ok());
        theirs.is_some() && theirs == home.join(file).canonicalize().ok()
    };
    if let Some(index) = all.iter().position(belongs) {
        return Ok(all.swap_remove(index));
    }
    if let Some(dir) = dir {
        return Err(Failed(format!(
            "no {name} of a `souk up --dir {}` runs: start it, or give the number of a process",
            dir.display()
        )));
    }
    match all.len() {
        0 => Err(Failed(format!(
            "no {name} runs: start one with `souk up`, or give the number of a process"
        ))),
        1 => Ok(all.swap_remove(0)),
        _ => {
            let lines: Vec<String> = all
                .iter()
                .map(|target| format!("  {:>8}  {}", target.pid, target.arguments.join(" ").trim()))
                .collect();
            Err(Failed(format!(
                "several {name} run; name one by its number instead of `{noun}`, or its \
                 `souk up` with --dir:\n{}",
                lines.join("\n")
            )))
        }
    }
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Name and start of a process that is there and not a zombie.
fn identity(pid: u32) -> Option<(String, u64)> {
    // "1234 (soukd) S 1200 …": the name may hold anything, even parentheses.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    let mut fields = rest.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    // The start is field 22; the state was field 3.
    Some((name.to_owned(), fields.nth(18)?.parse().ok()?))
}

/// `[admin] listen` in a settings file.
fn admin_in(file: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct File {
        admin: Admin,
    }
    #[derive(Deserialize)]
    struct Admin {
        listen: String,
    }
    let text = fs::read_to_string(file).ok()?;
    toml::from_str::<File>(&text).ok().map(|file| file.admin.listen)
}

#[cfg(test)]
mod tests {
    use super::{DAEMON, Target, Wanted, choose, identity};

    #[test]
    fn a_target_is_front_daemon_or_a_number_above_zero() {
        assert_eq!("front".parse(), Ok(Wanted::Front));
        assert_eq!("daemon".parse(), Ok(Wanted::Daemon));
        assert_eq!("12".parse(), Ok(Wanted::Pid(12)));
        for wrong in ["", "0", "-1", "soukd", "4294967296"] {
            assert!(wrong.parse::<Wanted>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_of_several_is_never_guessed() {
        let make = |pid| Target {
            pid,
            name: "soukd".into(),
            started: 0,
            arguments: vec!["soukd".into(), format!("--config=/nowhere/{pid}.toml")],
        };
        let refused = choose(vec![make(1), make(2)], DAEMON, None).expect_err("ambiguous");
        for part in ["several soukd", "/nowhere/1.toml", "/nowhere/2.toml", "--dir"] {
            assert!(refused.0.contains(part), "{part}: {}", refused.0);
        }
        assert_eq!(choose(vec![make(3)], DAEMON, None).expect("one").pid, 3);
        assert!(choose(vec![make(3)], DAEMON, Some("/elsewhere".as_ref())).is_err());
        assert!(choose(Vec::new(), DAEMON, None).is_err());
    }

    #[test]
    fn a_process_is_known_by_its_number_and_its_start() {
        let own = std::process::id();
        let (_, started) = identity(own).expect("we run");
        let mut target = Target::open(own).expect("we run");
        assert!(target.runs());
        target.started = started + 1;
        assert!(!target.runs());
    }
}
