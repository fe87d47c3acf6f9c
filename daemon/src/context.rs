//! What a service works with: the stores of its shard, and what the whole process shares.

use crate::auctions::cursor::CursorKey as ListKey;
use crate::auctions::keep::Gate;
use crate::auctions::live::Live;
use crate::config::Settings;
use crate::identity::guesses::Guesses;
use crate::identity::hashing::{Hashing, HashingError};
use crate::identity::memo::Memo;
use crate::identity::token::TokenKeys;
use crate::leaderboard::boards::Boards;
use crate::leaderboard::cursor::CursorKey;
use crate::leaderboard::elo::Elo;
use crate::limiter::Limiter;
use crate::limits::{BACKGROUND_MAX, MEMO_MAX, RANDOM_BATCH};
use crate::pictures::Pictures;
use souk_db::Stores;
use souk_process::{SettingsError, read_secret};
use souk_proto::{Code, Failure};
use souk_trace::{current, within};
use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

/// Where the time comes from.
pub trait Clock: Debug + Send + Sync {
    /// Nanoseconds since some moment before the process began to serve; never goes back.
    fn monotonic_ns(&self) -> u64;

    /// Unix time in milliseconds, as the system has it.
    fn unix_ms(&self) -> i64;
}

/// Where randomness comes from that nobody may guess.
pub trait Random {
    /// Fills the buffer.
    ///
    /// # Errors
    /// `internal` when the system gives none.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Failure>;
}

/// What all shards share. It holds no request's state but counters.
#[derive(Debug)]
pub struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tokens: TokenKeys,
    pub(crate) cursors: CursorKey,
    pub(crate) lists: ListKey,
    pub(crate) hashing: Hashing,
    pub(crate) guesses: Arc<Guesses>,
    pub(crate) limiter: Limiter,
    pub(crate) pictures: Pictures,
    memo_key: Zeroizing<[u8; 32]>,
}

