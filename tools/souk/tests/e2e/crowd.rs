//! Many connections at once, on both drivers.

use crate::accounts::{person, unlimited};
use crate::wire::Wire;
use souk_stack::Stack;
use std::thread;

/// Threads that open connections at the same time.
const THREADS: usize = 64;

/// Opens `count` connections at once and holds them all while each is asked `rounds` times.
fn storm(stack: &Stack, count: usize, rounds: usize) {
    souk_process::raise_open_files().expect("the limit of open files can be raised");
    let address = stack.address();
    let share = |number: usize| count / THREADS + usize::from(number < count % THREADS);
    thread::scope(|scope| {
        let held: Vec<_> = (0..THREADS)
            .map(|number| {
                scope.spawn(move || {
                    let mut wires: Vec<_> = (0..share(number))
                        .map(|_| Wire::open(address).expect("accepted"))
                        .collect();
                    for _ in 0..rounds {
                        for wire in &mut wires {
                            wire.get("/api/v1/users/by-name/ada").expect("taken");
                        }
                        for wire in &mut wires {
                            let heard = wire.hear().expect("answered");
                            assert_eq!(heard.status, 200, "{heard:?}");
                            assert!(heard.body.contains("\"ada\""));
                        }
                    }
                    wires
                })
            })
            .collect();
        let open: usize =
            held.into_iter().map(|wires| wires.join().expect("no failure").len()).sum();
        assert_eq!(open, count);
    });
}

#[test]
fn a_thousand_connections_are_served() {
    let stack = unlimited().start().expect("the stack starts");
    person::register(&person::client(&stack), "ada");
    storm(&stack, 1000, 10);
}

#[test]
fn ten_thousand_connections_opened_at_once_are_all_served() {
    let stack = unlimited().start().expect("the stack starts");
    person::register(&person::client(&stack), "ada");
    storm(&stack, 10_000, 1);
}

#[test]
fn both_drivers_serve_the_same() {
    for driver in ["uring", "epoll"] {
        let stack =
            unlimited().front_arg("--driver").front_arg(driver).start().expect("the stack starts");
        let client = person::client(&stack);
        let ada = person::Person::new(&client, "ada");
        assert_eq!(ada.me()["username"], "ada");
        storm(&stack, 200, 5);
        let log = stack.fronts()[0].log();
        assert!(log.contains(driver), "the log names the driver: {log}");
        assert!(stack.fronts()[0].stop().expect("stops").success());
    }
}
