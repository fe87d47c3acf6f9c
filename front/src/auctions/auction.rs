//! One auction that is watched, with the daemon's clock.

use super::story::{Seen, Story, Telling, Waiting};
use crate::limits::{ALARM_MAX, TOLD_PAUSE, TOLD_PAUSE_EACH, WATCHED_AUCTIONS_MAX};
use crate::live::{Topic, Watcher};
use souk_proto::Method;
use souk_proto::auctions::{AuctionNews, AuctionRequest};
use souk_proto::common::Caller;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Somebody who watches an auction. It is told the latest news, without their bids.
pub type AuctionWatcher = Watcher<Auction>;

/// An auction that is watched.
#[derive(Default)]
pub struct Auction {
    story: RefCell<Story>,
    /// The daemon's clock in Unix milliseconds, and when it was that.
    clock: Cell<Option<(i64, Instant)>>,
}

/// News that nobody was told yet, and when they came.
pub struct Arrived {
    waiting: Waiting,
    at: Instant,
}

impl Auction {
    /// The daemon's clock now, in Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.clock.get().map_or(0, |(ms, at)| {
            ms.saturating_add(i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX))
        })
    }

    /// The latest news, without bids, if any came.
    pub fn latest(&self) -> Option<Rc<AuctionNews>> {
        let story = self.story.borrow();
        story.is_known().then(|| story.news().clone())
    }

    /// The message for somebody who knows this, and whose pseudonym here may be known.
    pub fn tell(&self, seen: Option<Seen>, you: Option<&str>) -> Telling {
        self.story.borrow_mut().tell(seen, you, self.now_ms())
    }
}

impl Topic for Auction {
    type News = AuctionNews;
    type Request = AuctionRequest;
    type Waiting = Arrived;
    /// The number of what it was told last.
    type Seen = u64;
    type Told = Rc<AuctionNews>;

    const METHOD: Method = Method::WatchAuction;
    const KIND: &'static str = "auction";
    const MOST: usize = WATCHED_AUCTIONS_MAX;

    fn new(_: u64) -> Auction {
        Auction::default()
    }

    fn key(id: u64) -> u64 {
        id
    }

    fn request(id: u64, caller: Option<Caller>) -> AuctionRequest {
        AuctionRequest { caller, auction_id: id }
    }

    fn join(waiting: Option<Arrived>, news: AuctionNews) -> Arrived {
        let waiting = Waiting::join(waiting.map(|arrived| arrived.waiting), news);
        Arrived { waiting, at: Instant::now() }
    }

    fn pace(watchers: usize) -> Duration {
        TOLD_PAUSE + TOLD_PAUSE_EACH * u32::try_from(watchers).unwrap_or(u32::MAX)
    }

    fn take(&self, arrived: Arrived) -> bool {
        self.clock.set(Some((arrived.waiting.now_ms(), arrived.at)));
        self.story.borrow_mut().take(arrived.waiting, self.now_ms())
    }

    fn is_known(&self) -> bool {
        self.story.borrow().is_known()
    }

    fn tell(&self, seen: &mut u64, paused: bool) -> Option<Rc<AuctionNews>> {
        let story = self.story.borrow();
        // The end of a pause is news by itself.
        if story.number() == *seen && !paused {
            return None;
        }
        *seen = story.number();
        Some(story.news().clone())
    }

    fn alarm(&self) -> Option<Instant> {
        let left = self.story.borrow().soon_at_ms()?.saturating_sub(self.now_ms());
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        Some(Instant::now() + left.min(ALARM_MAX))
    }

    fn ring(&self) -> bool {
        self.story.borrow_mut().look(self.now_ms())
    }
}
