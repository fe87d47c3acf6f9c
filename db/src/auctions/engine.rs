//! The bid engine: decides offers in Redis, commits what is accepted, and answers after that.
//!
//! MySQL is the truth, Redis decides. A shard adopts an auction: it finishes what others left
//! undone and makes the state in Redis from the row. From then on one script call decides all
//! offers that wait for the auction, and their commit joins those of other auctions. A commit
//! changes only the row that the bids were decided upon, so a lost Redis, a second daemon or a
//! wrong clock can refuse bids, never break their order.

mod adopt;
mod commit;
mod look;
mod outages;
mod room;
mod script;
mod work;

pub(super) use outages::{epoch, extend_one, may_move};

use super::{AuctionRow, Beat, BidError, CLOCK_SKEW_MAX_MS, News, Offer, Placed};
use crate::error::{Server, StoreError};
use crate::limits::{
    COMMIT_LINES, OFFERS_MAX, TRANSACTION_MAX, UNFINISHED_AT_ONCE, UNFINISHED_MAX,
};
use crate::mysql::Grouped;
use crate::redis::{Redis, Reply};
use crate::slots::Slots;
use commit::{Commit, Commits, Committed};
use data_encoding::HEXLOWER;
use foldhash::fast::RandomState;
use look::{Ask, Looks, Pulse, Said, mistaken};
use mysql_async::Opts;
use room::{Answer, Closing, Crowd, Room, Rooms, Seat, Waiting};
use script::Keys;
use souk_meter::{Queue, Stage};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Who is told [`News`].
type Tell = Box<dyn Fn(News<'_>)>;

/// An auction all of whose bids are committed.
#[derive(Debug, Clone)]
pub struct Closed {
    /// Whether it takes no more bids.
    pub ended: bool,
    /// As it is.
    pub row: Rc<AuctionRow>,
}

/// The bid engine of one shard.
pub struct Engine {
    redis: Rc<Redis>,
    /// An auction's bids go through one of them, in order.
    commits: Vec<Grouped<Commits>>,
    looks: Grouped<Looks>,
    /// Lines of their own: a look at the clock waits for no auction that somebody holds, and no bid
    /// waits for auctions that are extended.
    beats: Grouped<Looks>,
    extensions: Grouped<Looks>,
    rooms: Rooms,
    crowd: Rc<Crowd>,
    answers: Slots<Vec<Answer>>,
    closings: Slots<Result<Closed, StoreError>>,
    /// Sixteen hex digits: another in each life of a shard.
    owner: String,
    /// Outages so far, as the last beat said.
    epoch: Cell<u64>,
    /// Names this owner, and the outages that it knows of.
    label: RefCell<Rc<str>>,
    /// Fences so far.
    fences: Cell<u64>,
    tell: OnceCell<Tell>,
    /// See [`Engine::finish_some`].
    unfinished: RefCell<BTreeSet<u64>>,
    is_extending: Cell<bool>,
    /// Auctions that somebody listens to, and how many do.
    heard: RefCell<HashMap<u64, usize, RandomState>>,
    is_closing: Cell<bool>,
}

/// What is written to see whether Redis can be written to, and for how long, ms.
const PROBE: &str = "souk:probe";
const PROBE_MS: u64 = 10_000;

/// Later than anything that is waited for: what is decided has to be finished.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(24 * 3600)
}

impl Engine {
    /// Connections are made when there is something to do.
    pub fn new(opts: &Opts, redis: Rc<Redis>) -> Result<Rc<Engine>, StoreError> {
        let number = getrandom::u64().map_err(|error| {
            StoreError::database(format!("the system gives no random numbers: {error}"))
        })?;
        let owner = HEXLOWER.encode(&number.to_be_bytes());
        let engine = Rc::new(Engine {
            redis: redis.clone(),
            commits: (0..COMMIT_LINES).map(|_| Grouped::new(Commits, opts, 1)).collect(),
            looks: Grouped::new(Looks, opts, 1),
            beats: Grouped::new(Looks, opts, 1),
            extensions: Grouped::new(Looks, opts, 1),
            rooms: Rooms::new(),
            crowd: Rc::default(),
            // A bid waits for Redis until it is decided, and then for its commit.
            answers: Slots::new(Some(Stage::Redis), Stage::Mysql),
            closings: Slots::new(None, Stage::Redis),
            label: RefCell::new(label(&owner, 0)),
            owner,
            epoch: Cell::new(0),
            fences: Cell::new(0),
            tell: OnceCell::new(),
            unfinished: RefCell::default(),
            is_extending: Cell::new(false),
            heard: RefCell::default(),
            is_closing: Cell::new(false),
        });
        let hears = Rc::downgrade(&engine);
        redis.on_message(Box::new(move |channel, message| {
            if let (Some(engine), Some(id)) = (hears.upgrade(), script::auction_of(channel)) {
                engine.hears(id, message);
            }
        }));
        Ok(engine)
    }

