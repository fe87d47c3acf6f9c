//! How many connections there are, and what becomes of their requests when they go.

use crate::client::Client;
use crate::daemon::Daemon;
use crate::{Front, drivers};
use souk_proto::Kind;
use std::sync::mpsc::channel;

#[test]
fn connections_over_a_limit_are_told_so() {
    for driver in drivers() {
        let daemon = Daemon::of_users("one", 1);
        for (max, per_address, status) in [(2, 100, 503), (100, 2, 429)] {
            let front = Front::start_with(driver, &[daemon.address()], |settings| {
                settings.connections.max = max;
                settings.connections.per_address = per_address;
            });
            let mut first = Client::connect(front.address());
            let mut second = Client::connect(front.address());
            assert_eq!(first.get("/nothing").status, 404);
            assert_eq!(second.get("/nothing").status, 404);
            let mut third = Client::connect(front.address());
            third.ask("GET", "/nothing");
            let answer = third.answer();
            assert_eq!(answer.status, status);
            assert!(answer.has("connection: close"));
            third.ends();
            // A place that is free again is given away again.
            first.send("GET /nothing HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            assert_eq!(first.answer().status, 404);
            first.ends();
            while Client::connect(front.address()).get("/nothing").status != 404 {}
        }
    }
}

#[test]
fn what_a_lost_client_asked_is_cancelled() {
    for driver in drivers() {
        let (sender, received) = channel();
        let daemon = Daemon::start("one", 1, move |event| {
            sender.send(event.kind).expect("the test waits");
        });
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        client.ask("GET", "/api/v1/users/by-name/ada");
        assert_eq!(received.recv(), Ok(Kind::Request));
        rustix::net::sockopt::set_socket_linger(client.socket(), Some(std::time::Duration::ZERO))
            .expect("settable");
        drop(client);
        assert_eq!(received.recv(), Ok(Kind::Cancel));
    }
}

#[test]
fn a_thousand_connections_at_once_are_all_served() {
    souk_process::raise_open_files().expect("the hard limit is ours");
    for driver in drivers() {
        let daemon = Daemon::of_users("one", 2);
        let front = Front::start_with(driver, &[daemon.address()], |settings| {
            settings.http.threads = 2;
        });
        let mut clients: Vec<_> = (0..1000).map(|_| Client::connect(front.address())).collect();
        for _ in 0..2 {
            for client in &mut clients {
                client.ask("GET", "/api/v1/users/by-name/ada");
            }
            for client in &mut clients {
                assert_eq!(client.answer().status, 200);
            }
        }
    }
}
