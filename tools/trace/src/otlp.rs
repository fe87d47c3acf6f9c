//! Spans as OTLP has them: the part of `opentelemetry/proto/collector/trace/v1` (release 1.x of
//! <https://github.com/open-telemetry/opentelemetry-proto>) that is sent, and its answer.

use crate::span::{Ended, Kind, Value};
use prost::{Enumeration, Message, Oneof};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What is posted to `/v1/traces`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportTraceServiceRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

/// The process that the spans are of.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<InstrumentationScope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct InstrumentationScope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(enumeration = "SpanKind", tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
enum SpanKind {
    Unspecified = 0,
    Server = 2,
    Client = 3,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(enumeration = "StatusCode", tag = "3")]
    code: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
enum StatusCode {
    Unset = 0,
    Error = 2,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 3")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Any {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(int64, tag = "3")]
    Int(i64),
}

/// The collector's answer.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportTraceServiceResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<ExportTracePartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct ExportTracePartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

impl ExportTraceServiceResponse {
    /// How many spans the collector did not want, and why.
    pub(crate) fn rejected(&self) -> Option<(u64, &str)> {
        let partial = self.partial_success.as_ref()?;
        let rejected = u64::try_from(partial.rejected_spans).ok().filter(|spans| *spans > 0)?;
        Some((rejected, &partial.error_message))
    }
}

/// Describes the process.
pub(crate) fn resource(name: &str, version: &str, instance: &str) -> Resource {
    let text = |key, value: &str| key_value(key, Any::String(value.to_owned()));
    Resource {
        attributes: vec![
            text("service.name", name),
            text("service.version", version),
            text("service.instance.id", instance),
        ],
    }
}

/// A batch of spans as the body of a POST.
pub(crate) fn encode(resource: &Resource, version: &str, batch: &[Box<Ended>]) -> Vec<u8> {
    let (clock, now) = (SystemTime::now(), Instant::now());
    // The clock is read once a batch: spans measure with one that is never set back.
    let unix_ns = |at: Instant| {
        let then = clock.checked_sub(now.saturating_duration_since(at)).unwrap_or(UNIX_EPOCH);
        let since = then.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    };
    let scope = InstrumentationScope { name: "souk-trace".into(), version: version.into() };
    let spans = batch.iter().map(|span| of(span, &unix_ns)).collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
        }],
    }
    .encode_to_vec()
}

fn of(span: &Ended, unix_ns: &impl Fn(Instant) -> u64) -> Span {
    let kind = match span.kind {
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
    };
    let attributes = span.attributes.iter().map(|(key, value)| match value {
        Value::Text(text) => key_value(key, Any::String(text.clone().into_owned())),
        Value::Number(number) => key_value(key, Any::Int(*number)),
    });
    Span {
        trace_id: span.trace_id.to_be_bytes().to_vec(),
        span_id: span.id.get().to_be_bytes().to_vec(),
        parent_span_id: span.parent.map_or_else(Vec::new, |id| id.get().to_be_bytes().to_vec()),
        name: span.name.clone().into_owned(),
        kind: kind.into(),
        start_time_unix_nano: unix_ns(span.began),
        end_time_unix_nano: unix_ns(span.ended),
        attributes: attributes.collect(),
        status: span.failure.as_ref().map(|why| Status {
            message: why.clone().into_owned(),
            code: StatusCode::Error.into(),
        }),
        // The W3C trace flags: sampled.
        flags: 1,
    }
}

fn key_value(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
