//! What happened between two rounds, all programs together.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::observe::stages::{Route, add};
use crate::observe::{DAEMON, FRONT, Reading, Routes, Samples};

/// What one program did.
#[derive(Debug)]
pub struct Growth {
    /// The requests of the interval.
    pub reading: Reading,
    /// What its counters grew by.
    pub counted: Samples,
    /// Its metrics as they are: gauges.
    pub samples: Samples,
}

/// A good and a bad count: hits and misses, batches and what was in them.
pub type Pair = (f64, f64);

/// The figures of one interval.
#[derive(Debug)]
pub struct Interval {
    /// Its length.
    pub seconds: f64,
    /// Whole requests by route, busiest first, of the program that meets them first.
    pub routes: Vec<RouteRow>,
    /// All of them.
    pub total: Histogram<u64>,
    /// Answers of the fronts by the first digit of their status.
    pub answers: [f64; 6],
    /// Bytes read from clients and written to them.
    pub bytes: Pair,
    /// Hits and misses by layer.
    pub cache: BTreeMap<String, Pair>,
    /// Hits and misses of the memo of verified passwords.
    pub memo: Pair,
    /// Reads that joined another's.
    pub joins: f64,
    /// Batches, and what was in them, by store.
    pub batches: BTreeMap<String, Pair>,
    /// Waiting now, and refused in the interval, by queue.
    pub queues: BTreeMap<String, Pair>,
    /// Whether everyone who asks reaches the store.
    pub stores: BTreeMap<String, bool>,
    /// How far the furthest replica is behind, seconds; none without a replica.
    pub replica_lag_s: Option<f64>,
    /// By kind of program.
    pub processes: BTreeMap<String, Process>,
}

/// One route.
#[derive(Debug)]
pub struct RouteRow {
    /// As in `GET /api/v1/me`.
    pub name: String,
    /// Whole requests.
    pub times: Histogram<u64>,
    /// Those answered with a status of 500 or more.
    pub failed: f64,
}

/// What the processes of one kind used.
#[derive(Debug, Default)]
pub struct Process {
    /// CPU time, seconds.
    pub cpu_s: f64,
    /// Requests.
    pub requests: f64,
    /// Memory, bytes.
    pub memory: f64,
    /// File descriptors in use, and how many there may be.
    pub descriptors: Pair,
    /// Open connections: of clients to a front, of fronts to a daemon.
    pub connections: f64,
    /// Nearly all turns of the loops (99 of 100) were no later than this, seconds.
    pub loop_lag_s: Option<f64>,
}

impl Interval {
    /// Adds up what the programs did.
    pub fn of(seconds: f64, growth: &[Growth]) -> Interval {
        let merged = Routes::merge(growth.iter().map(|growth| &growth.reading));
        let fronts = growth.iter().any(|growth| growth.reading.program == FRONT);
        let first = if fronts { FRONT } else { DAEMON };
        let mut total = Histogram::new_from(&Histogram::<u64>::new(3).expect("three digits"));
        let mut routes = Vec::new();
        for (route, times) in merged.of(first).into_iter().filter_map(with_total) {
            add(&mut total, times);
            let failed = growth.iter().map(|growth| failed(&growth.counted, &route.name)).sum();
            routes.push(RouteRow { name: route.name.clone(), times: times.clone(), failed });
        }
        let mut interval = Interval {
            seconds,
            routes,
            total,
            answers: [0.0; 6],
            bytes: (0.0, 0.0),
            cache: BTreeMap::new(),
            memo: (0.0, 0.0),
            joins: 0.0,
            batches: BTreeMap::new(),
            queues: BTreeMap::new(),
            stores: BTreeMap::new(),
            replica_lag_s: None,
            processes: BTreeMap::new(),
        };
        for growth in growth {
            interval.add_counted(growth);
            interval.add_gauges(&growth.samples);
            interval.add_process(growth);
        }
        interval
    }

    fn add_counted(&mut self, growth: &Growth) {
        let counted = &growth.counted;
        if growth.reading.program == FRONT {
            for (code, count) in counted.by("souk_requests_total", "code") {
                let class = code.chars().next().and_then(|digit| digit.to_digit(10));
                if let Some(sum) = class.and_then(|class| self.answers.get_mut(class as usize)) {
                    *sum += count;
                }
            }
            self.bytes.0 += counted.sum("souk_request_bytes_total");
            self.bytes.1 += counted.sum("souk_response_bytes_total");
        }
        for (labels, count) in counted.of("souk_cache_reads_total") {
            let layer = labels.get("layer").cloned().unwrap_or_default();
            let hit = labels.get("outcome").is_some_and(|outcome| outcome == "hit");
            let reads = self.cache.entry(layer).or_default();
            *(if hit { &mut reads.0 } else { &mut reads.1 }) += count;
        }
        self.memo.0 += counted.sum_where("souk_memo_lookups_total", "outcome", "hit");
        self.memo.1 += counted.sum_where("souk_memo_lookups_total", "outcome", "miss");
        self.joins += counted.sum("souk_single_flight_joins_total");
        for (store, count) in counted.by("souk_batch_size_count", "store") {
            self.batches.entry(store.to_owned()).or_default().0 += count;
        }
        for (store, sum) in counted.by("souk_batch_size_sum", "store") {
            self.batches.entry(store.to_owned()).or_default().1 += sum;
        }
        for (queue, full) in counted.by("souk_queue_full_total", "queue") {
            self.queues.entry(queue.to_owned()).or_default().1 += full;
        }
    }

