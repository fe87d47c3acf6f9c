//! The versioned cache: rows in Redis that are never older than one already acknowledged.
//!
//! A cached value begins with the row's version, and one script refuses to replace a newer version
//! by an older one. Around a write:
//! 1. a fence of the coming version is put: an empty value that sends readers to the database and
//!    keeps out fills of the old version;
//! 2. the database commits;
//! 3. the new row (or a tombstone) replaces the fence, and only then the write is acknowledged.
//!
//! A reader that misses fills the cache with what it read, unless it read it too long ago. Redis'
//! run id is part of every key: a restarted server, which may have lost its last second, starts
//! with an empty cache.

mod near;

use crate::backoff::jitter;
use crate::error::StoreError;
use crate::keys::Key;
use crate::limits::{FENCE_TTL, FILL_AGE_MAX, PUT_TTL_MIN, TOMBSTONE_TTL};
use crate::redis::{Answer, Redis, Reply};
use bytes::Bytes;
pub use near::{Field, Lease, Look, Near, Ticket};
use souk_meter::Count;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Bytes before a value's payload: the version and the kind.
const HEAD: usize = 9;

const LIVE: u8 = b'R';
const ABSENT: u8 = b'A';
const FENCE: u8 = b'F';
const TOMBSTONE: u8 = b'T';

/// What the cache says about a row.
#[derive(Debug, PartialEq, Eq)]
pub enum Cached {
    /// The row at this version.
    Live(u64, Bytes),
    /// There is no such row.
    Gone,
    /// Nothing: the database knows.
    Unknown,
}

/// The cache of one shard.
pub struct Cache {
    redis: Rc<Redis>,
    row_ttl: Duration,
    negative_ttl: Duration,
    /// Spreads the ends of rows that were filled together.
    seed: Cell<u64>,
}

impl Cache {
    pub fn new(redis: Rc<Redis>, row_ttl: Duration, negative_ttl: Duration) -> Cache {
        let seed = jitter(Duration::from_secs(1)).as_nanos();
        let seed = Cell::new(u64::try_from(seed).unwrap_or_default() | 1);
        Cache { redis, row_ttl, negative_ttl, seed }
    }

    /// The key of a row: `class` names the table or index, `id` the row.
    pub fn key(&self, class: &str, id: &[u8]) -> Key {
        Key::of(&[b"souk:", &self.redis.run(), b":", class.as_bytes(), b":", id])
    }

    /// The key of a row that a number names.
    pub fn key_of(&self, class: &str, id: u64) -> Key {
        self.key(class, Key::number(id).as_bytes())
    }

    /// Asks for a value now; see [`Cache::understand`] for the reply.
    pub fn ask(&self, key: &Key) -> Result<Answer, StoreError> {
        self.redis.issue(|cmd| cmd.arg("GET").arg(key.as_bytes()))
    }

    /// The same, and to be told when the value changes.
    pub fn ask_tracked(&self, key: &Key) -> Result<Answer, StoreError> {
        self.redis.issue_tracked(|cmd| cmd.arg("GET").arg(key.as_bytes()))
    }

    /// Reads the reply to [`Cache::ask`]. Whatever is wrong with it, the database knows better.
    pub fn understand(reply: Result<Reply, StoreError>) -> Cached {
        let cached = Cache::read(reply);
        let known = cached != Cached::Unknown;
        souk_meter::count(if known { Count::RedisHit } else { Count::RedisMiss });
        cached
    }

    fn read(reply: Result<Reply, StoreError>) -> Cached {
        let Ok(Reply::Bulk(value)) = reply else { return Cached::Unknown };
        let Some((version, rest)) = value.split_first_chunk::<8>() else { return Cached::Unknown };
        match rest.first() {
            Some(&LIVE) => Cached::Live(u64::from_be_bytes(*version), value.slice(HEAD..)),
            Some(&(ABSENT | TOMBSTONE)) => Cached::Gone,
            _ => Cached::Unknown,
        }
    }

