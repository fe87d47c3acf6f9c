//! The thread that posts ended spans to a collector (OTLP/HTTP, protobuf).
//!
//! What it does when the collector cannot be reached or refuses follows the OTLP specification:
//! 429, 502, 503 and 504 and a lost connection are tried again with growing pauses, all else is
//! not. Meanwhile the queue fills, and what finds it full is dropped and counted.

use crate::limits::{
    ANSWER_MAX, ATTEMPTS_MAX, BACKOFF_FIRST, BACKOFF_MAX, BATCH_MAX, EXPORT_EVERY, POST_MAX,
    SPANS_MAX, STOP_MAX,
};
use crate::otlp::{self, ExportTraceServiceResponse, Resource};
use crate::sampling::Ratio;
use crate::span::{Counts, Ended, Queue, Tracer};
use prost::Message;
use souk_process::{SettingsError, invalid};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where OTLP/HTTP is posted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
}

impl Endpoint {
    /// Reads the setting `tracing.otlp_endpoint`; nothing if it is empty. As everywhere with OTLP
    /// it is the base of the collector, to which `/v1/traces` is added unless it ends so.
    ///
    /// # Errors
    /// If it is no `http://` URL.
    pub fn parse(setting: &str) -> Result<Option<Endpoint>, SettingsError> {
        if setting.is_empty() {
            return Ok(None);
        }
        let why = "write http://host:port of an OpenTelemetry collector (OTLP/HTTP, usually port \
                   4318); TLS is the business of a collector nearby";
        let wrong = || invalid("tracing.otlp_endpoint", setting, why);
        let host = setting.strip_prefix("http://").ok_or_else(wrong)?;
        let url =
            format!("{}/v1/traces", setting.trim_end_matches('/').trim_end_matches("/v1/traces"));
        let uri: ureq::http::Uri = url.parse().map_err(|_| wrong())?;
        if host.starts_with('/') || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(wrong());
        }
        Ok(Some(Endpoint { url }))
    }
}

/// How a process names itself to the collector.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// The program.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its name among its kind.
    pub instance: &'a str,
}

/// The exporter's thread, or none.
#[derive(Debug, Default)]
pub struct Exporter {
    tracer: Tracer,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
    done: Receiver<()>,
}

impl Exporter {
    /// Starts the thread if there is an endpoint. `share` of the traces that begin in this process
    /// are sampled.
    ///
    /// # Errors
    /// If the thread cannot be made.
    pub fn start(
        endpoint: Option<Endpoint>,
        share: f64,
        service: &Service<'_>,
    ) -> io::Result<Exporter> {
        let Some(endpoint) = endpoint else { return Ok(Exporter::default()) };
        let (sender, spans) = mpsc::sync_channel(SPANS_MAX);
        let queue = Arc::new(Queue { sender, counts: Counts::default() });
        let stop = Arc::new(AtomicBool::new(false));
        let (done_sender, done) = mpsc::channel();
        let worker = Worker {
            agent: agent(service.version),
            resource: otlp::resource(service.name, service.version, service.instance),
            version: service.version,
            endpoint,
            spans,
            queue: Arc::clone(&queue),
            stop: Arc::clone(&stop),
            trouble: false,
        };
        let thread = std::thread::Builder::new().name("trace-export".into()).spawn(move || {
            worker.run();
            // Whoever stops us may have given up already.
            let _ = done_sender.send(());
        })?;
        let tracer = Tracer::new(queue, Ratio::new(share));
        Ok(Exporter { tracer, running: Some(Running { thread, stop, done }) })
    }

    /// What makes the spans that are exported here; one that makes none if nothing is.
    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Sends what is left, for at most [`STOP_MAX`].
    pub fn stop(self) {
        let Some(Running { thread, stop, done }) = self.running else { return };
        stop.store(true, Ordering::Relaxed);
        thread.thread().unpark();
        if done.recv_timeout(STOP_MAX).is_err() {
            tracing::warn!("the last spans were not taken by the collector in time; giving up");
        }
        let dropped = self.tracer.dropped();
        if dropped > 0 {
            tracing::info!(dropped, exported = self.tracer.exported(), "some spans were dropped");
        }
    }
}

fn agent(version: &str) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        // The endpoint is what was set, whatever proxy the environment names for others.
        .proxy(None)
        .user_agent(format!("souk/{version}"))
        .timeout_global(Some(POST_MAX))
        .build()
        .into()
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Taken, but for so many spans.
    Taken { rejected: u64 },
    /// Not now.
    Later { why: String, after: Option<Duration> },
    /// Not ever.
    Refused { why: String },
}

