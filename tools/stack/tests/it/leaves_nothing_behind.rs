//! Servers and directories of a process vanish with it, even if it is killed outright.
//!
//! The process to kill is this test program again, running the ignored test below.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use souk_stack::{MariaDb, MariaDbOptions, PrivateDir, Redis};

#[test]
#[ignore = "the victim of the test below, no test by itself"]
fn victim() {
    let home = PrivateDir::new().unwrap();
    let mariadb = MariaDb::start(MariaDbOptions::small(home.path().join("m"))).unwrap();
    let redis = Redis::start(home.path().join("r")).unwrap();
    let (mariadb, redis) = (mariadb.pid().unwrap(), redis.pid().unwrap());
    println!("\nvictim {mariadb} {redis} {}", home.path().display());
    loop {
        thread::park();
    }
}

#[test]
fn a_killed_process_leaves_neither_servers_nor_directories() {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "leaves_nothing_behind::victim"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("victim ")).unwrap();
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
