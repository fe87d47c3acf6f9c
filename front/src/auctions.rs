//! What a thread knows of auctions between two requests: the news that those who watch are told.

pub mod auction;
pub mod feed;
pub mod json;
pub mod ring;
pub mod story;

pub use auction::Auction;
pub use feed::Feed;

/// Who watches which auction.
pub type Live = crate::live::Hub<Auction>;
