//! Where the time went inside the programs, as their admin listeners say.

use crate::engine::histogram;
use crate::target::Target;
use data_encoding::BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long an admin listener may take; it never waits for a ring.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest answer that is read, bytes: hundreds of histograms of a few KiB.
const ANSWER_MAX: u64 = 64 << 20;

/// One stage of one route in one program.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The program.
    pub program: String,
    /// The route, or the link's method.
    pub route: String,
    /// The stage.
    pub stage: String,
    /// Its times, nanoseconds.
    pub times: Histogram<u64>,
}

/// What was read at one moment: totals since each program's start.
pub type Totals = BTreeMap<(String, String, String), Histogram<u64>>;

#[derive(Deserialize)]
struct LatencyJson {
    program: String,
    routes: Vec<RouteJson>,
}

#[derive(Deserialize)]
struct RouteJson {
    route: String,
    stages: Vec<StageJson>,
}

#[derive(Deserialize)]
struct StageJson {
    stage: String,
    hdr: String,
}

/// Reads all admin listeners of a target. One that does not answer, or not so, has no stages: a
/// run is worth something without them.
#[must_use]
pub fn read(target: &Target) -> Totals {
    let mut totals = Totals::new();
    for path in &target.admin {
        if let Some(text) = ask(path)
            && let Ok(latency) = serde_json::from_slice::<LatencyJson>(&text)
        {
            add(&mut totals, latency);
        }
    }
    totals
}

fn add(totals: &mut Totals, latency: LatencyJson) {
    for route in latency.routes {
        for stage in route.stages {
            let bytes = BASE64.decode(stage.hdr.as_bytes()).unwrap_or_default();
            if let Ok(times) = Deserializer::new().deserialize(&mut &bytes[..]) {
                let key = (latency.program.clone(), route.route.clone(), stage.stage);
                totals.insert(key, times);
            }
        }
    }
}

/// What happened between two readings; stages in which nothing happened are left out.
#[must_use]
pub fn since(before: &Totals, after: &Totals) -> Vec<Stage> {
    let mut stages = Vec::new();
    for (key, now) in after {
        let mut times = histogram();
        if times.add(now).is_err() {
            continue;
        }
        // After a restart the later one is the smaller: then all of it is new.
        if let Some(earlier) = before.get(key)
            && times.subtract(earlier).is_err()
        {
            times = now.clone();
        }
        if !times.is_empty() {
            let (program, route, stage) = key.clone();
            stages.push(Stage { program, route, stage, times });
        }
    }
    stages
}

/// The body of the answer to `GET /latency`.
fn ask(path: &Path) -> Option<Vec<u8>> {
    let mut stream = UnixStream::connect(path).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"GET /latency HTTP/1.1\r\nHost: souk\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).ok()?;
    let head = memchr::memmem::find(&answer, b"\r\n\r\n")?;
    answer.starts_with(b"HTTP/1.1 200").then(|| answer.split_off(head + 4))
}

#[cfg(test)]
mod tests {
    use super::{LatencyJson, Totals, add, since};
    use crate::engine::histogram;
    use data_encoding::BASE64;
    use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

    fn totals(times: &[u64]) -> Totals {
        let mut h = histogram();
        for time in times {
            h.record(*time).expect("within bounds");
        }
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&h, &mut bytes).expect("memory takes it");
        let json = serde_json::json!({ "program": "soukd", "version": "1", "routes": [
            { "route": "GetMe", "stages": [{ "stage": "total", "hdr": BASE64.encode(&bytes) }] },
        ] });
        let mut totals = Totals::new();
        let json: LatencyJson = serde_json::from_value(json).expect("a report");
        add(&mut totals, json);
        totals
    }

    #[test]
    fn only_what_happened_in_between_counts() {
        let (before, after) = (totals(&[5000, 6000]), totals(&[5000, 6000, 9000]));
        let stages = since(&before, &after);
        assert_eq!(stages.len(), 1);
        assert_eq!((stages[0].route.as_str(), stages[0].stage.as_str()), ("GetMe", "total"));
        let times = &stages[0].times;
        assert_eq!(times.len(), 1);
        assert!(times.equivalent(times.max(), 9000), "{}", times.max());
        assert!(since(&after, &after).is_empty());
        assert_eq!(since(&after, &before)[0].times.len(), 2, "a restart begins anew");
    }
}