    /// See [`super::Auctions::bid`].
    pub async fn bid(
        self: &Rc<Self>,
        auction_id: u64,
        offers: Vec<Offer>,
        now_ms: i64,
        deadline: Instant,
    ) -> Vec<Result<Placed, BidError>> {
        let failed = |error: StoreError| offers.iter().map(|_| Err(error.clone().into())).collect();
        if offers.is_empty() {
            return Vec::new();
        }
        if self.is_closing.get() {
            return failed(StoreError::redis("the stores are being closed"));
        }
        if self.crowd.count.get() + offers.len() > OFFERS_MAX {
            souk_meter::queue_full(Queue::MysqlWrite);
            return failed(StoreError::Busy(Server::Database));
        }
        if !self.redis.is_up() {
            return failed(StoreError::redis("no connection; nothing was changed"));
        }
        let (number, wait) = self.answers.open();
        let seats = Seat::party(offers.len(), number, &self.answers, &self.crowd);
        let (room, since) = (self.rooms.get(auction_id), Instant::now());
        room.waiting.borrow_mut().extend(offers.into_iter().zip(seats).map(|(offer, seat)| {
            Waiting { offer, now_ms, since, deadline, seat, attempts: 0, doubt: None }
        }));
        self.start(&room);
        wait.await
    }

    /// Sees to it that a task works in the room.
    fn start(self: &Rc<Self>, room: &Rc<Room>) {
        if !room.is_working.replace(true) {
            tokio_uring::spawn(work::work(self.clone(), room.clone()));
        }
    }

    /// See [`super::Auctions::close`].
    pub async fn close(
        self: &Rc<Self>,
        auction_id: u64,
        now_ms: i64,
        deadline: Instant,
    ) -> Result<Closed, StoreError> {
        let (number, wait) = self.closings.open();
        let room = self.rooms.get(auction_id);
        room.closings.borrow_mut().push_back(Closing { now_ms, deadline, number });
        self.start(&room);
        wait.await
    }

    /// See [`super::Auctions::forget`].
    pub async fn forget(&self, auction_id: u64, deadline: Instant) -> Result<(), StoreError> {
        if let Some(room) = self.rooms.peek(auction_id) {
            *room.known.borrow_mut() = None;
        }
        self.tell_changed(auction_id);
        let keys = Keys::of(auction_id, self.redis.run());
        let dropped = script::drop_state(&self.redis, &keys, Some(&self.owner));
        tokio::time::timeout_at(deadline.into(), dropped)
            .await
            .unwrap_or(Err(StoreError::DeadlineExceeded))
    }

    /// See [`super::Auctions::beat`].
    pub async fn beat(self: &Rc<Self>, now_ms: i64, deadline: Instant) -> Result<Beat, StoreError> {
        let asked = Instant::now();
        let (time, _) = tokio::time::timeout_at(deadline.into(), self.probe())
            .await
            .unwrap_or(Err(StoreError::DeadlineExceeded))?;
        let theirs = unix_ms(&time)
            .ok_or_else(|| StoreError::corrupt(Server::Redis, "TIME gave no time"))?;
        let since = || i64::try_from(asked.elapsed().as_millis()).unwrap_or_default();
        let of_redis = theirs - since() / 2 - now_ms;
        if of_redis.abs() > CLOCK_SKEW_MAX_MS {
            // No bid is taken with such clocks, so nothing is noted.
            let epoch = self.epoch.get();
            return Ok(Beat { epoch, outage_ms: None, extending: false, skew_ms: of_redis });
        }
        let ask = Ask::Beat { now_ms, asked };
        let Said::Beat(pulse) = self.beats.submit(ask, deadline).await? else {
            return Err(mistaken());
        };
        if pulse.epoch > self.epoch.get() {
            // All auctions are adopted anew before their next bid.
            self.epoch.set(pulse.epoch);
            *self.label.borrow_mut() = label(&self.owner, pulse.epoch);
        }
        let of_database = pulse.skew_ms;
        let skew_ms = if of_database.abs() > of_redis.abs() { of_database } else { of_redis };
        self.finish_some();
        let Pulse { epoch, outage_ms, extending, .. } = pulse;
        if extending {
            self.extend();
        }
        Ok(Beat { epoch, outage_ms, extending, skew_ms })
    }

    /// Asks Redis for the time, and to write: full, or only to be read from, it tells the time all
    /// the same.
    async fn probe(&self) -> Result<(Reply, Reply), StoreError> {
        let time = self.redis.issue(|cmd| cmd.arg("TIME"))?;
        let written =
            self.redis.issue(|cmd| cmd.arg("SET").arg(PROBE).arg(1).arg("PX").arg(PROBE_MS))?;
        Ok((time.await?, written.await?))
    }

