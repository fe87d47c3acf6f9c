//! Every bound of the link, with its reason. Sizes are in bytes.

use std::time::Duration;

/// Version of the link protocol. It changes with every change that an older peer would misread.
pub const PROTOCOL_VERSION: u32 = 2;

/// Length of a frame header's fixed fields.
pub const HEADER_LEN: usize = 40;

/// Length of the parent span id behind them, in sampled frames.
pub const PARENT_LEN: usize = 8;

/// Longest payload of one frame. A page of 100 users is about 20 KiB; larger things are streams.
pub const PAYLOAD_MAX: usize = 256 * 1024;

/// Longest item of a picture's stream: large enough to be cheap, small enough that requests queued
/// behind it on the same link wait for microseconds.
pub const STREAM_CHUNK: usize = 32 * 1024;

/// Requests in flight on one link. 1,000 pipelining clients fit; past it the front answers BUSY.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 8 * 1024;

/// Bytes queued for one link's socket. A peer that reads nothing costs this much and then the link.
pub const OUTBOX_MAX: usize = 16 * 1024 * 1024;

/// Queued bytes past which a stream's sender waits for the socket before its next item.
pub const OUTBOX_STREAM_HIGH: usize = 256 * 1024;

/// First size of a link's read buffer, and the room made before each read.
pub const READ_CHUNK: usize = 64 * 1024;

/// Longest link secret.
pub const SECRET_MAX: usize = 256;

/// Shortest link secret: 128 bits in base64url.
pub const SECRET_MIN: usize = 22;

/// Longest node name in HELLO.
pub const NODE_MAX: usize = 64;

/// Time for a peer to send its HELLO.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause between PINGs on a link.
pub const PING_EVERY: Duration = Duration::from_secs(2);

/// A link whose peer sent nothing for this long is lost.
pub const SILENCE_MAX: Duration = Duration::from_secs(6);

/// Longest deadline of a request. Longer ones are cut to it.
pub const DEADLINE_MAX: Duration = Duration::from_secs(60);

const _: () = assert!(STREAM_CHUNK <= PAYLOAD_MAX, "a stream's item is one frame");
const _: () =
    assert!(PAYLOAD_MAX + HEADER_LEN + PARENT_LEN <= OUTBOX_MAX, "any frame fits an empty outbox");
const _: () = assert!(OUTBOX_STREAM_HIGH < OUTBOX_MAX, "streams yield before requests are refused");
