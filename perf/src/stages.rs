//! Where the time went inside the programs, as their admin listeners say.

use crate::engine::histogram;
use crate::target::Target;
use hdrhistogram::Histogram;
use souk_meter::{Latency, Place, client};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an admin listener may take; it never waits for a ring.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// Reads all admin listeners of a target. One that does not answer, or not so, has no stages: a
/// run is worth something without them.
#[must_use]
pub fn read(target: &Target) -> Totals {
    let mut totals = Totals::new();
    for path in &target.admin {
        let answer = client::get(&Place::Unix(path.clone()), "/latency", PATIENCE);
        if let Some(latency) = answer.ok().and_then(|text| Latency::parse(&text).ok()) {
            add(&mut totals, &latency);
        }
    }
    totals
}

fn add(totals: &mut Totals, latency: &Latency) {
    for route in &latency.routes {
        for stage in &route.stages {
            if let Ok(times) = stage.histogram() {
                let (program, route) = (latency.program.clone(), route.route.clone());
                totals.insert((program, route, stage.stage.clone()), times);
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

#[cfg(test)]
mod tests {
    use super::{Totals, add, since};
    use crate::engine::histogram;
    use data_encoding::BASE64;
    use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
    use souk_meter::{Latency, RouteLatency, StageLatency};

    fn totals(times: &[u64]) -> Totals {
        let mut h = histogram();
        for time in times {
            h.record(*time).expect("within bounds");
        }
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&h, &mut bytes).expect("memory takes it");
        let stages = vec![StageLatency { stage: "total".into(), hdr: BASE64.encode(&bytes) }];
        let latency = Latency {
            program: "soukd".into(),
            version: "1".into(),
            start_unix_ms: 0,
            now_unix_ms: 1,
            routes: vec![RouteLatency { route: "GetMe".into(), stages }],
        };
        let mut totals = Totals::new();
        add(&mut totals, &latency);
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
