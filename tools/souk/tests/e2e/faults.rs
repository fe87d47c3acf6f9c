//! What happens to clients when a part of Souk dies under load, and when it stops in order.

use crate::accounts::person::{Person, client, register};
use crate::accounts::unlimited;
use crate::wire::{Heard, Wire};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Connections that ask without a pause.
const READERS: usize = 16;
/// How long a recovery may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads without a pause while `disturb` runs; the answers by status. Every request must be
/// answered: a broken connection fails the test.
fn under_load(
    address: &str,
    path: &str,
    disturb: impl FnOnce(&AtomicUsize),
) -> BTreeMap<u16, usize> {
    let stop = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = BTreeMap::new();
                    let mut wire = Wire::open(address).expect("accepted");
                    while !stop.load(Ordering::Relaxed) {
                        wire.get(path).expect("taken");
                        let heard = wire.hear().expect("answered");
                        *seen.entry(heard.status).or_insert(0) += 1;
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    seen
                })
            })
            .collect();
        progress(&answered, 100);
        disturb(&answered);
        progress(&answered, 100);
        stop.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::new();
        for reader in readers {
            for (status, count) in reader.join().expect("no broken answer") {
                *all.entry(status).or_insert(0) += count;
            }
        }
        all
    })
}

/// Waits until that many more answers came.
fn progress(answered: &AtomicUsize, more: usize) {
    let goal = answered.load(Ordering::Relaxed) + more;
    eventually("answers come", || answered.load(Ordering::Relaxed) >= goal);
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it never came: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_daemon_killed_under_load_gives_clean_503s_and_then_recovery() {
    let mut stack = unlimited().start().expect("the stack starts");
    let client = client(&stack);
    register(&client, "ada");
    let path = "/api/v1/users/by-name/ada";
    let seen = under_load(stack.address(), path, |answered| {
        stack.daemons()[0].kill();
        progress(answered, 100);
    });
    assert!(seen.keys().all(|status| [200, 503].contains(status)), "{seen:?}");
    assert!(seen.contains_key(&503), "{seen:?}");
    assert!(client.get(path).header("retry-after").parse::<u64>().is_ok());
    stack.restart_daemon(0).expect("starts again");
    eventually("200 again", || client.get(path).status == 200);
}

#[test]
fn redis_killed_under_load_fails_no_read_and_leaves_no_stale_row() {
    let mut stack = unlimited().start().expect("the stack starts");
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    let path = "/api/v1/users/by-name/ada";
    assert_eq!(client.get(path).status, 200);
    let edit = |nickname: &str| {
        ada.json(
            ureq::http::Method::PATCH,
            "/api/v1/me",
            &serde_json::json!({"nickname": nickname}),
        )
    };
    assert_eq!(edit("before").status, 200);
    let address = stack.address().to_owned();
    let seen = under_load(&address, path, |answered| {
        stack.redis().kill();
        progress(answered, 200);
        let refused = edit("while it is away");
        assert_eq!(refused.status, 503, "no write without its fence: {refused:?}");
        assert_eq!(client.get(path).json()["nickname"], "before");
        stack.redis().restart().expect("starts again");
        eventually("sessions are back", || ada.get("/api/v1/me").status == 200);
        assert_eq!(edit("after").status, 200);
        progress(answered, 200);
    });
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&200], "{seen:?}");
    assert_eq!(client.get(path).json()["nickname"], "after");
}

