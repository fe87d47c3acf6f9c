//! What a thread knows of boards between two requests: first pages in their encoded form, and the
//! news that those who watch a board are told.

pub mod feed;
pub mod json;
pub mod live;
pub mod pages;
pub mod sources;

pub use feed::{Feed, Mine};
pub use live::{Live, Watcher, Word};
pub use pages::{Known, PageCache};
