//! The load generator against servers that freeze, refuse, reset, lie and fall silent.

use crate::servers::{answer, ok, request, serve};
use proptest::prelude::*;
use souk_perf::engine::{
    Arrivals, EngineError, ErrorClass, Load, Measured, Plan, Protocol, Response, Stop, Tag,
    Workload, Wrong, limits, run,
};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

const CLOSED: Load = Load::Closed { pipeline: 1, think: Duration::ZERO };

fn open(rate_per_s: f64) -> Load {
    Load::Open { rate_per_s, arrivals: Arrivals::Constant }
}

fn plan(address: SocketAddr, load: Load) -> Plan {
    Plan {
        protocol: Protocol::Http,
        address,
        threads: 2,
        connections: 8,
        load,
        ramp: Duration::ZERO,
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(300),
        request_timeout: Duration::from_secs(30),
        seed: 1,
    }
}

fn measure(plan: &Plan, request: &'static str) -> Measured {
    run(plan, &Stop::default(), |_| Get(request), |_| {}).expect("a run")
}

/// The same request over and over; any 200 will do.
struct Get(&'static str);

impl Workload for Get {
    fn connect(&mut self, _connection: usize, _out: &mut Vec<u8>) {}

    fn next(&mut self, _connection: usize, out: &mut Vec<u8>) -> Tag {
        out.extend_from_slice(self.0.as_bytes());
        Tag(0)
    }

    fn check(&mut self, _: usize, _: Tag, response: &Response<'_>) -> Result<(), Wrong> {
        if response.status == 200 { Ok(()) } else { Err(Wrong::Status) }
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// A server that answers at once but for one second, in which it does nothing.
fn freezes() -> SocketAddr {
    let first = OnceLock::new();
    let frozen = Duration::from_secs(1)..Duration::from_secs(2);
    answer(move |_| {
        let age = first.get_or_init(Instant::now).elapsed();
        if frozen.contains(&age) {
            thread::sleep(frozen.end - age);
        }
        Some(ok(b"hello"))
    })
}

#[test]
fn an_open_loop_shows_a_frozen_server_and_a_closed_one_hides_it() {
    let lengths = |load| Plan { duration: Duration::from_secs(3), ..plan(freezes(), load) };
    let open = measure(&lengths(open(300.0)), GET);
    let closed = measure(&lengths(CLOSED), GET);
    assert_eq!((open.errors.total(), closed.errors.total()), (0, 0), "{open:?} {closed:?}");
    let (openly, closely) = (open.latency_of_all(), closed.latency_of_all());
    let p99 = |latencies: &hdrhistogram::Histogram<u64>| latencies.value_at_quantile(0.99);
    // Both met the stall. A third of the open loop's requests were due in it.
    assert!(closely.max() > 500_000_000, "the closed loop was there too");
    assert!(openly.value_at_quantile(0.8) > 100_000_000);
    assert!(p99(&openly) > 500_000_000, "p99 shows the stall");
    assert!(p99(&openly) > 5 * p99(&closely), "{} and {}", p99(&openly), p99(&closely));
    // Half a minute of wrk would not show it either: time on the wire does not.
    assert!(open.service_time_of_all().value_at_quantile(0.8) < openly.value_at_quantile(0.8));
}

#[test]
fn every_request_of_an_open_load_is_answered_or_accounted_for() {
    let address = answer(|_| Some(ok(b"hello")));
    for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
        let load = Load::Open { rate_per_s: 2_000.0, arrivals };
        let ramp = Duration::from_millis(200);
        let plan = Plan { ramp, warm_up: ramp, ..plan(address, load) };
        let measured = measure(&plan, GET);
        assert_eq!(measured.errors.total(), 0);
        assert_eq!((measured.sent, measured.unfinished), (measured.answered, 0));
        assert_eq!(measured.latency[&Tag(0)].len(), measured.answered);
        assert_eq!(measured.service_time[&Tag(0)].len(), measured.answered);
        // 600 on average; Poisson's standard deviation is 25.
        assert!((450..=750).contains(&measured.sent), "{} of 600", measured.sent);
        assert_eq!(measured.timeline.len(), 3);
        assert_eq!(measured.open_at_end, 8);
    }
}

#[test]
fn a_port_that_nobody_listens_on_is_counted_and_asked_with_pauses() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let measured = measure(&plan(address, CLOSED), GET);
    let refused = measured.errors.of(ErrorClass::Refused);
    assert_eq!((measured.sent, measured.errors.total()), (0, refused));
    assert!((8..=8 * 40).contains(&refused), "{refused} in 0.3 s by 8 connections");
    assert!(measured.examples[0].text.contains("refused"), "{:?}", measured.examples);
    let open = measure(&plan(address, open(1_000.0)), GET);
    assert!(open.errors.of(ErrorClass::NotSent) > 100, "{:?}", open.errors);
}

#[test]
fn a_server_that_resets_is_counted() {
    let address = serve(|mut stream| {
        if request(&mut stream).is_ok() {
            let socket = socket2::SockRef::from(&stream);
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
    let measured = measure(&plan(address, CLOSED), GET);
    assert_eq!(measured.answered, 0);
    assert!(measured.errors.of(ErrorClass::Reset) >= 8, "{:?}", measured.errors);
    assert_eq!(measured.sent, measured.errors.total());
}

#[test]
fn a_server_that_closes_without_an_answer_is_counted() {
    let address = answer(|_| None);
    let measured = measure(&plan(address, CLOSED), GET);
    assert!(measured.errors.of(ErrorClass::ClosedEarly) >= 8, "{:?}", measured.errors);
    assert_eq!((measured.answered, measured.sent), (0, measured.errors.total()));
}

#[test]
fn a_server_that_falls_silent_is_counted() {
    let address = serve(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    for (load, requests) in [(CLOSED, 1), (Load::Closed { pipeline: 4, think: Duration::ZERO }, 4)]
    {
        let request_timeout = Duration::from_millis(100);
        let measured = measure(&Plan { request_timeout, ..plan(address, load) }, GET);
        let late = measured.errors.of(ErrorClass::TimedOut);
        assert!(late >= 8 * requests, "{:?}", measured.errors);
        assert_eq!((measured.answered, measured.sent), (0, late));
    }
}

#[test]
fn what_is_due_beyond_the_queue_is_counted_as_not_sent() {
    let address = serve(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let request_timeout = Duration::from_millis(500);
    let plan = Plan { threads: 1, request_timeout, ..plan(address, open(400_000.0)) };
    let measured = measure(&plan, GET);
    // 120,000 were due, 8 or a few more were sent; the queue's rest was given up at the end.
    let errors = measured.errors;
    assert!(errors.of(ErrorClass::NotSent) > limits::OPEN_QUEUE_MAX as u64, "{errors:?}");
    assert_eq!(measured.sent, errors.of(ErrorClass::TimedOut), "{errors:?}");
    assert!((119_990..=120_010).contains(&errors.total()), "{errors:?}");
}

#[test]
fn a_server_of_another_protocol_is_counted_as_malformed() {
    let address = serve(|mut stream| {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let measured = measure(&plan(address, CLOSED), GET);
    assert!(measured.errors.of(ErrorClass::Malformed) >= 8, "{:?}", measured.errors);
    assert!(measured.examples.iter().any(|one| one.text.contains("220 mail")));
}

#[test]
fn answers_that_are_not_those_expected_are_counted_with_an_example() {
    struct Picky;
    impl Workload for Picky {
        fn connect(&mut self, _connection: usize, _out: &mut Vec<u8>) {}
        fn next(&mut self, connection: usize, out: &mut Vec<u8>) -> Tag {
            let path = connection % 2;
            write!(out, "GET /{path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("memory");
            Tag(7)
        }
        fn check(&mut self, _: usize, tag: Tag, response: &Response<'_>) -> Result<(), Wrong> {
            assert_eq!(tag, Tag(7));
            match response.status {
                200 => Err(Wrong::Content("the name is missing")),
                _ => Err(Wrong::Status),
            }
        }
    }
    let address = answer(|line| {
        let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope".to_vec();
        Some(if line.contains("/0") { ok(b"{}") } else { missing })
    });
    let measured = run(&plan(address, CLOSED), &Stop::default(), |_| Picky, |_| {}).unwrap();
    let errors = measured.errors;
    assert!(errors.of(ErrorClass::WrongContent) > 0 && errors.of(ErrorClass::WrongStatus) > 0);
    assert_eq!((measured.answered, errors.total()), (0, measured.sent));
    let texts: Vec<_> = measured.examples.iter().map(|example| &example.text[..]).collect();
    assert!(texts.contains(&"the name is missing: {}"), "{texts:?}");
    assert!(texts.contains(&"status 404: nope"), "{texts:?}");
}

/// Asks for numbers and expects each in the answer, in order.
#[derive(Default)]
struct Counting {
    next: usize,
    expected: Vec<VecDeque<usize>>,
}

impl Workload for Counting {
    fn connect(&mut self, connection: usize, _out: &mut Vec<u8>) {
        self.expected.resize_with(self.expected.len().max(connection + 1), VecDeque::new);
        self.expected[connection].clear();
    }

    fn next(&mut self, connection: usize, out: &mut Vec<u8>) -> Tag {
        self.next += 1;
        self.expected[connection].push_back(self.next);
        write!(out, "GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", self.next).expect("memory");
        Tag(u16::try_from(self.next % 3).expect("small"))
    }

    fn check(&mut self, connection: usize, tag: Tag, response: &Response<'_>) -> Result<(), Wrong> {
        let expected = self.expected[connection].pop_front().expect("a request");
        assert_eq!(usize::from(tag.0), expected % 3);
        let number = format!("/{expected}");
        let right = response.body.starts_with(number.as_bytes());
        if right { Ok(()) } else { Err(Wrong::Content("another request's answer")) }
    }
}

#[test]
fn pipelined_answers_in_all_framings_and_pieces_meet_their_requests() {
    let address = serve(|mut stream| {
        while let Ok(line) = request(&mut stream) {
            let path = line.split(' ').nth(1).expect("a path");
            let number: usize = path[1..].parse().expect("a number");
            let body = path.repeat(1 + number % 50);
            let (length, body_length) = (body.len(), body.len());
            let bytes = match number % 3 {
                0 => format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"),
                1 => format!(
                    "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\
                     Transfer-Encoding: chunked\r\n\r\n{body_length:x}\r\n{body}\r\n0\r\n\r\n"
                ),
                _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"),
            };
            for piece in bytes.as_bytes().chunks(1 + number % 97) {
                if stream.write_all(piece).is_err() {
                    return;
                }
            }
        }
    });
    let load = Load::Closed { pipeline: 16, think: Duration::ZERO };
    let make = |_| Counting::default();
    let measured = run(&plan(address, load), &Stop::default(), make, |_| {}).unwrap();
    assert_eq!(measured.errors.total(), 0, "{:?}", measured.examples);
    assert!(measured.answered > 8 * 16);
    assert_eq!(measured.latency.len(), 3);
}

#[test]
fn a_server_that_closes_after_each_answer_is_no_error() {
    for end in ["Connection: close\r\nContent-Length: 2\r\n\r\nhi", "\r\nuntil the end"] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{end}").into_bytes();
        let address = serve(move |mut stream| {
            if request(&mut stream).is_ok() {
                let _ = stream.write_all(&bytes);
            }
        });
        let measured = measure(&plan(address, CLOSED), GET);
        assert_eq!(measured.errors.total(), 0, "{:?}", measured.examples);
        assert!(measured.answered > 16, "each connection is made again");
    }
}

#[test]
fn answers_to_head_requests_have_no_body() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n".to_vec();
    let address = answer(move |_| Some(head.clone()));
    let measured = measure(&plan(address, CLOSED), "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(measured.answered > 8 && measured.errors.total() == 0, "{:?}", measured.examples);
}

#[test]
fn answers_larger_than_all_read_buffers_arrive_whole() {
    struct Large(Arc<Vec<u8>>);
    impl Workload for Large {
        fn connect(&mut self, _connection: usize, _out: &mut Vec<u8>) {}
        fn next(&mut self, _connection: usize, out: &mut Vec<u8>) -> Tag {
            out.extend_from_slice(GET.as_bytes());
            Tag(0)
        }
        fn check(&mut self, _: usize, _: Tag, response: &Response<'_>) -> Result<(), Wrong> {
            if response.body == &self.0[..] { Ok(()) } else { Err(Wrong::Content("other bytes")) }
        }
    }
    let size = 3 * usize::from(limits::READ_BUFFERS.0) * limits::READ_BUFFER_SIZE;
    let body: Arc<Vec<u8>> = Arc::new((0..=250).cycle().take(size).collect());
    let bytes = ok(&body);
    let address = answer(move |_| Some(bytes.clone()));
    let make = |_| Large(Arc::clone(&body));
    let measured = run(&plan(address, CLOSED), &Stop::default(), make, |_| {}).unwrap();
    assert_eq!(measured.errors.total(), 0, "{:?}", measured.examples);
    assert!(measured.answered >= 8);
}

#[test]
fn a_request_larger_than_the_sockets_buffers_is_sent_whole() {
    struct Put(usize);
    impl Workload for Put {
        fn connect(&mut self, _connection: usize, _out: &mut Vec<u8>) {}
        fn next(&mut self, _connection: usize, out: &mut Vec<u8>) -> Tag {
            write!(out, "PUT / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", self.0).expect("memory");
            out.resize(out.len() + self.0, b'a');
            Tag(0)
        }
        fn check(&mut self, _: usize, _: Tag, response: &Response<'_>) -> Result<(), Wrong> {
            if response.status == 200 { Ok(()) } else { Err(Wrong::Status) }
        }
    }
    let size = 12 << 20;
    let address = serve(move |mut stream| {
        let mut body = vec![0; size];
        while request(&mut stream).is_ok() && stream.read_exact(&mut body).is_ok() {
            assert!(body.iter().all(|byte| *byte == b'a'));
            let _ = stream.write_all(&ok(b""));
        }
    });
    let plan = Plan { connections: 2, ..plan(address, CLOSED) };
    let measured = run(&plan, &Stop::default(), |_| Put(size), |_| {}).unwrap();
    assert_eq!(measured.errors.total(), 0, "{:?}", measured.examples);
    assert!(measured.answered >= 2);
}

#[test]
fn each_connection_of_a_storm_asks_once_and_stays() {
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    let address = answer(move |_| {
        asked.fetch_add(1, Ordering::Relaxed);
        Some(ok(b"hello"))
    });
    let (connections, duration) = (200, Duration::ZERO);
    let storm = Plan { connections, duration, ..plan(address, Load::Once) };
    let measured = measure(&storm, GET);
    assert_eq!(measured.errors.total(), 0, "{:?}", measured.examples);
    assert_eq!((measured.sent, measured.answered, measured.open_at_end), (200, 200, 200));
    assert_eq!((measured.latency_of_all().len(), count.load(Ordering::Relaxed)), (200, 200));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = measure(&Plan { connections, duration, ..plan(nobody, Load::Once) }, GET);
    assert_eq!(refused.errors.of(ErrorClass::Refused), 200);
    assert_eq!(refused.errors.total(), 200);
}

#[test]
fn think_time_is_kept_between_an_answer_and_the_next_request() {
    let address = answer(|_| Some(ok(b"hello")));
    let think = Duration::from_millis(100);
    let measured = measure(&plan(address, Load::Closed { pipeline: 1, think }), GET);
    // 8 connections in 0.3 s: three or four requests each at most.
    assert!((8..=32).contains(&measured.sent), "{}", measured.sent);
    assert_eq!(measured.answered, measured.sent);
}

#[test]
fn a_stopped_run_gives_what_it_has() {
    let address = answer(|_| Some(ok(b"hello")));
    let stop = Stop::default();
    let long = Plan { duration: Duration::from_secs(3_600), ..plan(address, CLOSED) };
    let mut seen = 0;
    let observe = |progress: &souk_perf::engine::Progress| {
        seen += progress.recent.answered;
        stop.stop();
    };
    let measured = run(&long, &stop, |_| Get(GET), observe).unwrap();
    assert!(seen > 0 && measured.answered >= seen, "{seen} of {}", measured.answered);
    assert!(measured.elapsed < Duration::from_secs(60) && measured.errors.total() == 0);
    assert_eq!(measured.sent, measured.answered + measured.unfinished);
    let slots = measured.elapsed.as_nanos().div_ceil(measured.slot.as_nanos());
    assert_eq!(measured.timeline.len() as u128, slots);
}

#[test]
fn plans_that_make_no_sense_are_refused_with_the_range() {
    let good = plan("127.0.0.1:9".parse().unwrap(), CLOSED);
    let bad = [
        Plan { threads: 0, ..good.clone() },
        Plan { connections: 1, ..good.clone() },
        Plan { duration: Duration::ZERO, ..good.clone() },
        Plan { request_timeout: Duration::ZERO, ..good.clone() },
        Plan { load: Load::Closed { pipeline: 0, think: Duration::ZERO }, ..good.clone() },
        Plan { load: open(0.0), ..good.clone() },
        Plan { load: open(f64::NAN), ..good.clone() },
    ];
    for plan in bad {
        let error = run(&plan, &Stop::default(), |_| Get(GET), |_| {}).unwrap_err();
        assert!(matches!(error, EngineError::Plan { .. }), "{error}");
        assert!(error.to_string().contains(" must be "), "{error}");
    }
}

#[test]
fn too_few_open_files_are_named_with_the_fix() {
    let connections = limits::CONNECTIONS_MAX;
    let limit = souk_process::raise_open_files().expect("a limit");
    if limit > connections as u64 {
        return;
    }
    let address = "127.0.0.1:9".parse().unwrap();
    let plan = Plan { connections, ..plan(address, CLOSED) };
    let error = run(&plan, &Stop::default(), |_| Get(GET), |_| {}).unwrap_err();
    assert!(matches!(error, EngineError::Files { .. }), "{error}");
    assert!(error.to_string().contains("ulimit -n 1000132"), "{error}");
}

#[test]
fn a_panic_in_the_workload_ends_the_run_with_an_error() {
    struct Panics(usize);
    impl Workload for Panics {
        fn connect(&mut self, _connection: usize, _out: &mut Vec<u8>) {
            assert!(self.0 != 1, "the second thread's workload fails");
        }
        fn next(&mut self, _connection: usize, out: &mut Vec<u8>) -> Tag {
            out.extend_from_slice(GET.as_bytes());
            Tag(0)
        }
        fn check(&mut self, _: usize, _: Tag, _: &Response<'_>) -> Result<(), Wrong> {
            Ok(())
        }
    }
    let address = answer(|_| Some(ok(b"hello")));
    let long = Plan { duration: Duration::from_secs(3_600), ..plan(address, CLOSED) };
    let error = run(&long, &Stop::default(), Panics, |_| {}).unwrap_err();
    assert!(matches!(error, EngineError::Panicked), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn no_answer_makes_the_engine_panic_or_lose_count(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        begins_well in any::<bool>(),
        then_closes in any::<bool>(),
    ) {
        let begin: &[u8] = if begins_well { b"HTTP/1.1 200 OK\r\n" } else { b"" };
        let bytes = [begin, &bytes].concat();
        let address = serve(move |mut stream| {
            while request(&mut stream).and_then(|_| stream.write_all(&bytes)).is_ok() {
                if then_closes {
                    return;
                }
            }
        });
        let short = Duration::from_millis(40);
        let plan = Plan { duration: short, request_timeout: short, ..plan(address, CLOSED) };
        let measured = measure(&plan, GET);
        let of_connections = measured.errors.of(ErrorClass::Refused);
        prop_assert!(measured.sent <= measured.answered + measured.errors.total());
        prop_assert_eq!((of_connections, measured.unfinished), (0, 0));
    }
}
