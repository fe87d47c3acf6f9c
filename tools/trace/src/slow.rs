//! Requests that took long, each logged once with its stages.

use crate::limits::SLOW_LINES_PER_S;
use std::cell::Cell;
use std::fmt::{Display, Write as _};
use std::time::{Duration, Instant};

/// Finds slow requests on one thread.
#[derive(Debug)]
pub struct Slow {
    /// From here on a request is slow; nothing if none is.
    from: Option<Duration>,
    second: Cell<Instant>,
    /// Lines in this second.
    lines: Cell<u32>,
    /// Slow requests since the last line that got none.
    unsaid: Cell<u64>,
}

impl Slow {
    /// Requests that take longer than `slow_ms` milliseconds are slow; with 0 none is.
    pub fn new(slow_ms: u64) -> Slow {
        Slow {
            from: (slow_ms > 0).then(|| Duration::from_millis(slow_ms)),
            second: Cell::new(Instant::now()),
            lines: Cell::new(0),
            unsaid: Cell::new(0),
        }
    }

    /// A request has ended: it is logged if it was slow. Its trace is the one that this thread
    /// works for. When everything is slow, a log of all of it would make it slower: past
    /// [`SLOW_LINES_PER_S`] requests are counted, and the next line says how many.
    pub fn look<'a, S>(
        &self,
        route: impl Display,
        outcome: impl Display,
        (total, now): (Duration, Instant),
        stages: impl FnOnce() -> S,
    ) where
        S: IntoIterator<Item = (&'a str, Duration)>,
    {
        if self.from.is_none_or(|from| total < from) {
            return;
        }
        if now.saturating_duration_since(self.second.get()) >= Duration::from_secs(1) {
            self.second.set(now);
            self.lines.set(0);
        }
        if self.lines.get() >= SLOW_LINES_PER_S {
            self.unsaid.set(self.unsaid.get() + 1);
            return;
        }
        self.lines.set(self.lines.get() + 1);
        let (total_ms, unsaid) = (milliseconds(total), self.unsaid.take());
        let stages = listed(stages());
        tracing::warn!(%route, %outcome, total_ms, stages, unsaid, "slow request");
    }
}

/// `queue 0.031 ms, redis 1204.500 ms`.
fn listed<'a>(stages: impl IntoIterator<Item = (&'a str, Duration)>) -> String {
    let mut list = String::new();
    for (name, time) in stages {
        let comma = if list.is_empty() { "" } else { ", " };
        // Writing to a text cannot fail.
        let _ = write!(list, "{comma}{name} {:.3} ms", milliseconds(time));
    }
    list
}

fn milliseconds(time: Duration) -> f64 {
    // Whole microseconds: more digits would only be noise.
    Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)).as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::{Slow, listed};
    use crate::limits::SLOW_LINES_PER_S;
    use std::time::{Duration, Instant};

    /// Whether a request that took so long had its stages asked for, that is, was logged.
    fn logged(slow: &Slow, total: Duration, now: Instant) -> bool {
        let mut asked = false;
        slow.look("GetMe", "ok", (total, now), || {
            asked = true;
            [("redis", total)]
        });
        asked
    }

    #[test]
    fn requests_over_the_setting_are_logged_and_with_0_none_is() {
        let (now, slow) = (Instant::now(), Slow::new(100));
        let ms = Duration::from_millis;
        assert!(!logged(&slow, ms(99), now));
        assert!(logged(&slow, ms(100), now));
        assert!(!logged(&Slow::new(0), ms(100_000), now));
    }

    #[test]
    fn lines_of_one_second_are_bounded_and_the_next_says_what_was_left_out() {
        // Made first: its second begins before the time of the requests.
        let (slow, now) = (Slow::new(1), Instant::now());
        let second = Duration::from_secs(1);
        let lines = (0..100).filter(|_| logged(&slow, second, now)).count();
        assert_eq!(lines, SLOW_LINES_PER_S as usize);
        assert_eq!(slow.unsaid.get(), 100 - u64::from(SLOW_LINES_PER_S));
        assert!(logged(&slow, second, now + second));
        assert_eq!(slow.unsaid.get(), 0);
    }

    #[test]
    fn stages_are_listed_in_their_order() {
        let stages = [("queue", 31), ("redis", 1_204_500)];
        let stages = stages.map(|(name, us)| (name, Duration::from_micros(us)));
        assert_eq!(listed(stages), "queue 0.031 ms, redis 1204.500 ms");
    }
}
