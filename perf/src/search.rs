//! The highest rate that is good enough: doubling, then halving.

/// How often a rate is tried, at most.
const TRIES_MAX: u32 = 20;

/// The search ends when bounds are this close to each other, as a share of the higher.
const CLOSE: f64 = 0.03;

/// A search in progress. It asks for a rate with [`Search::rate`] and is told with
/// [`Search::tell`] whether that was good enough.
#[derive(Clone, Debug)]
pub struct Search {
    good: f64,
    bad: Option<f64>,
    at: f64,
    tries: u32,
}

impl Search {
    /// A search that begins at a rate, above 0.
    #[must_use]
    pub fn new(start: f64) -> Search {
        Search { good: 0.0, bad: None, at: start.max(1.0), tries: 0 }
    }

    /// The next rate to try; none at the end.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let close = self.bad.is_some_and(|bad| bad - self.good <= bad * CLOSE);
        (!close && self.tries < TRIES_MAX && self.at >= 1.0).then_some(self.at)
    }

    /// Whether the rate that was asked for was good enough.
    pub fn tell(&mut self, good: bool) {
        self.tries += 1;
        if good {
            self.good = self.at;
        } else {
            self.bad = Some(self.at);
        }
        self.at = match self.bad {
            None => self.at * 2.0,
            Some(bad) => f64::midpoint(self.good, bad),
        };
    }

    /// The highest rate that was good enough so far; 0 if none was.
    #[must_use]
    pub fn best(&self) -> f64 {
        self.good
    }
}

#[cfg(test)]
mod tests {
    use super::Search;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_highest_rate_is_found_from_wherever_it_begins(
            limit in 20.0f64..1e6,
            start in 1.0f64..1e6,
        ) {
            let mut search = Search::new(start);
            let mut tries = 0;
            while let Some(rate) = search.rate() {
                prop_assert!(rate > 0.0);
                search.tell(rate <= limit);
                tries += 1;
                prop_assert!(tries <= 20);
            }
            prop_assert!(search.best() <= limit);
            // From far below or above, the tries may end before it is close.
            if start > limit / 1000.0 && start < limit * 1000.0 {
                prop_assert!(search.best() >= limit * 0.9, "{} of {limit}", search.best());
            }
        }
    }

    #[test]
    fn a_server_that_is_never_good_enough_ends_the_search_at_nothing() {
        let mut search = Search::new(1000.0);
        while search.rate().is_some() {
            search.tell(false);
        }
        assert_eq!(search.best().to_bits(), 0.0f64.to_bits());
    }
}
