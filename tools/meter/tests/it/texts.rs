//! What `/metrics` and `/latency` say, read by others than their writer.

use super::{GET, Recorder, SET, get, hub, request, serve};
use nom_openmetrics::parser::openmetrics;
use nom_openmetrics::{Family, MetricDescriptor, MetricType};
use souk_meter::{Batch, Count, Latency, LatencySettings, Level, Queue};
use std::time::Duration;

/// The sample with this name whose labels include these.
#[track_caller]
fn value(families: &[Family], name: &str, labels: &[(&str, &str)]) -> f64 {
    let mut samples = families.iter().flat_map(|family| &family.samples);
    let fits = |label: &(&str, &str), sample: &nom_openmetrics::Sample| {
        sample.labels().iter().any(|it| it.name == label.0 && it.value == label.1)
    };
    let found = samples
        .find(|sample| sample.name() == name && labels.iter().all(|label| fits(label, sample)));
    found.unwrap_or_else(|| panic!("there is no {name}{labels:?}")).number()
}

#[test]
fn metrics_are_openmetrics_with_right_names_units_and_values() {
    let hub = hub(true);
    hub.queue(Queue::Argon2, || 7);
    let recorder = Recorder::start(&hub, || {
        for _ in 0..3 {
            request(GET, 0);
        }
        request(SET, 1);
        souk_meter::count(Count::RedisHit);
        souk_meter::batch(Batch::Redis, 5);
        souk_meter::queue_full(Queue::Redis);
        souk_meter::level(Level::RedisUp, 1);
        souk_meter::level(Level::RedisQueue, 4);
        souk_meter::count(Count::BoardCounts);
        souk_meter::level(Level::BoardStaleness, 200);
        souk_meter::count_many(Count::BidAccepted, 3);
        souk_meter::count(Count::BidBusy);
        souk_meter::count(Count::Outage);
        souk_meter::count_many(Count::AuctionSettled, 2);
        souk_meter::level(Level::BidBreaker, 2);
    });
    let (_running, place, _home) = serve(&hub, &LatencySettings::default());
    let text = get(&place, "/metrics");
    let (rest, families) = openmetrics(&text).expect("it is OpenMetrics");
    assert_eq!(rest, "");

    let route = ("route", "GET /users/{id}");
    let value = |name: &str, labels: &[(&str, &str)]| value(&families, name, labels);
    assert_eq!(value("souk_requests_total", &[route, ("code", "ok")]), 3.0);
    assert_eq!(value("souk_requests_total", &[("route", "SET"), ("code", "busy")]), 1.0);
    assert_eq!(value("souk_request_bytes_total", &[route]), 300.0);
    assert_eq!(value("souk_response_bytes_total", &[route]), 900.0);
    assert_eq!(value("souk_request_duration_seconds_count", &[route]), 3.0);
    let sum = value("souk_request_duration_seconds_sum", &[route]);
    assert!((sum - 0.015).abs() < 1e-9, "{sum}");
    let redis = [route, ("stage", "redis")];
    assert_eq!(value("souk_stage_duration_seconds_count", &redis), 3.0);
    let le = |bound| [route, ("stage", "redis"), ("le", bound)];
    assert_eq!(value("souk_stage_duration_seconds_bucket", &le("0.001")), 0.0);
    assert_eq!(value("souk_stage_duration_seconds_bucket", &le("0.0025")), 3.0);
    assert_eq!(value("souk_stage_duration_seconds_bucket", &le("+Inf")), 3.0);
    let cache = [("layer", "redis"), ("outcome", "hit")];
    assert_eq!(value("souk_cache_reads_total", &cache), 1.0);
    let size = |bound| [("store", "redis"), ("le", bound)];
    assert_eq!(value("souk_batch_size_bucket", &size("4.0")), 0.0);
    assert_eq!(value("souk_batch_size_bucket", &size("8.0")), 1.0);
    assert_eq!(value("souk_queue_full_total", &[("queue", "redis")]), 1.0);
    assert_eq!(value("souk_queue_depth", &[("queue", "redis")]), 4.0);
    assert_eq!(value("souk_queue_depth", &[("queue", "argon2")]), 7.0);
    assert_eq!(value("souk_store_up", &[("store", "redis")]), 1.0);
    assert_eq!(value("souk_board_refreshes_total", &[("what", "counts")]), 1.0);
    assert_eq!(value("souk_board_staleness_seconds", &[]), 0.2);
    assert_eq!(value("souk_bids_total", &[("outcome", "accepted")]), 3.0);
    assert_eq!(value("souk_bids_total", &[("outcome", "busy")]), 1.0);
    assert_eq!(value("souk_bid_outages_total", &[]), 1.0);
    assert_eq!(value("souk_auctions_settled_total", &[]), 2.0);
    assert_eq!(value("souk_bid_breaker", &[]), 2.0);
    assert_eq!(value("souk_build_info", &[("program", "tested"), ("version", "1.2.3")]), 1.0);
    assert!(value("souk_process_resident_memory_bytes", &[]) > 1e6);
    assert!(value("souk_process_open_fds", &[]) < value("souk_process_max_fds", &[]));
    recorder.stop();
}

