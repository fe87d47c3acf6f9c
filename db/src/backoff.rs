//! Pauses between attempts to reach a server: doubling, bounded, with jitter, so that a server
//! that comes back is not met by everyone at once.

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};
use std::time::Duration;

pub struct Backoff {
    pause: Duration,
}

impl Backoff {
    pub fn new() -> Backoff {
        Backoff { pause: BACKOFF_MIN }
    }

    /// The next pause: half of it certain, half of it random.
    pub fn next(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(BACKOFF_MAX);
        pause / 2 + jitter(pause / 2)
    }

    pub fn reset(&mut self) {
        self.pause = BACKOFF_MIN;
    }
}

/// A random part of `most`. Not secret: spread is all that matters.
pub fn jitter(most: Duration) -> Duration {
    let part = getrandom::u32().unwrap_or(u32::MAX / 2);
    most.mul_f64(f64::from(part) / f64::from(u32::MAX))
}
