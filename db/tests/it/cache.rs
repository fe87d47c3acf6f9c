//! Reads are never older than what was acknowledged before them, whatever races.

use crate::harness::{new_user, nickname, redis, settings, soon, stack, username, with_stores};
use souk_db::{StoreSettings, Stores};
use souk_stack::Stack;

/// Puts users into the database past the cache, so that first reads miss it.
fn seed(stack: &Stack, count: u64) {
    stack
        .sql(&format!(
            "INSERT INTO users (username, nickname, password_hash, created_at, updated_at) \
             SELECT CONCAT('user', a.n * 10 + b.n), 'n', 'h', UTC_TIMESTAMP(3), UTC_TIMESTAMP(3) \
             FROM ({digits}) a, ({digits}) b WHERE a.n * 10 + b.n < {count} \
             ORDER BY a.n, b.n",
            digits = (0..10).map(|n| format!("SELECT {n} n")).collect::<Vec<_>>().join(" UNION "),
        ))
        .unwrap();
}

fn ids(stack: &Stack) -> Vec<(u64, String)> {
    let rows = stack.sql("SELECT id, username FROM users ORDER BY id").unwrap();
    rows.lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(id, name)| Some((id.parse().ok()?, name.to_owned())))
        .collect()
}

#[test]
fn a_read_racing_a_change_never_leaves_the_old_row_behind() {
    let stack = stack();
    seed(&stack, 100);
    let users = ids(&stack);
    assert_eq!(users.len(), 100);
    with_stores(&settings(&stack), async |here| {
        let there = Stores::open(&settings(&stack)).await.unwrap();
        for (n, (id, name)) in users.iter().enumerate() {
            let change = async {
                for _ in 0..n % 7 {
                    tokio::task::yield_now().await;
                }
                there.accounts.change(*id, None, nickname("new"), soon()).await.unwrap()
            };
            let (early, named, changed) = tokio::join!(
                here.accounts.by_id(*id, soon()),
                here.accounts.by_name(name, soon()),
                change
            );
            assert!(early.unwrap().unwrap().version <= 2 && named.unwrap().unwrap().version <= 2);
            assert_eq!(changed.version, 2);
            for stores in [here, &there] {
                for _ in 0..2 {
                    let by_id = stores.accounts.by_id(*id, soon()).await.unwrap().unwrap();
                    let by_name = stores.accounts.by_name(name, soon()).await.unwrap().unwrap();
                    assert_eq!((by_id.version, by_name.version), (2, 2), "user {id}");
                }
            }
        }
        there.close().await;
    });
}

#[test]
fn a_read_racing_a_registration_never_hides_the_new_user() {
    let stack = stack();
    with_stores(&settings(&stack), async |here| {
        let there = Stores::open(&settings(&stack)).await.unwrap();
        for n in 0..60 {
            let name = format!("user{n}");
            let register = async {
                for _ in 0..n % 7 {
                    tokio::task::yield_now().await;
                }
                there.accounts.create(new_user(&name), soon()).await.unwrap()
            };
            let (early, made) = tokio::join!(here.accounts.by_name(&name, soon()), register);
            early.unwrap();
            for stores in [here, &there] {
                let found = stores.accounts.by_name(&name, soon()).await.unwrap();
                assert_eq!(found.map(|row| row.id), Some(made.id));
            }
        }
        there.close().await;
    });
}

#[test]
fn a_name_that_changes_hands_leads_to_its_owner_on_every_shard() {
    let stack = stack();
    with_stores(&settings(&stack), async |here| {
        let there = Stores::open(&settings(&stack)).await.unwrap();
        let a = here.accounts.create(new_user("first"), soon()).await.unwrap();
        let b = here.accounts.create(new_user("second"), soon()).await.unwrap();
        for round in 0..20 {
            let (holder, other) = if round % 2 == 0 { (a.id, b.id) } else { (b.id, a.id) };
            let rename = async |id, name: &str| {
                here.accounts.change(id, None, username(name), soon()).await.unwrap();
            };
            rename(holder, "wanted").await;
            for stores in [here, &there] {
                let found = stores.accounts.by_name("wanted", soon()).await.unwrap();
                assert_eq!(found.map(|row| row.id), Some(holder));
            }
            rename(holder, &format!("gone{holder}")).await;
            for stores in [&there, here] {
                assert_eq!(stores.accounts.by_name("wanted", soon()).await.unwrap(), None);
            }
            rename(other, "wanted").await;
            for stores in [&there, here] {
                let found = stores.accounts.by_name("wanted", soon()).await.unwrap();
                assert_eq!(found.map(|row| row.id), Some(other));
            }
            rename(other, &format!("gone{other}")).await;
        }
        there.close().await;
    });
}

