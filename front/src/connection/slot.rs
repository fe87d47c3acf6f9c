//! An answer that is owed, from the request to its last byte.

use super::trace::Trace;
use crate::http::head::{Method, Version};
use crate::http::{BodySource, Head, Response};
use souk_meter::Request;
use souk_proto::Failure;
use std::future::Future;
use std::pin::Pin;

/// One answer owed.
pub struct Slot {
    /// How far it is.
    pub work: Work,
    /// Its times, if they are taken.
    pub meter: Option<Request>,
    /// The answer's status, once it is encoded.
    pub status: u16,
    /// What the request says about its answer.
    pub facts: Facts,
    /// The request's trace. Its span ends with the slot.
    pub trace: Trace,
}

impl Slot {
    /// An answer of which nothing is sent.
    pub fn new(facts: Facts, work: Work, meter: Option<Request>, trace: Trace) -> Slot {
        Slot { work, meter, status: 0, facts, trace }
    }
}

/// What a request says about its answer.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Whether another request may follow on the connection.
    pub persistent: bool,
    /// Whether the request was HEAD.
    pub head_only: bool,
    /// The version of the request.
    pub version: Version,
    /// Whether the request changes nothing, so that others may run beside it.
    pub safe: bool,
}

impl Facts {
    /// Of what could not be read as a request: the connection ends with its answer.
    pub const UNKNOWN: Facts =
        Facts { persistent: false, head_only: false, version: Version::Http11, safe: true };

    /// Those of a request with this head.
    pub fn of(head: &Head) -> Facts {
        Facts {
            persistent: head.persistent,
            head_only: head.method == Method::Head,
            version: head.version,
            safe: head.method.is_safe(),
        }
    }
}

/// How far an answer is.
pub enum Work {
    /// The interim answer that lets the client send its body.
    Continue,
    /// The handler has not answered yet.
    Running(Handler),
    /// It waits for the answers before it.
    Ready(Response),
    /// The head is encoded; this many bytes of the body are missing.
    Sending(u64, Sending),
    /// The head is encoded; what follows has no end that is known.
    Endless(Sending),
}

/// Waits for the next piece of a streamed answer.
pub type Sending = Pin<Box<dyn Future<Output = Chunk>>>;

/// A handler at work.
pub type Handler = Pin<Box<dyn Future<Output = Response>>>;

/// A piece of a streamed answer, and where the next one comes from.
pub type Chunk = (Option<Result<Vec<u8>, Failure>>, Box<dyn BodySource>);

/// Waits for the next piece.
pub async fn next_chunk(mut source: Box<dyn BodySource>) -> Chunk {
    let chunk = source.next().await;
    (chunk, source)
}
