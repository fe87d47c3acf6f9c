//! The cache on a real Redis, driven step by step through races.

use super::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use souk_stack::PrivateDir;

#[test]
fn only_whole_values_are_believed() {
    let understand =
        |bytes: &[u8]| Cache::understand(Ok(Reply::Bulk(Bytes::copy_from_slice(bytes))));
    assert_eq!(understand(&value(3, LIVE, b"x")), Cached::Live(3, Bytes::from_static(b"x")));
    assert_eq!(understand(&value(0, ABSENT, b"")), Cached::Gone);
    assert_eq!(understand(&value(4, TOMBSTONE, b"")), Cached::Gone);
    assert_eq!(understand(&value(4, FENCE, b"")), Cached::Unknown);
    for bad in [&b""[..], b"1234567", b"12345678", b"12345678?"] {
        assert_eq!(understand(bad), Cached::Unknown);
    }
    assert_eq!(Cache::understand(Ok(Reply::Nil)), Cached::Unknown);
    assert_eq!(Cache::understand(Err(StoreError::redis("down"))), Cached::Unknown);
}

/// Runs a test's body with a cache on a Redis of its own.
fn with_cache(body: impl AsyncFnOnce(&Cache)) {
    let home = PrivateDir::new().expect("a directory");
    let server = souk_stack::Redis::start(home.path().join("r")).expect("a private Redis");
    tokio_uring::start(async {
        let redis = Rc::new(Redis::new(&server.url(), Box::new(|_| {})).expect("an address"));
        redis.ready().await.expect("connects");
        let ttl = Duration::from_secs(300);
        body(&Cache::new(redis.clone(), ttl, Duration::from_secs(5))).await;
        redis.close().await;
    });
}

async fn get(cache: &Cache, key: &Key) -> Cached {
    Cache::understand(cache.ask(key).expect("online").await)
}

fn live(version: u64) -> Cached {
    Cached::Live(version, Bytes::from(version.to_string()))
}

fn fill(cache: &Cache, key: &Key, version: u64) {
    cache.fill(key, version, version.to_string().as_bytes(), Instant::now());
}

#[test]
fn a_fill_with_the_old_row_loses_wherever_it_meets_a_write() {
    with_cache(async |cache| {
        // The fill of version 1 comes: 0 before the fence, 1 after it, 2 after the commit's put.
        for moment in 0..3 {
            let key = cache.key_of("race", moment);
            if moment == 0 {
                fill(cache, &key, 1);
                assert_eq!(get(cache, &key).await, live(1));
            }
            cache.fence(&key, 2).await.unwrap();
            if moment == 1 {
                fill(cache, &key, 1);
            }
            assert_eq!(get(cache, &key).await, Cached::Unknown, "moment {moment}");
            cache.put(&key, 2, b"2").await.unwrap();
            if moment == 2 {
                fill(cache, &key, 1);
            }
            assert_eq!(get(cache, &key).await, live(2), "moment {moment}");
        }
    });
}

#[test]
fn a_fill_with_the_committed_row_opens_the_fence_for_others() {
    with_cache(async |cache| {
        let key = cache.key_of("race", 1);
        cache.fence(&key, 2).await.unwrap();
        fill(cache, &key, 2);
        assert_eq!(get(cache, &key).await, live(2));
    });
}

#[test]
fn a_deleted_row_does_not_come_back() {
    with_cache(async |cache| {
        let key = cache.key_of("race", 1);
        fill(cache, &key, 4);
        cache.fence(&key, 5).await.unwrap();
        cache.bury(&key, 5).await.unwrap();
        fill(cache, &key, 4);
        cache.fill_absent(&key, Instant::now());
        assert_eq!(get(cache, &key).await, Cached::Gone);
    });
}

#[test]
fn a_row_read_too_long_ago_is_not_put() {
    with_cache(async |cache| {
        let key = cache.key_of("race", 1);
        cache.fill(&key, 1, b"1", Instant::now() - FILL_AGE_MAX);
        cache.fill_absent(&key, Instant::now() - FILL_AGE_MAX);
        assert_eq!(get(cache, &key).await, Cached::Unknown);
        let none = cache.redis.call(|cmd| cmd.arg("EXISTS").arg(key.as_bytes())).await;
        assert_eq!(none, Ok(Reply::Int(0)));
    });
}

#[test]
fn what_a_write_puts_outlives_the_oldest_fill_whatever_the_settings() {
    with_cache(async |cache| {
        let short = Duration::from_millis(1);
        let cache = Cache::new(cache.redis.clone(), short, short);
        let key = cache.key_of("race", 1);
        for version in 2..5 {
            let before = cache.redis.call(|cmd| cmd.arg("TIME")).await;
            match version {
                2 => cache.fence(&key, version).await.unwrap(),
                3 => cache.put(&key, version, b"3").await.unwrap(),
                _ => cache.bury(&key, version).await.unwrap(),
            }
            let ends = cache.redis.call(|cmd| cmd.arg("PEXPIRETIME").arg(key.as_bytes())).await;
            let (Ok(Reply::Array(before)), Ok(Reply::Int(ends))) = (before, ends) else { panic!() };
            let Reply::Bulk(seconds) = &before[0] else { panic!("{before:?}") };
            let seconds: i64 = std::str::from_utf8(seconds).unwrap().parse().unwrap();
            let least = i64::try_from(FILL_AGE_MAX.as_secs() + 1).unwrap();
            assert!(ends >= (seconds + least) * 1000, "version {version} ends at {ends}");
        }
    });
}

