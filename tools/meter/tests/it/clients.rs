//! Clients of the admin listener that are slow, silent, mad or many.

use super::{GET, PATIENCE, Recorder, get, hub, request, serve};
use souk_meter::limits::ADMIN_CONNECTIONS_MAX;
use souk_meter::{Admin, AdminSettings, Answer, Latency, LatencySettings, Place};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

fn path(place: &Place) -> &Path {
    match place {
        Place::Unix(path) => path,
        Place::Tcp(address) => panic!("{address} is no socket"),
    }
}

fn connect(place: &Place) -> UnixStream {
    let stream = UnixStream::connect(path(place)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream
}

/// What comes back for these bytes, until the end.
fn say(place: &Place, bytes: &[u8]) -> String {
    let mut stream = connect(place);
    // A refusal may come before all of it is written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn garbage_is_refused_and_harms_nobody() {
    let hub = hub(true);
    let recorder = Recorder::start(&hub, || request(GET, 0));
    let (_running, place, _home) = serve(&hub, &LatencySettings::default());
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(8 * 1024));
    for (bytes, begins) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], "HTTP/1.1 400 "),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "),
        (b"GET /nothing HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "),
        (b"GET /metrics/../../etc/passwd HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "),
        (long.as_bytes(), "HTTP/1.1 431 "),
        (b"GET /metrics HTT", ""),
        (b"", ""),
    ] {
        let answer = say(&place, bytes);
        assert!(answer.starts_with(begins), "{answer}");
        assert!(!begins.is_empty() || answer.is_empty(), "{answer}");
    }
    let report = Latency::parse(&get(&place, "/latency")).expect("a report");
    assert!(report.stage("GET /users/{id}", "total").is_some());
    let error = souk_meter::client::get(&place, "/nothing", PATIENCE).expect_err("404");
    assert!(error.to_string().contains("/metrics, /latency"), "{error}");
    recorder.stop();
}

#[test]
fn clients_that_say_nothing_or_do_not_read_keep_nobody_else_from_reading() {
    let hub = hub(true);
    let recorder = Recorder::start(&hub, || request(GET, 0));
    let (_running, place, _home) = serve(&hub, &LatencySettings::default());
    let silent: Vec<UnixStream> =
        (0..ADMIN_CONNECTIONS_MAX / 2 - 1).map(|_| connect(&place)).collect();
    let deaf: Vec<UnixStream> = (0..ADMIN_CONNECTIONS_MAX / 2 - 1)
        .map(|_| {
            let mut stream = connect(&place);
            stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").expect("written");
            stream
        })
        .collect();
    for _ in 0..10 {
        assert!(get(&place, "/metrics").ends_with("# EOF\n"));
    }
    // Past the bound others are closed at once, without the words that the silent get in the end.
    // Which ones depends on when the answers to the deaf are done. Then there is room again.
    let more: Vec<UnixStream> = (0..2 * ADMIN_CONNECTIONS_MAX).map(|_| connect(&place)).collect();
    let closed = |mut stream: &UnixStream| stream.read(&mut [0]).expect("closed") == 0;
    let refused = more.iter().filter(|stream| closed(stream)).count();
    assert!(refused >= ADMIN_CONNECTIONS_MAX, "{refused}");
    drop((silent, deaf, more));
    while souk_meter::client::get(&place, "/metrics", PATIENCE).is_err() {
        std::thread::yield_now();
    }
    recorder.stop();
}

#[test]
fn other_paths_may_be_served_too_and_a_panic_in_one_ends_only_its_connection() {
    let home = tempfile::tempdir().expect("a directory");
    let listen = format!("unix:{}", home.path().join("a.sock").display());
    let opened = Admin::open(&hub(true), &AdminSettings::at(&listen), &LatencySettings::default());
    let mut admin = opened.expect("it opens");
    admin.handle("/twice", |query| match query.parameter("of").map(str::parse::<u32>) {
        Some(Ok(number)) => Answer::text(200, &(number * 2).to_string()),
        _ => Answer::text(400, "of must be a number"),
    });
    admin.handle("/panic", |_| panic!("a handler's mistake"));
    let place = admin.place().expect("it listens").clone();
    let _running = admin.start().expect("it starts");
    for _ in 0..2 * ADMIN_CONNECTIONS_MAX {
        assert!(souk_meter::client::get(&place, "/panic", PATIENCE).is_err());
    }
    assert_eq!(get(&place, "/twice?of=21"), "42");
    let refused = souk_meter::client::get(&place, "/twice?of=x", PATIENCE).expect_err("400");
    assert_eq!(refused.to_string(), "of must be a number");
}

#[test]
fn a_socket_is_private_replaced_when_left_over_and_never_taken_from_its_owner() {
    let latency = LatencySettings::default();
    let (running, place, home) = serve(&hub(true), &latency);
    let socket = path(&place).to_owned();
    let mode = std::fs::metadata(&socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = Admin::open(&hub(true), &AdminSettings::at(&place.to_string()), &latency);
    let said = again.err().expect("in use").to_string();
    assert!(said.contains("change admin.listen"), "{said}");
    running.stop();
    assert!(!socket.exists(), "it is gone with its program");
    // As a program leaves it that is killed.
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bound"));
    assert!(socket.exists());
    let again = Admin::open(&hub(true), &AdminSettings::at(&place.to_string()), &latency);
    again.expect("replaced");
    drop(home);
}

#[test]
fn a_port_that_is_taken_is_named_and_port_0_takes_any() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let latency = LatencySettings::default();
    let opened = Admin::open(&hub(true), &AdminSettings::at(&address), &latency);
    let said = opened.err().expect("taken").to_string();
    assert!(said.contains(&address) && said.contains("admin.listen"), "{said}");
    let any = Admin::open(&hub(true), &AdminSettings::at("127.0.0.1:0"), &latency).expect("any");
    let place = any.place().expect("it listens").clone();
    let _running = any.start().expect("it starts");
    assert!(get(&place, "/metrics").ends_with("# EOF\n"));
    let wrong = Admin::open(&hub(true), &AdminSettings::at("localhost"), &latency);
    let said = wrong.err().expect("no place").to_string();
    assert!(said.contains("ADDRESS:PORT"), "{said}");
}
