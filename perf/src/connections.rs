//! A storm of connections, then a herd of idle ones.

use hdrhistogram::Histogram;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Threads that connect at the same time.
const THREADS: u32 = 64;
/// Longest wait for one answer; a connection that takes longer counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);
const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: souk\r\n\r\n";

/// Connects `count` times at once, asks once on each, and prints what it cost.
pub fn measure(http: SocketAddr, count: u32, pid: u32) -> io::Result<()> {
    souk_process::raise_open_files()?;
    let before = resident_kib(pid)?;
    let gate = Barrier::new(THREADS as usize);
    let mut latency = histogram();
    let mut held = Vec::new();
    let mut failed = 0;
    let start = Instant::now();
    thread::scope(|scope| {
        let share = |thread: u32| count / THREADS + u32::from(thread < count % THREADS);
        let gate = &gate;
        let storms: Vec<_> =
            (0..THREADS).map(|n| scope.spawn(move || storm(http, share(n), gate))).collect();
        for storm in storms {
            let (connections, times, failures) = storm.join().expect("no panic");
            held.extend(connections);
            latency.add(times).expect("same bounds");
            failed += failures;
        }
    });
    let took = start.elapsed();
    // The answers' buffers are given back within a moment.
    thread::sleep(Duration::from_secs(2));
    let after = resident_kib(pid)?;
    println!("{} of {count} connections answered in {:.2} s", held.len(), took.as_secs_f64());
    println!("{failed} failed");
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        #[allow(clippy::cast_precision_loss)] // microseconds of at most a minute
        let ms = latency.value_at_quantile(quantile) as f64 / 1000.0;
        println!("{name} {ms:.1} ms from connect to answer");
    }
    let grown = after.saturating_sub(before);
    println!("front {before} KiB before, {after} KiB after");
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let each = grown as f64 / held.len().max(1) as f64;
    println!("{each:.2} KiB for each idle connection");
    if failed > 0 { Err(io::Error::other("not all connections were served")) } else { Ok(()) }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid")
}

/// One thread's share: first all connects and requests, then all answers.
fn storm(http: SocketAddr, count: u32, gate: &Barrier) -> (Vec<TcpStream>, Histogram<u64>, u32) {
    let mut times = histogram();
    let mut open = Vec::new();
    let mut failed = 0;
    gate.wait();
    for _ in 0..count {
        let start = Instant::now();
        let asked = TcpStream::connect(http).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(REQUEST)?;
            Ok(stream)
        });
        match asked {
            Ok(stream) => open.push((start, stream)),
            Err(_) => failed += 1,
        }
    }
    let mut held = Vec::new();
    for (start, mut stream) in open {
        let mut answer = [0; 2048];
        match stream.read(&mut answer) {
            Ok(length) if answer[..length].starts_with(b"HTTP/1.1 200") => {
                let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                times.saturating_record(micros);
                held.push(stream);
            }
            _ => failed += 1,
        }
    }
    (held, times, failed)
}

fn resident_kib(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .ok_or_else(|| io::Error::other(format!("process {pid} has no VmRSS")))
}
