//! One connection's requests and answers, without its socket: bytes come in, handlers run, answers
//! come out in the order of the requests.
//!
//! The input buffer is lent to the ring for a read only when nothing in it can be used yet; so
//! what is parsed never moves, and a client that sends faster than it is served waits.

mod answers;
mod bodies;
mod endless;
mod times;

use super::Thread;
use super::body::{self, BodySender};
use super::slot::{Facts, Slot, Work};
use super::trace::Trace;
use crate::http::head;
use crate::http::{BodyDecoder, Head, Refusal};
use crate::limits::{LINGER_BYTES, PIPELINE_MAX, READ_FIRST, READ_LEAST, READ_MAX};
use crate::routes::{self, Found, Request, RequestBody};
use crate::sweeper::{Phase, Watched};
use bodies::{Gathering, Streaming};
use souk_proto::Code;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;
use times::Times;

/// The state of one connection.
pub struct Exchange {
    thread: Rc<Thread>,
    watch: Rc<Watched>,
    peer: IpAddr,
    /// What was read; before `start` it is used.
    input: Vec<u8>,
    start: usize,
    reading: Reading,
    /// Whether reading waits for a slot or for a handler to take a piece of its body.
    blocked: bool,
    /// Whether the first part of a head has come and the rest has not.
    partial: bool,
    /// The answers owed, oldest first.
    slots: VecDeque<Slot>,
    /// Encoded answers that no write has taken yet.
    output: Vec<u8>,
    times: Times,
    /// Whether a write is in flight.
    writing: bool,
    /// Bytes that may still be read and dropped.
    linger: u64,
    /// The client sends no more.
    ended: bool,
    /// Nothing more can be sent, or the client is gone.
    broken: bool,
    /// Whether something changed that an earlier step of this turn has to look at.
    again: bool,
}

/// What the next bytes of input are.
enum Reading {
    Head,
    Gathered(Box<Gathering>),
    Streamed(Box<Streaming>),
    /// Another protocol's.
    HandedOn(BodySender),
    /// Nothing: this connection takes no more requests.
    Over,
}

impl Exchange {
    /// A connection that has sent nothing yet.
    pub fn new(thread: Rc<Thread>, watch: Rc<Watched>, peer: IpAddr) -> Exchange {
        Exchange {
            thread,
            watch,
            peer,
            input: Vec::new(),
            start: 0,
            reading: Reading::Head,
            blocked: false,
            partial: false,
            slots: VecDeque::new(),
            output: Vec::new(),
            times: Times::default(),
            writing: false,
            linger: 0,
            ended: false,
            broken: false,
            again: false,
        }
    }

    /// The buffer for the next read, or nothing while there is input that cannot be used yet.
    /// Read behind its length.
    pub fn lend(&mut self) -> Option<Vec<u8>> {
        if self.blocked || self.broken || self.is_over() {
            return None;
        }
        let unread = self.input.len() - self.start;
        let wanted = match self.reading {
            Reading::Head if unread == 0 => READ_FIRST,
            // Twice the head so far, but only when it fills the buffer it has.
            Reading::Head if self.input.capacity() - unread < READ_LEAST => {
                (unread * 2).clamp(READ_FIRST, READ_MAX)
            }
            Reading::Head => self.input.capacity(),
            Reading::Over | Reading::HandedOn(_) => READ_FIRST,
            Reading::Gathered(_) | Reading::Streamed(_) => READ_MAX,
        };
        // A read without room would look like the end of the connection.
        let wanted = wanted.max(unread + READ_LEAST);
        let capacity = self.input.capacity();
        let mut buffer = std::mem::take(&mut self.input);
        if capacity < wanted || unread == 0 && capacity > wanted {
            let mut fresh = Vec::with_capacity(wanted);
            fresh.extend_from_slice(&buffer[self.start..]);
            buffer = fresh;
        } else if self.start > 0 {
            buffer.drain(..self.start);
        }
        self.start = 0;
        Some(buffer)
    }

    /// Takes the lent buffer back, longer by what was read, and uses what can be used.
    pub fn restore(&mut self, buffer: Vec<u8>) {
        self.input = buffer;
        self.times.read();
        if matches!(self.reading, Reading::Gathered(_) | Reading::Streamed(_)) {
            self.watch.expect_anew(Phase::Body);
        }
        self.advance();
    }