/// The value of a string key, without its length.
fn value(stack: &Stack, key: &str) -> String {
    let reply = redis(stack, &["GET", key]);
    reply.split_once("\r\n").expect("a value").1.trim_end_matches("\r\n").to_owned()
}

#[test]
fn a_late_nobody_does_not_hide_a_name_that_was_given_away_and_got_back() {
    let stack = stack();
    with_stores(&settings(&stack), async |here| {
        let ann = here.accounts.create(new_user("ann"), soon()).await.unwrap();
        let key = redis(&stack, &["KEYS", "souk:*:n:ann"]);
        let key = key.lines().find(|line| line.starts_with("souk:")).unwrap();
        // A reader sees where the name leads, and, while it is given away, that nobody has it.
        let seen = value(&stack, key);
        here.accounts.change(ann.id, None, username("zoe"), soon()).await.unwrap();
        here.accounts.change(ann.id, None, username("ann"), soon()).await.unwrap();
        assert_ne!(value(&stack, key), seen);
        // Only now its word arrives.
        let script = include_str!("../../lua/hint.lua");
        let set = redis(&stack, &["EVAL", script, "1", key, "A", "60000", &seen]);
        assert_eq!(set.trim(), ":0");
        let there = Stores::open(&settings(&stack)).await.unwrap();
        let found = there.accounts.by_name("ann", soon()).await.unwrap();
        assert_eq!(found.map(|row| row.id), Some(ann.id));
        there.close().await;
    });
}

#[test]
fn a_restarted_redis_serves_no_row_it_cached_before() {
    let mut stack = stack();
    seed(&stack, 1);
    let (id, name) = ids(&stack).remove(0);
    with_stores(&settings(&stack), async |stores| {
        for _ in 0..2 {
            let row = stores.accounts.by_name(&name, soon()).await.unwrap().unwrap();
            assert_eq!(row.version, 1);
        }
        stack.redis().stop().unwrap();
        stack.sql("UPDATE users SET version = 2").unwrap();
        stack.redis().restart().unwrap();
        while !stores.health().await.redis {}
        assert_eq!(stores.accounts.by_id(id, soon()).await.unwrap().unwrap().version, 2);
        assert_eq!(stores.accounts.by_name(&name, soon()).await.unwrap().unwrap().version, 2);
    });
}

#[test]
fn rubbish_in_the_cache_is_a_miss() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let ann = stores.accounts.create(new_user("ann"), soon()).await.unwrap();
        let keys = redis(&stack, &["KEYS", "souk:*"]);
        let keys: Vec<&str> = keys.lines().filter(|line| line.starts_with("souk:")).collect();
        assert_eq!(keys.len(), 2, "the row and the name: {keys:?}");
        for rubbish in ["", "x", "123456789", "12345678Rxxxx", "H1"] {
            for key in &keys {
                redis(&stack, &["SET", key, rubbish]);
            }
            let by_id = stores.accounts.by_id(ann.id, soon()).await.unwrap();
            let by_name = stores.accounts.by_name("ann", soon()).await.unwrap();
            assert_eq!((by_id.unwrap().id, by_name.unwrap().id), (ann.id, ann.id), "{rubbish}");
        }
    });
}

#[test]
fn every_cached_value_expires() {
    let stack = stack();
    with_stores(&StoreSettings { ..settings(&stack) }, async |stores| {
        let ann = stores.accounts.create(new_user("ann"), soon()).await.unwrap();
        stores.accounts.by_name("nobody", soon()).await.unwrap();
        stores.accounts.by_id(1 << 40, soon()).await.unwrap();
        stores.accounts.delete(ann.id, soon()).await.unwrap();
    });
    let keys = redis(&stack, &["KEYS", "souk:*"]);
    let keys: Vec<&str> = keys.lines().filter(|line| line.starts_with("souk:")).collect();
    assert!(keys.len() >= 3, "{keys:?}");
    for key in keys {
        let ttl = redis(&stack, &["PTTL", key]);
        assert!(ttl.trim_start_matches(':').trim().parse::<i64>().unwrap() > 0, "{key}: {ttl}");
    }
}
