//! Users, with the cache and without it.

use crate::harness::{
    create, join_all, new_user, nickname, selects, settings, soon, stack, stack_of_its_own,
    username, with_stores,
};
use souk_db::{Change, StoreError, StoreSettings, WriteError, credential_tag};
use std::time::Instant;

/// Every guarantee here holds whether the cache is on or off.
fn both(body: impl AsyncFn(&souk_db::Stores)) {
    let stack = stack();
    for (n, cache_enabled) in [true, false].into_iter().enumerate() {
        if n > 0 {
            stack.sql("DELETE FROM users").unwrap();
        }
        with_stores(&StoreSettings { cache_enabled, ..settings(&stack) }, &body);
    }
}

#[test]
fn a_new_user_is_found_by_id_and_by_name_in_any_case() {
    both(async |stores| {
        let made = create(stores, "ann.b_c-9").await;
        assert_eq!((made.version, made.rating), (1, 1000));
        assert_eq!(made.credential_tag, credential_tag("$argon2id$hash of ann.b_c-9"));
        for _ in 0..2 {
            let by_id = stores.accounts.by_id(made.id, soon()).await.unwrap().unwrap();
            let by_name = stores.accounts.by_name("ANN.b_C-9", soon()).await.unwrap().unwrap();
            for found in [by_id, by_name] {
                let password_hash = found.password_hash.clone().and(made.password_hash.clone());
                assert_eq!(found, souk_db::UserRow { password_hash, ..made.clone() });
            }
        }
        let whole = stores.accounts.with_hash_by_name("ann.b_c-9", soon()).await.unwrap();
        assert_eq!(whole.as_ref(), Some(&made));
        assert_eq!(stores.accounts.with_hash_by_id(made.id, soon()).await.unwrap(), whole);
    });
}

#[test]
fn who_does_not_exist_is_not_found_and_can_be_created_right_after() {
    both(async |stores| {
        for _ in 0..2 {
            assert_eq!(stores.accounts.by_name("nobody", soon()).await.unwrap(), None);
            assert_eq!(stores.accounts.by_id(1 << 40, soon()).await.unwrap(), None);
        }
        assert_eq!(stores.accounts.by_name("no such näme", soon()).await.unwrap(), None);
        let made = create(stores, "nobody").await;
        let found = stores.accounts.by_name("nobody", soon()).await.unwrap().unwrap();
        assert_eq!(found.id, made.id);
    });
}

#[test]
fn a_name_is_given_once_whatever_the_case_of_its_letters() {
    both(async |stores| {
        create(stores, "ann").await;
        let again = stores.accounts.create(new_user("Ann"), soon()).await;
        assert_eq!(again, Err(WriteError::Taken));
        let bob = create(stores, "bob").await;
        let renamed = stores.accounts.change(bob.id, None, username("ANN"), soon()).await;
        assert_eq!(renamed, Err(WriteError::Taken));
        let still = stores.accounts.by_name("bob", soon()).await.unwrap().unwrap();
        assert_eq!((still.id, still.version), (bob.id, 1));
    });
}

#[test]
fn a_change_is_seen_by_every_read_after_it() {
    both(async |stores| {
        let ann = create(stores, "ann").await;
        for round in 2..10u64 {
            let change = Change {
                nickname: Some(format!("n{round}")),
                picture: Some(if round % 2 == 0 { "ab".repeat(32) } else { String::new() }),
                password_hash: Some(format!("$h{round}")),
                username: None,
            };
            let changed = stores.accounts.change(ann.id, Some(round - 1), change, soon()).await;
            assert_eq!(changed.unwrap().version, round);
            let by_id = stores.accounts.by_id(ann.id, soon()).await.unwrap().unwrap();
            let by_name = stores.accounts.by_name("ann", soon()).await.unwrap().unwrap();
            for found in [by_id, by_name] {
                assert_eq!((found.version, found.nickname), (round, format!("n{round}")));
                assert_eq!(found.credential_tag, credential_tag(&format!("$h{round}")));
            }
        }
    });
}

