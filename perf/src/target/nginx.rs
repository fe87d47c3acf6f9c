//! The yardstick that does nothing: nginx, one worker, `return 200`.

use super::{Held, Target};
use crate::Failed;
use crate::procs::{Process, children};
use crate::visitor::Eyes;
use souk_stack::{Child, PrivateDir, Quiet, StackError, Watch, find_program};
use std::fmt::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Its settings; see the file.
const SETTINGS: &str = include_str!("../../nginx.conf");

/// How often another port is tried when somebody was faster.
const TRIES: u32 = 5;

/// Bytes that are given at once; nginx reads its settings with a buffer of 4096.
const PAGE: usize = 2000;

/// How long it may take until it listens.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Starts it with an answer of the given length for each path.
///
/// # Errors
/// If it is not installed or does not start.
pub fn nginx(bodies: &[(String, usize)]) -> Result<Target, Failed> {
    let program = find_program("nginx")
        .ok_or(StackError::NotInstalled { program: "nginx", package: "nginx-light" })?;
    let home = PrivateDir::new()?;
    let mut tries = 0;
    loop {
        tries += 1;
        // nginx takes no port 0: a free one is looked for, and may be gone a moment later.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let file = home.path().join("nginx.conf");
        std::fs::write(&file, settings(home.path(), address, bodies))?;
        let mut command = Command::new(&program);
        command.arg("-p").arg(home.path()).arg("-c").arg(&file);
        let quiet: Arc<dyn Watch> = Arc::new(Quiet);
        let child = Child::spawn("nginx", command, None, &quiet)?;
        if listens(&child, address) {
            let mut target = Target::new("nginx", &address.to_string(), address);
            target.eyes = Eyes::Shut;
            let workers = children(child.pid()).into_iter();
            target.processes = workers.map(|(pid, _)| Process { role: "nginx", pid }).collect();
            target.held = Held { child: Some(child), home: Some(home), ..Held::default() };
            return Ok(target);
        }
        if tries == TRIES {
            return Err(child.not_ready(READY_WITHIN).into());
        }
    }
}

fn listens(child: &Child, address: SocketAddr) -> bool {
    let began = Instant::now();
    while child.status().is_none() && began.elapsed() < READY_WITHIN {
        // Its worker must be there as well, or its cost is not seen.
        if TcpStream::connect(address).is_ok() && !children(child.pid()).is_empty() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}

fn settings(home: &std::path::Path, address: SocketAddr, bodies: &[(String, usize)]) -> String {
    // No parameter may be longer than nginx' buffer: what is longer is put together of pages.
    let mut places = format!("    set $page \"{}\";\n", "x".repeat(PAGE));
    for (path, length) in bodies {
        let body = "${page}".repeat(length / PAGE) + &"x".repeat(length % PAGE);
        writeln!(places, "    location {path} {{ return 200 \"{body}\"; }}")
            .expect("writing to a string");
    }
    SETTINGS
        .replace("ADDRESS", &address.to_string())
        .replace("DIR", &home.display().to_string())
        .replace("    PLACES\n", &places)
}
