//! The memory of verified passwords: a login that was fully verified a moment ago, with the same
//! password and the same stored hash, need not cost Argon2 again.
//!
//! What is kept is a keyed MAC of (user, tag of the stored hash, password) under a key that lives
//! in this process only. A changed password changes the tag, so an old memo cannot match. It is
//! never written anywhere and dies with the process.

use lru::LruCache;
use std::num::NonZeroUsize;
use std::time::Duration;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Verified passwords of one shard, the longest unused forgotten first.
pub struct Memo {
    key: Zeroizing<[u8; 32]>,
    ttl_ns: u64,
    entries: LruCache<u64, Entry, foldhash::fast::RandomState>,
    capacity: NonZeroUsize,
}

struct Entry {
    mac: [u8; 32],
    expires_ns: u64,
}

impl Memo {
    /// A memo of at most `capacity` users whose entries are believed for `ttl`; zero switches it
    /// off.
    pub fn new(key: [u8; 32], ttl: Duration, capacity: NonZeroUsize) -> Memo {
        let entries = LruCache::unbounded_with_hasher(foldhash::fast::RandomState::default());
        let ttl_ns = u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX);
        Memo { key: Zeroizing::new(key), ttl_ns, entries, capacity }
    }

    /// Whether this password was verified against the hash with this tag less than the TTL ago.
    /// `now_ns` is monotonic.
    pub fn knows(&mut self, user_id: u64, tag: &[u8; 16], password: &str, now_ns: u64) -> bool {
        let Some(&Entry { mac, expires_ns }) = self.entries.get(&user_id) else { return false };
        if expires_ns <= now_ns {
            self.entries.pop(&user_id);
            return false;
        }
        bool::from(mac.ct_eq(&self.mac(user_id, tag, password)))
    }

    /// Remembers a password that was just verified in full against the hash with this tag.
    pub fn remember(&mut self, user_id: u64, tag: &[u8; 16], password: &str, now_ns: u64) {
        if self.ttl_ns == 0 {
            return;
        }
        let entry = Entry {
            mac: self.mac(user_id, tag, password),
            expires_ns: now_ns.saturating_add(self.ttl_ns),
        };
        self.entries.put(user_id, entry);
        if self.entries.len() > self.capacity.get() {
            self.entries.pop_lru();
        }
    }

    /// How many users are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Fixed lengths before the password, so no two inputs run into each other.
    fn mac(&self, user_id: u64, tag: &[u8; 16], password: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&user_id.to_be_bytes()).update(tag).update(password.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memo").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Memo;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::num::NonZeroUsize;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn memo(ttl_s: u64, capacity: usize) -> Memo {
        let capacity = NonZeroUsize::new(capacity).expect("not zero");
        Memo::new([3; 32], Duration::from_secs(ttl_s), capacity)
    }

    #[test]
    fn a_verified_password_is_known_until_the_ttl_and_not_at_it() {
        let mut memo = memo(300, 8);
        memo.remember(1, &[1; 16], "secret", 0);
        assert!(memo.knows(1, &[1; 16], "secret", 300 * SECOND - 1));
        assert!(!memo.knows(1, &[1; 16], "secret", 300 * SECOND));
        assert!(memo.is_empty(), "what is over is forgotten");
    }

    #[test]
    fn a_hit_does_not_lengthen_its_life() {
        let mut memo = memo(10, 8);
        memo.remember(1, &[1; 16], "secret", 0);
        assert!(memo.knows(1, &[1; 16], "secret", 9 * SECOND));
        assert!(!memo.knows(1, &[1; 16], "secret", 11 * SECOND));
    }

    #[test]
    fn a_changed_hash_makes_the_memo_worthless() {
        let mut memo = memo(300, 8);
        memo.remember(1, &[1; 16], "secret", 0);
        assert!(!memo.knows(1, &[2; 16], "secret", 1));
    }

    #[test]
    fn a_ttl_of_zero_remembers_nothing() {
        let mut memo = memo(0, 8);
        memo.remember(1, &[1; 16], "secret", 0);
        assert!(memo.is_empty());
    }

    proptest! {
        /// Against a model that keeps plain text: the memo never knows what the model does not.
        #[test]
        fn no_other_password_user_or_hash_is_ever_known(
            steps in proptest::collection::vec(
                (any::<bool>(), 0..4_u64, 0..3_u8, "[ab]{0,2}", 0..4_u64), 1..200,
            ),
        ) {
            let mut memo = memo(5, 3);
            let mut model: HashMap<u64, (u8, String, u64)> = HashMap::new();
            let mut now = 0;
            for (verified, user, tag, password, pause) in steps {
                now += pause * SECOND;
                if verified {
                    memo.remember(user, &[tag; 16], &password, now);
                    model.insert(user, (tag, password, now + 5 * SECOND));
                } else if memo.knows(user, &[tag; 16], &password, now) {
                    let (known_tag, known, expires) = &model[&user];
                    prop_assert_eq!((*known_tag, known), (tag, &password));
                    prop_assert!(now < *expires);
                }
                prop_assert!(memo.len() <= 3);
            }
        }
    }
}
