//! The auctions that somebody watches on this shard: words of the engine, reads that make sure, and
//! whoever waits for news.

use super::feed::{Feed, Reads, Taken};
use crate::context::Context;
use crate::leaderboard::boards::in_time;
use crate::limits::{AUCTION_READS_MAX, FEED_BIDS_MAX, FEED_READ_MAX, FEEDS_MAX};
use crate::services::store_failure;
use futures_util::future::join_all;
use souk_db::auctions::{Auctions, News, Phase, Range};
use souk_db::{StoreError, Stores};
use souk_proto::{Code, Failure};
use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// All of them.
#[derive(Debug, Default)]
pub struct Live {
    rooms: RefCell<HashMap<u64, Rc<Room>, foldhash::fast::RandomState>>,
    /// Woken when something is to be read sooner than planned, or nobody watches any more.
    wake: Notify,
    stopping: Cell<bool>,
}

/// One of them.
#[derive(Debug)]
struct Room {
    id: u64,
    watchers: Cell<usize>,
    known: RefCell<Known>,
    reads: Cell<Reads>,
    /// Grows with all that changes.
    changes: Cell<u64>,
    changed: Notify,
}

/// What is known of an auction.
#[derive(Debug)]
enum Known {
    /// It was not read yet.
    Nothing,
    /// It could not be read.
    Failed(StoreError),
    /// There is none.
    Missing,
    Feed(Box<Feed>),
}

/// A watcher's place. Who drops it watches no more.
#[derive(Debug)]
pub struct Seat {
    live: Rc<Live>,
    room: Rc<Room>,
}

impl Live {
    /// Takes a place at an auction, which is known then.
    ///
    /// # Errors
    /// `auction_not_found`; `busy` when too many auctions are watched here; a store's failure.
    pub async fn sit(
        self: &Rc<Live>,
        auctions: &Auctions,
        id: u64,
        deadline: Instant,
    ) -> Result<Seat, Failure> {
        let known = self.rooms.borrow().get(&id).cloned();
        let room = match known {
            Some(room) => room,
            None => self.open(auctions, id)?,
        };
        room.watchers.set(room.watchers.get() + 1);
        let seat = Seat { live: Rc::clone(self), room };
        loop {
            let mut changed = std::pin::pin!(seat.room.changed.notified());
            // From here on, so that no change is lost between the look and the wait.
            changed.as_mut().enable();
            match &*seat.room.known.borrow() {
                Known::Feed(_) => break,
                Known::Missing => return Err(Failure::new(Code::AuctionNotFound)),
                Known::Failed(error) => return Err(store_failure(error.clone())),
                Known::Nothing => {}
            }
            if tokio::time::timeout_at(deadline.into(), changed).await.is_err() {
                return Err(Failure::new(Code::DeadlineExceeded));
            }
        }
        Ok(seat)
    }

    fn open(&self, auctions: &Auctions, id: u64) -> Result<Rc<Room>, Failure> {
        let mut rooms = self.rooms.borrow_mut();
        if rooms.len() >= FEEDS_MAX {
            return Err(Failure::new(Code::Busy));
        }
        let room = Rc::new(Room {
            id,
            watchers: Cell::new(0),
            known: RefCell::new(Known::Nothing),
            reads: Cell::new(Reads::new(Instant::now())),
            changes: Cell::new(0),
            changed: Notify::new(),
        });
        rooms.insert(id, Rc::clone(&room));
        // Before the first read, so that no change is lost in between.
        auctions.listen(id);
        self.wake.notify_one();
        Ok(room)
    }

    /// Takes in a word of the engine.
    pub fn hear(&self, news: News<'_>) {
        let id = match &news {
            News::Bids(row, _) => row.id,
            News::Changed(id) => *id,
        };
        let Some(room) = self.rooms.borrow().get(&id).cloned() else { return };
        let taken = match (news, &mut *room.known.borrow_mut()) {
            (News::Bids(row, bids), Known::Feed(feed)) => feed.take(row, bids),
            _ => Taken::Unclear,
        };
        match taken {
            Taken::News => room.tell(),
            Taken::Known => {}
            Taken::Unclear => self.read_soon(&room),
        }
    }

    /// All auctions may have changed.
    pub fn hear_all(&self) {
        for room in self.rooms.borrow().values() {
            self.read_soon(room);
        }
    }

    fn read_soon(&self, room: &Room) {
        let mut reads = room.reads.get();
        reads.heard(Instant::now());
        room.reads.set(reads);
        self.wake.notify_one();
    }