/// OpenMetrics says how names follow from types and units; Prometheus expects it.
#[test]
fn names_follow_from_types_and_units() {
    let hub = hub(true);
    let recorder = Recorder::start(&hub, || request(GET, 0));
    let (_running, place, _home) = serve(&hub, &LatencySettings::default());
    let text = get(&place, "/metrics");
    let (_, families) = openmetrics(&text).expect("it is OpenMetrics");
    let mut seen = 0;
    for family in &families {
        for descriptor in &family.descriptors {
            let metric = descriptor.metric();
            assert!(metric.starts_with("souk_"), "{metric}");
            match descriptor {
                MetricDescriptor::Unit { unit, .. } => assert!(metric.ends_with(unit), "{metric}"),
                MetricDescriptor::Help { help, .. } => assert!(!help.is_empty(), "{metric}"),
                MetricDescriptor::Type { r#type, .. } => {
                    let ends: &[&str] = match r#type {
                        MetricType::Counter => &["_total"],
                        MetricType::Gauge => &[""],
                        // The parser does not know this type's name as OpenMetrics writes it.
                        MetricType::Histogram | MetricType::Unknown("histogram") => {
                            &["_bucket", "_sum", "_count"]
                        }
                        MetricType::Info => &["_info"],
                        other => panic!("{metric} is a {other:?}"),
                    };
                    for sample in &family.samples {
                        let end = sample.name().strip_prefix(metric).expect(metric);
                        assert!(ends.contains(&end), "{} of {metric}", sample.name());
                        seen += 1;
                    }
                }
            }
        }
    }
    assert!(seen > 40, "{seen}\n{text}");
    recorder.stop();
}

#[test]
fn latency_holds_every_record_exactly_and_grows() {
    let hub = hub(true);
    let (_running, place, _home) = serve(&hub, &LatencySettings::default());
    let read = || Latency::parse(&get(&place, "/latency")).expect("a report");
    let before = read();
    assert_eq!((&*before.program, &*before.version), ("tested", "1.2.3"));
    assert!(before.routes.is_empty());
    let recorders =
        [3, 4].map(|count| Recorder::start(&hub, move || (0..count).for_each(|_| request(GET, 0))));
    let after = read();
    assert!(after.now_unix_ms >= before.now_unix_ms && after.start_unix_ms == before.start_unix_ms);
    let total = after.stage("GET /users/{id}", "total").expect("met").histogram().expect("whole");
    assert_eq!(total.len(), 7);
    assert!(total.equivalent(total.value_at_quantile(0.5), 5_000_000), "{total:?}");
    let redis = after.stage("GET /users/{id}", "redis").expect("met").histogram().expect("whole");
    assert!(redis.equivalent(redis.max(), 2_000_000), "{redis:?}");
    assert!(after.stage("GET /users/{id}", "mysql").is_none(), "it was not asked");
    assert!(after.stage("NEVER", "total").is_none());
    // What a thread recorded outlives it.
    recorders.into_iter().for_each(Recorder::stop);
    assert_eq!(read().routes, after.routes);
}

#[test]
fn switched_off_nothing_is_recorded_and_the_process_is_still_shown() {
    let hub = hub(false);
    let recorder = Recorder::start(&hub, || {
        request(GET, 0);
        souk_meter::count(Count::RedisHit);
        assert!(souk_meter::mark().is_none());
        assert!(souk_meter::recent().elapsed() < Duration::from_secs(60));
    });
    let (_running, place, _home) = serve(&hub, &LatencySettings::default());
    let text = get(&place, "/metrics");
    let (_, families) = openmetrics(&text).expect("it is OpenMetrics");
    assert!(!text.contains("souk_requests_total{"));
    assert!(value(&families, "souk_process_open_fds", &[]) > 0.0);
    recorder.stop();
}
