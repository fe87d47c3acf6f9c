//! Whether bids are let through to the stores.
//!
//! A bid that meets a store that is away opens the breaker: from then on bids are refused at once,
//! and the shard's looks at both stores, its beats, are the probes. Only a beat that finds both
//! stores well closes it, so no bid is ever a probe. The time in between is an outage, which the
//! beats measure and make good.

use crate::limits::{BEAT_EVERY, PROBE_FIRST, PROBE_MAX};
use souk_db::auctions::CLOCK_SKEW_MAX_MS;
use souk_proto::{Code, Failure};
use std::time::{Duration, Instant};

/// How a look at both stores ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Both answered. So far is the clock of Redis' machine ahead of ours, milliseconds.
    Well {
        /// Negative when it is behind.
        skew_ms: i64,
    },
    /// This shard was too busy to ask, which says nothing of the stores.
    Busy,
    /// One of them is away.
    Away,
}

/// How far the breaker is from letting bids through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// Bids go through.
    Closed,
    /// A probe is under way.
    HalfOpen,
    /// Bids are refused.
    Open,
}

/// The breaker of one shard.
#[derive(Debug)]
pub struct Breaker {
    position: Position,
    /// When the stores are looked at next.
    due: Instant,
    /// Pause after the next probe that fails.
    pause: Duration,
    skew_ms: i64,
}

impl Breaker {
    /// Closed, with a first look at once.
    pub fn new(now: Instant) -> Breaker {
        Breaker { position: Position::Closed, due: now, pause: PROBE_FIRST, skew_ms: 0 }
    }

    /// How it stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// When the stores are to be looked at next.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Lets a bid through, or says why not.
    ///
    /// # Errors
    /// `busy` while it is open, with the time until the next probe; `clock_skew` while the clocks
    /// are too far apart.
    pub fn admit(&self, now: Instant) -> Result<(), Failure> {
        if self.position != Position::Closed {
            let why = "Bidding is paused because a store is away. Live auctions end later by the time \
                       in which nobody could bid.";
            let wait = self.due.saturating_duration_since(now).max(PROBE_FIRST);
            return Err(Failure::because(Code::Busy, why).retry_after(wait));
        }
        if self.skew_ms.abs() > CLOCK_SKEW_MAX_MS {
            return Err(Failure::new(Code::ClockSkew).retry_after(BEAT_EVERY));
        }
        Ok(())
    }

    /// A bid met a store that is away. Whether that opened the breaker: the next look is due sooner
    /// then. `jitter` is 0 to 1.
    pub fn failed(&mut self, now: Instant, jitter: f64) -> bool {
        let was = self.position;
        if was == Position::Closed {
            self.pause = PROBE_FIRST;
        }
        if was != Position::Open {
            self.position = Position::Open;
            self.due = now + self.next_pause(jitter);
        }
        was == Position::Closed
    }

    /// A look begins.
    pub fn looks(&mut self) {
        if self.position == Position::Open {
            self.position = Position::HalfOpen;
        }
    }

    /// A look has ended. Whether bids are let through now that were not, or the other way round.
    /// `jitter` is 0 to 1.
    pub fn looked(&mut self, look: Look, now: Instant, jitter: f64) -> bool {
        let was = self.position;
        match look {
            Look::Well { skew_ms } if was != Position::Open => {
                (self.position, self.skew_ms) = (Position::Closed, skew_ms);
                (self.pause, self.due) = (PROBE_FIRST, now + BEAT_EVERY);
                return was != Position::Closed;
            }
            // A bid failed while the look was under way: only a look that began later counts.
            Look::Well { .. } => {}
            Look::Busy if was == Position::Closed => self.due = now + BEAT_EVERY,
            Look::Busy | Look::Away => {
                if was == Position::Closed {
                    self.pause = PROBE_FIRST;
                }
                self.position = Position::Open;
                self.due = now + self.next_pause(jitter);
                return was == Position::Closed;
            }
        }
        false
    }

