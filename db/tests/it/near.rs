//! Copies in the process are as good as Redis itself.

use crate::harness::{create, nickname, settings, soon, stack, with_stores};
use crate::relay::relay;
use souk_db::{SessionRecord, StoreSettings, Stores};
use std::sync::atomic::Ordering;
use std::time::Duration;

fn record() -> SessionRecord {
    SessionRecord {
        created_at_ms: 1,
        last_seen_ms: 1,
        expires_at_ms: 4_000_000_000_000,
        device: String::new(),
        address: String::new(),
    }
}

#[test]
fn what_is_read_all_the_time_costs_few_round_trips() {
    let stack = stack();
    let relay = relay(&stack);
    let settings = StoreSettings { redis_url: relay.url.clone(), ..settings(&stack) };
    with_stores(&settings, async |stores| {
        let ann = create(stores, "ann").await;
        stores.accounts.open_session(ann.id, &[1; 16], &record(), soon()).await.unwrap();
        let before = relay.arrivals.load(Ordering::SeqCst);
        for _ in 0..1000 {
            let found = stores.accounts.by_name("ann", soon()).await.unwrap();
            assert_eq!(found.map(|row| row.id), Some(ann.id));
            let found = stores.accounts.session_and_user(ann.id, &[1; 16], soon()).await.unwrap();
            assert!(found.is_some());
        }
        let trips = relay.arrivals.load(Ordering::SeqCst) - before;
        assert!(trips < 1000, "{trips} round trips for 2000 reads");
    });
}

#[test]
fn a_change_elsewhere_is_seen_by_every_read_after_it() {
    let stack = stack();
    with_stores(&settings(&stack), async |here| {
        let there = Stores::open(&settings(&stack)).await.unwrap();
        let ann = create(here, "ann").await;
        for round in 0..30 {
            // Until there is a copy, and then some.
            for _ in 0..10 {
                here.accounts.by_name("ann", soon()).await.unwrap();
            }
            let text = format!("round {round}");
            there.accounts.change(ann.id, None, nickname(&text), soon()).await.unwrap();
            let row = here.accounts.by_name("ann", soon()).await.unwrap().unwrap();
            assert_eq!(row.nickname, text);
        }
        there.accounts.delete(ann.id, soon()).await.unwrap();
        assert_eq!(here.accounts.by_id(ann.id, soon()).await.unwrap(), None);
        there.close().await;
    });
}

#[test]
fn a_session_that_was_ended_elsewhere_is_over_at_once() {
    let stack = stack();
    with_stores(&settings(&stack), async |here| {
        let there = Stores::open(&settings(&stack)).await.unwrap();
        let ann = create(here, "ann").await;
        for round in 0..30 {
            let (id, other) = ([round + 1; 16], [100; 16]);
            for opened in [id, other] {
                there.accounts.open_session(ann.id, &opened, &record(), soon()).await.unwrap();
            }
            for _ in 0..10 {
                let found = here.accounts.session(ann.id, &id, soon()).await.unwrap();
                assert!(found.is_some());
            }
            match round % 3 {
                0 => assert!(there.accounts.close_session(ann.id, &id, soon()).await.unwrap()),
                1 => {
                    there.accounts.close_other_sessions(ann.id, &other, soon()).await.unwrap();
                }
                _ => {
                    there.accounts.close_all_sessions(ann.id, soon()).await.unwrap();
                }
            }
            assert_eq!(here.accounts.session(ann.id, &id, soon()).await.unwrap(), None);
        }
        there.close().await;
    });
}

#[test]
fn a_copy_is_not_served_after_a_change_whose_word_is_late() {
    let stack = stack();
    let relay = relay(&stack);
    let slow = StoreSettings { redis_url: relay.url.clone(), ..settings(&stack) };
    with_stores(&slow, async |here| {
        let there = Stores::open(&settings(&stack)).await.unwrap();
        let ann = create(here, "ann").await;
        for _ in 0..10 {
            here.accounts.by_id(ann.id, soon()).await.unwrap();
        }
        relay.held.store(true, Ordering::SeqCst);
        let changed = there.accounts.change(ann.id, None, nickname("new"), soon()).await.unwrap();
        let mut read = Box::pin(here.accounts.by_id(ann.id, soon()));
        let early = tokio::time::timeout(Duration::from_millis(1), read.as_mut()).await;
        assert!(early.is_err(), "read {early:?} without asking");
        relay.held.store(false, Ordering::SeqCst);
        assert_eq!(read.await.unwrap().unwrap().version, changed.version);
        there.close().await;
    });
}