    /// Extends the auctions that are behind, some at a time. What fails is tried again after the
    /// next beat.
    fn extend(self: &Rc<Self>) {
        if self.is_extending.replace(true) {
            return;
        }
        let engine = self.clone();
        tokio_uring::spawn(async move {
            while !engine.is_closing.get()
                && let Ok(Said::Extended { more: true }) =
                    engine.extensions.submit(Ask::Extend, far()).await
            {}
            engine.is_extending.set(false);
        });
    }

    /// Has bids committed that were decided and then lost their commit, in some auctions. What
    /// fails again comes back.
    fn finish_some(self: &Rc<Self>) {
        for _ in 0..UNFINISHED_AT_ONCE {
            let Some(id) = self.unfinished.borrow_mut().pop_first() else { break };
            let engine = self.clone();
            tokio_uring::spawn(async move {
                // At no time has it ended: the auction goes on.
                let deadline = Instant::now() + TRANSACTION_MAX;
                if engine.close(id, i64::MIN, deadline).await.is_err() {
                    engine.remember_unfinished(id);
                }
            });
        }
    }

    /// Remembers an auction with bids that were decided and may not be committed. Past the bound it
    /// is its next bid, or its end, that sees to them.
    fn remember_unfinished(&self, id: u64) {
        let mut unfinished = self.unfinished.borrow_mut();
        if unfinished.len() < UNFINISHED_MAX {
            unfinished.insert(id);
        }
    }

    /// See [`super::Auctions::on_news`].
    pub fn on_news(&self, tell: Tell) {
        // The first stays, as documented.
        let _ = self.tell.set(tell);
    }

    /// See [`super::Auctions::listen`].
    pub fn listen(&self, auction_id: u64) {
        let mut heard = self.heard.borrow_mut();
        let count = heard.entry(auction_id).or_default();
        *count += 1;
        if *count == 1 {
            self.redis.subscribe(script::channel_of(auction_id).as_bytes());
        }
    }

    /// See [`super::Auctions::unlisten`].
    pub fn unlisten(&self, auction_id: u64) {
        let mut heard = self.heard.borrow_mut();
        let Some(count) = heard.get_mut(&auction_id) else { return };
        *count -= 1;
        if *count == 0 {
            heard.remove(&auction_id);
            self.redis.unsubscribe(script::channel_of(auction_id).as_bytes());
        }
    }

    /// Something was published about an auction; what we did ourselves we tell ourselves.
    fn hears(&self, auction_id: u64, message: &[u8]) {
        if !message.starts_with(self.owner.as_bytes()) {
            self.tell_changed(auction_id);
        }
    }

    fn is_heard(&self, auction_id: u64) -> bool {
        self.heard.borrow().contains_key(&auction_id)
    }

    fn tell(&self, news: News<'_>) {
        if let Some(tell) = self.tell.get() {
            tell(news);
        }
    }

    fn tell_changed(&self, auction_id: u64) {
        if self.is_heard(auction_id) {
            self.tell(News::Changed(auction_id));
        }
    }

    /// Commits bids; once begun it is not given up.
    async fn write(&self, commit: Rc<Commit>) -> Result<Committed, StoreError> {
        let place = usize::try_from(commit.auction_id).unwrap_or(0) % self.commits.len();
        self.commits[place].submit(commit, far()).await
    }

    /// How many questions and commits wait.
    pub fn waiting(&self) -> (usize, usize) {
        (self.looks.waiting(), self.commits.iter().map(Grouped::waiting).sum())
    }

    /// Answers what waits and closes the connections.
    pub async fn shut(&self) {
        self.is_closing.set(true);
        let answered = async {
            loop {
                let left = self.crowd.left.notified();
                if self.crowd.count.get() == 0 {
                    break;
                }
                left.await;
            }
        };
        // What hangs for longer is given up with its connection.
        let _ = tokio::time::timeout(TRANSACTION_MAX, answered).await;
        for line in &self.commits {
            line.close().await;
        }
        for line in [&self.looks, &self.beats, &self.extensions] {
            line.close().await;
        }
    }
}

/// Names an owner, and the outages that it knows of.
fn label(owner: &str, epoch: u64) -> Rc<str> {
    format!("{owner}:{epoch}").into()
}

/// What TIME says, in milliseconds.
fn unix_ms(time: &Reply) -> Option<i64> {
    let Reply::Array(parts) = time else { return None };
    let [Reply::Bulk(seconds), Reply::Bulk(micros)] = &parts[..] else { return None };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<i64>().ok();
    Some(number(seconds)? * 1000 + number(micros)? / 1000)
}
