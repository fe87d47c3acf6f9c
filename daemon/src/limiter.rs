//! Rate limits: token buckets in one bounded table for the whole process.
//!
//! The buckets are kept by the generic cell rate algorithm (ATM Forum, Traffic Management 4.0,
//! section 4.4.3; <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>): one number per
//! bucket, the theoretical arrival time of the next request. The table is cut in stripes, each
//! behind its own lock and each forgetting the longest unused; what is forgotten starts full.

use lru::LruCache;
use souk_proto::{Code, Failure};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::LimitSettings;
use crate::limits::{BUCKET_STRIPES, RATE_BUCKETS_MAX};

/// What kind of request it is; each kind has its own buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Looks something up.
    Read,
    /// Changes something.
    Write,
    /// Costs a password hash: login, registration, password checks.
    Login,
    /// Bids.
    Bid,
}

/// Who is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An address; see [`address_key`].
    Address(u128),
    /// A user by id.
    User(u64),
}

/// The rate limits of all requests.
#[derive(Debug)]
pub struct Limiter {
    /// One rate per class; nothing when limits are lifted.
    rates: Option<[Rate; 4]>,
    buckets: Buckets<(Class, Subject)>,
}

impl Limiter {
    /// The limits that the settings say.
    pub fn new(settings: &LimitSettings) -> Limiter {
        let rates = settings.enabled.then(|| {
            [
                Rate::per_second(settings.read_per_s, settings.read_burst),
                Rate::per_second(settings.write_per_s, settings.write_burst),
                Rate::per_second(settings.login_per_s, settings.login_burst),
                Rate::per_second(settings.bid_per_s, settings.bid_burst),
            ]
        });
        Limiter { rates, buckets: Buckets::new(RATE_BUCKETS_MAX) }
    }

    /// Takes one token for this subject. `now_ns` is monotonic.
    ///
    /// # Errors
    /// `rate_limited`, with the time until the next token.
    pub fn take(&self, class: Class, subject: Subject, now_ns: u64) -> Result<(), Failure> {
        self.take_some(class, subject, 1, now_ns).map(drop)
    }

    /// Takes as many tokens for this subject as there are, up to `count`; how many. `now_ns` is
    /// monotonic.
    ///
    /// # Errors
    /// `rate_limited` if there is none, with the time until the next.
    pub fn take_some(
        &self,
        class: Class,
        subject: Subject,
        count: usize,
        now_ns: u64,
    ) -> Result<usize, Failure> {
        let Some(rates) = &self.rates else { return Ok(count) };
        let rate = rates[class as usize];
        let taken = self.buckets.change((class, subject), |arrival| {
            rate.take(arrival, now_ns)?;
            let more = (1..count).take_while(|_| rate.take(arrival, now_ns).is_ok());
            Ok(1 + more.count())
        });
        taken.map_err(|wait: Duration| Failure::new(Code::RateLimited).retry_after(wait))
    }
}

/// One number for a client's address: all of IPv4, and the first 64 bits of IPv6, since one
/// customer commonly holds a whole /64 (RFC 6177, RIPE-690).
pub fn address_key(address: Option<IpAddr>) -> u128 {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(v4)) => v4.to_ipv6_mapped().to_bits(),
        Some(IpAddr::V6(v6)) => v6.to_bits() >> 64 << 64,
        None => Ipv6Addr::UNSPECIFIED.to_bits(),
    }
}

/// A bucket's size and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Time for one token to come back, ns.
    interval_ns: u64,
    /// How far ahead of its time a request may come, ns: (burst - 1) intervals.
    tolerance_ns: u64,
}

impl Rate {
    /// A bucket of `burst` tokens that fills with `per_second` of them. Both are at least 1.
    pub fn per_second(per_second: u32, burst: u32) -> Rate {
        Rate::every(Duration::from_secs(1) / per_second.max(1), burst)
    }

    /// A bucket of `burst` tokens, at least 1, one of which comes back after each `interval`.
    pub fn every(interval: Duration, burst: u32) -> Rate {
        let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        let tolerance_ns = interval_ns.saturating_mul(u64::from(burst.max(1) - 1));
        Rate { interval_ns, tolerance_ns }
    }

    /// Takes a token of the bucket whose next request is due at `arrival`, or says how long it
    /// takes until there is one.
    pub fn take(&self, arrival: &mut u64, now_ns: u64) -> Result<(), Duration> {
        self.check(*arrival, now_ns)?;
        self.charge(arrival, now_ns);
        Ok(())
    }

    /// Whether there is a token, or how long it takes until there is one.
    pub fn check(&self, arrival: u64, now_ns: u64) -> Result<(), Duration> {
        let early = arrival.saturating_sub(now_ns);
        match early.checked_sub(self.tolerance_ns) {
            None | Some(0) => Ok(()),
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }

    /// Takes a token even if there is none: the debt must be filled first.
    pub fn charge(&self, arrival: &mut u64, now_ns: u64) {
        *arrival = (*arrival).max(now_ns).saturating_add(self.interval_ns);
    }
}

/// A bounded table of arrival times. A key that is not there has a full bucket (time 0).
pub struct Buckets<K> {
    stripes: Vec<Mutex<LruCache<K, u64, foldhash::fast::RandomState>>>,
    hasher: foldhash::fast::RandomState,
    per_stripe: usize,
}

impl<K: std::hash::Hash + Eq + Copy> Buckets<K> {
    /// A table of at most `capacity` keys.
    pub fn new(capacity: usize) -> Buckets<K> {
        let hasher = foldhash::fast::RandomState::default();
        let stripes = (0..BUCKET_STRIPES)
            .map(|_| Mutex::new(LruCache::unbounded_with_hasher(hasher.clone())))
            .collect();
        Buckets { stripes, hasher, per_stripe: (capacity / BUCKET_STRIPES).max(1) }
    }

