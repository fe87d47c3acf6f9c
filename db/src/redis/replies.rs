//! Counts the replies of one connection, says what they prove, and ends the spans that wait for
//! them. Sans-IO.
//!
//! The server answers in order, and tells of a change before any reply that it gives after the
//! change. So a reply proves that everything is known here that had changed when its command was
//! sent.

use super::traced::Traced;
use std::collections::VecDeque;
use std::time::Instant;

/// The replies of one connection.
#[derive(Debug, Default)]
pub struct Replies {
    count: u64,
    /// Writes whose replies are not all here: how many commands were sent with it or before it,
    /// and when it began. Each has a command in flight, so they are bounded like those.
    sent: VecDeque<(u64, Instant)>,
    heard: Option<Instant>,
    traced: Traced,
}

impl Replies {
    /// Notes that a command was queued; `waiting`: commands without a reply, this one included.
    pub fn note_issued(&mut self, waiting: usize) {
        self.traced.issued(self.count + waiting as u64);
    }

    /// Notes that a write begins; `waiting`: commands without a reply, those in this write
    /// included. Says how many are in this write.
    pub fn note_sent(&mut self, waiting: usize, now: Instant) -> usize {
        let earlier = self.sent.back().map_or(self.count, |(last, _)| *last);
        let last = self.count + waiting as u64;
        if last == earlier {
            return 0; // only subscriptions, which have no reply
        }
        self.sent.push_back((last, now));
        let size = usize::try_from(last - earlier).unwrap_or(usize::MAX);
        self.traced.written(size);
        size
    }

    /// Notes a reply.
    pub fn note_answered(&mut self) {
        self.count += 1;
        self.traced.answered(self.count);
        while let Some((last, at)) = self.sent.front() {
            if *last >= self.count {
                self.heard = Some(*at);
                break;
            }
            self.sent.pop_front();
        }
    }

    /// The connection is lost: no more replies come.
    pub fn lost(self, why: &str) {
        self.traced.lost(why);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Everything that the server had changed by then is known here.
    pub fn heard(&self) -> Option<Instant> {
        self.heard
    }
}

#[cfg(test)]
mod tests {
    use super::Replies;
    use std::time::{Duration, Instant};

    #[test]
    fn a_reply_speaks_for_the_moment_at_which_its_own_write_began() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut replies = Replies::default();
        assert_eq!(replies.note_sent(2, at(1)), 2);
        assert_eq!(replies.heard(), None, "nothing is proven by asking");
        replies.note_answered();
        // One of the first write, two of this one.
        assert_eq!(replies.note_sent(3, at(2)), 2);
        replies.note_answered();
        assert_eq!(replies.heard(), Some(at(1)));
        replies.note_answered();
        assert_eq!(replies.heard(), Some(at(2)));
        replies.note_answered();
        assert_eq!(replies.note_sent(1, at(3)), 1);
        assert_eq!(replies.heard(), Some(at(2)));
        replies.note_answered();
        assert_eq!((replies.heard(), replies.count()), (Some(at(3)), 5));
    }
}
