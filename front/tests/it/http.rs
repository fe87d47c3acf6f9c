//! What HTTP promises, over sockets.

use crate::client::{Client, token};
use crate::daemon::{Daemon, Event, user};
use crate::{Front, drivers};
use souk_proto::accounts::{CreateUserRequest, PictureHead};
use souk_proto::{Code, Failure, Flags, Header, Kind, Method};
use std::sync::Mutex;
use std::sync::mpsc::channel;

#[test]
fn pipelined_answers_keep_the_order_of_their_requests() {
    for driver in drivers() {
        // Holds every request until the last has come, then answers the last one first.
        let held: Mutex<Vec<Event>> = Mutex::default();
        let daemon = Daemon::start("one", 1, move |event| {
            let mut held = held.lock().expect("no panic");
            held.push(event);
            if held.len() == 3 {
                held.drain(..).rev().for_each(|event| event.answer(&user(&event.name())));
            }
        });
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        let request = |name: &str| {
            format!("GET /api/v1/users/by-name/{name} HTTP/1.1\r\nhost: souk.test\r\n\r\n")
        };
        client.send(["first", "second", "third"].map(request).concat());
        for name in ["first", "second", "third"] {
            let answer = client.answer();
            assert_eq!(answer.status, 200);
            assert!(answer.text().contains(&format!("\"username\":\"{name}\"")), "{answer:?}");
        }
    }
}

#[test]
fn more_requests_than_may_be_in_flight_are_all_answered_in_order() {
    for driver in drivers() {
        let daemon = Daemon::of_users("one", 2);
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        let names: Vec<String> = (0..500).map(|number| format!("user{number}")).collect();
        let requests: String = names
            .iter()
            .map(|name| {
                format!("GET /api/v1/users/by-name/{name} HTTP/1.1\r\nhost: souk.test\r\n\r\n")
            })
            .collect();
        client.send(requests);
        for name in names {
            let answer = client.answer();
            assert!(answer.text().contains(&format!("\"{name}\"")), "{answer:?}");
        }
    }
}

