//! One connection to Redis, shared by all tasks of a shard.
//!
//! Commands issued in one turn of the loop leave in one write; replies are matched in order.
//! Between them the server says which keys changed that were read as tracked; it says so before any
//! reply that it gives after the change. What is in flight is bounded in number and in bytes. A
//! connection that is lost or silent fails what was in flight at once and is replaced with jittered
//! backoff; meanwhile every command fails at once, so a reader turns to the database without
//! waiting.

use super::channels::Channels;
use super::greeting::{greet, load_scripts};
use super::replies::Replies;
use super::resp::{Reader, Reply};
use super::script::Scripts;
use super::socket::{Address, Socket};
use crate::backoff::Backoff;
use crate::cache::Lease;
use crate::error::{Server, StoreError};
use crate::limits::{
    REDIS_CONNECT_MAX, REDIS_IN_FLIGHT_MAX, REDIS_OUT_MAX, REDIS_READ_CHUNK, REDIS_SILENCE_MAX,
    REDIS_SILENCE_TICK,
};
use crate::slots::{Slots, Wait, after_ready_tasks};
use ::redis::Cmd;
use souk_meter::{Batch, Queue, Stage};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A reply on its way.
pub type Answer = Wait<Result<Reply, StoreError>>;

/// Hears of keys that changed: one key, or `None` for all of them; also for a lost connection.
pub type Changed = Box<dyn Fn(Option<&[u8]>)>;

/// Eight hex digits that name one life of the server: another after each restart.
pub type RunId = [u8; 8];

/// Why a connection ended that [`Redis::close`] ended.
const CLOSED: &str = "the connection was closed by us";

/// The pipelined connection of one shard.
pub struct Redis {
    pub(super) shared: Rc<Shared>,
    pub scripts: Rc<Scripts>,
    keeper: RefCell<Option<JoinHandle<()>>>,
}

pub(super) struct Shared {
    pub(super) address: Address,
    changed: Changed,
    pub(super) channels: Channels,
    slots: Slots<Result<Reply, StoreError>>,
    state: RefCell<State>,
    /// Wakes the writer.
    queued: Notify,
    /// Wakes the keeper out of its pause.
    closing: Notify,
    /// Wakes those who wait for an attempt to connect.
    attempted: Notify,
}

struct State {
    /// Connected and greeted: commands are accepted.
    online: bool,
    closing: bool,
    run: RunId,
    out: Vec<u8>,
    /// Slots of the commands written or queued, in order.
    in_flight: VecDeque<usize>,
    /// The replies of this connection, and what they prove.
    replies: Replies,
    /// So many replies will have been read when the last reload of the scripts is answered.
    reloaded_at: u64,
    /// The last attempt to connect failed.
    failed: bool,
    /// Why there is no connection.
    why: Arc<str>,
    scratch: Cmd,
}

impl Redis {
    /// Begins to connect, and goes on for as long as this value lives.
    pub fn new(url: &str, changed: Changed) -> Result<Redis, StoreError> {
        let shared = Rc::new(Shared {
            address: Address::parse(url)?,
            changed,
            channels: Channels::default(),
            slots: Slots::new(None, Stage::Redis),
            state: RefCell::new(State {
                online: false,
                closing: false,
                run: *b"--------",
                out: Vec::new(),
                in_flight: VecDeque::new(),
                replies: Replies::default(),
                reloaded_at: 0,
                failed: false,
                why: Arc::from("not connected yet"),
                scratch: Cmd::new(),
            }),
            queued: Notify::new(),
            closing: Notify::new(),
            attempted: Notify::new(),
        });
        let scripts = Rc::new(Scripts::new());
        let keeper = tokio_uring::spawn(keep(shared.clone(), scripts.clone()));
        Ok(Redis { shared, scripts, keeper: RefCell::new(Some(keeper)) })
    }

    /// Waits until a connection stands, or an attempt has failed; that was logged, and others
    /// follow it.
    pub async fn ready(&self) -> Result<(), StoreError> {
        loop {
            let attempted = self.shared.attempted.notified();
            {
                let state = self.shared.state.borrow();
                if state.online {
                    return Ok(());
                }
                if state.failed {
                    return Err(StoreError::redis(state.why.clone()));
                }
            }
            attempted.await;
        }
    }

