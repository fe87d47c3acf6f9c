//! Sessions.

use crate::harness::{create, redis, settings, soon, stack, with_stores};
use souk_db::{SessionId, SessionRecord, StoreSettings};

fn record(created_at_ms: i64) -> SessionRecord {
    SessionRecord {
        created_at_ms,
        last_seen_ms: created_at_ms,
        expires_at_ms: 4_000_000_000_000,
        device: "Firefox on Linux".to_owned(),
        address: "192.0.2.7".to_owned(),
    }
}

/// An id at which the sessions are counted: its first byte says so.
fn id(n: u8) -> SessionId {
    let mut id = [n; 16];
    id[0] = 0;
    id
}

#[test]
fn a_session_lives_until_it_is_closed() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let ann = create(stores, "ann").await;
        let accounts = &stores.accounts;
        assert_eq!(accounts.session(ann.id, &id(1), soon()).await.unwrap(), None);
        accounts.open_session(ann.id, &id(1), &record(1000), soon()).await.unwrap();
        assert_eq!(
            accounts.session(ann.id, &id(1), soon()).await.unwrap(),
            Some(record(1000).into())
        );
        let (session, user) =
            accounts.session_and_user(ann.id, &id(1), soon()).await.unwrap().unwrap();
        assert_eq!((session, user.unwrap().username), (record(1000).into(), "ann".to_owned()));
        assert_eq!(accounts.session_and_user(ann.id, &id(2), soon()).await.unwrap(), None);
        assert!(accounts.close_session(ann.id, &id(1), soon()).await.unwrap());
        assert!(!accounts.close_session(ann.id, &id(1), soon()).await.unwrap());
        assert_eq!(accounts.session_and_user(ann.id, &id(1), soon()).await.unwrap(), None);
    });
}

#[test]
fn a_session_of_a_deleted_user_finds_no_user() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let ann = create(stores, "ann").await;
        stores.accounts.open_session(ann.id, &id(1), &record(1000), soon()).await.unwrap();
        stores.accounts.delete(ann.id, soon()).await.unwrap();
        let found = stores.accounts.session_and_user(ann.id, &id(1), soon()).await.unwrap();
        assert_eq!(found, Some((record(1000).into(), None)));
    });
}

#[test]
fn the_newest_sessions_up_to_the_bound_stay_and_at_twice_as_many_the_oldest_half_ends() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let accounts = &stores.accounts;
        for n in 0..40 {
            accounts.open_session(7, &id(n), &record(2000 + i64::from(n)), soon()).await.unwrap();
            let held = accounts.sessions(7, soon()).await.unwrap();
            let opened = usize::from(n) + 1;
            let expected = if opened < 10 { opened } else { 5 + opened % 5 };
            let newest: Vec<SessionId> = (0..=n).rev().take(expected).map(id).collect();
            let ids: Vec<SessionId> = held.iter().map(|(id, _)| *id).collect();
            assert_eq!(ids, newest, "after {opened}");
            assert_eq!(held[0].1, record(2000 + i64::from(n)));
        }
    });
}

#[test]
fn sessions_are_counted_at_some_logins_only_and_then_the_bound_holds() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let accounts = &stores.accounts;
        for n in 0..12 {
            let uncounted = [2 * n + 1; 16];
            accounts.open_session(7, &uncounted, &record(i64::from(n)), soon()).await.unwrap();
        }
        assert_eq!(accounts.sessions(7, soon()).await.unwrap().len(), 12);
        accounts.open_session(7, &id(100), &record(100), soon()).await.unwrap();
        assert_eq!(accounts.sessions(7, soon()).await.unwrap().len(), 5);
    });
}

#[test]
fn expired_sessions_go_before_the_oldest() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let accounts = &stores.accounts;
        for n in 0..4 {
            accounts.open_session(7, &id(n), &record(1000 + i64::from(n)), soon()).await.unwrap();
        }
        for n in 4..9 {
            let expired = SessionRecord { expires_at_ms: 10_000_000, ..record(1400) };
            accounts.open_session(7, &id(n), &expired, soon()).await.unwrap();
        }
        accounts.open_session(7, &id(9), &record(20_000_000), soon()).await.unwrap();
        let held = accounts.sessions(7, soon()).await.unwrap();
        let ids: Vec<SessionId> = held.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [9, 3, 2, 1, 0].map(id));
    });
}

