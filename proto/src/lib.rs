//! The link between `souk-front` and `soukd`: messages, frames, the request table and error codes.
//!
//! This crate does no I/O and knows no runtime: bytes go in, frames come out, and the other way
//! round. The ring loops of the two programs own the sockets and the buffers' way to them.
//!
//! The frame layout is in [`frame`], what each method carries in [`method`], [`accounts`],
//! [`leaderboard`] and [`auctions`], and every bound of the link in [`limits`]. [`tlv`] has the
//! frames that the front's binary port exchanges with its clients.

pub mod error;
pub mod frame;
pub mod hello;
pub mod inbox;
pub mod limits;
pub mod method;
pub mod outbox;
pub mod table;
pub mod tlv;

/// Messages that every noun shares, generated from `schema/common.proto`.
#[allow(missing_docs, clippy::all)]
pub mod common {
    include!(concat!(env!("OUT_DIR"), "/souk.common.rs"));
}

/// Messages of the accounts, generated from `schema/accounts.proto`.
#[allow(missing_docs, clippy::all)]
pub mod accounts {
    include!(concat!(env!("OUT_DIR"), "/souk.accounts.rs"));
}

/// Messages of the leaderboard, generated from `schema/leaderboard.proto`.
#[allow(missing_docs, clippy::all)]
pub mod leaderboard {
    include!(concat!(env!("OUT_DIR"), "/souk.leaderboard.rs"));
}

/// Messages of the auctions, generated from `schema/auctions.proto`.
#[allow(missing_docs, clippy::all)]
pub mod auctions {
    include!(concat!(env!("OUT_DIR"), "/souk.auctions.rs"));
}

pub use error::{Code, Failure};
pub use frame::{Flags, FrameRef, Header, Kind};
pub use inbox::Inbox;
pub use method::Method;
pub use outbox::Outbox;
pub use table::RequestTable;
