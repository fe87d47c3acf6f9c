//! `souk flamegraph` names the functions that a real process spends its time in, and says why when
//! it cannot.
//!
//! The process is the example `busy`, which `cargo test` builds beside the tests, or a real
//! `souk up`.
//! Where the kernel keeps `perf` from us, its tests hold the refusal instead: it must say how to
//! allow it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use souk_stack::PrivateDir;

use crate::client::Client;
use crate::command::{Outcome, souk, souk_command};
use crate::up::{PATIENCE, up};

struct Busy(Child);

impl Busy {
    fn start(args: &[&str]) -> Busy {
        let tests = std::env::current_exe().unwrap();
        let program = tests.ancestors().nth(2).unwrap().join("examples/busy");
        let mut child = Command::new(program).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "busy\n");
        Busy(child)
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().unwrap();
    }
}

/// Whether `perf` could record; if it may not here, holds the refusal to what it must say.
fn recorded(outcome: &Outcome) -> bool {
    if outcome.code == Some(0) {
        return true;
    }
    let says = |part| outcome.stderr.contains(part);
    let helps = says("kernel.perf_event_paranoid=1") && says("CAP_PERFMON")
        || says("apt-get install linux-perf")
        || says("perf cannot record here");
    assert!(helps, "{outcome:?}");
    false
}

fn flamegraph(pid: &str, output: &Path, flags: &[&str]) -> Outcome {
    let args = ["flamegraph", pid, "--seconds", "3", "-o", output.to_str().unwrap()];
    souk(&[&args[..], flags].concat())
}

#[test]
fn perf_names_the_busy_function_in_whole_stacks_and_what_was_inlined() {
    let home = PrivateDir::new().unwrap();
    let busy = Busy::start(&[]);
    let svg = home.path().join("busy.svg");
    let outcome = flamegraph(&busy.pid(), &svg, &["--with", "perf"]);
    if !recorded(&outcome) {
        return;
    }
    let text = fs::read_to_string(&svg).unwrap();
    assert!(text.starts_with("<?xml") && text.contains("<svg"), "{text:.200}");
    assert!(text.contains("busy::spends_all_its_time"), "{outcome:?}");
    assert!(text.contains("busy (process "), "the title names the process");
    // Most of what is drawn reaches down to the start of its thread.
    let share = outcome.stdout.split("; ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(share.parse::<f64>().unwrap() > 90.0, "{outcome:?}");

    let folded = home.path().join("busy.folded");
    assert_eq!(flamegraph(&busy.pid(), &folded, &["--with", "perf"]).code, Some(0));
    let text = fs::read_to_string(&folded).unwrap();
    let inlined = |line: &str| {
        line.starts_with("computes;")
            && line.contains("busy::spends_all_its_time;step [examples/busy.rs]")
    };
    assert!(text.lines().any(inlined), "{text}");
}

#[test]
fn off_cpu_shows_who_waits_and_not_who_computes() {
    let home = PrivateDir::new().unwrap();
    let busy = Busy::start(&[]);
    let folded = home.path().join("waits.folded");
    let outcome = flamegraph(&busy.pid(), &folded, &["--off-cpu"]);
    if !recorded(&outcome) {
        return;
    }
    let text = fs::read_to_string(&folded).unwrap();
    let micros = |function: &str| -> u64 {
        let waits = |line: &&str| line.contains(function) && !line.contains("wait for a core");
        let counts = text.lines().filter(waits).filter_map(|line| line.rsplit_once(' '));
        counts.map(|(_, count)| count.parse::<u64>().unwrap()).sum()
    };
    assert!(micros("busy::waits_most_of_its_time") > 0, "{text}");
    assert_eq!(micros("busy::spends_all_its_time"), 0, "{text}");
}

#[test]
fn a_process_that_ends_early_leaves_a_graph_of_what_was_seen_and_a_failure() {
    let home = PrivateDir::new().unwrap();
    let busy = Busy::start(&["5000"]);
    let svg = home.path().join("short.svg");
    let args = ["flamegraph", &busy.pid(), "--seconds", "60", "--with", "perf", "-o"];
    let outcome = souk(&[&args[..], &[svg.to_str().unwrap()]].concat());
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    if outcome.stderr.contains("the graph covers only these") {
        assert!(fs::read_to_string(&svg).unwrap().contains("busy::spends_all_its_time"));
    } else {
        // It ended before perf had begun, or perf may not look.
        assert!(outcome.stderr.contains("ended before") || !recorded(&outcome), "{outcome:?}");
    }
}

#[test]
fn front_and_daemon_are_found_by_their_directory_and_sample_themselves() {
    let home = PrivateDir::new().unwrap();
    let dir = home.path().join("var");
    let souk = up(&dir, &["--users", "10", "--no-limits"]);
    let client = Client::new(souk.address());
    for (noun, function) in [("front", "souk_front::"), ("daemon", "soukd::")] {
        let folded = home.path().join(format!("{noun}.folded"));
        let mut command =
            souk_command(&["flamegraph", noun, "--seconds", "5", "--hz", "999", "--dir"]);
        command.arg(&dir).args(["--with", "sampler", "-o"]).arg(&folded);
        let child = command.spawn().unwrap();
        let looks = || !folded.exists() && Path::new(&format!("/proc/{}/exe", child.id())).exists();
        // Enough work for many samples on a busy machine too.
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while looks() {
                        assert_eq!(client.get("/api/v1/users/by-name/user1").status, 200);
                    }
                });
            }
        });
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = fs::read_to_string(&folded).unwrap();
        assert!(text.contains(function) && text.contains("thread_start"), "{text}");
        assert!(said.contains("the program's own sampler"), "{said}");
    }
    let admin = dir.join("run/front-admin.sock");
    let place = souk_meter::Place::parse(&format!("unix:{}", admin.display())).unwrap();
    for (query, range) in [("seconds=0", "1 to 300"), ("hz=5000", "1 to 999")] {
        let asked = souk_meter::client::get(&place, &format!("/profile?{query}"), PATIENCE);
        let refused = asked.unwrap_err().to_string();
        assert!(refused.contains(range), "{refused}");
    }
}