/// Why the shared parts could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// A secret cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Password hashing cannot start.
    #[error(transparent)]
    Hashing(#[from] HashingError),
    /// The pictures' directory or threads.
    #[error("pictures cannot be kept under daemon.state_dir = \"{path}\": {source}")]
    Pictures {
        /// The directory.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// No randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

impl Shared {
    /// Reads the secrets, starts the pools and makes the tables that the settings ask for.
    ///
    /// # Errors
    /// If a secret, the state directory, threads or randomness cannot be had.
    pub fn new(settings: &Settings) -> Result<Arc<Shared>, SharedError> {
        Shared::with_clock(settings, Arc::new(SystemClock::default()))
    }

    /// The same with another clock.
    ///
    /// # Errors
    /// As [`Shared::new`].
    pub fn with_clock(
        settings: &Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Shared>, SharedError> {
        let path = Path::new(&settings.sessions.token_secret_file);
        let secret = Zeroizing::new(read_secret("sessions.token_secret_file", path)?);
        let guesses = Arc::new(Guesses::new(&settings.guessing, seed()?));
        let noise = seed::<48>()?;
        let hashing =
            Hashing::start(&settings.passwords, &noise, Arc::clone(&guesses), Arc::clone(&clock))?;
        let state_dir = Path::new(&settings.daemon.state_dir);
        let pictures = Pictures::open(state_dir, &settings.pictures).map_err(|source| {
            SharedError::Pictures { path: settings.daemon.state_dir.clone(), source }
        })?;
        Ok(Arc::new(Shared {
            clock,
            tokens: TokenKeys::new(&secret),
            cursors: CursorKey::new(&secret),
            lists: ListKey::new(&secret),
            hashing,
            guesses,
            limiter: Limiter::new(&settings.limits),
            pictures,
            memo_key: Zeroizing::new(seed()?),
        }))
    }

    /// How many password hashes were asked of the pool since the start.
    pub fn hashes(&self) -> u64 {
        self.hashing.runs()
    }
}

/// What one shard's services work with. It belongs to the shard's thread.
pub struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stores: Rc<Stores>,
    background: RefCell<JoinSet<()>>,
    pub(crate) memo: RefCell<Memo>,
    pub(crate) session_ttl: Duration,
    pub(crate) boards: Boards,
    pub(crate) elo: Elo,
    pub(crate) gate: Gate,
    pub(crate) live: Rc<Live>,
    random: Box<dyn Random>,
}

impl Context {
    /// The context of one shard.
    pub fn new(shared: Arc<Shared>, stores: Stores, settings: &Settings) -> Context {
        Context::with_random(shared, stores, settings, Box::new(SystemRandom::default()))
    }

    /// The same with another source of randomness.
    pub fn with_random(
        shared: Arc<Shared>,
        stores: Stores,
        settings: &Settings,
        random: Box<dyn Random>,
    ) -> Context {
        let live = Rc::new(Live::default());
        let listener = Rc::clone(&live);
        stores.auctions.on_news(Box::new(move |news| listener.hear(news)));
        let memo_ttl = Duration::from_secs(settings.passwords.memo_ttl_s);
        Context {
            memo: RefCell::new(Memo::new(*shared.memo_key, memo_ttl, MEMO_MAX)),
            session_ttl: Duration::from_secs(settings.sessions.ttl_s),
            boards: Boards::new(Duration::from_millis(settings.leaderboard.staleness_ms)),
            elo: Elo::new(&settings.leaderboard),
            gate: Gate::default(),
            live,
            stores: Rc::new(stores),
            background: RefCell::default(),
            shared,
            random,
        }
    }

    /// The stores of this shard.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// The boards as this shard knows them.
    pub fn boards(&self) -> &Boards {
        &self.boards
    }

    /// The auctions that are watched on this shard.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Whether bids are let through to the stores.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Waits for what runs in the background, for a few seconds at most, and closes the stores.
    pub async fn close(self) {
        self.background.into_inner().join_all().await;
        if let Some(stores) = Rc::into_inner(self.stores) {
            stores.close().await;
        }
    }

    /// Runs something that no answer waits for and that ends by itself within
    /// [`BACKGROUND_LIMIT`](crate::limits::BACKGROUND_LIMIT). It is left undone when too much runs.
    pub(crate) fn in_background<F>(&self, work: impl FnOnce(Rc<Stores>) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let mut background = self.background.borrow_mut();
        while background.try_join_next().is_some() {}
        if background.len() < BACKGROUND_MAX {
            let work = work(Rc::clone(&self.stores));
            background.spawn_local(within(current(), work));
        }
    }

    /// Nanoseconds that only grow.
    pub(crate) fn monotonic_ns(&self) -> u64 {
        self.shared.clock.monotonic_ns()
    }

    /// Unix time in milliseconds.
    pub(crate) fn unix_ms(&self) -> i64 {
        self.shared.clock.unix_ms()
    }

    /// Random bytes.
    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N], Failure> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes)?;
        Ok(bytes)
    }
}

impl Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("shared", &self.shared).finish_non_exhaustive()
    }
}

fn seed<const N: usize>() -> Result<[u8; N], SharedError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(SharedError::Random)?;
    Ok(bytes)
}

/// The system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn monotonic_ns(&self) -> u64 {
        // Within a request the time of its beginning will do, for rates and budgets in seconds.
        let since = souk_meter::recent().saturating_duration_since(self.start);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn unix_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The system's random source, read a batch at a time: a login needs 16 bytes, a system call
/// gives 1,024 as quickly. Bytes are wiped as they are given out.
struct SystemRandom {
    batch: RefCell<Zeroizing<[u8; RANDOM_BATCH]>>,
    used: Cell<usize>,
}

impl Default for SystemRandom {
    fn default() -> SystemRandom {
        let batch = RefCell::new(Zeroizing::new([0; RANDOM_BATCH]));
        SystemRandom { batch, used: Cell::new(RANDOM_BATCH) }
    }
}

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Failure> {
        let mut batch = self.batch.borrow_mut();
        for byte in buffer {
            if self.used.get() == RANDOM_BATCH {
                getrandom::fill(&mut **batch).map_err(|error| {
                    tracing::error!(%error, "the system gives no random bytes");
                    Failure::new(Code::Internal)
                })?;
                self.used.set(0);
            }
            *byte = std::mem::take(&mut batch[self.used.get()]);
            self.used.set(self.used.get() + 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Random, SystemRandom};
    use std::collections::HashSet;

    #[test]
    fn random_bytes_are_never_given_twice() {
        let random = SystemRandom::default();
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            let mut bytes = [0; 16];
            random.fill(&mut bytes).expect("random");
            assert!(seen.insert(bytes));
        }
    }
}
