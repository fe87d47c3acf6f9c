//! One client connection: a task that reads, lets handlers run and writes, all at once.
//!
//! The task has one future that reads and one that writes. Each gives its buffer to the ring for
//! the time of one operation and is never dropped before that operation is done. What happens
//! between the bytes is in [`exchange`].

mod body;
mod exchange;
mod slot;
mod trace;

use crate::app::App;
use crate::http::{Date, Encoding, Head, Response, Version, response};
use crate::limits::{LINGER_BYTES, READ_FIRST, SPARE_BUFFER_MAX, SPARE_BUFFERS};
use crate::listener::Permit;
use crate::routes;
use crate::sweeper::{Phase, Sweeper, Watched};
use crate::upstream::{ODD, mix};
use exchange::Exchange;
use monoio::buf::{IoBuf, SliceMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable};
use monoio::net::TcpStream;
use monoio::net::tcp::{TcpOwnedReadHalf, TcpOwnedWriteHalf};
use souk_meter::Level;
use souk_proto::Code;
use souk_trace::{Slow, Tracer};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::{IpAddr, Shutdown};
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::SystemTime;
use trace::Trace;

/// What the connections of one ring thread share.
pub struct Thread {
    /// What requests share.
    pub app: Rc<App>,
    /// The timeouts.
    pub sweeper: Rc<Sweeper>,
    /// The header lines that every answer has which is no page.
    common: Vec<u8>,
    /// The header lines that every page has.
    page_common: Vec<u8>,
    date: RefCell<Date>,
    /// Write buffers between two uses.
    spare: RefCell<Vec<Vec<u8>>>,
    /// Begins traces.
    pub(crate) tracer: Tracer,
    /// Logs slow requests.
    pub(crate) slow: Slow,
    /// The last trace id was made from it.
    trace_seed: Cell<u64>,
}

impl Thread {
    /// The shared part of a thread that has no connection yet.
    pub fn new(app: Rc<App>, tracer: Tracer) -> Thread {
        Thread {
            common: routes::security_headers(&app.settings, false),
            page_common: routes::security_headers(&app.settings, true),
            sweeper: Rc::new(Sweeper::new(&app.settings.timeouts)),
            slow: Slow::new(app.settings.log.slow_ms),
            app,
            date: RefCell::new(Date::new(SystemTime::now())),
            spare: RefCell::default(),
            tracer,
            trace_seed: Cell::new(getrandom::u64().unwrap_or(ODD)),
        }
    }

    /// Brings the clocks up to date and ends what is late.
    pub fn sweep(&self) {
        self.date.borrow_mut().refresh(SystemTime::now());
        self.sweeper.sweep();
        souk_meter::level(Level::Connections, self.sweeper.len() as u64);
    }

    /// The trace of a request with this head, which leads to this route if to any.
    fn trace(&self, head: &Head, route: Option<&'static str>) -> Trace {
        Trace::of(&self.tracer, head, route, self.trace_id())
    }

    /// A number that no other request has.
    pub(crate) fn trace_id(&self) -> u128 {
        let next = self.trace_seed.get().wrapping_add(ODD);
        self.trace_seed.set(next);
        u128::from(mix(next)) << 64 | u128::from(mix(next ^ ODD))
    }

    /// The header lines that this answer has besides its own.
    fn common(&self, response: &Response) -> &[u8] {
        if response.page { &self.page_common } else { &self.common }
    }