#[test]
fn a_pipelined_request_that_changes_something_runs_alone() {
    for driver in drivers() {
        let (sender, received) = channel();
        let daemon = Daemon::start("one", 1, move |event| {
            sender.send(event).expect("the test waits");
        });
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        let mut other = Client::connect(front.address());
        let request = |line: &str, body: &str| {
            format!(
                "{line} HTTP/1.1\r\nhost: souk.test\r\ncontent-type: application/json\r\n\
                 authorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
                token(7),
                body.len()
            )
        };
        let credentials = r#"{"username":"ada","password":"correct horse"}"#;
        client.send(
            [
                request("POST /api/v1/users", credentials),
                request("POST /api/v1/login", credentials),
                request("GET /api/v1/me", ""),
                request("GET /api/v1/me", ""),
                request("PATCH /api/v1/me", r#"{"nickname":"Ada"}"#),
                request("GET /api/v1/me", ""),
            ]
            .concat(),
        );
        let next = || received.recv().expect("a request");
        // What another client asks meanwhile overtakes whatever waits.
        let mut nothing_else = || {
            other.ask("GET", "/api/v1/users/by-name/probe");
            let event = next();
            assert_eq!(event.method, Some(Method::GetUserByName));
            event.answer(&user("probe"));
            assert_eq!(other.answer().status, 200);
        };
        let beside: [&[Method]; 5] = [
            &[Method::CreateUser],
            &[Method::Login],
            &[Method::GetMe, Method::GetMe],
            &[Method::EditMe],
            &[Method::GetMe],
        ];
        for methods in beside {
            let held: Vec<_> = methods.iter().map(|_| next()).collect();
            assert!(held.iter().map(|event| event.method).eq(methods.iter().copied().map(Some)));
            nothing_else();
            for event in held {
                event.fail(&Failure::new(Code::Busy));
                assert_eq!(client.answer().status, 503);
            }
        }
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    for driver in drivers() {
        let daemon = Daemon::of_users("one", 1);
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        for _ in 0..2 {
            let request = b"GET /api/v1/users/by-name/slow HTTP/1.1\r\nhost: souk.test\r\n\r\n";
            request.iter().for_each(|byte| client.send([*byte]));
            assert_eq!(client.answer().status, 200);
        }
    }
}

#[test]
fn the_largest_head_is_taken_and_a_larger_one_refused() {
    let daemon = Daemon::of_users("one", 1);
    let front = Front::start("epoll", &[&daemon]);
    let mut client = Client::connect(front.address());
    let padded = |length: usize| {
        let start = "GET /api/v1/users/by-name/big HTTP/1.1\r\nhost: souk.test\r\nx: ";
        let padding = "x".repeat(length - start.len() - 4);
        format!("{start}{padding}\r\n\r\n")
    };
    client.send(padded(16 * 1024));
    assert_eq!(client.answer().status, 200);
    client.send(padded(16 * 1024 + 1));
    let answer = client.answer();
    assert_eq!(answer.status, 431);
    assert!(answer.has("connection: close"));
    client.ends();
}

#[test]
fn head_and_http_1_0_are_answered_as_the_rfc_says() {
    for driver in drivers() {
        let daemon = Daemon::of_users("one", 1);
        let front = Front::start(driver, &[&daemon]);
        let path = "/api/v1/users/by-name/ada";
        let mut client = Client::connect(front.address());
        let length = client.get(path).header("content-length").expect("sent").to_owned();
        client.ask("HEAD", path);
        let head = client.head();
        assert_eq!((head.status, head.header("content-length")), (200, Some(&*length)));
        // Had a body come, it would be read as the next head.
        assert_eq!(client.get(path).status, 200);

        client.send(format!("GET {path} HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"));
        assert!(client.answer().has("connection: keep-alive"));
        client.send(format!("GET {path} HTTP/1.0\r\n\r\n"));
        assert!(client.answer().has("connection: close"));
        client.ends();

        let mut client = Client::connect(front.address());
        client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"));
        assert!(client.answer().has("connection: close"));
        client.ends();
    }
}

#[test]
fn a_client_that_has_sent_everything_still_gets_its_answer() {
    for driver in drivers() {
        let daemon = Daemon::of_users("one", 1);
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        client.ask("GET", "/api/v1/users/by-name/ada");
        client.socket().shutdown(std::net::Shutdown::Write).expect("connected");
        assert_eq!(client.answer().status, 200);
        client.ends();
    }
}

#[test]
fn a_malformed_request_is_answered_after_those_before_it_and_ends_the_connection() {
    for driver in drivers() {
        let daemon = Daemon::of_users("one", 1);
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        client.send(
            "GET /api/v1/users/by-name/ada HTTP/1.1\r\nhost: souk.test\r\n\r\n\
             GET /nothing HTTP/1.1\r\nhost: souk.test\r\n\r\n\
             GET / HTTP/1.1\r\nhost : souk.test\r\n\r\nand more that nobody reads",
        );
        assert_eq!(client.answer().status, 200);
        assert_eq!(client.answer().status, 404);
        let answer = client.answer();
        assert_eq!(answer.status, 400);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(answer.has("connection: close"));
        client.ends();
    }
}

#[test]
fn a_listed_site_can_read_why_its_request_leads_nowhere() {
    let daemon = Daemon::of_users("one", 1);
    let front = Front::start_with("epoll", &[daemon.address()], |settings| {
        settings.http.cors_origins = vec!["https://shop.example".into()];
    });
    for (status, line, fields) in [
        (404, "GET /nothing", ""),
        (405, "PUT /api/v1/login", ""),
        (413, "POST /api/v1/login", "content-type: application/json\r\ncontent-length: 99999\r\n"),
        (415, "POST /api/v1/login", "content-type: text/plain\r\ncontent-length: 1\r\n"),
    ] {
        let mut client = Client::connect(front.address());
        client.send(format!(
            "{line} HTTP/1.1\r\nhost: souk.test\r\norigin: https://shop.example\r\n{fields}\r\n"
        ));
        let answer = client.answer();
        assert_eq!(answer.status, status);
        assert!(answer.has("access-control-allow-origin: https://shop.example"), "{answer:?}");
        assert!(answer.text().contains("\"trace_id\":\""), "{answer:?}");
    }
}

#[test]
fn a_refusal_is_seen_whole_however_much_was_sent() {
    for driver in drivers() {
        let daemon = creates_users();
        let front = Front::start(driver, &[&daemon]);
        let head = "POST /api/v1/users HTTP/1.1\r\nhost: souk.test\r\n\
                    content-type: application/json\r\n";
        let chunked = "transfer-encoding: chunked\r\n";
        let body = "x".repeat(100_000);
        for (status, request) in [
            (400, format!("{head}{chunked}content-length: 100000\r\n\r\n{body}")),
            (431, format!("GET / HTTP/1.1\r\nhost: souk.test\r\nx: {}", &body[..40 * 1024])),
            (414, format!("GET /{} HTTP/1.1\r\n", &body[..20 * 1024])),
            (400, format!("{head}{chunked}\r\n5 \r\n{body}")),
            (400, format!("{}5 \r\n{body}", upload("transfer-encoding: chunked"))),
            (404, format!("POST /nothing HTTP/1.1\r\nhost: a\r\n{chunked}\r\n1\r\n{body}")),
        ] {
            for piece in [request.len(), 2048, 32 * 1024] {
                let mut client = Client::connect(front.address());
                request.as_bytes().chunks(piece).for_each(|piece| client.send(piece));
                let answer = client.answer();
                assert_eq!(answer.status, status, "{answer:?}");
                assert!(answer.has("connection: close"));
                client.ends_in_order();
            }
        }
    }
}

fn creates_users() -> Daemon {
    Daemon::start("one", 1, |event| {
        if event.method == Some(Method::CreateUser) {
            event.answer(&user(&event.decode::<CreateUserRequest>().username));
        }
    })
}

#[test]
fn the_body_is_asked_for_when_the_client_waits_for_that() {
    for driver in drivers() {
        let daemon = creates_users();
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        let body = r#"{"username":"ada","password":"correct horse"}"#;
        client.send(format!(
            "POST /api/v1/users HTTP/1.1\r\nhost: souk.test\r\nexpect: 100-continue\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ));
        assert_eq!(client.head().status, 100);
        client.send(body);
        assert_eq!(client.answer().status, 201);

        // A body that will not be taken is not asked for.
        client.send(
            "POST /api/v1/users HTTP/1.1\r\nhost: souk.test\r\nexpect: 100-continue\r\n\
             content-type: application/json\r\ncontent-length: 99999999\r\n\r\n",
        );
        assert_eq!(client.answer().status, 413);
        client.ends();
    }
}

#[test]
fn a_chunked_body_may_come_in_any_pieces_and_requests_may_follow_it() {
    for driver in drivers() {
        let daemon = creates_users();
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        let request = "POST /api/v1/users HTTP/1.1\r\nhost: souk.test\r\n\
                       content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
                       14;note=x\r\n{\"username\":\"chunky\"\r\n\
                       1C\r\n,\"password\":\"correct horse\"}\r\n0\r\n\r\n";
        for pieces in [1, 7, 4096] {
            for piece in request.as_bytes().chunks(pieces) {
                client.send(piece);
            }
            client.ask("GET", "/nothing");
            let answer = client.answer();
            assert_eq!(answer.status, 201, "{answer:?}");
            assert!(answer.text().contains("chunky"));
            assert_eq!(client.answer().status, 404);
        }
        client.send(request.replace("1C\r\n", "1C \r\n"));
        assert_eq!(client.answer().status, 400);
        client.ends();
    }
}

/// The head of a picture upload with this framing line.
fn upload(framing: &str) -> String {
    format!(
        "PUT /api/v1/me/picture HTTP/1.1\r\nhost: souk.test\r\ncontent-type: image/png\r\n\
         authorization: Bearer {}\r\n{framing}\r\n\r\n",
        token(7)
    )
}

#[test]
fn a_picture_streams_through_to_the_daemon_whole() {
    for driver in drivers() {
        let (sender, received) = channel();
        let daemon = Daemon::start("one", 1, move |event| {
            if event.kind == Kind::Push {
                sender.send(event.payload.clone()).expect("the test waits");
                if event.flags.has(Flags::END) {
                    event.answer(&user("painter"));
                }
            }
        });
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        let picture: Vec<u8> = (0..2_000_000u32).map(|at| (at % 251) as u8).collect();
        client.send(upload(&format!("content-length: {}", picture.len())));
        client.send(&picture);
        assert_eq!(client.answer().status, 200);
        assert!(received.try_iter().flatten().eq(picture.iter().copied()));

        client.send(upload("transfer-encoding: chunked"));
        for chunk in picture.chunks(100_000) {
            client.send(format!("{:x}\r\n", chunk.len()));
            client.send(chunk);
            client.send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.answer().status, 200);
        assert!(received.try_iter().flatten().eq(picture.iter().copied()));
        // The connection is still in step.
        assert_eq!(client.get("/nothing").status, 404);
    }
}

#[test]
fn an_early_answer_to_an_upload_is_seen_and_ends_the_connection() {
    for driver in drivers() {
        let daemon = Daemon::start("one", 1, |event| {
            if event.kind == Kind::Request {
                event.fail(&Failure::new(Code::PictureUnsupported));
            }
        });
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        client.send(upload("content-length: 4000000"));
        client.send([0; 1000]);
        let answer = client.answer();
        assert_eq!(answer.status, 415);
        assert!(answer.has("connection: close"), "{answer:?}");
        // The rest is still taken for a moment, so that the answer is not lost to a reset.
        client.try_send([0; 10_000]);
        client.ends();
    }
}

#[test]
fn a_streamed_answer_comes_whole_and_its_failure_cuts_it_short() {
    for driver in drivers() {
        let daemon = Daemon::start("one", 1, |event| {
            if event.kind != Kind::Request {
                return;
            }
            let head = PictureHead { media_type: "image/png".into(), length: 300_000 };
            let stream = Header::new(Kind::Response, event.id).flags(Flags::STREAM);
            event.link.message(&stream, &head);
            let push = Header::new(Kind::Push, event.id);
            for _ in 0..9 {
                event.link.bytes(&push, &[7; 30_000]);
            }
            let request: souk_proto::accounts::GetPictureRequest = event.decode();
            if request.size == 64 {
                event.link.message(
                    &push.flags(Flags::ERROR),
                    &souk_proto::common::Error::from(&Failure::new(Code::Internal)),
                );
            } else {
                event.link.bytes(&push.flags(Flags::END), &[7; 30_000]);
            }
        });
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        let path = format!("/pictures/{}", "ab".repeat(32));
        for _ in 0..3 {
            let answer = client.get(&path);
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body, vec![7; 300_000]);
        }
        client.ask("GET", &format!("{path}?size=64"));
        assert_eq!(client.head().status, 200);
        assert!(client.rest().len() < 300_000);
    }
}