#[test]
fn a_rename_moves_the_name_and_frees_the_old_one() {
    both(async |stores| {
        let ann = create(stores, "ann").await;
        stores.accounts.by_name("ann", soon()).await.unwrap().unwrap();
        assert_eq!(stores.accounts.by_name("zoe", soon()).await.unwrap(), None);
        stores.accounts.change(ann.id, None, username("Zoe"), soon()).await.unwrap();
        assert_eq!(stores.accounts.by_name("ann", soon()).await.unwrap(), None);
        let zoe = stores.accounts.by_name("zoe", soon()).await.unwrap().unwrap();
        assert_eq!((zoe.id, zoe.username.as_str()), (ann.id, "zoe"));
        let other = create(stores, "ann").await;
        let found = stores.accounts.by_name("ann", soon()).await.unwrap().unwrap();
        assert_eq!(found.id, other.id);
    });
}

#[test]
fn an_outdated_version_changes_nothing() {
    both(async |stores| {
        let ann = create(stores, "ann").await;
        stores.accounts.change(ann.id, Some(1), nickname("x"), soon()).await.unwrap();
        let late = stores.accounts.change(ann.id, Some(1), nickname("y"), soon()).await;
        assert_eq!(late, Err(WriteError::Conflict));
        let found = stores.accounts.by_id(ann.id, soon()).await.unwrap().unwrap();
        assert_eq!(found.nickname, "x");
        let nobody = stores.accounts.change(1 << 40, None, nickname("y"), soon()).await;
        assert_eq!(nobody, Err(WriteError::Missing));
    });
}

#[test]
fn a_deleted_user_is_gone_for_every_read_and_its_name_is_free() {
    both(async |stores| {
        let ann = create(stores, "ann").await;
        stores.accounts.by_name("ann", soon()).await.unwrap().unwrap();
        stores.accounts.delete(ann.id, soon()).await.unwrap();
        assert_eq!(stores.accounts.by_id(ann.id, soon()).await.unwrap(), None);
        assert_eq!(stores.accounts.by_name("ann", soon()).await.unwrap(), None);
        assert_eq!(stores.accounts.delete(ann.id, soon()).await, Err(WriteError::Missing));
        let again = create(stores, "ann").await;
        assert!(again.id > ann.id, "ids are never reused");
        let found = stores.accounts.by_name("ann", soon()).await.unwrap().unwrap();
        assert_eq!(found.id, again.id);
    });
}

#[test]
fn changes_of_one_user_at_once_happen_one_after_another() {
    both(async |stores| {
        let ann = create(stores, "ann").await;
        let (a, b, c) = tokio::join!(
            stores.accounts.change(ann.id, None, nickname("a"), soon()),
            stores.accounts.change(ann.id, None, nickname("b"), soon()),
            stores.accounts.change(ann.id, None, username("anna"), soon()),
        );
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        let found = stores.accounts.by_id(ann.id, soon()).await.unwrap().unwrap();
        assert_eq!((found.version, found.username.as_str()), (4, "anna"));
    });
}

#[test]
fn writes_in_one_commit_succeed_or_fail_each_alone() {
    let stack = stack_of_its_own();
    with_stores(&settings(&stack), async |stores| {
        create(stores, "taken").await;
        let names: Vec<String> =
            (0..40).map(|n| if n % 4 == 0 { "taken".into() } else { format!("user{n}") }).collect();
        let before = commits(&stack);
        let mut all = Vec::new();
        for name in &names {
            all.push(Box::pin(stores.accounts.create(new_user(name), soon())));
        }
        let results = join_all(all).await;
        let commits = commits(&stack) - before;
        assert!(commits < 20, "{commits} commits for 40 writes: they were not grouped");
        for (name, result) in names.iter().zip(results) {
            match result {
                Ok(row) => {
                    let held = stores.accounts.with_hash_by_id(row.id, soon()).await.unwrap();
                    assert_eq!(held.unwrap().username, *name);
                }
                Err(error) => assert_eq!((name.as_str(), error), ("taken", WriteError::Taken)),
            }
        }
    });
}

