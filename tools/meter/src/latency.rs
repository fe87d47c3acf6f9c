//! `/latency`: all distributions of a program, exactly, as JSON. The types here are both its writer
//! and its reader.

use crate::hub::Hub;
use data_encoding::BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// Everything that a program has timed since its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// `souk-front` or `soukd`.
    pub program: String,
    /// Its version.
    pub version: String,
    /// When it started, Unix milliseconds.
    pub start_unix_ms: u64,
    /// When this was read, Unix milliseconds.
    pub now_unix_ms: u64,
    /// The routes that were used.
    pub routes: Vec<RouteLatency>,
}

/// A route's times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteLatency {
    /// Its name: method and path in the front, the link method in the daemon.
    pub route: String,
    /// The stages that its requests had; the one named `total` is the whole request.
    pub stages: Vec<StageLatency>,
}

/// A stage's times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageLatency {
    /// Its name.
    pub stage: String,
    /// The distribution in nanoseconds since the start: an HdrHistogram, V2 compressed, in base64.
    pub hdr: String,
}

/// What is no answer of `/latency`.
#[derive(Debug, thiserror::Error)]
pub enum LatencyError {
    /// The text.
    #[error("this is no latency report: {0}")]
    Json(#[from] serde_json::Error),
    /// A distribution in it.
    #[error("the distribution of {stage} cannot be read: {why}")]
    Histogram {
        /// Which.
        stage: String,
        /// What is wrong.
        why: String,
    },
}

impl Latency {
    /// Reads an answer of `/latency`.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(json: &str) -> Result<Latency, LatencyError> {
        Ok(serde_json::from_str(json)?)
    }

    /// A stage of a route; nothing if it was not met yet.
    pub fn stage(&self, route: &str, stage: &str) -> Option<&StageLatency> {
        let route = self.routes.iter().find(|other| other.route == route)?;
        route.stages.iter().find(|other| other.stage == stage)
    }

    /// Reads a hub, up to date.
    pub(crate) fn of(hub: &Hub) -> Latency {
        let plan = hub.plan();
        let totals = hub.collected();
        let mut routes = Vec::new();
        for (name, route) in plan.routes.iter().zip(&totals.all.routes) {
            let times = |&stage| Some((stage, route.times(stage)?));
            let met = plan.stages.iter().filter_map(times);
            let stages: Vec<StageLatency> = met
                .map(|(stage, times)| StageLatency::of(stage.name(), &times.histogram()))
                .collect();
            if !stages.is_empty() {
                routes.push(RouteLatency { route: name.clone(), stages });
            }
        }
        Latency {
            program: plan.program.into(),
            version: plan.version.into(),
            start_unix_ms: unix_ms(hub.started()),
            now_unix_ms: unix_ms(SystemTime::now()),
            routes,
        }
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("plain values are JSON")
    }
}

impl StageLatency {
    /// A stage with this distribution.
    pub fn of(stage: &str, histogram: &Histogram<u64>) -> StageLatency {
        let mut bytes = Vec::new();
        let written = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
        written.expect("memory takes all that is written to it");
        StageLatency { stage: stage.into(), hdr: BASE64.encode(&bytes) }
    }

    /// The distribution, in nanoseconds.
    ///
    /// # Errors
    /// If the text is no distribution.
    pub fn histogram(&self) -> Result<Histogram<u64>, LatencyError> {
        let wrong = |why: String| LatencyError::Histogram { stage: self.stage.clone(), why };
        let bytes = BASE64.decode(self.hdr.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| wrong(error.to_string()))
    }
}

pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
