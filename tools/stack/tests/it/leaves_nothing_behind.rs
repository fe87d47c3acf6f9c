//! Servers and directories of a process vanish with it, even if it is killed outright.
//!
//! The process to kill is the example `stores`, which `cargo test` builds beside the tests.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_killed_process_leaves_neither_servers_nor_directories() {
    let tests = std::env::current_exe().unwrap();
    let stores = tests.ancestors().nth(2).unwrap().join("examples/stores");
    let mut victim = Command::new(stores).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("stores ")).unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let dir = Path::new(words[3]);
    assert!(dir.exists());
    victim.kill().unwrap();
    victim.wait().unwrap();

    let gone = || {
        // A process that was adopted by an init which does not reap stays as a zombie.
        let ended = |pid: &str| {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .map_or(true, |stat| stat.rsplit(") ").next().unwrap().starts_with('Z'))
        };
        ended(words[1]) && ended(words[2]) && !dir.exists()
    };
    let began = Instant::now();
    while !gone() {
        assert!(began.elapsed() < Duration::from_secs(60), "still there: {line}");
        thread::sleep(Duration::from_millis(20));
    }
}
