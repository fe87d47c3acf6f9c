//! One connection's task: it reads, asks and writes, all at once, as connections of HTTP do.

use super::Route;
use super::calls::{Asker, Calling, Done};
use super::feeds::Feeds;
use super::session::{Ask, Session};
use super::times::count;
use crate::connection::Thread;
use crate::limits::{
    LINGER_BYTES, READ_FIRST, TLV_KEEPALIVE_AFTER, TLV_KEEPALIVE_EVERY, TLV_KEEPALIVE_TRIES,
};
use crate::listener::Permit;
use crate::routes::address_bytes;
use crate::sweeper::{Phase, Watched};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use monoio::buf::{IoBuf, SliceMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable};
use monoio::net::TcpStream;
use monoio::net::tcp::{TcpOwnedReadHalf, TcpOwnedWriteHalf};
use souk_proto::Code;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::{IpAddr, Shutdown};
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// What the parts of a connection's task share.
struct Connection {
    asker: Asker,
    watch: Watched,
    session: RefCell<Session>,
    calls: RefCell<FuturesUnordered<Calling>>,
    feeds: RefCell<Feeds>,
    drained: Cell<bool>,
    /// Whether something changed that an earlier step of this turn has to look at.
    again: Cell<bool>,
}

/// Serves a connection to its end.
pub async fn serve(thread: Rc<Thread>, stream: TcpStream, peer: IpAddr, permit: Permit) {
    // A client may be silent for ever, but it has to be there.
    let (after, every) = (Some(TLV_KEEPALIVE_AFTER), Some(TLV_KEEPALIVE_EVERY));
    if let Err(error) = stream.set_tcp_keepalive(after, every, Some(TLV_KEEPALIVE_TRIES)) {
        tracing::debug!(%error, "a connection without keepalive");
    }
    let watch = thread.sweeper.watch(stream.as_raw_fd());
    let connection = Connection {
        asker: Asker { thread, address: address_bytes(peer) },
        watch,
        session: RefCell::default(),
        calls: RefCell::default(),
        feeds: RefCell::default(),
        drained: Cell::new(false),
        again: Cell::new(false),
    };
    let (mut reading, mut writing) = stream.into_split();
    {
        let mut read = pin!(connection.read(&mut reading));
        let mut write = pin!(connection.write(&mut writing));
        let (mut read_ended, mut write_ended) = (false, false);
        let mut closing = None;
        poll_fn(|cx| {
            loop {
                read_ended = read_ended || read.as_mut().poll(cx).is_ready();
                connection.work(cx);
                write_ended = write_ended || write.as_mut().poll(cx).is_ready();
                if read_ended && write_ended {
                    return Poll::Ready(());
                }
                let wanted = connection.wanted_end();
                if wanted != closing {
                    closing = wanted;
                    // Whatever is in flight completes now, and its buffer comes back.
                    wanted.into_iter().for_each(|how| connection.watch.shutdown(how));
                    continue;
                }
                if !connection.again.take() {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }
    // The sweeper must forget the descriptor before it is closed and given to another connection.
    drop(connection);
    drop((reading, writing));
    drop(permit);
}

impl Connection {
    /// Asks what is to be asked, and takes what is answered.
    fn work(&self, cx: &mut Context<'_>) {
        let mut session = self.session.borrow_mut();
        if !self.drained.get() && self.watch.is_draining(cx.waker()) {
            self.drained.set(true);
            session.drain();
        }
        let (mut calls, mut feeds) = (self.calls.borrow_mut(), self.feeds.borrow_mut());
        loop {
            loop {
                let trace = self.asker.thread.trace_id();
                let Some(ask) = session.next_ask(trace) else { break };
                match (ask, session.user()) {
                    (Ask::Who { token }, _) => calls.push(self.asker.who(token, trace)),
                    (Ask::Bids { auction, offers }, Some(user)) => {
                        calls.push(self.asker.bids(user, auction, offers, trace));
                    }
                    (Ask::Subscribe { auction }, Some(user)) => {
                        feeds.begin(&self.asker, user, auction, trace);
                    }
                    (Ask::Unsubscribe { auction }, _) => feeds.end(auction),
                    // Nobody asks for bids or events before the user is known.
                    (Ask::Bids { .. } | Ask::Subscribe { .. }, None) => {}
                }
            }
            if calls.is_empty() {
                break;
            }
            let Poll::Ready(Some(done)) = calls.poll_next_unpin(cx) else { break };
            match done {
                Done::Who(outcome) => session.authenticated(outcome),
                Done::Bids(auction, outcome) => session.answered(auction, outcome),
            }
            self.again.set(true);
        }
        if session.is_over() {
            // What was asked for a client that is gone is not wanted any more.
            calls.clear();
        }
        feeds.poll(&mut session, cx);
        self.watch.expect(if session.is_fresh() {
            Phase::Fresh
        } else if session.lingers() {
            Phase::Linger
        } else {
            Phase::Working
        });
    }

    /// Which directions of the socket have to end now.
    fn wanted_end(&self) -> Option<Shutdown> {
        let session = self.session.borrow();
        match (session.is_over(), session.lingers()) {
            (true, _) => Some(Shutdown::Both),
            (_, true) => Some(Shutdown::Write),
            _ => None,
        }
    }

    /// Reads until the client or the session has no more.
    async fn read(&self, socket: &mut TcpOwnedReadHalf) {
        loop {
            let lent = poll_fn(|_| {
                let mut session = self.session.borrow_mut();
                match session.lend() {
                    Some(buffer) => Poll::Ready(Some(buffer)),
                    None if session.is_over() => Poll::Ready(None),
                    None => Poll::Pending,
                }
            });
            let Some(buffer) = lent.await else { return };
            let (filled, room) = (buffer.len(), buffer.capacity());
            let (result, slice) = socket.read(SliceMut::new(buffer, filled, room)).await;
            let mut session = self.session.borrow_mut();
            match result {
                Ok(0) => return session.ended(slice.into_inner(), self.watch.is_late()),
                Ok(_) => session.restore(slice.into_inner(), souk_meter::turn()),
                Err(_) => return session.lost(&self.asker.thread.slow),
            }
        }
    }

    /// Writes whatever is encoded, one write at a time, until nothing will be any more.
    async fn write(&self, socket: &mut TcpOwnedWriteHalf) {
        let slow = &self.asker.thread.slow;
        loop {
            let output = poll_fn(|_| {
                let mut session = self.session.borrow_mut();
                match session.take_output() {
                    Some(buffer) => Poll::Ready(Some(buffer)),
                    None if session.is_over() => Poll::Ready(None),
                    None => Poll::Pending,
                }
            });
            let Some(buffer) = output.await else { return };
            let length = buffer.len();
            self.watch.writes();
            let (mut result, mut buffer) = socket.write(buffer).await;
            let mut sent = 0;
            loop {
                match result {
                    Ok(0) | Err(_) => return self.session.borrow_mut().lost(slow),
                    Ok(more) => sent += more,
                }
                if sent == length {
                    break;
                }
                self.watch.writes();
                let slice;
                (result, slice) = socket.write(buffer.slice(sent..)).await;
                buffer = slice.into_inner();
            }
            self.watch.wrote();
            self.session.borrow_mut().written(slow);
            self.again.set(true);
        }
    }
}

/// Tells a client that there are too many connections, and why its own one is closed.
pub async fn turn_away(thread: Rc<Thread>, mut stream: TcpStream, code: Code) {
    let watch = thread.sweeper.watch(stream.as_raw_fd());
    watch.expect(Phase::Linger);
    count(Route::Nothing, Some(code));
    let (result, _) = stream.write_all(Session::refusal(code)).await;
    watch.shutdown(Shutdown::Write);
    let (mut dropped, mut buffer) = (0, Vec::with_capacity(READ_FIRST));
    // Closing with unread bytes would reset the connection and could cost the client the answer.
    while result.is_ok() && dropped < LINGER_BYTES {
        let read;
        (read, buffer) = stream.read(buffer).await;
        match read {
            Ok(0) | Err(_) => break,
            Ok(count) => dropped += count as u64,
        }
    }
    drop(watch);
}