    /// When the next of the watched auctions ends that has not ended by now, Unix time in
    /// milliseconds.
    pub fn next_end(&self, now_ms: i64) -> Option<i64> {
        let rooms = self.rooms.borrow();
        let ends = rooms.values().filter_map(|room| match &*room.known.borrow() {
            Known::Feed(feed) if feed.row().phase == Phase::Open => {
                Some(feed.row().terms.end_at_ms).filter(|end| *end > now_ms)
            }
            _ => None,
        });
        ends.min()
    }

    /// Ends whoever watches: the shard stops.
    pub fn stop(&self) {
        self.stopping.set(true);
        for room in self.rooms.borrow().values() {
            room.changed.notify_waiters();
        }
    }

    /// Whether the shard stops.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Forgets the auctions that nobody watches any more.
    fn sweep(&self, auctions: &Auctions) {
        self.rooms.borrow_mut().retain(|id, room| {
            let watched = room.watchers.get() > 0;
            if !watched {
                auctions.unlisten(*id);
            }
            watched
        });
    }

    /// What is to be read now, and when the next is.
    fn due(&self, now: Instant) -> (Vec<Rc<Room>>, Option<Instant>) {
        let rooms = self.rooms.borrow();
        let due = rooms.values().filter(|room| room.reads.get().due() <= now);
        let due: Vec<_> = due.take(AUCTION_READS_MAX).cloned().collect();
        (due, rooms.values().map(|room| room.reads.get().due()).min())
    }
}

impl Room {
    fn tell(&self) {
        self.changes.set(self.changes.get() + 1);
        self.changed.notify_waiters();
    }

    /// Reads what has changed since it was read.
    async fn read(&self, stores: &Stores) {
        let began = Instant::now();
        let deadline = began + FEED_READ_MAX;
        let read = in_time(deadline, self.bring(stores, deadline)).await;
        let now = Instant::now();
        let mut reads = self.reads.get();
        match read {
            Ok(changed) => {
                reads.read(changed, now);
                changed.then(|| self.tell());
            }
            Err(error) => {
                reads.failed(now);
                if !matches!(&*self.known.borrow(), Known::Feed(_)) {
                    self.known.replace(Known::Failed(error));
                    self.tell();
                }
            }
        }
        self.reads.set(reads);
    }

    /// Reads the row, then the bids that lead to it. Whether anything had changed.
    async fn bring(&self, stores: &Stores, deadline: Instant) -> Result<bool, StoreError> {
        let auctions = &stores.auctions;
        let Some(row) = auctions.row(self.id, deadline).await? else {
            self.known.replace(Known::Missing);
            return Ok(true);
        };
        let known = match &*self.known.borrow() {
            Known::Feed(feed) => feed.row().sequence,
            _ => 0,
        };
        let kept = FEED_BIDS_MAX as u64;
        let after = known.max(row.sequence.saturating_sub(kept));
        let bids = match row.sequence > after {
            true => {
                let limit = u32::try_from(row.sequence - after).unwrap_or(u32::MAX);
                auctions.bids(self.id, Range::After(after), limit, deadline).await?
            }
            false => Vec::new(),
        };
        let mut known = self.known.borrow_mut();
        Ok(match &mut *known {
            Known::Feed(feed) => feed.take(&row, &bids) == Taken::News,
            _ => {
                *known = Known::Feed(Box::new(Feed::new((*row).clone(), &bids)));
                true
            }
        })
    }
}

impl Seat {
    /// The auction as it is known, and a number that grows with each change.
    pub fn feed(&self) -> Option<(Ref<'_, Feed>, u64)> {
        let known = self.room.known.borrow();
        let feed = Ref::filter_map(known, |known| match known {
            Known::Feed(feed) => Some(&**feed),
            _ => None,
        });
        Some((feed.ok()?, self.room.changes.get()))
    }

    /// Waits until the auction has changed, or the shard stops.
    pub fn changed(&self) -> Notified<'_> {
        self.room.changed.notified()
    }

    /// Whether the shard stops.
    pub fn is_stopping(&self) -> bool {
        self.live.is_stopping()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let left = self.room.watchers.get() - 1;
        self.room.watchers.set(left);
        if left == 0 {
            self.live.wake.notify_one();
        }
    }
}

/// Keeps what is known of watched auctions up to date.
pub async fn follow(cx: &Context) {
    let live = &cx.live;
    loop {
        live.sweep(&cx.stores.auctions);
        let (due, next) = live.due(Instant::now());
        if due.is_empty() {
            let woken = live.wake.notified();
            match next {
                Some(next) => drop(tokio::time::timeout_at(next.into(), woken).await),
                None => woken.await,
            }
            continue;
        }
        // The rows are one query: the stores join what is asked together.
        join_all(due.iter().map(|room| room.read(&cx.stores))).await;
    }
}
