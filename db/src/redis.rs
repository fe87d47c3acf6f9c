//! How we talk to Redis: commands in, replies out, over one pipelined ring connection per shard.

mod channels;
mod greeting;
mod pipeline;
mod replies;
mod resp;
mod script;
mod socket;
mod traced;

pub use pipeline::{Answer, Redis, RunId};
pub use resp::Reply;
