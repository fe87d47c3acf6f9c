//! An orderly end.

use crate::client::Client;
use crate::daemon::{Daemon, user};
use crate::{Front, drivers};
use std::io::Write;
use std::sync::mpsc::channel;

#[test]
fn requests_in_flight_are_answered_and_idle_connections_closed() {
    for driver in drivers() {
        let (sender, received) = channel();
        let daemon = Daemon::start("one", 1, move |event| {
            sender.send(event).expect("the test waits");
        });
        let front = Front::start(driver, &[&daemon]);
        let address = front.address();
        let mut idle = Client::connect(address);
        assert_eq!(idle.get("/nothing").status, 404);
        let mut fresh = Client::connect(address);
        let mut busy = Client::connect(address);
        busy.ask("GET", "/api/v1/users/by-name/ada");
        let event = received.recv().expect("the request");
        let stopping = std::thread::spawn(move || front.stop());
        // The idle one is closed while the other request is still in flight.
        idle.ends();
        event.answer(&user("ada"));
        let answer = busy.answer();
        assert_eq!(answer.status, 200);
        assert!(answer.has("connection: close"));
        busy.ends();
        fresh.ends();
        stopping.join().expect("no panic");
        std::net::TcpStream::connect(address).expect_err("nobody listens any more");
    }
}

#[test]
fn what_crosses_the_last_answer_does_not_cost_the_client_that_answer() {
    for driver in drivers() {
        let (sender, received) = channel();
        let daemon = Daemon::start("one", 1, move |event| {
            sender.send(event).expect("the test waits");
        });
        let front = Front::start(driver, &[&daemon]);
        let address = front.address();
        let mut idle = Client::connect(address);
        assert_eq!(idle.get("/nothing").status, 404);
        let mut client = Client::connect(address);
        client.ask("GET", "/api/v1/users/by-name/ada");
        let event = received.recv().expect("the request");
        let stopping = std::thread::spawn(move || front.stop());
        idle.ends();
        let burst = "GET /nothing HTTP/1.1\r\nhost: souk.test\r\n\r\n".repeat(2000);
        let mut writer = client.socket().try_clone().expect("files");
        let sending = std::thread::spawn(move || writer.write_all(burst.as_bytes()));
        event.answer(&user("ada"));
        let answer = std::iter::from_fn(|| Some(client.answer()))
            .find(|answer| answer.has("connection: close"));
        assert!(answer.is_some_and(|answer| [200, 404].contains(&answer.status)));
        sending.join().expect("no panic").expect("all of it is taken");
        client.ends_in_order();
        drop(client);
        stopping.join().expect("no panic");
    }
}

#[test]
fn clients_that_ask_without_a_pause_are_told_and_lose_nothing() {
    for driver in drivers() {
        let daemon = Daemon::of_users("one", 1);
        let front = Front::start(driver, &[&daemon]);
        let (sender, answered) = channel();
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let sender = sender.clone();
                let mut client = Client::connect(front.address());
                std::thread::spawn(move || {
                    loop {
                        let answer = client.get("/api/v1/users/by-name/ada");
                        assert_eq!(answer.status, 200);
                        if answer.has("connection: close") {
                            return client.ends_in_order();
                        }
                        let _ = sender.send(());
                    }
                })
            })
            .collect();
        assert_eq!(answered.iter().take(200).count(), 200);
        front.stop();
        readers.into_iter().for_each(|reader| reader.join().expect("each is told"));
    }
}

#[test]
fn a_request_that_waited_unread_is_served_before_the_end() {
    for driver in drivers() {
        let daemon = Daemon::of_users("one", 1);
        for _ in 0..20 {
            let front = Front::start(driver, &[&daemon]);
            let mut clients: Vec<_> = (0..20).map(|_| Client::connect(front.address())).collect();
            for client in &mut clients {
                client.ask("GET", "/api/v1/users/by-name/ada");
            }
            let stopping = std::thread::spawn(move || front.stop());
            for mut client in clients {
                assert_eq!(client.answer().status, 200);
            }
            stopping.join().expect("no panic");
        }
    }
}

#[test]
fn a_request_that_never_ends_does_not_hold_the_front_for_ever() {
    for driver in drivers() {
        let (sender, received) = channel();
        let daemon = Daemon::start("one", 1, move |event| {
            let _ = sender.send(event.kind);
        });
        let front = Front::start_with(driver, &[daemon.address()], |settings| {
            settings.timeouts.drain_s = 1;
            settings.timeouts.request_s = 60;
        });
        let mut client = Client::connect(front.address());
        client.ask("GET", "/api/v1/users/by-name/ada");
        received.recv().expect("the request");
        front.stop();
        client.ends();
    }
}
