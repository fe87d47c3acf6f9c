//! What a thread knows of boards between two requests: first pages in their encoded form, and the
//! news that those who watch a board are told.

pub mod board;
pub mod feed;
pub mod json;
pub mod pages;

pub use board::Board;
pub use feed::{Feed, Mine};
pub use pages::{Known, PageCache};

/// Who watches which board.
pub type Live = crate::live::Hub<Board>;