    /// Queues a command now; the future waits for its reply. An error reply of the server is an
    /// `Err`. The connection's run id is the one that [`Redis::run`] says at this moment.
    pub fn issue(&self, build: impl FnOnce(&mut Cmd) -> &mut Cmd) -> Result<Answer, StoreError> {
        let state = &mut *self.shared.state.borrow_mut();
        state.has_room()?;
        Ok(self.shared.push(state, build))
    }

    /// The same for a read of keys whose next change the server shall tell us.
    pub fn issue_tracked(
        &self,
        build: impl FnOnce(&mut Cmd) -> &mut Cmd,
    ) -> Result<Answer, StoreError> {
        let state = &mut *self.shared.state.borrow_mut();
        state.has_room()?;
        drop(self.shared.push(state, |cmd| cmd.arg("CLIENT").arg("CACHING").arg("YES")));
        Ok(self.shared.push(state, build))
    }

    /// What the latest reply says about copies of what was read as tracked.
    pub fn lease(&self, now: Instant) -> Lease {
        let state = self.shared.state.borrow();
        Lease::at(now, state.replies.heard(), !state.in_flight.is_empty())
    }

    /// Issues a command and waits for its reply.
    pub async fn call(
        &self,
        build: impl FnOnce(&mut Cmd) -> &mut Cmd,
    ) -> Result<Reply, StoreError> {
        self.issue(build)?.await
    }

    /// The run id of the server that commands issued now will reach.
    pub fn run(&self) -> RunId {
        self.shared.state.borrow().run
    }

    /// How many commands wait for their replies.
    pub fn in_flight(&self) -> usize {
        self.shared.state.borrow().in_flight.len()
    }

    /// Whether there is a connection.
    pub fn is_up(&self) -> bool {
        self.shared.state.borrow().online
    }

    /// Ends the connection; what is in flight fails.
    pub async fn close(&self) {
        self.shared.state.borrow_mut().closing = true;
        self.shared.closing.notify_one();
        let keeper = self.keeper.borrow_mut().take();
        if let Some(keeper) = keeper {
            // It ends by itself; a panic in it has been reported already.
            let _ = keeper.await;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.shared.state.borrow_mut().closing = true;
        self.shared.closing.notify_one();
    }
}

impl State {
    fn has_room(&self) -> Result<(), StoreError> {
        if !self.online {
            return Err(StoreError::redis(self.why.clone()));
        }
        if self.in_flight.len() >= REDIS_IN_FLIGHT_MAX || self.out.len() >= REDIS_OUT_MAX {
            souk_meter::queue_full(Queue::Redis);
            return Err(StoreError::Busy(Server::Redis));
        }
        Ok(())
    }
}

impl Shared {
    fn push(&self, state: &mut State, build: impl FnOnce(&mut Cmd) -> &mut Cmd) -> Answer {
        state.scratch.clear();
        build(&mut state.scratch);
        if state.out.is_empty() {
            self.queued.notify_one();
        }
        state.scratch.write_packed_command(&mut state.out);
        let (number, wait) = self.slots.open();
        state.in_flight.push_back(number);
        state.replies.note_issued(state.in_flight.len());
        wait
    }

    /// Queues a command of the greeting, before the connection is open to others.
    pub(super) fn greet(&self, build: impl FnOnce(&mut Cmd) -> &mut Cmd) -> Answer {
        self.push(&mut self.state.borrow_mut(), build)
    }

    /// Queues a command that is answered by a push, if there is a connection.
    pub(super) fn say(&self, build: impl FnOnce(&mut Cmd) -> &mut Cmd) {
        let state = &mut *self.state.borrow_mut();
        if !state.online {
            return; // it follows when there is one
        }
        state.scratch.clear();
        build(&mut state.scratch);
        if state.out.is_empty() {
            self.queued.notify_one();
        }
        state.scratch.write_packed_command(&mut state.out);
    }