fn commits(stack: &souk_stack::Stack) -> u64 {
    let line = stack.sql("SHOW GLOBAL STATUS LIKE 'Com_commit'").unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn misses_of_one_turn_cost_one_query_and_misses_of_one_key_one_row() {
    let stack = stack_of_its_own();
    let settings = StoreSettings { cache_enabled: false, ..settings(&stack) };
    with_stores(&settings, async |stores| {
        let mut ids = Vec::new();
        for n in 0..20 {
            ids.push(create(stores, &format!("user{n}")).await.id);
        }
        let before = selects(&stack);
        let wanted: Vec<u64> = ids.iter().cycle().take(200).copied().collect();
        let reads = wanted.iter().map(|id| Box::pin(stores.accounts.by_id(*id, soon()))).collect();
        let rows = join_all(reads).await;
        let queries = selects(&stack) - before;
        assert!(queries <= 2, "{queries} queries");
        for (id, row) in wanted.iter().zip(rows) {
            assert_eq!(row.unwrap().unwrap().id, *id);
        }
    });
}

#[test]
fn a_cached_user_costs_the_database_nothing() {
    let stack = stack_of_its_own();
    with_stores(&settings(&stack), async |stores| {
        let ann = create(stores, "ann").await;
        let before = selects(&stack);
        for _ in 0..50 {
            stores.accounts.by_id(ann.id, soon()).await.unwrap().unwrap();
            stores.accounts.by_name("ann", soon()).await.unwrap().unwrap();
        }
        assert_eq!(selects(&stack), before);
        let found = stores.accounts.by_id(ann.id, soon()).await.unwrap().unwrap();
        assert_eq!(found.password_hash, None, "the cache holds no password hash");
    });
}

#[test]
fn a_search_walks_a_prefix_in_order_page_by_page_and_takes_no_wildcards() {
    both(async |stores| {
        for name in ["al", "al-b", "al.b", "al0", "ala", "alz", "al_b", "am", "b%", "zz"] {
            if name != "b%" {
                create(stores, name).await;
            }
        }
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = stores.accounts.search("AL", after.as_deref(), 3, soon()).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 3);
            after = Some(last.username.clone());
            seen.extend(page.into_iter().map(|row| row.username));
        }
        assert_eq!(seen, ["al", "al-b", "al.b", "al0", "ala", "alz", "al_b"]);
        for nothing in ["%", "a_m", "al%", "ä", "'"] {
            let found = stores.accounts.search(nothing, None, 9, soon()).await.unwrap();
            assert!(found.is_empty(), "{nothing}");
        }
        assert_eq!(stores.accounts.search("", None, 100, soon()).await.unwrap().len(), 9);
    });
}

#[test]
fn a_search_is_a_range_of_the_index() {
    let stack = stack();
    let plan = stack
        .sql(
            "EXPLAIN SELECT id FROM users WHERE username >= 'a' AND username > 'ab' \
              AND username < 'a~' ORDER BY username LIMIT 20",
        )
        .unwrap();
    assert!(plan.contains("users_username") && !plan.contains("filesort"), "{plan}");
}

#[test]
fn work_past_its_deadline_is_not_begun() {
    both(async |stores| {
        let ann = create(stores, "ann").await;
        let past = Instant::now();
        let late = Err(StoreError::DeadlineExceeded);
        assert_eq!(stores.accounts.by_id(ann.id, past).await, late);
        assert_eq!(stores.accounts.by_name("ann", past).await, late);
        assert_eq!(stores.accounts.with_hash_by_id(ann.id, past).await, late);
        let write = stores.accounts.change(ann.id, None, nickname("x"), past).await;
        assert_eq!(write, Err(WriteError::Store(StoreError::DeadlineExceeded)));
        let found = stores.accounts.by_id(ann.id, soon()).await.unwrap().unwrap();
        assert_eq!(found.version, 1);
    });
}

#[test]
fn a_caller_that_leaves_harms_nobody() {
    both(async |stores| {
        let ann = create(stores, "ann").await;
        for polls in 0..12 {
            let mut read = Box::pin(stores.accounts.by_name("ann", soon()));
            let mut write = Box::pin(stores.accounts.change(ann.id, None, nickname("x"), soon()));
            let (mut reading, mut writing) = (polls % 2 == 0, true);
            for _ in 0..polls {
                std::future::poll_fn(|cx| {
                    reading = reading && read.as_mut().poll(cx).is_pending();
                    writing = writing && write.as_mut().poll(cx).is_pending();
                    std::task::Poll::Ready(())
                })
                .await;
                tokio::task::yield_now().await;
            }
            drop((read, write));
            let found = stores.accounts.by_id(ann.id, soon()).await.unwrap().unwrap();
            let held = stores.accounts.with_hash_by_id(ann.id, soon()).await.unwrap().unwrap();
            assert!(found.version <= held.version);
        }
        let last = stores.accounts.change(ann.id, None, nickname("end"), soon()).await.unwrap();
        let found = stores.accounts.by_id(ann.id, soon()).await.unwrap().unwrap();
        assert_eq!((found.version, found.nickname.as_str()), (last.version, "end"));
    });
}
