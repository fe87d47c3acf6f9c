//! Argon2id on threads of its own, one hash a core at a time.

use crate::routes::Problem;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, password_hash};
use std::sync::LazyLock;
use tokio::sync::Semaphore;

/// More hashes at a time than cores only take memory from each other.
static CORES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));

/// Whether this is the password of the PHC string.
pub async fn verify(password: String, phc: String) -> Result<bool, Problem> {
    work(move || {
        let hash = PasswordHash::new(&phc).map_err(|_| Problem::Internal)?;
        match Argon2::default().verify_password(password.as_bytes(), &hash) {
            Ok(()) => Ok(true),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(_) => Err(Problem::Internal),
        }
    })
    .await
}

/// The PHC string of a new password.
pub async fn make(password: String) -> Result<String, Problem> {
    work(move || {
        let mut salt = [0u8; 16];
        getrandom::fill(&mut salt).map_err(|_| Problem::Internal)?;
        let hash: password_hash::phc::PasswordHash = Argon2::default()
            .hash_password_with_salt(password.as_bytes(), &salt)
            .map_err(|_| Problem::Internal)?;
        Ok(hash.to_string())
    })
    .await
}

async fn work<T: Send + 'static>(
    hash: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let _turn = CORES.acquire().await.map_err(|_| Problem::Internal)?;
    tokio::task::spawn_blocking(hash).await.map_err(|_| Problem::Internal)?
}
