//! The front's side of the link: one link per daemon shard, held by each ring thread for itself.

use crate::http::BodySource;
use prost::Message;
use souk_proto::{Failure, Method};
use std::time::Instant;

/// What goes with a call besides its message.
#[derive(Clone, Copy, Debug)]
pub struct CallContext {
    /// When the answer is no longer wanted.
    pub deadline: Instant,
    /// Follows the client's request through both programs.
    pub trace: u128,
}

/// A thread's links to all daemon shards. Clones are the same links.
#[derive(Clone)]
pub struct Upstream {}

/// The items of a streamed answer. Dropping it before its end tells the daemon to stop.
pub struct ItemStream {}

impl Upstream {
    /// Whether any daemon can take a request now.
    pub fn is_up(&self) -> bool {
        todo!()
    }

    /// Asks the shard that owns `key` and waits for the answer.
    pub async fn call<Q: Message, A: Message + Default>(
        &self,
        _method: Method,
        _key: u64,
        _request: &Q,
        _context: CallContext,
    ) -> Result<A, Failure> {
        todo!()
    }

    /// Like [`Upstream::call`] with a body that follows the request in pieces.
    pub async fn upload<Q: Message, A: Message + Default>(
        &self,
        _method: Method,
        _key: u64,
        _request: &Q,
        _body: &mut dyn BodySource,
        _context: CallContext,
    ) -> Result<A, Failure> {
        todo!()
    }

    /// Like [`Upstream::call`] with an answer whose items follow.
    pub async fn download<Q: Message, A: Message + Default>(
        &self,
        _method: Method,
        _key: u64,
        _request: &Q,
        _context: CallContext,
    ) -> Result<(A, ItemStream), Failure> {
        todo!()
    }
}

impl ItemStream {
    /// The next item; nothing after the last one.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, Failure>> {
        todo!()
    }
}

/// The key of a text: usernames and picture hashes are spread over the shards by it. Every front
/// gives the same key to the same text.
pub fn key_of(text: &str) -> u64 {
    let _ = text;
    todo!()
}
