//! Rooms: what a shard knows of an auction at work, and who waits there.

use super::Closed;
use crate::auctions::{AuctionRow, BidError, BidRow, Offer, Placed};
use crate::error::{Server, StoreError};
use crate::limits::{OFFER_ATTEMPTS, OFFER_LATE, ROOMS_MAX};
use crate::redis::RunId;
use crate::slots::Slots;
use foldhash::fast::RandomState;
use lru::LruCache;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;
use tokio::sync::Notify;

/// What became of an offer.
pub type Answer = Result<Placed, BidError>;

/// Offers without an answer, of a shard.
#[derive(Default)]
pub struct Crowd {
    pub count: Cell<usize>,
    pub left: Notify,
}

/// The offers of one call, which is answered when all of them are.
struct Party {
    answers: RefCell<Vec<Option<Answer>>>,
    open: Cell<usize>,
    number: usize,
    slots: Slots<Vec<Answer>>,
    crowd: Rc<Crowd>,
}

/// Where the answer to an offer goes. Dropping it without one says that the outcome is unknown.
pub struct Seat(Option<(Rc<Party>, usize)>);

impl Seat {
    /// Seats for the offers of a call; the slot gets all answers.
    pub fn party(
        size: usize,
        number: usize,
        slots: &Slots<Vec<Answer>>,
        crowd: &Rc<Crowd>,
    ) -> impl Iterator<Item = Seat> + use<> {
        crowd.count.set(crowd.count.get() + size);
        let party = Rc::new(Party {
            answers: RefCell::new((0..size).map(|_| None).collect()),
            open: Cell::new(size),
            number,
            slots: slots.clone(),
            crowd: crowd.clone(),
        });
        (0..size).map(move |place| Seat(Some((party.clone(), place))))
    }

    pub fn answer(mut self, answer: Answer) {
        self.fill(answer);
    }

    fn fill(&mut self, answer: Answer) {
        let Some((party, place)) = self.0.take() else { return };
        party.answers.borrow_mut()[place] = Some(answer);
        party.crowd.count.set(party.crowd.count.get() - 1);
        party.open.set(party.open.get() - 1);
        if party.open.get() == 0 {
            let answers = party.answers.take().into_iter();
            party.slots.fill(party.number, answers.flatten().collect());
            party.crowd.left.notify_waiters();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.fill(Err(unknown("the work was given up").into()));
    }
}

/// The outcome of a bid is not known.
pub fn unknown(why: &str) -> StoreError {
    StoreError::Unavailable {
        server: Server::Database,
        why: format!("{why}; the bid may have been taken: the same bid_id tells").into(),
    }
}

/// An offer that waits.
pub struct Waiting {
    pub offer: Offer,
    /// When it came, Unix time in milliseconds, and by a clock that nobody sets.
    pub now_ms: i64,
    pub since: Instant,
    pub deadline: Instant,
    pub seat: Seat,
    /// How often it was tried.
    pub attempts: u8,
    /// As it was accepted, if it is not known whether that became true.
    pub doubt: Option<Box<BidRow>>,
}

impl Waiting {
    /// The time at which it counts: when it came, unless it has waited for so long that others may
    /// have been accepted since.
    pub fn time_ms(&self) -> i64 {
        let waited = self.since.elapsed();
        let late = if waited < OFFER_LATE { 0 } else { waited.as_millis() };
        self.now_ms.saturating_add(i64::try_from(late).unwrap_or(i64::MAX))
    }

    /// For another attempt, unless there were enough; then it is answered.
    pub fn again(mut self) -> Option<Waiting> {
        self.attempts += 1;
        if self.attempts < OFFER_ATTEMPTS {
            return Some(self);
        }
        self.fail(StoreError::Busy(Server::Redis));
        None
    }