    /// Puts a row that was read from the database at `asked`. Nobody waits for it.
    pub fn fill(&self, key: &Key, version: u64, payload: &[u8], asked: Instant) {
        self.fill_value(key, &value(version, LIVE, payload), self.spread_ttl(), asked);
    }

    /// Remembers for a short time that the database had no such row at `asked`. It counts as
    /// older than any version of the row.
    pub fn fill_absent(&self, key: &Key, asked: Instant) {
        self.fill_value(key, &value(0, ABSENT, &[]), self.negative_ttl, asked);
    }

    /// Keeps everything older than `version` out, before the write that makes this version.
    pub async fn fence(&self, key: &Key, version: u64) -> Result<(), StoreError> {
        self.put_value(key, &value(version, FENCE, &[]), FENCE_TTL).await
    }

    /// The same for many rows, in one round trip.
    pub async fn fence_all(
        &self,
        rows: impl Iterator<Item = (Key, u64)>,
    ) -> Result<(), StoreError> {
        let ttl = millis(FENCE_TTL);
        let put = &self.redis.scripts.put;
        let mut asked = Vec::new();
        for (key, version) in rows {
            let value = value(version, FENCE, &[]);
            let args = [&value[..], ttl.as_bytes()];
            asked.push((key, version, self.redis.issue_script(put, key.as_bytes(), &args)?));
        }
        for (key, version, answer) in asked {
            if answer.await.is_err() {
                self.fence(&key, version).await?; // the script may have been forgotten
            }
        }
        Ok(())
    }

    /// Puts a row that is committed. It stays for at least [`PUT_TTL_MIN`].
    pub async fn put(&self, key: &Key, version: u64, payload: &[u8]) -> Result<(), StoreError> {
        let ttl = self.spread_ttl().max(PUT_TTL_MIN);
        self.put_value(key, &value(version, LIVE, payload), ttl).await
    }

    /// The same, without waiting for it. If it fails, a fence stays in its place.
    pub fn put_soon(&self, key: &Key, version: u64, payload: &[u8]) {
        let ttl = millis(self.spread_ttl().max(PUT_TTL_MIN));
        let value = value(version, LIVE, payload);
        let put = &self.redis.scripts.put;
        drop(self.redis.issue_script(put, key.as_bytes(), &[&value, ttl.as_bytes()]));
    }

    /// Marks a row as deleted by the write that made this version.
    pub async fn bury(&self, key: &Key, version: u64) -> Result<(), StoreError> {
        self.put_value(key, &value(version, TOMBSTONE, &[]), TOMBSTONE_TTL).await
    }

    /// How long "there is no such row" is remembered.
    pub fn negative_ttl(&self) -> Duration {
        self.negative_ttl
    }

    fn fill_value(&self, key: &Key, value: &[u8], ttl: Duration, asked: Instant) {
        if asked.elapsed() >= FILL_AGE_MAX {
            return;
        }
        let ttl = millis(ttl);
        let put = &self.redis.scripts.put;
        // A fill that fails costs the next reader a row, no more.
        drop(self.redis.issue_script(put, key.as_bytes(), &[value, ttl.as_bytes()]));
    }

    async fn put_value(&self, key: &Key, value: &[u8], ttl: Duration) -> Result<(), StoreError> {
        let ttl = millis(ttl);
        let put = &self.redis.scripts.put;
        self.redis.script(put, key.as_bytes(), &[value, ttl.as_bytes()]).await.map(drop)
    }

    /// The time a row lives: up to a tenth less than configured.
    fn spread_ttl(&self) -> Duration {
        let mut seed = self.seed.get(); // xorshift64 (Marsaglia, "Xorshift RNGs")
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        self.seed.set(seed);
        let thousandths = u32::try_from(seed % 100).expect("less than 100");
        self.row_ttl - self.row_ttl * thousandths / 1000
    }
}

/// Milliseconds as Redis takes them: at least 1.
pub fn millis(ttl: Duration) -> String {
    ttl.as_millis().max(1).to_string()
}

fn value(version: u64, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD + payload.len());
    value.extend_from_slice(&version.to_be_bytes());
    value.push(kind);
    value.extend_from_slice(payload);
    value
}

#[cfg(test)]
mod tests;
