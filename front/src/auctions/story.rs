//! What an auction's watchers are told, without clocks and connections: news come in, and each
//! watcher is told what it does not know.
//!
//! A watcher's view of the bids has no gap that it cannot see: it is told all bids after the last
//! that it knows, or a snapshot, whose bids begin where they begin.

use super::json;
use super::ring::Ring;
use crate::limits::{ENDING_SOON_MS, PIECE_FRESH_MS, PIECES_KEPT, SNAPSHOT_BIDS};
use bytes::Bytes;
use souk_proto::auctions::{AuctionNews, State};
use std::rc::Rc;

/// An auction as far as it is known.
#[derive(Debug, Default)]
pub struct Story {
    /// The latest news, without bids.
    news: Rc<AuctionNews>,
    bids: Ring,
    /// Counts what there was to tell; 0 while nothing is known.
    number: u64,
    /// Whether it ends soon.
    soon: bool,
    /// The snapshot but for what is another for each watcher.
    snapshot: Option<Bytes>,
    pieces: Vec<Piece>,
}

/// A message that is kept for others who know the same.
#[derive(Debug)]
struct Piece {
    seen: Seen,
    bytes: Bytes,
    made_at_ms: i64,
}

/// News that nobody was told yet.
#[derive(Debug, Default)]
pub struct Waiting {
    news: AuctionNews,
    bids: Ring,
}

impl Waiting {
    /// What waits, and what came. News of fewer bids is older news, from a daemon that was slower.
    pub fn join(waiting: Option<Waiting>, mut news: AuctionNews) -> Waiting {
        let mut waiting = waiting.unwrap_or_default();
        if news.sequence < waiting.news.sequence {
            return waiting;
        }
        waiting.bids.extend(std::mem::take(&mut news.recent), news.sequence);
        waiting.news = news;
        waiting
    }

    /// The daemon's clock as the news was sent.
    pub fn now_ms(&self) -> i64 {
        self.news.now_ms
    }
}

/// What a watcher knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The last bid that it knows.
    sequence: u64,
    /// Whether it was the leader after that.
    led: bool,
    /// The rest; nothing for one that came back.
    facts: Option<Facts>,
}

impl Seen {
    /// Somebody who comes back and knows the bids up to this one.
    pub fn after(sequence: u64) -> Seen {
        Seen { sequence, led: false, facts: None }
    }
}

/// What notices are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    number: u64,
    state: i32,
    extended: u32,
    outage_ms: i64,
    version: u64,
    soon: bool,
}

impl Facts {
    fn notices(self, old: Facts) -> Vec<&'static str> {
        let turned = |state: State| self.state == state as i32 && old.state != state as i32;
        let gone = turned(State::Cancelled);
        let started = turned(State::Live) && old.state == State::Scheduled as i32;
        [
            (started, "started"),
            (self.extended > old.extended, "extended"),
            (self.outage_ms > old.outage_ms, "outage"),
            (self.soon && !old.soon, "ending_soon"),
            (self.version != old.version || gone, "changed"),
            (turned(State::Ended), "ended"),
        ]
        .into_iter()
        .filter_map(|(holds, name)| holds.then_some(name))
        .collect()
    }
}

/// What a watcher is told.
#[derive(Debug)]
pub struct Telling {
    /// The last bid in it.
    pub sequence: u64,
    /// The message.
    pub text: Bytes,
    /// What follows it for somebody who does not lead any more.
    pub outbid: Option<Bytes>,
    /// What it knows then.
    pub seen: Seen,
}

impl Story {
    /// Whether anything is known.
    pub fn is_known(&self) -> bool {
        self.number > 0
    }

    /// Counts what there was to tell.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The latest news, without bids.
    pub fn news(&self) -> &Rc<AuctionNews> {
        &self.news
    }

    /// Takes news in; `now_ms` is the daemon's clock. False if they tell nothing new.
    pub fn take(&mut self, waiting: Waiting, now_ms: i64) -> bool {
        let Waiting { news, bids } = waiting;
        if self.is_known() && news.sequence < self.news.sequence {
            return false;
        }
        self.bids.extend(bids.into_bids(), news.sequence);
        let same = self.is_known()
            && AuctionNews { now_ms: self.news.now_ms, ..news.clone() } == *self.news;
        self.news = Rc::new(news);
        let soon = self.is_soon(now_ms);
        if same && soon == self.soon {
            return false;
        }
        self.soon = soon;
        self.turn();
        true
    }

