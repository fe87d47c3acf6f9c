//! Passwords made and verified on the hash pool, under the budgets of guessing.

use crate::config::PasswordSettings;
use crate::context::Clock;
use crate::identity::guesses::{Attempt, Guesses};
use crate::identity::password::{HashError, Hasher, Policy, SALT_LEN};
use crate::pool::{Pool, Worker};
use souk_meter::{Queue, Stage};
use souk_proto::{Code, Failure};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use zeroize::Zeroizing;

/// The hash pool and what its jobs need.
#[derive(Debug)]
pub struct Hashing {
    policy: Policy,
    pool: Pool<Hasher>,
    /// Stands in for the hash of a user who does not exist.
    nobody: Arc<str>,
    guesses: Arc<Guesses>,
    clock: Arc<dyn Clock>,
    runs: Arc<AtomicU64>,
}

impl Worker for Hasher {
    fn idle(&mut self) {
        self.release();
    }
}

/// A password to verify. It is not for printing.
pub struct Check {
    /// The stored PHC string; nothing when there is no such user.
    pub stored: Option<String>,
    /// What was entered.
    pub password: Zeroizing<String>,
    /// Who tries.
    pub attempt: Attempt,
    /// Salt for a new hash, if the stored one was made under another policy.
    pub salt: [u8; SALT_LEN],
}

/// How a check ended.
pub enum Verdict {
    /// It is the password.
    Right {
        /// A new PHC string, if the stored one was made under another policy.
        rehashed: Option<String>,
    },
    /// It is not, or there is no such user; the attempt was charged.
    Wrong,
}

/// Why hashing could not start.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// Argon2 refuses the settings.
    #[error("the [passwords] settings are refused: {0}")]
    Policy(#[from] HashError),
    /// The system gives no threads.
    #[error("no thread for password hashing: {0}")]
    Threads(#[from] io::Error),
}

impl Hashing {
    /// Starts the pool. `noise` is random; it becomes the hash that nobody's password fits.
    ///
    /// # Errors
    /// If Argon2 refuses the parameters or the system gives no threads.
    pub fn start(
        settings: &PasswordSettings,
        noise: &[u8; 48],
        guesses: Arc<Guesses>,
        clock: Arc<dyn Clock>,
    ) -> Result<Hashing, HashingError> {
        let policy = Policy {
            memory_kib: settings.memory_kib,
            passes: settings.passes,
            lanes: settings.lanes,
        };
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = match usize::try_from(settings.threads) {
            Ok(0) | Err(_) => cores(),
            Ok(threads) => threads,
        };
        let queue = usize::try_from(settings.queue).unwrap_or(usize::MAX);
        Ok(Hashing {
            policy,
            nobody: policy.nobody(noise)?.into(),
            pool: Pool::start("hash", threads, queue, || Hasher::new(policy))?.measured(
                Queue::Argon2,
                Stage::Argon2Queue,
                Stage::Argon2,
            ),
            guesses,
            clock,
            runs: Arc::default(),
        })
    }

    /// The PHC string for a new password.
    ///
    /// # Errors
    /// `busy` when the queue is full, `deadline_exceeded` when it was too slow.
    pub async fn make(
        &self,
        password: Zeroizing<String>,
        salt: [u8; SALT_LEN],
        deadline: Instant,
    ) -> Result<String, Failure> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let made = self.pool.run(deadline, move |hasher| hasher.make(&password, &salt)).await?;
        made.map_err(broken)
    }

    /// Verifies a password at full cost, whether the user exists or not.
    ///
    /// # Errors
    /// `too_many_failures` when the attempt's budget is spent, `busy` when the queue is full,
    /// `deadline_exceeded` when it was too slow, `internal` when the stored hash is broken.
    pub async fn verify(&self, check: Check, deadline: Instant) -> Result<Verdict, Failure> {
        self.guesses.check(&check.attempt, self.clock.monotonic_ns())?;
        self.runs.fetch_add(1, Ordering::Relaxed);
        let (policy, nobody) = (self.policy, Arc::clone(&self.nobody));
        let (guesses, clock) = (Arc::clone(&self.guesses), Arc::clone(&self.clock));
        let job = move |hasher: &mut Hasher| {
            // Again, since others of the same budget may have failed while this one waited.
            guesses.check(&check.attempt, clock.monotonic_ns())?;
            let Some(stored) = &check.stored else {
                hasher.verify(&check.password, &nobody).map_err(broken)?;
                guesses.charge(&check.attempt, clock.monotonic_ns());
                return Ok(Verdict::Wrong);
            };
            if !hasher.verify(&check.password, stored).map_err(broken)? {
                guesses.charge(&check.attempt, clock.monotonic_ns());
                return Ok(Verdict::Wrong);
            }
            let rehashed = match policy.made(stored) {
                true => None,
                false => Some(hasher.make(&check.password, &check.salt).map_err(broken)?),
            };
            Ok(Verdict::Right { rehashed })
        };
        self.pool.run(deadline, job).await?
    }

    /// How many jobs wait for a thread.
    pub fn waiting(&self) -> usize {
        self.pool.waiting()
    }

    /// How many jobs were given to the pool since the start.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }
}

fn broken(error: HashError) -> Failure {
    tracing::error!(%error, "a password could not be hashed");
    Failure::new(Code::Internal)
}
