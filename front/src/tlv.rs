//! The binary port: bids as short frames, for programs that bid a lot. `front/TLV.md` describes it
//! byte by byte; the frames themselves are in [`souk_proto::tlv`].
//!
//! [`session`] knows the rules of a connection and no socket, [`connection`] moves its bytes and
//! asks the daemons.

pub mod connection;
pub mod session;

mod calls;
mod feeds;
mod times;

pub use connection::{serve, turn_away};

/// What is measured of the binary port, in the way of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A session token.
    Auth,
    /// A bid with short ids.
    Bid,
    /// A bid with long ids.
    Bid64,
    /// A subscription, or its end.
    Subscribe,
    /// A ping.
    Ping,
    /// An event that was sent.
    Event,
    /// What is no frame, and connections that are too many.
    Nothing,
}

impl Route {
    /// The names, in the order of the numbers.
    pub const NAMES: [&'static str; 7] = [
        "TLV AUTH",
        "TLV BID",
        "TLV BID64",
        "TLV SUBSCRIBE",
        "TLV PING",
        "TLV EVENT",
        "TLV (none)",
    ];

    /// Its number among all that the front measures.
    pub fn number(self) -> usize {
        crate::routes::NOWHERE + 1 + self as usize
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Route::NAMES[self as usize]
    }
}
