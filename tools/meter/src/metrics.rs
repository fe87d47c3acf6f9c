//! `/metrics`: everything as OpenMetrics text.

use crate::hub::{Hub, Totals};
use crate::names::{Count, Level, ReplicaLag, Stage};
use crate::process::{Process, Rings};
use crate::set::Tally;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The type of [`Metrics::text`], as HTTP says it.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the buckets of times, seconds; the last bucket has none.
const BOUNDS_S: [f64; 21] = [
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005,
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Writes a hub's metrics.
pub(crate) struct Metrics {
    registry: Registry,
}

impl Metrics {
    pub(crate) fn new(hub: Arc<Hub>) -> Metrics {
        let mut registry = Registry::default();
        let rings = Mutex::new(Rings::default());
        registry.register_collector(Box::new(Source { hub, rings }));
        Metrics { registry }
    }

    /// Everything, up to date.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes all that is written to it");
        text
    }
}

#[derive(Debug)]
struct Source {
    hub: Arc<Hub>,
    rings: Mutex<Rings>,
}

impl Collector for Source {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut out = Out(encoder);
        let totals = self.hub.collected();
        self.requests(&mut out, &totals)?;
        self.times(&mut out, &totals)?;
        self.work(&mut out, &totals)?;
        drop(totals);
        self.states(&mut out)?;
        self.process(&mut out)
    }
}

impl Source {
    fn requests(&self, out: &mut Out, totals: &Totals) -> fmt::Result {
        let plan = self.hub.plan();
        let routes = || plan.routes.iter().zip(&totals.all.routes);
        let mut counts = out.counter("souk_requests", "Requests that have ended", None)?;
        for (name, route) in routes() {
            for (code, &count) in plan.codes.iter().zip(&route.codes) {
                if count > 0 {
                    put(&mut counts, &[("route", name), ("code", code)], count)?;
                }
            }
        }
        let bytes = Unit::Bytes;
        for (name, help, of) in
            [("souk_request", "Bytes of requests", 0), ("souk_response", "Bytes of answers", 1)]
        {
            let mut counts = out.counter(name, help, Some(&bytes))?;
            for (name, route) in routes() {
                let bytes = [route.bytes_in, route.bytes_out][of];
                if bytes > 0 {
                    put(&mut counts, &[("route", name)], bytes)?;
                }
            }
        }
        Ok(())
    }

    fn times(&self, out: &mut Out, totals: &Totals) -> fmt::Result {
        let plan = self.hub.plan();
        let help = "Time from the last byte of a request to the last byte of its answer";
        let mut durations = out.seconds("souk_request_duration", help)?;
        for (name, route) in plan.routes.iter().zip(&totals.all.routes) {
            if let Some(times) = route.times(Stage::Total) {
                spread(&mut durations.encode_family(&[("route", name.as_str())])?, times)?;
            }
        }
        let mut durations = out.seconds("souk_stage_duration", "Time of a part of requests")?;
        for (name, route) in plan.routes.iter().zip(&totals.all.routes) {
            for &stage in plan.stages.iter().filter(|stage| **stage != Stage::Total) {
                if let Some(times) = route.times(stage) {
                    let labels = [("route", name.as_str()), ("stage", stage.name())];
                    spread(&mut durations.encode_family(&labels)?, times)?;
                }
            }
        }
        let help = "How much later than planned the threads' ticks came";
        spread(&mut out.seconds("souk_loop_lag", help)?, &totals.all.lag)
    }

