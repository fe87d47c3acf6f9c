//! The connection to Redis seen from the wire: a relay over TCP between us and the real server.

use crate::harness::{create, settings, soon, stack, with_stores};
use crate::relay::relay;
use souk_db::StoreSettings;
use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::Ordering;

#[test]
fn what_is_asked_in_one_turn_leaves_in_one_write() {
    let stack = stack();
    let relay = relay(&stack);
    let settings = StoreSettings { redis_url: relay.url.clone(), ..settings(&stack) };
    with_stores(&settings, async |stores| {
        let ann = create(stores, "ann").await;
        let before = relay.arrivals.load(Ordering::SeqCst);
        let mut reads: Vec<_> =
            (0..100).map(|_| Box::pin(stores.accounts.by_id(ann.id, soon()))).collect();
        for read in &mut reads {
            std::future::poll_fn(|cx| {
                assert!(read.as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        }
        for read in reads {
            assert!(read.await.unwrap().is_some());
        }
        assert_eq!(relay.arrivals.load(Ordering::SeqCst) - before, 1);
    });
}

#[test]
fn a_session_and_its_cached_user_cost_one_round_trip() {
    let stack = stack();
    let relay = relay(&stack);
    let settings = StoreSettings { redis_url: relay.url.clone(), ..settings(&stack) };
    with_stores(&settings, async |stores| {
        let ann = create(stores, "ann").await;
        let record = souk_db::SessionRecord {
            created_at_ms: 1,
            last_seen_ms: 1,
            expires_at_ms: 4_000_000_000_000,
            device: String::new(),
            address: String::new(),
        };
        stores.accounts.open_session(ann.id, &[1; 16], &record, soon()).await.unwrap();
        let before = relay.arrivals.load(Ordering::SeqCst);
        let found = stores.accounts.session_and_user(ann.id, &[1; 16], soon()).await.unwrap();
        assert_eq!(found.unwrap().1.unwrap().id, ann.id);
        assert_eq!(relay.arrivals.load(Ordering::SeqCst) - before, 1);
    });
}

#[test]
fn damaged_answers_cost_the_connection_and_no_read() {
    let stack = stack();
    let relay = relay(&stack);
    let settings = StoreSettings { redis_url: relay.url.clone(), ..settings(&stack) };
    with_stores(&settings, async |stores| {
        let ann = create(stores, "ann").await;
        for damage in [1, 2, 1, 2] {
            relay.damage.store(damage, Ordering::SeqCst);
            for _ in 0..3 {
                assert!(stores.accounts.by_id(ann.id, soon()).await.unwrap().is_some());
            }
            while !stores.health().await.redis {}
        }
    });
}

/// Why Redis is away for stores whose Redis is at this listener.
fn why_away(listener: &TcpListener) -> String {
    let stack = stack();
    let redis_url = format!("redis://{}", listener.local_addr().unwrap());
    let settings = StoreSettings { redis_url, ..settings(&stack) };
    with_stores(&settings, async |stores| {
        assert_eq!(stores.accounts.by_name("ann", soon()).await.unwrap(), None);
        stores.accounts.session(1, &[1; 16], soon()).await.expect_err("away").to_string()
    })
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let why = why_away(&silent);
    assert!(why.contains("no answer to the greeting in time"), "{why}");
}

#[test]
fn a_server_that_closes_during_the_greeting_is_known_for_it() {
    for (answer, says) in [("", "closed the connection"), ("-NOAUTH no entry\r\n", "NOAUTH")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut clients = Vec::new();
            for client in server.incoming() {
                let mut client = client.unwrap();
                let _ = client.write_all(answer.as_bytes());
                let _ = client.shutdown(std::net::Shutdown::Write);
                clients.push(client); // dropped with bytes unread it would be reset, not closed
            }
        });
        let why = why_away(&listener);
        assert!(why.contains(says), "{why}");
    }
}