    /// Gives the oldest command its reply. False when no command waits for one.
    fn deliver(&self, reply: Reply) -> bool {
        let number = {
            let mut state = self.state.borrow_mut();
            state.replies.note_answered();
            state.in_flight.pop_front()
        };
        let Some(number) = number else { return false };
        let answer = match reply {
            Reply::Error(text) => {
                Err(StoreError::redis(String::from_utf8_lossy(&text).into_owned()))
            }
            reply => Ok(reply),
        };
        self.slots.fill(number, answer);
        true
    }

    /// Takes what the server says unasked: keys that changed, or `Nil` for all of them.
    fn told(&self, items: &[Reply]) {
        match items {
            [Reply::Bulk(kind), Reply::Array(keys)] if kind == "invalidate" => {
                for key in keys {
                    if let Reply::Bulk(key) = key {
                        (self.changed)(Some(key));
                    }
                }
            }
            [Reply::Bulk(kind), Reply::Nil] if kind == "invalidate" => (self.changed)(None),
            [Reply::Bulk(kind), Reply::Bulk(channel), Reply::Bulk(message)]
                if kind == "message" =>
            {
                self.channels.hears(channel, message);
            }
            _ => {}
        }
    }

    /// Fails all that waits and forgets what was not sent.
    fn fail_all(&self, why: &str) {
        let (lost, why) = {
            let mut state = self.state.borrow_mut();
            state.online = false;
            state.out.clear();
            std::mem::take(&mut state.replies).lost(why);
            state.why = Arc::from(why);
            (std::mem::take(&mut state.in_flight), state.why.clone())
        };
        (self.changed)(None);
        for number in lost {
            self.slots.fill(number, Err(StoreError::redis(why.clone())));
        }
    }

    /// Lets commands in.
    fn open(&self, run: RunId) {
        let mut state = self.state.borrow_mut();
        state.run = run;
        state.online = true;
        state.failed = false;
        drop(state);
        self.attempted.notify_waiters();
        self.subscribe_all();
    }

    /// Loads the scripts again, unless that is under way: what was issued before it took effect
    /// may fail by the thousands.
    fn reload(&self, scripts: &Scripts) {
        let state = self.state.borrow();
        if state.replies.count() < state.reloaded_at {
            return;
        }
        drop(state);
        drop(load_scripts(self, scripts));
        let state = &mut *self.state.borrow_mut();
        state.reloaded_at = state.replies.count() + state.in_flight.len() as u64;
    }