struct Worker {
    agent: ureq::Agent,
    endpoint: Endpoint,
    resource: Resource,
    version: &'static str,
    spans: Receiver<Box<Ended>>,
    queue: Arc<Queue>,
    stop: Arc<AtomicBool>,
    /// The last batch was not taken, and that was said.
    trouble: bool,
}

impl Worker {
    fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            // Read before the queue, so that what was queued before the stop is sent.
            let stopping = self.is_stopping();
            batch.extend(self.spans.try_iter().take(BATCH_MAX));
            if !batch.is_empty() {
                self.export(&batch);
            }
            let full = batch.len() == BATCH_MAX;
            batch.clear();
            match (full, stopping) {
                (true, _) => {}
                (false, true) => return,
                (false, false) => self.pause(EXPORT_EVERY),
            }
        }
    }

    /// Posts a batch until it is taken, refused, or tried often enough.
    fn export(&mut self, batch: &[Box<Ended>]) {
        let body = otlp::encode(&self.resource, self.version, batch);
        let all = batch.len() as u64;
        let mut backoff = BACKOFF_FIRST;
        for attempt in 1.. {
            match self.post(&body) {
                Outcome::Taken { rejected } => {
                    let rejected = rejected.min(all);
                    self.count(all - rejected, rejected);
                    if std::mem::take(&mut self.trouble) {
                        tracing::info!(url = self.endpoint.url, "the collector takes spans again");
                    }
                    return;
                }
                Outcome::Refused { why } => {
                    self.complain(&why, "the collector refuses spans; they are dropped");
                    return self.count(0, all);
                }
                Outcome::Later { why, after } => {
                    self.complain(
                        &why,
                        "the collector does not take spans; trying again. Check that it runs \
                         there and that [tracing] otlp_endpoint is right",
                    );
                    if attempt >= ATTEMPTS_MAX || self.is_stopping() {
                        return self.count(0, all);
                    }
                    self.pause(after.unwrap_or(backoff).clamp(BACKOFF_FIRST, BACKOFF_MAX));
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    fn post(&self, body: &[u8]) -> Outcome {
        let request = self.agent.post(&self.endpoint.url);
        let sent = request.content_type("application/x-protobuf").send(body);
        let mut answer = match sent {
            Ok(answer) => answer,
            Err(error) => return Outcome::Later { why: error.to_string(), after: None },
        };
        let status = answer.status().as_u16();
        let retry = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let after = retry.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        // It is read to its end, so that the connection can be used again.
        let body = answer.body_mut().with_config().limit(ANSWER_MAX).read_to_vec();
        let why = format!("it answered {status}");
        match status {
            200..=299 => {
                let said =
                    body.ok().and_then(|body| ExportTraceServiceResponse::decode(&body[..]).ok());
                let rejected = said.as_ref().and_then(ExportTraceServiceResponse::rejected);
                if let Some((spans, why)) = rejected {
                    tracing::warn!(spans, why, "the collector did not want some spans");
                }
                Outcome::Taken { rejected: rejected.map_or(0, |(spans, _)| spans) }
            }
            429 | 502 | 503 | 504 => Outcome::Later { why, after },
            _ => Outcome::Refused { why },
        }
    }

    /// One line per outage: what follows fails for the same reason.
    fn complain(&mut self, why: &str, what: &str) {
        if !std::mem::replace(&mut self.trouble, true) {
            tracing::warn!(url = self.endpoint.url, why, "{what}");
        }
    }

    fn count(&self, exported: u64, dropped: u64) {
        self.queue.counts.exported.fetch_add(exported, Ordering::Relaxed);
        self.queue.counts.dropped.fetch_add(dropped, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits, but not past a stop.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.is_stopping() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn an_endpoint_is_the_base_of_a_collector_or_the_whole_address() {
        let url = |setting| Endpoint::parse(setting).expect(setting).expect("set").url;
        for setting in
            ["http://127.0.0.1:4318", "http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"]
        {
            assert_eq!(url(setting), "http://127.0.0.1:4318/v1/traces");
        }
        assert_eq!(url("http://[::1]:1/otlp"), "http://[::1]:1/otlp/v1/traces");
        assert_eq!(Endpoint::parse("").expect("off"), None);
        for wrong in
            ["127.0.0.1:4318", "https://collector:4318", "http://", "http:///x", "http://a b"]
        {
            let error = Endpoint::parse(wrong).expect_err(wrong).to_string();
            assert!(error.contains("tracing.otlp_endpoint") && error.contains("http://host:port"));
        }
    }
}
