//! Who somebody is: names, passwords, the memory of verified ones, tokens, and guessing.
//!
//! Nothing here talks to a store or a socket; the services put the parts together.

pub mod device;
pub mod guesses;
pub mod hashing;
pub mod memo;
pub mod names;
pub mod password;
pub mod token;