    /// An empty buffer to write from.
    fn buffer(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    fn recycle(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_BUFFERS && (1..=SPARE_BUFFER_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            spare.push(buffer);
        }
    }
}

/// Serves a connection to its end.
pub async fn serve(thread: Rc<Thread>, stream: TcpStream, peer: IpAddr, permit: Permit) {
    let watch = Rc::new(thread.sweeper.watch(stream.as_raw_fd()));
    let exchange = RefCell::new(Exchange::new(thread.clone(), watch.clone(), peer));
    let (mut reading, mut writing) = stream.into_split();
    {
        let mut read = pin!(read(&mut reading, &exchange));
        let mut write = pin!(write(&mut writing, &exchange, &watch));
        let (mut read_ended, mut write_ended) = (false, false);
        let mut closing = None;
        poll_fn(|cx| {
            loop {
                read_ended = read_ended || read.as_mut().poll(cx).is_ready();
                exchange.borrow_mut().work(cx);
                write_ended = write_ended || write.as_mut().poll(cx).is_ready();
                if read_ended && write_ended {
                    return Poll::Ready(());
                }
                let mut exchange = exchange.borrow_mut();
                let wanted = match (exchange.is_over(), exchange.lingers()) {
                    (true, _) => Some(Shutdown::Both),
                    (_, true) => Some(Shutdown::Write),
                    _ => None,
                };
                if wanted != closing {
                    closing = wanted;
                    // Whatever is in flight completes now, and its buffer comes back.
                    wanted.into_iter().for_each(|how| watch.shutdown(how));
                    continue;
                }
                if !exchange.again() {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }
    // The sweeper must forget the descriptor before it is closed and given to another connection.
    drop(exchange);
    drop(watch);
    drop((reading, writing));
    drop(permit);
}

/// Reads until the client or the exchange has no more.
async fn read(socket: &mut TcpOwnedReadHalf, exchange: &RefCell<Exchange>) {
    loop {
        let lent = poll_fn(|_| {
            let mut exchange = exchange.borrow_mut();
            match exchange.lend() {
                Some(buffer) => Poll::Ready(Some(buffer)),
                None if exchange.is_over() => Poll::Ready(None),
                None => Poll::Pending,
            }
        });
        let Some(buffer) = lent.await else { return };
        let (filled, room) = (buffer.len(), buffer.capacity());
        let (result, slice) = socket.read(SliceMut::new(buffer, filled, room)).await;
        let buffer = slice.into_inner();
        match result {
            Ok(0) => return exchange.borrow_mut().ended(buffer),
            Ok(_) => exchange.borrow_mut().restore(buffer),
            Err(_) => return exchange.borrow_mut().lost(),
        }
    }
}

/// Writes whatever is encoded, one write at a time, until nothing will be any more.
async fn write(socket: &mut TcpOwnedWriteHalf, exchange: &RefCell<Exchange>, watch: &Watched) {
    loop {
        let output = poll_fn(|_| {
            let mut exchange = exchange.borrow_mut();
            match exchange.take_output() {
                Some(buffer) => Poll::Ready(Some(buffer)),
                None if exchange.is_over() => Poll::Ready(None),
                None => Poll::Pending,
            }
        });
        let Some(buffer) = output.await else { return };
        let length = buffer.len();
        let (mut result, mut buffer) = socket.write(buffer).await;
        let mut sent = 0;
        loop {
            match result {
                Ok(0) | Err(_) => {
                    exchange.borrow_mut().lost();
                    return;
                }
                Ok(more) => sent += more,
            }
            if sent == length {
                break;
            }
            watch.writes();
            let slice;
            (result, slice) = socket.write(buffer.slice(sent..)).await;
            buffer = slice.into_inner();
        }
        exchange.borrow_mut().written(buffer);
    }
}

/// Tells a client that there are too many connections, and why its own one is closed.
pub async fn turn_away(thread: Rc<Thread>, mut stream: TcpStream, code: Code) {
    let watch = thread.sweeper.watch(stream.as_raw_fd());
    watch.expect(Phase::Linger);
    let mut answer = Vec::new();
    let how = Encoding {
        date: &{ *thread.date.borrow().text() },
        persistent: false,
        version: Version::Http11,
        head_only: false,
        common: &thread.common,
    };
    let refusal = routes::refuse(code, thread.trace_id());
    souk_meter::refused(routes::NOWHERE, usize::from(refusal.status));
    response::encode(&refusal, &how, &mut answer);
    let (result, _) = stream.write_all(answer).await;
    let mut dropped = 0;
    let mut buffer = Vec::with_capacity(READ_FIRST);
    watch.shutdown(Shutdown::Write);
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