#[test]
fn mysql_restarted_loses_no_acknowledged_write() {
    let mut stack = unlimited().own_mariadb().start().expect("the stack starts");
    let address = stack.address().to_owned();
    let client = client(&stack);
    let people: Vec<_> =
        (0..4).map(|number| Person::new(&client, &format!("writer_{number}"))).collect();
    let stop = AtomicBool::new(false);
    let acknowledged = AtomicUsize::new(0);
    let last: Vec<(u64, u64)> = thread::scope(|scope| {
        let writers: Vec<_> = people
            .iter()
            .map(|person| {
                let (address, stop, acknowledged) = (&address, &stop, &acknowledged);
                scope.spawn(move || write_until(person, address, stop, acknowledged))
            })
            .collect();
        progress(&acknowledged, 50);
        stack.mariadb().kill();
        eventually("503 while MySQL is away", || {
            client.get("/api/v1/users/by-name/nobody_yet").status == 503
        });
        stack.mariadb().restart().expect("starts again");
        progress(&acknowledged, 50);
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().expect("no failure")).collect()
    });
    for (id, count) in last {
        let row = stack.sql(&format!("SELECT nickname FROM users WHERE id = {id}")).expect("a row");
        let stored: u64 = row.trim().parse().expect("a count");
        assert!(stored >= count, "{count} was acknowledged, {stored} is stored");
        let shown: Value = client.get(&format!("/api/v1/users/{id}")).json();
        assert_eq!(shown["nickname"], row.trim(), "the cache shows what is stored");
    }
}

/// Counts up in the own nickname until told to stop; the last count that was acknowledged.
fn write_until(
    person: &Person,
    address: &str,
    stop: &AtomicBool,
    acknowledged: &AtomicUsize,
) -> (u64, u64) {
    let mut wire = Wire::open(address).expect("accepted");
    let (mut count, mut last) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let body = format!("{{\"nickname\":\"{count}\"}}");
        wire.write_json("PATCH /api/v1/me", &person.token, &body).expect("taken");
        let heard = wire.hear().expect("answered");
        match heard.status {
            200 => {
                last = count;
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            503 | 504 => {}
            _ => panic!("{heard:?}"),
        }
        if heard.last {
            wire = Wire::open(address).expect("accepted");
        }
    }
    (person.id, last)
}

#[test]
fn a_front_told_to_stop_answers_what_is_in_flight_and_exits_well() {
    let stack = unlimited().start().expect("the stack starts");
    let person = client(&stack);
    register(&person, "ada");
    // Logins pay Argon2, so they are in flight for a while.
    let mut wires: Vec<_> =
        (0..8).map(|_| Wire::open(stack.address()).expect("accepted")).collect();
    let body = r#"{"username":"ada","password":"not the password"}"#;
    for wire in &mut wires {
        wire.write_json("POST /api/v1/login", "", body).expect("taken");
    }
    let mut probe = Wire::open(stack.address()).expect("accepted");
    probe.get("/health").expect("taken");
    assert_eq!(probe.hear().expect("answered").status, 200, "what was sent before has been read");
    stack.fronts()[0].terminate();
    for wire in &mut wires {
        let Heard { status, .. } = wire.hear().expect("answered");
        assert!([401, 429].contains(&status), "{status}");
    }
    let status = stack.fronts()[0].wait(PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert!(Wire::open(stack.address()).is_err(), "nothing listens any more");
}

#[test]
fn a_front_told_to_stop_under_load_loses_no_request() {
    let stack = unlimited().start().expect("the stack starts");
    register(&client(&stack), "ada");
    let answered = &AtomicUsize::new(0);
    let wires = [(); READERS].map(|()| Wire::open(stack.address()).expect("accepted"));
    thread::scope(|scope| {
        let readers: Vec<_> = wires
            .into_iter()
            .map(|mut wire| {
                scope.spawn(move || {
                    loop {
                        wire.get("/api/v1/users/by-name/ada").expect("taken");
                        let heard = wire.hear().expect("answered");
                        assert_eq!(heard.status, 200);
                        if heard.last {
                            return;
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        progress(answered, 100);
        stack.fronts()[0].terminate();
        readers.into_iter().for_each(|reader| reader.join().expect("told with an answer"));
    });
    let status = stack.fronts()[0].wait(PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_daemon_told_to_stop_under_load_answers_what_is_in_flight() {
    let stack = unlimited().daemons(2).start().expect("the stack starts");
    register(&client(&stack), "ada");
    let seen = under_load(stack.address(), "/api/v1/users/by-name/ada", |answered| {
        stack.daemons()[0].terminate();
        let status = stack.daemons()[0].wait(PATIENCE).expect("it ends");
        assert_eq!(status.code(), Some(0));
        progress(answered, 100);
    });
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&200], "nothing was lost: {seen:?}");
}
