//! Clients that take their time.

use crate::client::{Answer, Client, token};
use crate::daemon::{Daemon, user};
use crate::{Front, drivers};
use souk_front::config::Settings;
use souk_proto::Kind;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::time::Duration;

fn impatient(settings: &mut Settings) {
    settings.timeouts.head_s = 1;
    settings.timeouts.idle_s = 1;
    settings.timeouts.body_progress_s = 1;
    settings.timeouts.request_s = 1;
}

#[test]
fn a_head_or_a_body_that_does_not_come_is_answered_408() {
    for driver in drivers() {
        let daemon = Daemon::of_users("one", 1);
        let front = Front::start_with(driver, &[daemon.address()], impatient);
        let mut head = Client::connect(front.address());
        head.send("GET / HTTP/1.1\r\nhost: so");
        let mut body = Client::connect(front.address());
        body.send(
            "POST /api/v1/login HTTP/1.1\r\nhost: souk.test\r\ncontent-length: 100\r\n\
             content-type: application/json\r\n\r\n{",
        );
        for mut client in [head, body] {
            let answer = client.answer();
            assert_eq!(answer.status, 408);
            assert!(answer.has("connection: close"));
            client.ends();
        }
    }
}

#[test]
fn a_head_that_begins_behind_another_request_must_come_in_time_too() {
    for driver in drivers() {
        let daemon = Daemon::of_users("one", 1);
        let front = Front::start_with(driver, &[daemon.address()], |settings| {
            settings.timeouts.head_s = 1;
        });
        let mut client = Client::connect(front.address());
        let whole = "GET /nothing HTTP/1.1\r\nhost: souk.test\r\n\r\n";
        client.send([whole, whole, &whole[..20]].concat());
        assert_eq!(client.answer().status, 404);
        assert_eq!(client.answer().status, 404);
        let answer = client.answer();
        assert_eq!(answer.status, 408);
        assert!(answer.has("connection: close"));
        client.ends();
    }
}

/// Sends byte after byte until an answer comes.
fn drip(address: SocketAddr, start: &str) -> Answer {
    let mut client = Client::connect(address);
    client.send(start);
    let patience = client.socket().read_timeout().expect("readable");
    client.socket().set_read_timeout(Some(Duration::from_millis(100))).expect("settable");
    loop {
        client.send("x");
        match client.socket().peek(&mut [0]) {
            Ok(count) => break assert_eq!(count, 1, "an answer, not the end"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("no answer: {error}"),
        }
    }
    client.socket().set_read_timeout(patience).expect("settable");
    let answer = client.answer();
    client.ends_in_order();
    answer
}

#[test]
fn a_body_that_comes_byte_by_byte_is_bounded_in_all() {
    let daemon = Daemon::of_users("one", 1);
    let fronts = drivers()
        .into_iter()
        .map(|driver| Front::start_with(driver, &[daemon.address()], impatient))
        .collect::<Vec<_>>();
    let json = "POST /api/v1/login HTTP/1.1\r\nhost: souk.test\r\ncontent-length: 1000\r\n\
                content-type: application/json\r\n\r\n";
    let form = format!(
        "PUT /api/v1/me/picture HTTP/1.1\r\nhost: souk.test\r\ncontent-length: 1000\r\n\
         authorization: Bearer {}\r\ncontent-type: multipart/form-data; boundary=XX\r\n\r\n\
         --XX\r\ncontent-disposition: form-data; name=\"other\"\r\n\r\n",
        token(7)
    );
    std::thread::scope(|scope| {
        for address in fronts.iter().map(Front::address) {
            for start in [json, &form] {
                scope.spawn(move || {
                    let answer = drip(address, start);
                    assert_eq!(answer.status, 408);
                    assert!(answer.has("connection: close"));
                });
            }
        }
    });
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_not_late() {
    for driver in drivers() {
        let (sender, received) = channel();
        let daemon = Daemon::start("one", 1, move |event| {
            sender.send(event).expect("the test waits");
        });
        let front = Front::start_with(driver, &[daemon.address()], |settings| {
            settings.timeouts.body_progress_s = 1;
        });
        let mut client = Client::connect(front.address());
        client.ask("GET", "/api/v1/users/by-name/ada");
        client.send(
            "GET /health HTTP/1.1\r\nhost: souk.test\r\nexpect: 100-continue\r\n\
             content-length: 4\r\n\r\n",
        );
        let event = received.recv().expect("the request");
        // Another body, begun later, tells when the time is over.
        let mut clock = Client::connect(front.address());
        clock.send("GET /health HTTP/1.1\r\nhost: souk.test\r\ncontent-length: 4\r\n\r\nbo");
        assert_eq!(clock.answer().status, 408);
        event.answer(&user("ada"));
        assert_eq!(client.answer().status, 200);
        assert_eq!(client.head().status, 100);
        client.send("body");
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn a_connection_without_requests_ends_without_a_word() {
    for driver in drivers() {
        let daemon = Daemon::of_users("one", 1);
        let front = Front::start_with(driver, &[daemon.address()], impatient);
        let mut fresh = Client::connect(front.address());
        let mut idle = Client::connect(front.address());
        assert_eq!(idle.get("/nothing").status, 404);
        fresh.ends();
        idle.ends();
    }
}

#[test]
fn an_upload_that_stops_is_answered_408_and_cancelled() {
    for driver in drivers() {
        let (sender, received) = channel();
        let daemon = Daemon::start("one", 1, move |event| {
            sender.send(event.kind).expect("the test waits");
        });
        let front = Front::start_with(driver, &[daemon.address()], |settings| {
            impatient(settings);
            settings.timeouts.request_s = 60;
        });
        let mut client = Client::connect(front.address());
        client.send(format!(
            "PUT /api/v1/me/picture HTTP/1.1\r\nhost: souk.test\r\ncontent-type: image/png\r\n\
             authorization: Bearer {}\r\ncontent-length: 1000\r\n\r\nstart",
            token(7)
        ));
        assert_eq!(client.answer().status, 408);
        client.ends();
        assert!(received.iter().any(|kind| kind == Kind::Cancel));
    }
}

#[test]
fn a_daemon_that_does_not_answer_is_a_504_and_is_told_to_stop() {
    for driver in drivers() {
        let (sender, received) = channel();
        let daemon = Daemon::start("one", 1, move |event| {
            sender.send((event.kind, event.deadline_ms)).expect("the test waits");
        });
        let front = Front::start_with(driver, &[daemon.address()], impatient);
        let mut client = Client::connect(front.address());
        assert_eq!(client.get("/api/v1/users/by-name/ada").status, 504);
        let (kind, deadline_ms) = received.recv().expect("the request");
        assert_eq!(kind, Kind::Request);
        assert!((1..=1000).contains(&deadline_ms), "{deadline_ms}");
        assert_eq!(received.recv().expect("the end of it").0, Kind::Cancel);
        // The connection goes on.
        assert_eq!(client.get("/nothing").status, 404);
    }
}