#[test]
fn versions_are_compared_as_numbers_whatever_their_bytes() {
    with_cache(async |cache| {
        let versions = [1, 2, 127, 128, 255, 256, 257, 65_535, 65_536, 1 << 32, (1 << 53) - 1];
        for (n, &old) in versions.iter().enumerate() {
            for &new in &versions[n + 1..] {
                let key = cache.key_of("numbers", old ^ (new << 1));
                cache.put(&key, old, old.to_string().as_bytes()).await.unwrap();
                cache.put(&key, new, new.to_string().as_bytes()).await.unwrap();
                fill(cache, &key, old);
                assert_eq!(get(cache, &key).await, live(new), "{old} after {new}");
            }
        }
    });
}

/// What the database holds of the one row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Held {
    Nothing,
    Row(u64),
    Deleted(u64),
}

/// A writer between two of its steps.
#[derive(Debug, Clone, Copy)]
enum Writer {
    Idle,
    Fenced { from: u64, delete: bool },
    Committed { version: u64, delete: bool },
}

/// One step of the model: which actor moves, and a choice for it.
async fn step(
    cache: &Cache,
    key: &Key,
    world: &mut World,
    (actor, choice): (usize, bool),
) -> Result<(), TestCaseError> {
    if actor < world.readers.len() {
        match world.readers[actor].take() {
            None => world.readers[actor] = Some(world.held),
            Some(Held::Row(version)) => fill(cache, key, version),
            Some(Held::Nothing | Held::Deleted(_)) => cache.fill_absent(key, Instant::now()),
        }
    } else {
        let writer = actor - world.readers.len();
        world.writers[writer] = world.write(cache, key, world.writers[writer], choice).await;
    }
    world.check(&get(cache, key).await)
}

struct World {
    held: Held,
    acknowledged: Held,
    readers: [Option<Held>; 3],
    writers: [Writer; 2],
}

impl World {
    /// A writer's next step; it always goes on to the end, as the real one does.
    async fn write(&mut self, cache: &Cache, key: &Key, at: Writer, delete: bool) -> Writer {
        match (at, self.held) {
            (Writer::Idle, Held::Nothing) => {
                self.held = Held::Row(1);
                Writer::Committed { version: 1, delete: false }
            }
            (Writer::Idle, Held::Row(from)) => {
                cache.fence(key, from + 1).await.unwrap();
                Writer::Fenced { from, delete }
            }
            (Writer::Fenced { from, delete }, Held::Row(version)) if version == from => {
                let version = from + 1;
                self.held = if delete { Held::Deleted(version) } else { Held::Row(version) };
                Writer::Committed { version, delete }
            }
            (Writer::Idle | Writer::Fenced { .. }, _) => Writer::Idle,
            (Writer::Committed { version, delete: true }, _) => {
                cache.bury(key, version).await.unwrap();
                self.acknowledged = Held::Deleted(version);
                Writer::Idle
            }
            (Writer::Committed { version, delete: false }, _) => {
                cache.put(key, version, version.to_string().as_bytes()).await.unwrap();
                let newer = matches!(self.acknowledged,
                    Held::Row(v) | Held::Deleted(v) if v > version);
                if !newer {
                    self.acknowledged = Held::Row(version);
                }
                Writer::Idle
            }
        }
    }

    /// A reader may see what is committed, but nothing older than what is acknowledged.
    fn check(&self, seen: &Cached) -> Result<(), TestCaseError> {
        let allowed = match (seen, self.acknowledged, self.held) {
            (Cached::Unknown, ..) => true,
            (Cached::Gone, Held::Nothing | Held::Deleted(_), _) => true,
            (Cached::Gone, Held::Row(_), held) => matches!(held, Held::Deleted(_)),
            (Cached::Live(v, _), acknowledged, held) => {
                let (Held::Row(last) | Held::Deleted(last)) = held else {
                    return Err(TestCaseError::fail("a row that never was"));
                };
                let first = match acknowledged {
                    Held::Nothing => 1,
                    Held::Row(v) => v,
                    Held::Deleted(_) => u64::MAX,
                };
                (first..=last).contains(v)
            }
        };
        prop_assert!(allowed, "saw {seen:?}, acknowledged {:?}", self.acknowledged);
        Ok(())
    }
}

#[test]
fn no_interleaving_shows_a_row_older_than_an_acknowledged_one() {
    with_cache(async |cache| {
        let steps = prop::collection::vec((0usize..5, prop::bool::weighted(0.1)), 1..60);
        let mut runner = TestRunner::default();
        for case in 0..300 {
            let tree = steps.new_tree(&mut runner).expect("a case");
            let key = cache.key_of("model", case);
            let mut world = World {
                held: Held::Nothing,
                acknowledged: Held::Nothing,
                readers: [None; 3],
                writers: [Writer::Idle; 2],
            };
            for at in tree.current() {
                if let Err(error) = step(cache, &key, &mut world, at).await {
                    panic!("{error}\n{runner:?}\nafter {:?}", tree.current());
                }
            }
        }
    });
}