    fn is_closing(&self) -> bool {
        self.state.borrow().closing
    }
}

/// Connects, serves the connection to its end, and begins anew, until closed.
async fn keep(shared: Rc<Shared>, scripts: Rc<Scripts>) {
    let mut backoff = Backoff::new();
    let mut reported = false;
    while !shared.is_closing() {
        let why = match Socket::connect(&shared.address).await {
            Ok(socket) => {
                serve(&shared, &scripts, Rc::new(socket), &mut backoff, &mut reported).await
            }
            Err(error) => error.to_string(),
        };
        shared.fail_all(&why);
        shared.state.borrow_mut().failed = true;
        shared.attempted.notify_waiters();
        if shared.is_closing() {
            break;
        }
        if !reported {
            reported = true;
            tracing::warn!(
                server = %shared.address.shown,
                why,
                "no connection to Redis; trying again. Until then users are read from the \
                 database, and logins and changes fail. Check that Redis runs there and that \
                 [redis] url is right"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next()) => {}
            () = shared.closing.notified() => {}
        }
    }
    shared.fail_all(CLOSED);
}

/// Greets, opens the connection to commands, and waits for its end; says why it ended.
async fn serve(
    shared: &Rc<Shared>,
    scripts: &Rc<Scripts>,
    socket: Rc<Socket>,
    backoff: &mut Backoff,
    reported: &mut bool,
) -> String {
    {
        let mut state = shared.state.borrow_mut();
        (state.replies, state.reloaded_at) = (Replies::default(), 0);
    }
    let done = Rc::new(Notify::new());
    let mut reader =
        tokio_uring::spawn(read_replies(shared.clone(), scripts.clone(), socket.clone()));
    let writer = tokio_uring::spawn(write_commands(shared.clone(), socket.clone(), done.clone()));
    let greeting = tokio::select! {
        biased; // what the server said before it closed says more than that it did
        greeting = tokio::time::timeout(REDIS_CONNECT_MAX, greet(shared, scripts)) => {
            match greeting {
                Ok(Err(StoreError::Unavailable { why, .. })) => Err(why.to_string()),
                Ok(greeted) => greeted.map_err(|error| error.to_string()),
                Err(_) => Err("no answer to the greeting in time".to_owned()),
            }
        }
        ended = &mut reader => Err(ended.unwrap_or_else(|e| e.to_string())),
        () = shared.closing.notified() => Err(CLOSED.to_owned()),
    };
    let why = match greeting {
        Ok(run) => {
            shared.open(run);
            backoff.reset();
            if std::mem::take(reported) {
                tracing::info!(server = %shared.address.shown, "connected to Redis again");
            }
            tokio::select! {
                ended = &mut reader => ended.unwrap_or_else(|e| e.to_string()),
                silent = watch(shared) => silent.to_owned(),
                () = shared.closing.notified() => CLOSED.to_owned(),
            }
        }
        Err(why) => why,
    };
    shared.fail_all(&why);
    socket.shutdown();
    done.notify_one();
    if !reader.is_finished() {
        let _ = reader.await;
    }
    let _ = writer.await;
    // What the two tasks left between the failure above and their end.
    shared.fail_all(&why);
    why
}

/// Ends when a command has waited for its reply for too long.
async fn watch(shared: &Shared) -> &'static str {
    let mut answered = 0;
    let mut moved = Instant::now();
    loop {
        tokio::time::sleep(REDIS_SILENCE_TICK).await;
        let state = shared.state.borrow();
        if state.replies.count() != answered || state.in_flight.is_empty() {
            answered = state.replies.count();
            moved = Instant::now();
        } else if moved.elapsed() >= REDIS_SILENCE_MAX {
            return "no reply in time";
        }
    }
}

async fn write_commands(shared: Rc<Shared>, socket: Rc<Socket>, done: Rc<Notify>) {
    let mut spare = Vec::with_capacity(REDIS_READ_CHUNK);
    loop {
        if shared.state.borrow().out.is_empty() {
            tokio::select! {
                () = shared.queued.notified() => {}
                () = done.notified() => return,
            }
        }
        after_ready_tasks().await;
        {
            let mut state = shared.state.borrow_mut();
            std::mem::swap(&mut spare, &mut state.out);
            if spare.is_empty() {
                continue;
            }
            let waiting = state.in_flight.len();
            let size = state.replies.note_sent(waiting, souk_meter::now());
            if size > 0 {
                souk_meter::batch(Batch::Redis, size);
            }
        }
        let (result, sent) = socket.write_all(spare).await;
        spare = sent;
        spare.clear();
        spare.shrink_to(REDIS_READ_CHUNK);
        if result.is_err() {
            socket.shutdown();
            return;
        }
    }
}

/// Matches replies to commands until the connection ends; says why it did.
async fn read_replies(shared: Rc<Shared>, scripts: Rc<Scripts>, socket: Rc<Socket>) -> String {
    let mut replies = Reader::default();
    let mut buffer = Vec::with_capacity(REDIS_READ_CHUNK);
    loop {
        let (result, filled) = socket.read(buffer).await;
        buffer = filled;
        souk_meter::mark();
        match result {
            Ok(0) => return "the server closed the connection".to_owned(),
            Ok(n) => replies.feed(&buffer[..n]),
            Err(error) => return error.to_string(),
        }
        loop {
            match replies.next() {
                Ok(None) => break,
                Ok(Some(Reply::Push(items))) => shared.told(&items),
                Ok(Some(reply)) => {
                    if matches!(&reply, Reply::Error(text) if text.starts_with(b"NOSCRIPT")) {
                        shared.reload(&scripts);
                    }
                    if !shared.deliver(reply) {
                        return "a reply that nobody asked for".to_owned();
                    }
                }
                Err(malformed) => return malformed.to_string(),
            }
        }
    }
}
