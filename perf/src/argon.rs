//! What the bare Argon2 crate does on this machine's cores.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// Souk's default cost: 19 MiB, two passes, one lane (OWASP's first choice for Argon2id).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes on all threads for the time given; hashes per second. 0 threads are one for each core.
///
/// # Errors
/// If the number of cores cannot be read.
///
/// # Panics
/// Never: the cost is valid.
pub fn measure(threads: usize, seconds: u64) -> io::Result<f64> {
    let threads = if threads == 0 { thread::available_parallelism()?.get() } else { threads };
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let workers: Vec<_> = (0..threads).map(|_| thread::spawn(move || hash_until(end))).collect();
    let hashes: u32 =
        workers.into_iter().map(|worker| worker.join().expect("hashing does not panic")).sum();
    Ok(f64::from(hashes) / start.elapsed().as_secs_f64())
}

fn hash_until(end: Instant) -> u32 {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the default cost is valid");
    let mut memory = vec![Block::default(); params.block_count()];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut out = [0; 32];
    let mut hashes = 0;
    while Instant::now() < end {
        argon
            .hash_password_into_with_memory(b"password", b"sixteen bytes...", &mut out, &mut memory)
            .expect("the memory fits the cost");
        hashes += 1;
    }
    hashes
}