    /// The client sends no more (or was too slow, and reading was ended).
    pub fn ended(&mut self, buffer: Vec<u8>) {
        self.input = buffer;
        self.ended = true;
        let late = self.watch.is_late();
        match std::mem::replace(&mut self.reading, Reading::Over) {
            Reading::Head if self.start < self.input.len() && late => {
                self.refuse(&Refusal::new(Code::RequestTimeout, "The head did not come in time."));
            }
            // Whoever sends no more listens no more: a page that was left, a program that ended.
            Reading::Over if self.is_endless() => self.lost(),
            Reading::Head | Reading::Over => {}
            Reading::HandedOn(sender) => sender.end(Ok(())),
            Reading::Gathered(body) => self.refuse_request(&cut_short(late), body.trace),
            Reading::Streamed(streaming) => {
                streaming.sender.end(Err(cut_short(late).into()));
                self.last_answer();
            }
        }
        self.linger = 0;
    }

    /// The connection is lost: nothing that was asked on it is wanted any more.
    pub fn lost(&mut self) {
        self.broken = true;
        self.reading = Reading::Over;
        self.slots.iter_mut().for_each(|slot| slot.trace.lost());
        self.times.lost(&mut self.slots, &self.thread.slow);
        self.output.clear();
    }

    /// Whether there is nothing left to do but to close.
    pub fn is_over(&self) -> bool {
        self.broken || self.has_answered() && self.linger == 0
    }

    /// Whether the last answer is out and the client may still be sending.
    pub fn lingers(&self) -> bool {
        !self.broken && self.has_answered() && self.linger > 0
    }

    /// Whether the last answer of the connection is out.
    fn has_answered(&self) -> bool {
        matches!(self.reading, Reading::Over) && self.owes_nothing()
    }

    fn owes_nothing(&self) -> bool {
        self.slots.is_empty() && self.output.is_empty() && !self.writing
    }

    /// Uses the input as far as possible.
    pub fn advance(&mut self) {
        self.blocked = false;
        self.partial = false;
        loop {
            let goes_on = match &self.reading {
                Reading::Head => self.next_head(),
                Reading::Gathered(_) => self.gather(),
                Reading::Streamed(_) => self.stream(),
                Reading::HandedOn(_) => self.hand_on(),
                Reading::Over => {
                    let dropped = (self.input.len() - self.start) as u64;
                    self.linger = self.linger.saturating_sub(dropped);
                    self.start = self.input.len();
                    false
                }
            };
            if !goes_on {
                break;
            }
        }
        self.times.waits(self.partial || matches!(self.reading, Reading::Gathered(_)));
        self.note_wait();
    }

    /// Tells the sweeper what the client owes now.
    fn note_wait(&self) {
        match &self.reading {
            _ if self.blocked => self.watch.expect(Phase::Working),
            Reading::Head if self.partial => self.watch.expect(Phase::Head),
            Reading::Head if self.owes_nothing() => self.watch.expect(Phase::Idle),
            // The client waits to be asked for its body, behind other answers.
            Reading::Gathered(_) | Reading::Streamed(_) if self.invites() => {
                self.watch.expect(Phase::Working);
            }
            Reading::Gathered(_) | Reading::Streamed(_) => self.watch.expect(Phase::Body),
            Reading::Over if self.lingers() => self.watch.expect(Phase::Linger),
            Reading::Head | Reading::HandedOn(_) | Reading::Over => {
                self.watch.expect(Phase::Working);
            }
        }
    }

