//! Why something here failed.

use std::fmt;

/// A text for people: what is wrong, why, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(String);

impl Failed {
    /// A failure with this text.
    pub fn new(why: impl fmt::Display) -> Failed {
        Failed(why.to_string())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed(error.to_string())
    }
}
