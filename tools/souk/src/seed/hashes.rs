//! Password hashes for demo users, made on all cores.

use std::thread;

use argon2::Argon2;
use argon2::password_hash::PasswordHasher;

use crate::Failed;

/// The password of every demo user.
pub const PASSWORD: &str = "password";

/// `count` PHC strings of [`PASSWORD`] with the daemon's default parameters and random salts.
pub fn make(count: usize) -> Result<Vec<String>, Failed> {
    let cores = thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    let parts: Vec<Result<Vec<String>, Failed>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|core| scope.spawn(move || (core..count).step_by(cores).map(|_| one()).collect()))
            .collect();
        threads.into_iter().map(|t| t.join().expect("hashing does not panic")).collect()
    });
    let mut hashes = Vec::with_capacity(count);
    for part in parts {
        hashes.extend(part?);
    }
    Ok(hashes)
}

fn one() -> Result<String, Failed> {
    let mut salt = [0u8; 16];
    getrandom::fill(&mut salt)?;
    let hash: argon2::PasswordHash =
        Argon2::default().hash_password_with_salt(PASSWORD.as_bytes(), &salt)?;
    Ok(hash.to_string())
}