    /// When the end comes near, by the daemon's clock; nothing if that was told, or has no end.
    pub fn soon_at_ms(&self) -> Option<i64> {
        let open = self.is_known() && self.news.state == State::Live as i32 && !self.soon;
        open.then(|| self.news.ends_at_ms.saturating_sub(ENDING_SOON_MS))
    }

    /// Looks whether the end is near now. False if there is nothing to tell.
    pub fn look(&mut self, now_ms: i64) -> bool {
        if self.soon || !self.is_soon(now_ms) {
            return false;
        }
        self.soon = true;
        self.turn();
        true
    }

    fn is_soon(&self, now_ms: i64) -> bool {
        let left = self.news.ends_at_ms.saturating_sub(now_ms);
        self.news.state == State::Live as i32 && left <= ENDING_SOON_MS
    }

    fn turn(&mut self) {
        self.number += 1;
        self.snapshot = None;
        self.pieces.clear();
    }

    fn facts(&self) -> Facts {
        let AuctionNews { state, extended, outage_ms, version, .. } = *self.news;
        Facts { number: self.number, state, extended, outage_ms, version, soon: self.soon }
    }

    /// What somebody is told who knows this, and whose pseudonym here may be known.
    pub fn tell(&mut self, seen: Option<Seen>, you: Option<&str>, now_ms: i64) -> Telling {
        let sequence = self.news.sequence;
        let leads = you.is_some_and(|you| you == self.news.leader);
        let outbid = !leads && seen.is_some_and(|seen| seen.led || self.led_after(seen, you));
        let text = self.text(seen, you, now_ms);
        Telling {
            sequence,
            text,
            outbid: outbid.then(|| Bytes::from(json::outbid(&self.news))),
            seen: Seen { sequence, led: leads, facts: Some(self.facts()) },
        }
    }

    /// Whether somebody led at any bid since, or then.
    fn led_after(&self, seen: Seen, you: Option<&str>) -> bool {
        // Of one that comes back it is not known whether it led; the last bid that it knows may
        // tell.
        let from = seen.sequence.saturating_sub(u64::from(seen.facts.is_none()));
        let missed = self.bids.after(from, self.news.sequence);
        missed.into_iter().flatten().any(|bid| you == Some(&*bid.leader))
    }

    fn text(&mut self, seen: Option<Seen>, you: Option<&str>, now_ms: i64) -> Bytes {
        let sequence = self.news.sequence;
        let known = seen.filter(|seen| self.bids.after(seen.sequence, sequence).is_some());
        let Some(seen) = known else {
            let whole = match &self.snapshot {
                Some(whole) => whole.clone(),
                None => {
                    let bids = self.bids.latest(SNAPSHOT_BIDS);
                    let whole = Bytes::from(json::snapshot(&self.news, bids));
                    self.snapshot.insert(whole).clone()
                }
            };
            return Bytes::from(json::with_viewer(&whole, you, now_ms));
        };
        // Whether they led makes no difference to the message.
        let seen = Seen { led: false, ..seen };
        let fresh =
            |piece: &&Piece| piece.seen == seen && now_ms - piece.made_at_ms < PIECE_FRESH_MS;
        if let Some(piece) = self.pieces.iter().find(fresh) {
            return piece.bytes.clone();
        }
        let notices = seen.facts.map(|old| self.facts().notices(old)).unwrap_or_default();
        let bids = self.bids.after(seen.sequence, sequence).into_iter().flatten();
        let bytes = Bytes::from(json::piece(&self.news, bids, &notices, now_ms));
        self.pieces.retain(|piece| piece.seen != seen);
        if self.pieces.len() < PIECES_KEPT {
            self.pieces.push(Piece { seen, bytes: bytes.clone(), made_at_ms: now_ms });
        }
        bytes
    }
}

#[cfg(test)]
mod tests;
