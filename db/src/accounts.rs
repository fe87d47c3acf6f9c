//! Accounts: users and their sessions.
//!
//! Users live in MySQL and are cached in Redis; a read is never older than what was acknowledged
//! before it began. Sessions live in Redis. While Redis is away, users are read from MySQL;
//! changes of users and everything about sessions fail as unavailable.

pub(crate) mod query;
mod read;
pub(crate) mod row;
mod sessions;
mod write;

pub use row::{Change, NewUser, UserRow, credential_tag};
pub use sessions::{SessionId, SessionRecord};

use crate::StoreSettings;
use crate::cache::{Cache, Field, Near};
use crate::limits::NAME_HINTS_MAX;
use crate::mysql::{Readers, Writer};
use crate::redis::Redis;
use foldhash::fast::RandomState;
use lru::LruCache;
use query::Name;
use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

/// The one field of a value that is not made of several.
const WHOLE: Field = [0; 16];

/// A copy that the process keeps of what Redis holds.
#[derive(Clone)]
pub(crate) enum Copy {
    User(Rc<UserRow>),
    Session(Rc<SessionRecord>),
}

/// Cache class of users by id.
pub(crate) const USERS: &str = "u";
/// Cache class of what a name leads to.
const NAMES: &str = "n";

/// Users and sessions of one shard's stores. Deadlines are moments past which nobody waits any
/// more: what has not been begun by then fails with `StoreError::DeadlineExceeded`.
pub struct Accounts {
    redis: Rc<Redis>,
    cache: Cache,
    /// Whether rows are read from Redis, and copies of what it holds from the process.
    cache_enabled: bool,
    near: Rc<RefCell<Near<Copy>>>,
    readers: Rc<Readers>,
    writer: Rc<Writer>,
    sessions_per_user_max: usize,
    /// Where names led to lately. Never believed without the row.
    hints: RefCell<LruCache<Name, u64, RandomState>>,
}

impl Accounts {
    pub(crate) fn new(
        settings: &StoreSettings,
        redis: Rc<Redis>,
        near: Rc<RefCell<Near<Copy>>>,
        readers: Rc<Readers>,
        writer: Rc<Writer>,
    ) -> Accounts {
        let names = NonZeroUsize::new(NAME_HINTS_MAX).expect("a bound above zero");
        let hints = LruCache::unbounded_with_hasher(RandomState::default());
        let mut accounts = Accounts {
            cache: Cache::new(redis.clone(), settings.users_ttl, settings.negative_ttl),
            cache_enabled: settings.cache_enabled,
            sessions_per_user_max: settings.sessions_per_user_max,
            hints: RefCell::new(hints),
            redis,
            near,
            readers,
            writer,
        };
        // Resized rather than made that large: it grows as names are met.
        accounts.hints.get_mut().resize(names);
        accounts
    }
}