#[test]
fn the_newest_session_stays_even_if_clocks_disagree() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        for n in 1..=9 {
            stores.accounts.open_session(7, &id(n), &record(9000), soon()).await.unwrap();
        }
        stores.accounts.open_session(7, &id(10), &record(10), soon()).await.unwrap();
        assert!(stores.accounts.session(7, &id(10), soon()).await.unwrap().is_some());
        assert_eq!(stores.accounts.sessions(7, soon()).await.unwrap().len(), 5);
    });
}

#[test]
fn many_sessions_at_the_largest_bound_are_pruned_and_listed() {
    let stack = stack();
    let settings = StoreSettings { sessions_per_user_max: 1000, ..settings(&stack) };
    with_stores(&settings, async |stores| {
        let name = |n: u64| (u128::from(n) + 1).to_be_bytes();
        for n in 0..2000 {
            let record = record(i64::try_from(n).unwrap());
            stores.accounts.open_session(7, &name(n), &record, soon()).await.unwrap();
            if n == 1998 {
                assert_eq!(stores.accounts.sessions(7, soon()).await.unwrap().len(), 1999);
            }
        }
        let held = stores.accounts.sessions(7, soon()).await.unwrap();
        let ids: Vec<SessionId> = held.into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, (1000..2000).rev().map(name).collect::<Vec<_>>());
    });
}

#[test]
fn closing_all_others_keeps_exactly_one_and_closing_all_keeps_none() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let accounts = &stores.accounts;
        for n in 1..=4 {
            accounts.open_session(7, &id(n), &record(1000), soon()).await.unwrap();
            accounts.open_session(8, &id(n), &record(1000), soon()).await.unwrap();
        }
        assert_eq!(accounts.close_other_sessions(7, &id(3), soon()).await.unwrap(), 3);
        assert_eq!(accounts.sessions(7, soon()).await.unwrap(), [(id(3), record(1000))]);
        assert_eq!(accounts.close_all_sessions(7, soon()).await.unwrap(), 1);
        assert!(accounts.sessions(7, soon()).await.unwrap().is_empty());
        assert_eq!(accounts.sessions(8, soon()).await.unwrap().len(), 4, "another user's stay");
    });
}

#[test]
fn touching_a_closed_session_does_not_bring_it_back() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let accounts = &stores.accounts;
        accounts.open_session(7, &id(1), &record(1000), soon()).await.unwrap();
        let seen = SessionRecord { last_seen_ms: 5000, ..record(1000) };
        assert!(accounts.touch_session(7, &id(1), &seen, soon()).await.unwrap());
        assert_eq!(accounts.session(7, &id(1), soon()).await.unwrap(), Some(seen.clone().into()));
        accounts.close_session(7, &id(1), soon()).await.unwrap();
        assert!(!accounts.touch_session(7, &id(1), &seen, soon()).await.unwrap());
        assert_eq!(accounts.session(7, &id(1), soon()).await.unwrap(), None);
    });
}

#[test]
fn redis_forgets_a_users_sessions_when_the_last_of_them_ends() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let late = SessionRecord { expires_at_ms: 4_000_000_000_123, ..record(1000) };
        stores.accounts.open_session(7, &id(1), &late, soon()).await.unwrap();
        stores.accounts.open_session(7, &id(2), &record(1001), soon()).await.unwrap();
    });
    let ends = redis(&stack, &["PEXPIRETIME", "souk:{u:7}:sessions"]);
    let ends: i64 = ends.trim().trim_start_matches(':').parse().unwrap();
    let day = 24 * 3600 * 1000;
    assert!((4_000_000_000_123..=4_000_000_000_123 + day).contains(&ends), "{ends}");
}

#[test]
fn a_login_whose_clock_is_wrong_ends_no_other_session() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        stores.accounts.open_session(7, &id(1), &record(1000), soon()).await.unwrap();
        let past = SessionRecord { expires_at_ms: 3_600_000, ..record(1000) };
        stores.accounts.open_session(7, &id(2), &past, soon()).await.unwrap();
        assert_eq!(stores.accounts.sessions(7, soon()).await.unwrap().len(), 2);
    });
}
