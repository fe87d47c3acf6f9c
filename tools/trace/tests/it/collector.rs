//! A collector that takes OTLP/HTTP: it reads the protobuf with the official messages.

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A span as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The `service.name` of whoever sent it.
    pub service: String,
    pub span: Span,
}

impl Seen {
    pub fn trace_id(&self) -> u128 {
        u128::from_be_bytes(self.span.trace_id[..].try_into().expect("16 bytes"))
    }

    pub fn id(&self) -> u64 {
        u64::from_be_bytes(self.span.span_id[..].try_into().expect("8 bytes"))
    }

    /// The parent's id; nothing for the root of a trace.
    pub fn parent(&self) -> Option<u64> {
        let id = &self.span.parent_span_id;
        (!id.is_empty()).then(|| u64::from_be_bytes(id[..].try_into().expect("8 bytes")))
    }

    /// A number that was said about it.
    pub fn number(&self, key: &str) -> Option<i64> {
        let found = self.span.attributes.iter().find(|attribute| attribute.key == key)?;
        match found.value.as_ref()?.value.as_ref()? {
            Value::IntValue(number) => Some(*number),
            _ => None,
        }
    }
}

/// What the next POST is answered.
#[allow(dead_code)] // not every test program that has a collector makes it refuse
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This status, and the spans are forgotten.
    Status(u16),
    /// All but one span are taken.
    AllButOne,
    /// Nothing: the connection is closed.
    Close,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    replies: VecDeque<Reply>,
    posts: usize,
}

/// A collector on a free port. It ends with the test's process.
pub struct Collector {
    address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Collector {
    pub fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let to = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let to = to.clone();
                std::thread::spawn(move || serve(&stream.unwrap(), &to));
            }
        });
        Collector { address, shared }
    }

    /// The setting that leads here.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next POSTs are answered so; those after them are taken.
    #[allow(dead_code)] // as above
    pub fn replies(&self, replies: &[Reply]) {
        self.shared.0.lock().unwrap().replies.extend(replies);
    }

    /// How many POSTs came.
    #[allow(dead_code)] // as above
    pub fn posts(&self) -> usize {
        self.shared.0.lock().unwrap().posts
    }

    /// All spans that came, once there are those that `enough` looks for.
    pub fn wait(&self, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let state = self.shared.0.lock().unwrap();
        let few = |state: &mut State| !enough(&state.seen);
        let (state, late) = self.shared.1.wait_timeout_while(state, PATIENCE, few).unwrap();
        assert!(!late.timed_out(), "these spans came: {:#?}", state.seen);
        state.seen.clone()
    }
}

fn serve(stream: &TcpStream, shared: &(Mutex<State>, Condvar)) {
    let mut reader = BufReader::new(stream);
    while let Some(body) = post(&mut reader) {
        let request = ExportTraceServiceRequest::decode(&body[..]).expect("the official message");
        let mut state = shared.0.lock().unwrap();
        state.posts += 1;
        let reply = state.replies.pop_front();
        let taken = matches!(reply, None | Some(Reply::AllButOne));
        for resource in request.resource_spans.into_iter().filter(|_| taken) {
            let service = service(resource.resource.as_ref());
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            state.seen.extend(spans.map(|span| Seen { service: service.clone(), span }));
        }
        drop(state);
        shared.1.notify_all();
        let rejected_spans = i64::from(reply == Some(Reply::AllButOne));
        let error_message = "one too many".to_owned();
        let partial_success = ExportTracePartialSuccess { rejected_spans, error_message };
        let answer = ExportTraceServiceResponse { partial_success: Some(partial_success) };
        let answer = answer.encode_to_vec();
        let status = match reply {
            Some(Reply::Close) => return,
            Some(Reply::Status(status)) => status,
            None | Some(Reply::AllButOne) => 200,
        };
        let mut stream = stream;
        let length = answer.len();
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n");
        // Whoever asked may be gone.
        if stream.write_all(&[head.as_bytes(), &answer].concat()).is_err() {
            return;
        }
    }
}

fn service(resource: Option<&opentelemetry_proto::tonic::resource::v1::Resource>) -> String {
    let attributes = &resource.expect("a resource").attributes;
    let name = attributes.iter().find(|attribute| attribute.key == "service.name");
    match name.and_then(|name| name.value.clone()).and_then(|value| value.value) {
        Some(Value::StringValue(name)) => name,
        other => panic!("a service has a name: {other:?}"),
    }
}

/// The body of the next POST; nothing at the connection's end.
fn post(reader: &mut BufReader<&TcpStream>) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        head.push(line.trim_end().to_ascii_lowercase());
    }
    assert_eq!(head[0], "post /v1/traces http/1.1");
    assert!(head.iter().any(|line| line == "content-type: application/x-protobuf"), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.expect("a length").parse().expect("a number")];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}