#[test]
fn what_cannot_be_recorded_is_refused_with_what_to_do() {
    let home = PrivateDir::new().unwrap();
    let svg = home.path().join("x.svg");
    let busy = Busy::start(&[]);
    let (pid, own) = (busy.pid(), home.path().to_str().unwrap());
    let refusals: [(&[&str], &str); 9] = [
        // No process has this number: it is above what Linux gives.
        (&["4194305"], "there is no process 4194305"),
        (&["0"], "use front, daemon or the number of a process"),
        (&["daemons"], "use front, daemon or the number of a process"),
        (&["front", "--dir", own], "start it, or give the number of a process"),
        (&[&pid, "--seconds", "0"], "1..=300"),
        (&[&pid, "--hz", "5000"], "1..=999"),
        (&[&pid, "--with", "sampler"], "has no admin listener"),
        (&[&pid, "--with", "sampler", "--admin", "here"], "expected host:port or unix:/path"),
        (&[&pid, "--with", "sampler", "--off-cpu"], "only perf sees what a process waits for"),
    ];
    for (args, part) in refusals {
        let outcome = souk(&[&["flamegraph"], args, &["-o", svg.to_str().unwrap()]].concat());
        assert_ne!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
        assert!(!svg.exists());
    }
    let outcome = souk(&["flamegraph", &pid, "-o", "/nowhere/x.svg"]);
    assert!(outcome.stderr.contains("cannot write /nowhere/x.svg"), "{outcome:?}");
}

#[test]
fn a_user_who_may_not_look_is_told_how_to_allow_it() {
    let home = tempfile::tempdir().unwrap();
    let busy = Busy::start(&[]);
    let program = home.path().join("souk");
    fs::copy(env!("CARGO_BIN_EXE_souk"), &program).unwrap();
    for path in [home.path(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let root = rustix::process::geteuid().is_root();
    // Root lets nobody look at its process; another user looks at root's first one.
    let pid = if root { busy.pid() } else { "1".to_owned() };
    let mut command = Command::new(if root { Path::new("setpriv") } else { &program });
    if root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    }
    command.args(["flamegraph", &pid, "--seconds", "1", "-o", "/dev/null"]);
    for flags in [&["--with", "perf"][..], &["--off-cpu"]] {
        let output = command.args(flags).output().unwrap();
        let outcome = Outcome {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert!(!recorded(&outcome), "{outcome:?}");
    }
}
