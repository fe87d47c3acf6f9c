//! One link's protocol without its socket: frames in, frames out, and who waits for which answer.
//!
//! The ring loops of [`super::link`] move the bytes. Every request in flight is an entry of the
//! request table; its waiter is woken when the answer, the deadline or the end of the link comes.

mod receive;
#[cfg(test)]
mod tests;

use super::CallContext;
use crate::limits::UNAVAILABLE_RETRY;
use prost::Message;
use souk_meter::{Batch, Stage};
use souk_proto::common::Hello;
use souk_proto::limits::{
    DEADLINE_MAX, HELLO_TIMEOUT, PING_EVERY, PROTOCOL_VERSION, SILENCE_MAX, STREAM_CHUNK,
};
use souk_proto::outbox::PushError;
use souk_proto::{Code, Failure, Flags, Header, Inbox, Kind, Method, Outbox, RequestTable};
use std::collections::VecDeque;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The daemon closed the connection.
    #[error("the daemon closed the connection")]
    Closed,
    /// The socket failed.
    #[error("{0}")]
    Socket(String),
    /// The daemon sent nothing for too long.
    #[error("the daemon sent nothing for {SILENCE_MAX:?}")]
    Silent,
    /// The daemon did not answer the HELLO in time.
    #[error("no HELLO came within {HELLO_TIMEOUT:?}")]
    NoHello,
    /// The daemon stops, or does not want this front.
    #[error("the daemon says: {0}")]
    GoAway(String),
    /// The bytes of the daemon make no sense.
    #[error("{0}")]
    Protocol(String),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The link is gone; what the daemon did is not known.
    Lost,
    /// The daemon, or this side for it, says why.
    Failed(Failure),
}

/// What a request asks for besides its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Message to message.
    Plain,
    /// The request's body follows in items.
    Upload,
    /// The answer's items may follow.
    Download,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Greeting,
    Open,
    /// No new requests; those in flight finish.
    Leaving,
    Lost,
}

/// One request in flight.
#[derive(Debug, Default)]
struct Waiter {
    waker: Option<Waker>,
    answer: Option<Result<Vec<u8>, Failure>>,
    items: Option<Box<Items>>,
    /// When a write took the request, and when its answer was read, if that is measured.
    sent_at: Option<Instant>,
    answered_at: Option<Instant>,
}

/// What has come of a streamed answer.
#[derive(Debug)]
struct Items {
    waiting: VecDeque<Vec<u8>>,
    end: Option<Result<(), Failure>>,
    /// When the answer itself must be there. The stream as a whole has the table's deadline.
    head_due: Option<Instant>,
}

/// The state of one link.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    shard: u32,
    inbox: Inbox,
    outbox: Outbox,
    table: RequestTable<Waiter>,
    /// The loop that writes, while it has nothing to write.
    writer: Option<Waker>,
    /// Uploads that wait until the outbox is low.
    room: Vec<Waker>,
    /// Requests that no write has taken yet, if they are measured.
    unsent: Vec<u64>,
    /// When the last read was done, if that is measured.
    read_at: Option<Instant>,
    /// Downloads whose answer has not come, for their deadlines.
    heads: Vec<u64>,
    /// What the daemon said of itself.
    peer: Option<Hello>,
    loss: Option<Loss>,
    heard: bool,
    last_heard: Instant,
    last_ping: Instant,
}

impl Session {
    /// A session whose HELLO is on its way.
    pub fn new(node: &str, secret: &[u8], shard: u32, now: Instant) -> Session {
        let mut outbox = Outbox::new();
        let hello = Hello {
            version: PROTOCOL_VERSION,
            secret: secret.to_vec(),
            node: node.into(),
            shard,
            shards: 0,
        };
        outbox.push(&Header::new(Kind::Hello, 0), &hello).expect("a HELLO fits an empty outbox");
        Session {
            phase: Phase::Greeting,
            shard,
            inbox: Inbox::new(),
            outbox,
            table: RequestTable::new(),
            writer: None,
            room: Vec::new(),
            unsent: Vec::new(),
            read_at: None,
            heads: Vec::new(),
            peer: None,
            loss: None,
            heard: false,
            last_heard: now,
            last_ping: now,
        }
    }