    fn work(&self, out: &mut Out, totals: &Totals) -> fmt::Result {
        let plan = self.hub.plan();
        let count = |count: Count| totals.all.counts[count as usize];
        // A ring that is full in the middle of a turn is entered then too.
        let help = "Turns of the threads' loops; at the end of each its ring is entered";
        let turns = count(Count::LoopTurn);
        out.counter("souk_loop_turns", help, None)?
            .encode_counter::<NoLabelSet, _, f64>(&turns, None)?;
        // What only the daemon does is not told of the front.
        if plan.stages.contains(&Stage::Logic) {
            let mut reads = out.counter("souk_cache_reads", "Rows looked for in a cache", None)?;
            for (layer, outcome, of) in [
                ("process", "hit", Count::ProcessHit),
                ("process", "miss", Count::ProcessMiss),
                ("redis", "hit", Count::RedisHit),
                ("redis", "miss", Count::RedisMiss),
            ] {
                put(&mut reads, &[("layer", layer), ("outcome", outcome)], count(of))?;
            }
            let help = "Reads that joined another read of the same row";
            let joins = count(Count::SingleFlightJoin);
            out.counter("souk_single_flight_joins", help, None)?
                .encode_counter::<NoLabelSet, _, f64>(&joins, None)?;
            let help = "Logins that asked the memo of verified passwords";
            let mut lookups = out.counter("souk_memo_lookups", help, None)?;
            for (outcome, of) in [("hit", Count::MemoHit), ("miss", Count::MemoMiss)] {
                put(&mut lookups, &[("outcome", outcome)], count(of))?;
            }
            let help = "Times that shards read what they keep of the leaderboard's boards";
            let mut reads = out.counter("souk_board_refreshes", help, None)?;
            for (what, of) in [("look", Count::BoardLook), ("counts", Count::BoardCounts)] {
                put(&mut reads, &[("what", what)], count(of))?;
            }
            auctions(out, count)?;
        }
        let help = "How many went together";
        let mut sizes =
            out.0.encode_descriptor("souk_batch_size", help, None, MetricType::Histogram)?;
        for &batch in plan.batches {
            let recorded = &totals.all.batches[batch as usize];
            let last = recorded.counts.len() - 1;
            let bound = |place: usize| {
                if place == last { f64::INFINITY } else { f64::from(1_u32 << place) }
            };
            let buckets: Vec<(f64, u64)> =
                recorded.counts.iter().enumerate().map(|(n, count)| (bound(n), *count)).collect();
            let count = recorded.counts.iter().sum();
            let labels = [("store", batch.name())];
            let mut encoder = sizes.encode_family(&labels)?;
            encoder.encode_histogram::<NoLabelSet>(float(recorded.sum), count, &buckets, None)?;
        }
        let help = "Refusals because a queue was full";
        let mut full = out.counter("souk_queue_full", help, None)?;
        for &queue in plan.queues {
            put(&mut full, &[("queue", queue.name())], totals.all.full[queue as usize])?;
        }
        Ok(())
    }

    fn states(&self, out: &mut Out) -> fmt::Result {
        let plan = self.hub.plan();
        let mut depths = out.gauge("souk_queue_depth", "How much waits", None)?;
        for &queue in plan.queues {
            let depth = self.hub.depth(queue);
            depths.encode_family(&[("queue", queue.name())])?.encode_gauge(&float(depth))?;
        }
        let sum = |level| float(self.hub.levels(level).iter().sum());
        out.gauge("souk_links", "Links that are up", None)?.encode_gauge(&sum(Level::Links))?;
        if !plan.stages.contains(&Stage::Logic) {
            let help = "Open connections to clients";
            let connections = sum(Level::Connections);
            return out.gauge("souk_open_connections", help, None)?.encode_gauge(&connections);
        }
        let help = "1 if every thread can use the store";
        let mut up = out.gauge("souk_store_up", help, None)?;
        for (store, level) in [("redis", Level::RedisUp), ("mysql", Level::MysqlUp)] {
            let worst = self.hub.levels(level).into_iter().min().unwrap_or(0);
            up.encode_family(&[("store", store)])?.encode_gauge(&float(worst))?;
        }
        let oldest = self.hub.levels(Level::BoardStaleness).into_iter().max().unwrap_or(0);
        let help = "Age of the oldest that a shard knows of the leaderboard's boards";
        let mut gauge = out.gauge("souk_board_staleness", help, Some(&Unit::Seconds))?;
        gauge.encode_gauge(&Duration::from_millis(oldest).as_secs_f64())?;
        let worst = self.hub.levels(Level::BidBreaker).into_iter().max().unwrap_or(0);
        let help = "0 if every thread lets bids through, 1 while one tries, 2 if one does not";
        out.gauge("souk_bid_breaker", help, None)?.encode_gauge(&float(worst))?;
        let lag = self.hub.levels(Level::ReplicaLag).into_iter().max().unwrap_or(0);
        if let Some(seconds) = ReplicaLag::seconds(lag) {
            let help = "How far the database is behind its primary";
            let mut gauge = out.gauge("souk_replica_lag", help, Some(&Unit::Seconds))?;
            gauge.encode_gauge(&seconds)?;
        }
        Ok(())
    }