    /// Whether the interim answer that lets the client send its body is still owed.
    fn invites(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.work, Work::Continue))
    }

    /// Reads the next request head. False if it is not all there, or has to wait.
    fn next_head(&mut self) -> bool {
        if self.start == self.input.len() {
            return false;
        }
        // What an unsafe request changes must not depend on who is faster (RFC 9112, 9.3.2).
        let alone = self.slots.back().is_some_and(|youngest| !youngest.facts.safe);
        if alone || self.slots.len() >= PIPELINE_MAX {
            self.blocked = true;
            return false;
        }
        match head::parse(&self.input[self.start..]) {
            Ok(None) => {
                self.partial = true;
                false
            }
            Ok(Some((head, _))) if !head.method.is_safe() && !self.slots.is_empty() => {
                self.blocked = true;
                false
            }
            Ok(Some((head, used))) => {
                self.start += used;
                self.request(head, used);
                true
            }
            Err(refusal) => {
                self.refuse(&refusal);
                true
            }
        }
    }

    /// Goes on with a head of `used` bytes.
    fn request(&mut self, head: Head, used: usize) {
        let found = match routes::find(&head) {
            Ok(found) => found,
            Err(misfit) => {
                let trace = self.thread.trace(&head, None);
                let id = trace.context.trace_id;
                let response = routes::turn_down(&self.thread.app, &head, &misfit, id);
                // The body of a request without a route is not read, so nothing can follow it.
                let persistent = head.persistent && head.framing.is_empty();
                let meter = self.times.begin(routes::NOWHERE, used);
                let facts = Facts { persistent, ..Facts::of(&head) };
                self.slots.push_back(Slot::new(facts, Work::Ready(response), meter, trace));
                if !persistent {
                    self.reading = Reading::Over;
                    self.linger = if head.framing.is_empty() { 0 } else { LINGER_BYTES };
                }
                return;
            }
        };
        let trace = self.thread.trace(&head, Some(found.path));
        if head.framing.is_empty() {
            self.handle(head, found, RequestBody::Empty, used, trace);
            return;
        }
        if head.expect_continue {
            let interim = Trace::unread(trace.context.trace_id);
            let facts = Facts { persistent: true, ..Facts::of(&head) };
            self.slots.push_back(Slot::new(facts, Work::Continue, None, interim));
        }
        let decoder = BodyDecoder::new(head.framing, found.body_limit);
        if found.streams_body {
            let (sender, reader) = body::pipe();
            let persistent = head.persistent;
            self.handle(head, found, RequestBody::Stream(Box::new(reader)), used, trace);
            self.reading = Reading::Streamed(Box::new(Streaming { decoder, sender, persistent }));
        } else {
            let (bytes, until) = (Vec::new(), None);
            let gathering = Gathering { decoder, head, found, bytes, until, received: used, trace };
            self.reading = Reading::Gathered(Box::new(gathering));
        }
    }

    /// Starts the handler of a request whose body is there, or streams; `received` bytes have come.
    fn handle(
        &mut self,
        head: Head,
        found: Found,
        body: RequestBody,
        received: usize,
        trace: Trace,
    ) {
        let meter = self.times.begin(found.number, received);
        let persistent = head.persistent;
        // What may take the connection over goes alone, like what changes something.
        let safe = head.method.is_safe() && !found.takes_over();
        let facts = Facts { safe, ..Facts::of(&head) };
        let request = Request { head, body, peer: self.peer, trace: trace.context };
        let handler = Box::pin(routes::handle(self.thread.app.clone(), found, request));
        self.slots.push_back(Slot::new(facts, Work::Running(handler), meter, trace));
        self.reading = if persistent { Reading::Head } else { Reading::Over };
    }

    /// Answers what is not a request, and takes no more of them.
    fn refuse(&mut self, refusal: &Refusal) {
        self.refuse_request(refusal, Trace::unread(self.thread.trace_id()));
    }

    /// Answers a request that did not come whole, and takes no more of them.
    fn refuse_request(&mut self, refusal: &Refusal, trace: Trace) {
        let work = Work::Ready(routes::refuse(refusal, trace.context.trace_id));
        let meter = self.times.begin(routes::NOWHERE, self.input.len() - self.start);
        self.slots.push_back(Slot::new(Facts::UNKNOWN, work, meter, trace));
        self.reading = Reading::Over;
        self.linger = LINGER_BYTES;
    }

    /// The youngest request is the last of this connection.
    fn last_answer(&mut self) {
        self.reading = Reading::Over;
        self.linger = LINGER_BYTES;
        if let Some(slot) = self.slots.back_mut() {
            slot.facts.persistent = false;
        }
    }
}

fn cut_short(late: bool) -> Refusal {
    if late {
        Refusal::new(Code::RequestTimeout, "The body did not come in time.")
    } else {
        Refusal::bad("The connection ended in the middle of the body.")
    }
}