    /// The arrival time of this key, without counting as a use of it.
    pub fn peek(&self, key: K) -> u64 {
        self.stripe(&key).peek(&key).copied().unwrap_or(0)
    }

    /// Changes the arrival time of this key.
    pub fn change<R>(&self, key: K, change: impl FnOnce(&mut u64) -> R) -> R {
        let mut stripe = self.stripe(&key);
        let result = change(stripe.get_or_insert_mut(key, || 0));
        if stripe.len() > self.per_stripe {
            stripe.pop_lru();
        }
        result
    }

    fn stripe(&self, key: &K) -> MutexGuard<'_, LruCache<K, u64, foldhash::fast::RandomState>> {
        // The high bits choose the stripe; the stripe's own table uses the low ones.
        let hash = self.hasher.hash_one(key) >> 32;
        let index = usize::try_from(hash).unwrap_or(0) % self.stripes.len();
        self.stripes[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> std::fmt::Debug for Buckets<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buckets").field("per_stripe", &self.per_stripe).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Buckets, Class, Limiter, Rate, Subject, address_key};
    use crate::config::LimitSettings;
    use proptest::prelude::*;
    use souk_proto::Code;
    use std::net::IpAddr;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn key(address: &str) -> u128 {
        address_key(Some(address.parse::<IpAddr>().expect("address")))
    }

    #[test]
    fn a_burst_is_served_then_the_rate_and_the_wait_is_told() {
        let settings = LimitSettings { read_per_s: 10, read_burst: 3, ..LimitSettings::default() };
        let limiter = Limiter::new(&settings);
        let take = |now| limiter.take(Class::Read, Subject::User(1), now);
        assert!((0..3).all(|_| take(SECOND).is_ok()));
        let refused = take(SECOND).expect_err("the fourth");
        assert_eq!((refused.code, refused.retry_after_ms), (Code::RateLimited, 100));
        assert!(take(SECOND + SECOND / 10).is_ok());
        assert!(take(SECOND + SECOND / 10).is_err());
        assert!(limiter.take(Class::Write, Subject::User(1), SECOND).is_ok(), "another class");
        assert!(limiter.take(Class::Read, Subject::User(2), SECOND).is_ok(), "another user");
    }

    #[test]
    fn of_several_as_many_are_taken_as_there_are() {
        let settings = LimitSettings { bid_per_s: 10, bid_burst: 5, ..LimitSettings::default() };
        let limiter = Limiter::new(&settings);
        let take = |count, now| limiter.take_some(Class::Bid, Subject::User(1), count, now);
        assert_eq!(take(3, SECOND), Ok(3));
        assert_eq!(take(3, SECOND), Ok(2));
        assert_eq!(take(3, SECOND).expect_err("none").retry_after_ms, 100);
        assert_eq!(take(64, 2 * SECOND), Ok(5));
        let lifted = Limiter::new(&LimitSettings { enabled: false, ..settings });
        assert_eq!(lifted.take_some(Class::Bid, Subject::User(1), 64, 0), Ok(64));
    }

    #[test]
    fn lifted_limits_refuse_nothing() {
        let limiter = Limiter::new(&LimitSettings { enabled: false, ..LimitSettings::default() });
        assert!((0..1_000).all(|_| limiter.take(Class::Login, Subject::Address(1), 0).is_ok()));
    }

    #[test]
    fn ipv6_addresses_of_one_64_share_a_key_and_ipv4_is_one_however_written() {
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1:2:3"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn the_table_never_holds_more_than_its_bound() {
        let buckets = Buckets::new(1_024);
        for key in 0..10_000_u32 {
            buckets.change(key, |arrival| *arrival = 1);
        }
        let held = (0..10_000_u32).filter(|key| buckets.peek(*key) == 1).count();
        assert!(held <= 1_024, "{held}");
    }

    proptest! {
        /// Against the bucket as one would write it down: tokens, refilled by the time that passed.
        #[test]
        fn it_decides_like_a_bucket_of_tokens(
            per_second in 1_u32..50, burst in 1_u32..20,
            pauses in proptest::collection::vec(0..SECOND, 1..200),
        ) {
            let rate = Rate::per_second(per_second, burst);
            let interval = u128::from(rate.interval_ns);
            let full = u128::from(burst) * interval;
            let (mut arrival, mut now, mut level) = (0, 0, full);
            for pause in pauses {
                now += pause;
                level = (level + u128::from(pause)).min(full);
                let taken = rate.take(&mut arrival, now);
                prop_assert_eq!(taken.is_ok(), level >= interval);
                match taken {
                    Ok(()) => level -= interval,
                    Err(wait) => {
                        prop_assert_eq!(wait.as_nanos(), interval - level);
                        let wait_ns = u64::try_from(wait.as_nanos()).expect("a second at most");
                        prop_assert!(rate.check(arrival, now + wait_ns).is_ok());
                    }
                }
            }
        }

        #[test]
        fn charges_without_tokens_are_paid_back_before_anything_is_allowed(
            burst in 1_u32..20, charges in 1_u32..60,
        ) {
            let rate = Rate::every(Duration::from_secs(1), burst);
            let mut arrival = 0;
            for _ in 0..charges {
                rate.charge(&mut arrival, 0);
            }
            let debt = u64::from(charges.saturating_sub(burst - 1).saturating_sub(1) + 1);
            let due = if charges < burst { 0 } else { debt * SECOND };
            prop_assert_eq!(rate.check(arrival, due).is_ok(), true);
            if due > 0 {
                prop_assert!(rate.check(arrival, due - 1).is_err());
            }
        }
    }
}