    fn add_gauges(&mut self, samples: &Samples) {
        for (queue, depth) in samples.by("souk_queue_depth", "queue") {
            self.queues.entry(queue.to_owned()).or_default().0 += depth;
        }
        for (labels, up) in samples.of("souk_store_up") {
            let store = labels.get("store").cloned().unwrap_or_default();
            *self.stores.entry(store).or_insert(true) &= up > 0.0;
        }
        for (_, lag) in samples.of("souk_replica_lag_seconds") {
            self.replica_lag_s = Some(self.replica_lag_s.unwrap_or_default().max(lag));
        }
    }

    fn add_process(&mut self, growth: &Growth) {
        let Growth { reading, counted, samples } = growth;
        let process = self.processes.entry(reading.program.clone()).or_default();
        process.cpu_s += counted.sum("souk_process_cpu_seconds_total");
        process.requests += counted.sum("souk_requests_total");
        process.memory += samples.sum("souk_process_resident_memory_bytes");
        process.descriptors.0 += samples.sum("souk_process_open_fds");
        process.descriptors.1 += samples.sum("souk_process_max_fds");
        let connections =
            if reading.program == FRONT { "souk_open_connections" } else { "souk_links" };
        process.connections += samples.sum(connections);
        if let Some(lag) = counted.bucket_bound("souk_loop_lag_seconds", 0.99) {
            process.loop_lag_s = Some(process.loop_lag_s.unwrap_or_default().max(lag));
        }
    }
}

fn with_total(route: &Route) -> Option<(&Route, &Histogram<u64>)> {
    route.total().map(|times| (route, times))
}

/// Answers of `route` with a status of 500 or more.
fn failed(counted: &Samples, route: &str) -> f64 {
    let ours = |labels: &BTreeMap<String, String>| {
        labels.get("route").is_some_and(|name| name == route)
            && labels.get("code").is_some_and(|code| code.len() == 3 && code.starts_with('5'))
    };
    let all = counted.of("souk_requests_total");
    all.filter(|(labels, _)| ours(labels)).map(|(_, count)| count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::stages::tests::reading;

    fn growth(program: &str, route: &str, metrics: &str) -> Growth {
        let samples = Samples::parse(metrics).expect("samples");
        let reading = reading(program, 1, route, &[1_000_000; 4]);
        Growth { reading, counted: samples.clone(), samples }
    }

    #[test]
    fn requests_are_counted_where_they_come_in_and_used_resources_everywhere() {
        let front = "souk_requests_total{route=\"GET /a/{b}\",code=\"200\"} 3\n\
                     souk_requests_total{route=\"GET /a/{b}\",code=\"503\"} 1\n\
                     souk_request_bytes_total{route=\"GET /a/{b}\"} 100\n\
                     souk_process_cpu_seconds_total{mode=\"user\"} 0.5\n\
                     souk_process_cpu_seconds_total{mode=\"system\"} 0.25\n\
                     souk_open_connections 7\n";
        let daemon = "souk_requests_total{route=\"GetMe\",code=\"ok\"} 4\n\
                      souk_cache_reads_total{layer=\"redis\",outcome=\"hit\"} 9\n\
                      souk_cache_reads_total{layer=\"redis\",outcome=\"miss\"} 1\n\
                      souk_batch_size_count{store=\"redis\"} 2\n\
                      souk_batch_size_sum{store=\"redis\"} 10\n\
                      souk_queue_depth{queue=\"hash\"} 3\n\
                      souk_queue_full_total{queue=\"hash\"} 2\n\
                      souk_store_up{store=\"mysql\"} 1\n\
                      souk_links 2\n";
        let down = "souk_store_up{store=\"mysql\"} 0\nsouk_replica_lag_seconds 2.5\n";
        let interval = Interval::of(
            1.0,
            &[
                growth("soukd", "GetMe", daemon),
                growth("souk-front", "GET /a/{b}", front),
                growth("soukd", "GetMe", down),
            ],
        );
        assert_eq!(interval.total.len(), 4);
        assert_eq!(interval.routes.len(), 1);
        assert_eq!(interval.routes[0].failed, 1.0);
        assert_eq!((interval.answers[2], interval.answers[5]), (3.0, 1.0));
        assert_eq!(interval.bytes.0, 100.0);
        assert_eq!(interval.cache["redis"], (9.0, 1.0));
        assert_eq!(interval.batches["redis"], (2.0, 10.0));
        assert_eq!(interval.queues["hash"], (3.0, 2.0));
        // One daemon that does not reach the store is enough.
        assert!(!interval.stores["mysql"]);
        assert_eq!(interval.replica_lag_s, Some(2.5));
        assert_eq!(interval.processes[FRONT].cpu_s, 0.75);
        assert_eq!(interval.processes[FRONT].connections, 7.0);
        assert_eq!(interval.processes[DAEMON].connections, 2.0);
    }

    #[test]
    fn a_daemon_alone_shows_its_own_routes() {
        let interval = Interval::of(1.0, &[growth("soukd", "GetMe", "")]);
        assert_eq!(interval.routes[0].name, "GetMe");
        assert_eq!(interval.total.len(), 4);
    }
}