    /// Says that a store failed.
    pub fn fail(self, error: StoreError) {
        let error = match (&self.doubt, error) {
            (None, error) => error,
            (Some(_), StoreError::Unavailable { why, .. }) => unknown(&why),
            (Some(_), error) => unknown(&error.to_string()),
        };
        self.seat.answer(Err(error.into()));
    }
}

/// Somebody wants to end an auction.
pub struct Closing {
    pub now_ms: i64,
    pub deadline: Instant,
    pub number: usize,
}

/// An auction as this shard has adopted it.
pub struct Held {
    /// The server that holds its state.
    pub run: RunId,
    /// Names the owner and the outages that are in the state.
    pub label: Rc<str>,
    /// As it is committed.
    pub row: RefCell<AuctionRow>,
    /// Bids that are decided.
    pub sequence: Cell<u64>,
    /// End of their chain.
    pub head: Cell<[u8; 32]>,
}

/// What is known of an auction.
#[derive(Clone)]
pub enum Known {
    Live(Rc<Held>),
    /// It is settled or cancelled, for good.
    Over(Rc<AuctionRow>),
}

/// An auction at work.
pub struct Room {
    pub id: u64,
    pub waiting: RefCell<VecDeque<Waiting>>,
    pub closings: RefCell<VecDeque<Closing>>,
    pub known: RefCell<Option<Known>>,
    /// A task is at it.
    pub is_working: Cell<bool>,
    /// Commits that were begun, and that have ended.
    pub commits: Cell<(u64, u64)>,
    pub committed: Notify,
}

impl Room {
    fn new(id: u64) -> Room {
        Room {
            id,
            waiting: RefCell::default(),
            closings: RefCell::default(),
            known: RefCell::new(None),
            is_working: Cell::new(false),
            commits: Cell::new((0, 0)),
            committed: Notify::new(),
        }
    }

    /// Waits until all commits have ended that were begun by now.
    pub async fn all_committed(&self) {
        let (begun, _) = self.commits.get();
        loop {
            let ended = self.committed.notified();
            if self.commits.get().1 >= begun {
                return;
            }
            ended.await;
        }
    }

    /// A commit begins; it has ended when the value is dropped.
    pub fn begin_commit(self: &Rc<Self>) -> Begun {
        let (begun, ended) = self.commits.get();
        self.commits.set((begun + 1, ended));
        Begun(self.clone())
    }

    /// What is held of it is true no longer.
    pub fn drop_held(&self, held: &Rc<Held>) {
        let mut known = self.known.borrow_mut();
        if matches!(&*known, Some(Known::Live(now)) if Rc::ptr_eq(now, held)) {
            *known = None;
        }
    }

    /// Puts offers before those that wait, behind others that came back before.
    pub fn put_back(&self, offers: impl IntoIterator<Item = Waiting>) {
        let mut waiting = self.waiting.borrow_mut();
        let at = waiting.iter().take_while(|it| it.attempts > 0).count();
        let mut rest = waiting.split_off(at);
        waiting.extend(offers);
        waiting.append(&mut rest);
    }

    /// Takes so many offers that wait.
    pub fn take(&self, most: usize) -> Vec<Waiting> {
        let mut waiting = self.waiting.borrow_mut();
        let count = waiting.len().min(most);
        waiting.drain(..count).collect()
    }

    /// Fails all that waits.
    pub fn fail(&self, error: &StoreError, closings: &Slots<Result<Closed, StoreError>>) {
        for waiting in self.take(usize::MAX) {
            waiting.fail(error.clone());
        }
        for closing in self.closings.take() {
            closings.fill(closing.number, Err(error.clone()));
        }
    }

    fn is_idle(&self) -> bool {
        let (begun, ended) = self.commits.get();
        !self.is_working.get() && begun == ended
    }
}

/// A commit that runs, whatever becomes of its task.
pub struct Begun(Rc<Room>);

impl Drop for Begun {
    fn drop(&mut self) {
        let (begun, ended) = self.0.commits.get();
        self.0.commits.set((begun, ended + 1));
        self.0.committed.notify_waiters();
    }
}

/// The rooms of a shard. Those that were not used for the longest time go when there are too many.
pub struct Rooms(RefCell<LruCache<u64, Rc<Room>, RandomState>>);

impl Rooms {
    pub fn new() -> Rooms {
        Rooms(RefCell::new(LruCache::unbounded_with_hasher(RandomState::default())))
    }

    /// The auction's room, made now if there is none.
    pub fn get(&self, id: u64) -> Rc<Room> {
        let mut rooms = self.0.borrow_mut();
        if let Some(room) = rooms.get(&id) {
            return room.clone();
        }
        // Those at work stay: there are no more of them than offers.
        while rooms.len() >= ROOMS_MAX && rooms.peek_lru().is_some_and(|(_, it)| it.is_idle()) {
            rooms.pop_lru();
        }
        let room = Rc::new(Room::new(id));
        rooms.put(id, room.clone());
        room
    }

    /// Takes a room away in which nothing goes on and of which nothing is known: numbers that no
    /// auction has do not push out those that have one.
    pub fn leave(&self, room: &Room) {
        if room.is_idle() && room.known.borrow().is_none() {
            self.0.borrow_mut().pop(&room.id);
        }
    }

    /// The auction's room, if there is one.
    pub fn peek(&self, id: u64) -> Option<Rc<Room>> {
        self.0.borrow().peek(&id).cloned()
    }
}