    /// The pause until the next probe, from three quarters of it to all: shards and daemons that
    /// lost a store in one moment do not come back in one.
    fn next_pause(&mut self, jitter: f64) -> Duration {
        let pause = self.pause.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 4.0);
        self.pause = (self.pause * 2).min(PROBE_MAX);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, Look, Position};
    use crate::limits::{BEAT_EVERY, PROBE_FIRST, PROBE_MAX};
    use proptest::prelude::*;
    use souk_db::auctions::CLOCK_SKEW_MAX_MS;
    use souk_proto::Code;
    use std::time::{Duration, Instant};

    const WELL: Look = Look::Well { skew_ms: 0 };

    #[test]
    fn a_failed_bid_pauses_bidding_until_a_later_look_is_well() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        assert!(breaker.admit(now).is_ok());
        assert!(breaker.failed(now, 0.0), "it opens");
        assert!(!breaker.failed(now, 0.0), "it is open");
        let refused = breaker.admit(now).expect_err("paused");
        assert_eq!((refused.code, refused.retry_after_ms), (Code::Busy, 100));
        assert!(refused.text().contains("end later"));
        assert_eq!(breaker.due(), now + PROBE_FIRST);
        breaker.looks();
        assert_eq!(breaker.position(), Position::HalfOpen);
        assert_eq!(breaker.admit(now).expect_err("only a look is a probe").code, Code::Busy);
        assert!(breaker.looked(WELL, now, 0.0));
        assert!(breaker.admit(now).is_ok());
        assert_eq!(breaker.due(), now + BEAT_EVERY);
    }

    #[test]
    fn probes_come_at_pauses_that_double_to_a_second() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            breaker.looks();
            breaker.looked(Look::Away, now, 0.0);
            pauses.push(breaker.due() - now);
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_000, 1_000].map(Duration::from_millis));
        breaker.looks();
        breaker.looked(Look::Away, now, 1.0);
        assert_eq!(breaker.due() - now, Duration::from_millis(750), "jitter");
        breaker.looks();
        breaker.looked(WELL, now, 0.0);
        breaker.failed(now, 0.0);
        assert_eq!(breaker.due() - now, PROBE_FIRST, "a new outage begins anew");
    }

    #[test]
    fn a_look_that_began_before_a_bid_failed_does_not_close_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        breaker.looks();
        breaker.failed(now, 0.0);
        assert!(!breaker.looked(WELL, now, 0.0));
        assert_eq!(breaker.position(), Position::Open);
    }

    #[test]
    fn a_shard_that_is_busy_says_nothing_of_the_stores() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        breaker.looks();
        assert!(!breaker.looked(Look::Busy, now, 0.0));
        assert!(breaker.admit(now).is_ok());
        breaker.failed(now, 0.0);
        breaker.looks();
        assert!(!breaker.looked(Look::Busy, now, 0.0));
        assert!(breaker.admit(now).is_err());
    }

    #[test]
    fn clocks_that_are_too_far_apart_stop_bids_until_they_are_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        for (skew_ms, expected) in [
            (CLOCK_SKEW_MAX_MS, None),
            (CLOCK_SKEW_MAX_MS + 1, Some(Code::ClockSkew)),
            (-CLOCK_SKEW_MAX_MS - 1, Some(Code::ClockSkew)),
            (0, None),
        ] {
            breaker.looks();
            breaker.looked(Look::Well { skew_ms }, now, 0.0);
            assert_eq!(breaker.admit(now).err().map(|it| it.code), expected, "{skew_ms}");
        }
    }

    proptest! {
        /// Whatever happens: bids go through exactly when no bid failed and no look found a store
        /// away since the begin of the last look that was well, and the next look is always soon.
        #[test]
        fn bids_go_through_only_after_a_whole_look_that_was_well(
            steps in proptest::collection::vec((0..5_u8, 0.0..1.0), 0..60)
        ) {
            let now = Instant::now();
            let mut breaker = Breaker::new(now);
            let (mut bad, mut bad_since_look) = (false, false);
            for (step, jitter) in steps {
                match step {
                    0 => {
                        breaker.failed(now, jitter);
                        (bad, bad_since_look) = (true, true);
                    }
                    1 => {
                        breaker.looks();
                        bad_since_look = false;
                    }
                    2 => {
                        breaker.looked(WELL, now, jitter);
                        bad &= bad_since_look;
                        bad_since_look = bad;
                    }
                    3 => {
                        breaker.looked(Look::Away, now, jitter);
                        (bad, bad_since_look) = (true, true);
                    }
                    _ => {
                        breaker.looked(Look::Busy, now, jitter);
                        bad_since_look = bad;
                    }
                }
                prop_assert_eq!(breaker.admit(now).is_err(), bad);
                prop_assert!(breaker.due() <= now + PROBE_MAX);
            }
        }
    }
}
