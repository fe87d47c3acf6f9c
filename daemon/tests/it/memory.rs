//! What the daemon's memory is when nobody asks anything.

use crate::client::Client;
use souk_stack::Stack;
use std::time::{Duration, Instant};

/// Memory of its own that the process holds in RAM, KiB.
fn held_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn memory_for_hashing_goes_back_to_the_system_when_nobody_logs_in() {
    let builder = Stack::builder().fronts(0).daemon_set("daemon.shards", 1);
    let builder = builder.daemon_set("passwords.threads", 2).daemon_arg("--no-limits");
    let stack = builder.start().expect("a daemon");
    let daemon = &stack.daemons()[0];
    let secret = std::fs::read(stack.link_secret_file()).expect("the secret");
    let before = held_kib(daemon.pid());
    let (mut client, _) = Client::connect(daemon.address(), &secret);
    client.register_many("hashed", 20);
    drop(client);
    // One hash takes 19 MiB. The program reads less than that before and after.
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        let now = held_kib(daemon.pid());
        if now < before + 8 * 1024 {
            break;
        }
        assert!(Instant::now() < give_up, "{now} KiB are held, {before} KiB before");
        std::thread::sleep(Duration::from_millis(50));
    }
}
