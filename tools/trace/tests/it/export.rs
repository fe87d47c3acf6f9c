//! What the exporter does with a collector that takes, refuses, is late, or is not there.

use crate::collector::{Collector, Reply};
use souk_trace::limits::{SPANS_MAX, STOP_MAX};
use souk_trace::{Endpoint, Exporter, Service, Traceparent};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

const SERVICE: Service = Service { name: "souk-test", version: "1.2.3", instance: "one" };

fn exporter(url: &str) -> Exporter {
    let endpoint = Endpoint::parse(url).expect("a good URL");
    Exporter::start(endpoint, 1.0, &SERVICE).expect("a thread")
}

/// Nothing listens at this port: it is reserved for a service that died out.
const NOWHERE: &str = "http://127.0.0.1:1";

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_span_arrives_with_all_that_was_said_about_it() {
    let collector = Collector::start();
    let exporter = exporter(&collector.url());
    let caller = Traceparent { trace_id: 7, parent: NonZeroU64::MIN, sampled: true };
    let (context, span) = exporter.tracer().arrive(Some(caller), 9, || "GET /x".into());
    let mut span = span.expect("sampled");
    span.set("http.response.status_code", 503i64);
    span.fail("no store");
    drop(span);
    let seen = collector.wait(|seen| !seen.is_empty()).remove(0);
    assert_eq!((seen.trace_id(), seen.parent()), (7, Some(1)));
    assert_eq!(Some(seen.id()), context.span.map(NonZeroU64::get));
    assert_eq!((seen.service.as_str(), seen.span.name.as_str()), ("souk-test", "GET /x"));
    assert_eq!(seen.number("http.response.status_code"), Some(503));
    let status = seen.span.status.clone().expect("a failure");
    assert_eq!((status.code, status.message.as_str()), (2, "no store"));
    assert!(seen.span.start_time_unix_nano <= seen.span.end_time_unix_nano);
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = unix.as_secs().abs_diff(seen.span.start_time_unix_nano / 1_000_000_000);
    assert!(age < 3_600, "its time is the time of day");
    eventually("counted", || exporter.tracer().exported() == 1);
    exporter.stop();
}

#[test]
fn a_collector_that_is_late_is_asked_again_and_one_that_refuses_is_not() {
    let collector = Collector::start();
    collector.replies(&[Reply::Status(503), Reply::Close, Reply::Status(400)]);
    let exporter = exporter(&collector.url());
    let tracer = exporter.tracer().clone();
    drop(tracer.arrive(None, 1, || "refused".into()));
    eventually("dropped", || tracer.dropped() == 1);
    assert_eq!(collector.posts(), 3);
    drop(tracer.arrive(None, 2, || "taken".into()));
    let seen = collector.wait(|seen| !seen.is_empty());
    assert_eq!(seen.iter().map(|seen| seen.span.name.as_str()).collect::<Vec<_>>(), ["taken"]);
    collector.replies(&[Reply::AllButOne]);
    drop(tracer.arrive(None, 3, || "unwanted".into()));
    eventually("counted", || (tracer.exported(), tracer.dropped()) == (1, 2));
    exporter.stop();
}

#[test]
fn without_a_collector_spans_are_dropped_and_counted_and_the_stop_is_in_time() {
    let exporter = exporter(NOWHERE);
    let tracer = exporter.tracer().clone();
    let all = 2 * SPANS_MAX as u64;
    for id in 0..all {
        drop(tracer.arrive(None, u128::from(id) + 1, || "lost".into()));
    }
    assert!(tracer.dropped() > 0, "the queue is bounded");
    let (done, stopped) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        exporter.stop();
        let _ = done.send(());
    });
    // Not about speed: a stop that waits for the collector would wait for minutes.
    stopped.recv_timeout(STOP_MAX * 10).expect("it gives up");
    assert_eq!(tracer.exported(), 0);
    eventually("all counted", || tracer.dropped() == all);
}

#[test]
fn what_ended_before_the_stop_is_sent() {
    let collector = Collector::start();
    let exporter = exporter(&collector.url());
    for id in 1..=1_000 {
        drop(exporter.tracer().arrive(None, id, || "last".into()));
    }
    exporter.stop();
    assert_eq!(collector.wait(|seen| seen.len() == 1_000).len(), 1_000);
}