    /// Whether it takes requests.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.table.is_empty()
    }

    /// Whether the daemon takes no new requests and the last one in flight is answered.
    pub fn has_left(&self) -> bool {
        self.phase == Phase::Leaving && self.table.is_empty()
    }

    /// What the daemon said of itself; nothing before its HELLO.
    pub fn peer(&self) -> Option<&Hello> {
        self.peer.as_ref()
    }

    /// Sends a request: its id.
    ///
    /// # Errors
    /// [`Trouble::Lost`] if the link takes none, else why it cannot be sent.
    pub fn start(
        &mut self,
        method: Method,
        request: &impl Message,
        shape: Shape,
        context: CallContext,
        now: Instant,
    ) -> Result<u64, Trouble> {
        if self.phase != Phase::Open {
            return Err(Trouble::Lost);
        }
        let left = context.deadline.saturating_duration_since(now).min(DEADLINE_MAX);
        if left < Duration::from_millis(1) {
            return Err(Trouble::Failed(Code::DeadlineExceeded.into()));
        }
        let mut waiter = Waiter::default();
        let mut due = now + left;
        if shape == Shape::Download {
            let head_due = Some(due);
            waiter.items = Some(Box::new(Items { waiting: VecDeque::new(), end: None, head_due }));
            due = now + DEADLINE_MAX;
        }
        let busy = || Trouble::Failed(Code::Busy.into());
        let id = self.table.insert(waiter, due).map_err(|_| busy())?;
        let stream = if shape == Shape::Upload { Flags::STREAM } else { Flags::NONE };
        let header = Header {
            kind: Kind::Request,
            flags: stream,
            method: method as u16,
            request_id: id,
            deadline_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
            trace_id: context.trace.trace_id,
            parent_span: context.trace.span,
        };
        if let Err(error) = self.outbox.push(&header, request) {
            self.table.remove(id);
            return Err(match error {
                PushError::Full => busy(),
                PushError::TooLong => Trouble::Failed(Code::PayloadTooLarge.into()),
            });
        }
        if shape == Shape::Download {
            self.heads.push(id);
        }
        if souk_meter::is_running() {
            self.unsent.push(id);
        }
        self.wake_writer();
        Ok(id)
    }

    /// Sends a piece of an upload's body, cut to the size of an item; `last` ends the body.
    ///
    /// # Errors
    /// If the outbox is full: the sender did not wait for room.
    pub fn send_body(&mut self, id: u64, piece: &[u8], last: bool) -> Result<(), Failure> {
        let mut rest = piece;
        loop {
            let (item, after) = rest.split_at(rest.len().min(STREAM_CHUNK));
            rest = after;
            let end = last && rest.is_empty();
            let flags = if end { Flags::END } else { Flags::NONE };
            let header = Header::new(Kind::Push, id).flags(flags);
            self.outbox.push_bytes(&header, item).map_err(|_| Failure::new(Code::Busy))?;
            if rest.is_empty() {
                break;
            }
        }
        self.wake_writer();
        Ok(())
    }

    /// Whether an upload may send its next piece.
    pub fn poll_room(&mut self, waker: &Waker) -> Poll<()> {
        if self.phase == Phase::Lost || !self.outbox.is_high() {
            return Poll::Ready(());
        }
        if !self.room.iter().any(|waiting| waiting.will_wake(waker)) {
            self.room.push(waker.clone());
        }
        Poll::Pending
    }

    /// The answer to a request. A plain request is done with it, a download goes on with its items.
    pub fn poll_answer(&mut self, id: u64, waker: &Waker) -> Poll<Result<Vec<u8>, Trouble>> {
        let lost = self.phase == Phase::Lost;
        let Some(waiter) = self.table.get_mut(id) else {
            return Poll::Ready(Err(if lost {
                Trouble::Lost
            } else {
                Trouble::Failed(Code::DeadlineExceeded.into())
            }));
        };
        if waiter.answer.is_some() {
            let ends = [(Stage::Queue, waiter.sent_at), (Stage::Link, waiter.answered_at)];
            for (stage, at) in ends {
                at.into_iter().for_each(|at| souk_meter::lap_at(stage, at));
            }
        }
        match waiter.answer.take() {
            Some(Ok(payload)) => {
                if waiter.items.is_none() {
                    self.table.remove(id);
                }
                Poll::Ready(Ok(payload))
            }
            Some(Err(failure)) => {
                self.table.remove(id);
                Poll::Ready(Err(Trouble::Failed(failure)))
            }
            None => {
                remember(&mut waiter.waker, waker);
                Poll::Pending
            }
        }
    }

    /// The next item of a download; nothing after the last one.
    pub fn poll_item(&mut self, id: u64, waker: &Waker) -> Poll<Option<Result<Vec<u8>, Failure>>> {
        let lost = self.phase == Phase::Lost;
        let Some(items) = self.table.get_mut(id).and_then(|waiter| waiter.items.as_mut()) else {
            let code = if lost { Code::Unavailable } else { Code::DeadlineExceeded };
            return Poll::Ready(Some(Err(code.into())));
        };
        if let Some(item) = items.waiting.pop_front() {
            return Poll::Ready(Some(Ok(item)));
        }
        if let Some(end) = items.end.take() {
            self.table.remove(id);
            return Poll::Ready(end.err().map(Err));
        }
        if let Some(waiter) = self.table.get_mut(id) {
            remember(&mut waiter.waker, waker);
        }
        Poll::Pending
    }

    /// The answer, or the rest of it, is no longer wanted. Harmless if it was all delivered.
    pub fn give_up(&mut self, id: u64) {
        let Some(waiter) = self.table.remove(id) else { return };
        let ended = match &waiter.items {
            Some(items) => items.end.is_some(),
            None => waiter.answer.is_some(),
        };
        if !ended {
            self.cancel(id);
        }
    }

    /// Tells the daemon to stop working on a request.
    pub fn cancel(&mut self, id: u64) {
        if matches!(self.phase, Phase::Open | Phase::Leaving) {
            // A full outbox loses the CANCEL: the daemon then finishes work that nobody waits for.
            let _ = self.outbox.push_bytes(&Header::new(Kind::Cancel, id), &[]);
            self.wake_writer();
        }
    }

    /// The buffer for the next read.
    pub fn lend(&mut self) -> Vec<u8> {
        self.inbox.lend()
    }

    /// Takes the lent buffer back and acts on every whole frame in it.
    ///
    /// # Errors
    /// When the link cannot go on.
    pub fn receive(&mut self, buffer: Vec<u8>) -> Result<(), Loss> {
        self.heard = true;
        self.read_at = souk_meter::turn();
        self.inbox.restore(buffer);
        // Taken out so that frames can be borrowed from it while the rest of the state changes.
        let mut inbox = std::mem::take(&mut self.inbox);
        let result = loop {
            match inbox.next() {
                Ok(Some(frame)) => {
                    if let Err(loss) = self.frame(&frame) {
                        break Err(loss);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(Loss::Protocol(error.to_string())),
            }
        };
        self.inbox = inbox;
        result
    }

    /// Looks at deadlines and at the daemon's silence.
    ///
    /// # Errors
    /// When the daemon has been silent for too long.
    pub fn tick(&mut self, now: Instant) -> Result<(), Loss> {
        let result = self.look(now);
        if let Err(loss) = &result {
            // The read loop ends because of this and would not know why.
            self.loss = Some(loss.clone());
        }
        result
    }

    fn look(&mut self, now: Instant) -> Result<(), Loss> {
        if std::mem::take(&mut self.heard) {
            self.last_heard = now;
        }
        let silent = now.saturating_duration_since(self.last_heard);
        if self.phase == Phase::Greeting {
            return if silent >= HELLO_TIMEOUT { Err(Loss::NoHello) } else { Ok(()) };
        }
        if silent >= SILENCE_MAX {
            return Err(Loss::Silent);
        }
        self.expire(now);
        if silent >= PING_EVERY && now.saturating_duration_since(self.last_ping) >= PING_EVERY {
            self.last_ping = now;
            // A full outbox needs no PING: its peer is about to be found silent.
            let _ = self.outbox.push_bytes(&Header::new(Kind::Ping, 1), &[]);
            self.wake_writer();
        }
        Ok(())
    }

    fn expire(&mut self, now: Instant) {
        let mut heads = std::mem::take(&mut self.heads);
        heads.retain(|id| {
            let items = self.table.get_mut(*id).and_then(|waiter| waiter.items.as_ref());
            let Some(due) = items.and_then(|items| items.head_due) else { return false };
            if due > now {
                return true;
            }
            if let Some(waker) = self.table.remove(*id).and_then(|waiter| waiter.waker) {
                waker.wake();
            }
            self.cancel(*id);
            false
        });
        self.heads = heads;
        for (id, waiter) in self.table.expire(now) {
            if waiter.answer.is_none() {
                self.cancel(id);
            }
            if let Some(waker) = waiter.waker {
                waker.wake();
            }
        }
    }

    /// Everything queued, or nothing and a wake when there is something. `None` inside means that
    /// the link is lost.
    pub fn poll_write(&mut self, waker: &Waker) -> Poll<Option<Vec<u8>>> {
        if self.phase == Phase::Lost {
            return Poll::Ready(None);
        }
        let Some(bytes) = self.outbox.take() else {
            remember(&mut self.writer, waker);
            return Poll::Pending;
        };
        if !self.unsent.is_empty() {
            souk_meter::batch(Batch::Link, self.unsent.len());
            let now = souk_meter::mark();
            for id in self.unsent.drain(..) {
                self.table.get_mut(id).into_iter().for_each(|waiter| waiter.sent_at = now);
            }
        }
        self.room.drain(..).for_each(Waker::wake);
        Poll::Ready(Some(bytes))
    }

    /// Takes a written buffer back.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        self.outbox.recycle(buffer);
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Ends the link: whoever waits learns it. The reason is the daemon's own if it gave one.
    pub fn lose(&mut self, loss: Loss) -> Loss {
        self.phase = Phase::Lost;
        for waiter in self.table.drain() {
            if let Some(waker) = waiter.waker {
                waker.wake();
            }
        }
        self.room.drain(..).for_each(Waker::wake);
        self.wake_writer();
        self.loss.take().unwrap_or(loss)
    }
}

/// The failure that a client is told when there is no link.
pub fn unavailable() -> Failure {
    Failure::new(Code::Unavailable).retry_after(UNAVAILABLE_RETRY)
}

fn remember(held: &mut Option<Waker>, waker: &Waker) {
    match held {
        Some(held) if held.will_wake(waker) => {}
        _ => *held = Some(waker.clone()),
    }
}
