//! One link to a front.
pub mod stream;