    fn process(&self, out: &mut Out) -> fmt::Result {
        let process = Process::look();
        let help = "CPU time of the process";
        let mut cpu = out.counter("souk_process_cpu", help, Some(&Unit::Seconds))?;
        for (mode, seconds) in [("user", process.user_s), ("system", process.system_s)] {
            if let Some(seconds) = seconds {
                let labels = [("mode", mode)];
                let mut encoder = cpu.encode_family(&labels)?;
                encoder.encode_counter::<NoLabelSet, _, f64>(&seconds, None)?;
            }
        }
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let submissions = rings.submissions();
        out.counter("souk_ring_submissions", "Operations given to the rings", None)?
            .encode_counter::<NoLabelSet, _, f64>(&submissions, None)?;
        let bytes = Unit::Bytes;
        for (name, help, unit, value) in [
            ("souk_process_resident_memory", "Memory in RAM", Some(&bytes), process.resident),
            ("souk_process_open_fds", "Open files", None, process.files),
            ("souk_process_max_fds", "Most files that may be open", None, process.files_max),
        ] {
            if let Some(value) = value {
                out.gauge(name, help, unit)?.encode_gauge(&float(value))?;
            }
        }
        let plan = self.hub.plan();
        let labels = [("program", plan.program), ("version", plan.version)];
        out.0
            .encode_descriptor("souk_build", "What runs", None, MetricType::Info)?
            .encode_info(&labels)
    }
}

/// Begins metrics.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counter<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, MetricType::Counter)
    }

    fn gauge<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, MetricType::Gauge)
    }

    fn seconds<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)
    }
}

/// What is counted of auctions.
fn auctions(out: &mut Out, count: impl Fn(Count) -> u64) -> fmt::Result {
    let mut bids = out.counter("souk_bids", "Bids that were answered", None)?;
    for (outcome, of) in [
        ("accepted", Count::BidAccepted),
        ("refused", Count::BidRefused),
        ("busy", Count::BidBusy),
        ("failed", Count::BidFailed),
    ] {
        put(&mut bids, &[("outcome", outcome)], count(of))?;
    }
    for (name, help, of) in [
        ("souk_auctions_settled", "Auctions that this process settled", Count::AuctionSettled),
        ("souk_bid_outages", "Outages of bidding that this process found", Count::Outage),
    ] {
        out.counter(name, help, None)?.encode_counter::<NoLabelSet, _, f64>(&count(of), None)?;
    }
    Ok(())
}

/// Writes one count of a family.
fn put<'a, const N: usize>(
    family: &mut MetricEncoder,
    labels: &'a [(&'a str, &'a str); N],
    count: u64,
) -> fmt::Result
where
    [(&'a str, &'a str); N]: EncodeLabelSet,
{
    family.encode_family(labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)
}

/// Writes times as a histogram in seconds.
fn spread(encoder: &mut MetricEncoder, times: &Tally) -> fmt::Result {
    let mut counts = [0; BOUNDS_S.len() + 1];
    for &(ns, count) in &times.counts {
        let seconds = float(ns) / 1e9;
        counts[BOUNDS_S.partition_point(|bound| *bound < seconds)] += count;
    }
    let bounds = BOUNDS_S.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
    encoder.encode_histogram::<NoLabelSet>(float(times.sum_ns) / 1e9, times.len(), &buckets, None)
}

/// Exact up to 2^53; what is larger loses its last digits.
#[allow(clippy::cast_precision_loss)]
fn float(value: u64) -> f64 {
    value as f64
}
