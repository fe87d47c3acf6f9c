//! Daemons that come and go.

use crate::client::{Client, token};
use crate::daemon::{Daemon, user};
use crate::{Front, drivers};
use souk_proto::Kind;
use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Sender, channel};

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

/// A daemon that answers by-name requests and reports which of its shards got which name.
fn reports(node: &str, shards: u32, to: Sender<(String, String, u32)>) -> Daemon {
    Daemon::start(node, shards, move |event| {
        if event.kind == Kind::Request {
            let report = (event.name(), event.node.clone(), event.shard);
            to.send(report).expect("the test waits");
            event.answer(&user(&event.name()));
        }
    })
}

fn by_name(client: &mut Client, name: &str) -> u16 {
    client.get(&format!("/api/v1/users/by-name/{name}")).status
}

#[test]
fn without_a_daemon_requests_fail_at_once_and_later_succeed() {
    for driver in drivers() {
        let address = nobody();
        let front = Front::start_with(driver, &[address], |_| {});
        let mut client = Client::connect(front.address());
        let answer = client.get("/api/v1/users/by-name/ada");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), Some("1"));
        let _daemon = Daemon::start_at(address, "late", 2, |event| {
            event.answer(&user(&event.name()));
        });
        while by_name(&mut client, "ada") != 200 {}
    }
}

#[test]
fn every_front_sends_a_key_to_the_same_shard_and_all_shards_get_some() {
    let (sender, received) = channel();
    let first = reports("first", 2, sender.clone());
    let second = reports("second", 3, sender);
    let names: Vec<_> = (0..200).map(|number| format!("user{number}")).collect();
    let mut places: HashMap<String, HashSet<(String, u32)>> = HashMap::new();
    // In either order of the daemons, on either driver.
    for driver in drivers() {
        for daemons in [[&first, &second], [&second, &first]] {
            let front = Front::start(driver, &daemons);
            let mut client = Client::connect(front.address());
            for name in &names {
                assert_eq!(by_name(&mut client, name), 200);
                let (name, node, shard) = received.recv().expect("the report");
                places.entry(name).or_default().insert((node, shard));
            }
        }
    }
    assert!(places.values().all(|places| places.len() == 1), "a key has one owner");
    let used: HashSet<_> = places.values().flatten().collect();
    assert_eq!(used.len(), 5, "{used:?}");
}

#[test]
fn when_a_daemon_is_gone_its_keys_go_to_the_other_and_no_other_key_moves() {
    for driver in drivers() {
        let (sender, received) = channel();
        let first = reports("first", 2, sender.clone());
        let second = reports("second", 2, sender);
        let front = Front::start(driver, &[&first, &second]);
        let mut client = Client::connect(front.address());
        let names: Vec<_> = (0..100).map(|number| format!("user{number}")).collect();
        let mut ask_all = || -> HashMap<String, (String, u32)> {
            for name in &names {
                assert_eq!(by_name(&mut client, name), 200);
            }
            received.try_iter().map(|(name, node, shard)| (name, (node, shard))).collect()
        };
        let before = ask_all();
        first.stop();
        // Requests that meet the dying links are idempotent: they go elsewhere, none fails.
        let after = ask_all();
        for (name, place) in before {
            let now = &after[&name];
            assert_eq!(now.0, "second");
            assert!(place.0 == "first" || place == *now, "{name} moved from {place:?} to {now:?}");
        }
    }
}

#[test]
fn a_read_that_loses_its_link_is_asked_again_and_a_write_is_not() {
    for driver in drivers() {
        let (sender, received) = channel();
        // Cuts the link at the first request of each kind.
        let daemon = Daemon::start("one", 1, move |event| {
            sender.send(event.method).expect("the test waits");
            let reads = event.method == Some(souk_proto::Method::GetUserByName);
            static SEEN: std::sync::Mutex<Option<u64>> = std::sync::Mutex::new(None);
            let mut seen = SEEN.lock().expect("no panic");
            if reads && seen.take().is_some() {
                event.answer(&user("ada"));
            } else {
                if reads {
                    *seen = Some(event.id);
                }
                event.link.cut();
            }
        });
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        assert_eq!(by_name(&mut client, "ada"), 200);
        assert_eq!(received.try_iter().count(), 2);
        let logout = format!(
            "POST /api/v1/logout HTTP/1.1\r\nhost: souk.test\r\nauthorization: Bearer {}\r\n\r\n",
            token(7)
        );
        client.send(&logout);
        assert_eq!(client.answer().status, 503);
        assert_eq!(received.try_iter().count(), 1);
    }
}

#[test]
fn a_daemon_that_leaves_finishes_what_it_has_and_gets_nothing_new() {
    for driver in drivers() {
        let (sender, received) = channel();
        let leaving = Daemon::start("leaving", 1, move |event| {
            sender.send(event).expect("the test waits");
        });
        let front = Front::start(driver, &[&leaving]);
        let mut first = Client::connect(front.address());
        first.ask("GET", "/api/v1/users/by-name/ada");
        let event = received.recv().expect("the request");
        event.link.go_away("closing for the night");
        let mut second = Client::connect(front.address());
        // Not taken once the GOAWAY is read; before that it would reach the daemon.
        second.ask("GET", "/api/v1/users/by-name/eve");
        if let Ok(early) = received.try_recv() {
            early.answer(&user("eve"));
        }
        event.answer(&user("ada"));
        assert_eq!(first.answer().status, 200);
    }
}

#[test]
fn a_daemon_that_talks_nonsense_or_refuses_us_is_no_daemon() {
    for driver in drivers() {
        let nonsense = Daemon::start("nonsense", 1, |event| event.link.garbage());
        let front = Front::start(driver, &[&nonsense]);
        let mut client = Client::connect(front.address());
        assert_eq!(by_name(&mut client, "ada"), 503);
        drop(front);

        let daemon = Daemon::of_users("strict", 1);
        let other = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(other.path(), "another secret of the same length").expect("written");
        let front = Front::start_with(driver, &[daemon.address()], |settings| {
            settings.link.secret_file = other.path().display().to_string();
        });
        let mut client = Client::connect(front.address());
        assert_eq!(by_name(&mut client, "ada"), 503);
    }
}
