//! One link's socket: connects, reads and writes for its [`Session`], and makes the link again
//! when it is lost.

use super::Inner;
use super::session::{Loss, Session};
use crate::driver;
use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX, CONNECT_TIMEOUT};
use monoio::buf::{IoBufMut, SliceMut};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;
use souk_proto::limits::READ_CHUNK;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// One live link.
pub struct Link {
    /// Its protocol.
    pub session: RefCell<Session>,
    /// What makes its score for a key differ from the other links' scores.
    pub seed: Cell<u64>,
    descriptor: RawFd,
}

/// One daemon address.
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    /// How many shards it has, as far as known.
    shards: Cell<u32>,
    /// Which shards have a task that keeps their link.
    kept: RefCell<Vec<bool>>,
}

impl Peer {
    /// A daemon of which only the address is known.
    pub fn new(address: SocketAddr) -> Peer {
        Peer { address, shards: Cell::new(1), kept: RefCell::new(Vec::new()) }
    }
}

impl Link {
    /// Ends the link from outside its loops: both see the socket's end.
    pub fn cut(&self) {
        driver::shutdown(self.descriptor, Shutdown::Both);
    }
}

/// Starts the task that keeps the link to one shard, unless it runs already.
pub fn keep(inner: &Rc<Inner>, peer: &Rc<Peer>, shard: u32) {
    let index = shard as usize;
    let mut kept = peer.kept.borrow_mut();
    if kept.len() <= index {
        kept.resize(index + 1, false);
    }
    if !std::mem::replace(&mut kept[index], true) {
        inner.unsettled.set(inner.unsettled.get() + 1);
        monoio::spawn(keep_up(inner.clone(), peer.clone(), shard));
    }
}

async fn keep_up(inner: Rc<Inner>, peer: Rc<Peer>, shard: u32) {
    let daemon = peer.address;
    let mut backoff = BACKOFF_FIRST;
    let mut said = false;
    let settled = Cell::new(false);
    while shard < peer.shards.get() {
        let opened = Cell::new(false);
        let up = |link: &Rc<Link>| {
            opened.set(true);
            announce(&inner, &peer, shard, link);
            settle(&inner, &settled);
        };
        let loss = attempt(&inner, &peer, shard, up).await;
        settle(&inner, &settled);
        if inner.stopping.get() {
            return;
        }
        if opened.get() {
            backoff = BACKOFF_FIRST;
            said = false;
        }
        // One line per outage: the attempts that follow fail for the same reason.
        if !said {
            said = true;
            tracing::warn!(%daemon, shard, %loss, "no link to the daemon; trying again");
        }
        monoio::time::sleep(jitter(&inner, backoff)).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
    peer.kept.borrow_mut()[shard as usize] = false;
}

/// Counts the first outcome of a link, good or bad.
fn settle(inner: &Inner, settled: &Cell<bool>) {
    if !settled.replace(true) {
        inner.unsettled.set(inner.unsettled.get() - 1);
    }
}

/// From half of the pause to one and a half, so that fronts do not come back all at once.
fn jitter(inner: &Inner, pause: Duration) -> Duration {
    pause.mul_f64(0.5 + f64::from(inner.random_u32()) / f64::from(u32::MAX))
}

/// The link takes requests from now on.
fn announce(inner: &Rc<Inner>, peer: &Rc<Peer>, shard: u32, link: &Rc<Link>) {
    let (node, shards) = {
        let session = link.session.borrow();
        let Some(hello) = session.peer() else { return };
        (hello.node.clone(), hello.shards)
    };
    tracing::info!(daemon = %peer.address, node, shard, shards, "link is up");
    link.seed.set(super::mix(super::key_of(&node) ^ u64::from(shard).wrapping_mul(super::ODD)));
    peer.shards.set(shards);
    inner.opened(link);
    for other in 1..shards {
        keep(inner, peer, other);
    }
}

/// Connects once and serves the link until it is lost.
async fn attempt(inner: &Rc<Inner>, peer: &Peer, shard: u32, up: impl FnOnce(&Rc<Link>)) -> Loss {
    let socket_error = |error: std::io::Error| Loss::Socket(error.to_string());
    // Giving up a connect leaves nothing behind: the driver closes its socket.
    let connecting = TcpStream::connect_addr(peer.address);
    let stream = match monoio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return socket_error(error),
        Err(_) => return Loss::Socket(format!("no connection within {CONNECT_TIMEOUT:?}")),
    };
    if let Err(error) = stream.set_nodelay(true) {
        return socket_error(error);
    }
    let session = Session::new(&inner.node, &inner.secret, shard, Instant::now());
    let link = Rc::new(Link {
        session: RefCell::new(session),
        seed: Cell::new(0),
        descriptor: stream.as_raw_fd(),
    });
    inner.links.borrow_mut().push(link.clone());
    let (mut reading, writing) = stream.into_split();
    let writer = monoio::spawn(write(writing, link.clone()));
    let loss = read(inner, &link, &mut reading, up).await;
    // Out of the lists first: a request that is woken by the loss must not meet this link again,
    // and nobody may cut a descriptor that is closed.
    inner.closed(&link);
    inner.links.borrow_mut().retain(|other| !Rc::ptr_eq(other, &link));
    let loss = link.session.borrow_mut().lose(loss);
    link.cut();
    writer.await;
    loss
}

async fn read(
    inner: &Inner,
    link: &Rc<Link>,
    reading: &mut OwnedReadHalf<TcpStream>,
    up: impl FnOnce(&Rc<Link>),
) -> Loss {
    let mut up = Some(up);
    loop {
        let mut buffer = link.session.borrow_mut().lend();
        let filled = buffer.len();
        // The buffer may have grown for a long frame; a read never needs all of that.
        let room = buffer.bytes_total().min(filled + 2 * READ_CHUNK);
        let (result, slice) = reading.read(SliceMut::new(buffer, filled, room)).await;
        let buffer = slice.into_inner();
        match result {
            Ok(0) => return Loss::Closed,
            Ok(_) => {}
            Err(error) => return Loss::Socket(error.to_string()),
        }
        let mut session = link.session.borrow_mut();
        let received = session.receive(buffer);
        let open = session.is_open();
        drop(session);
        match (open, up.is_some()) {
            (true, true) => {
                if let Some(up) = up.take() {
                    up(link);
                }
            }
            (false, false) => inner.closed(link),
            _ => {}
        }
        if let Err(loss) = received {
            return loss;
        }
    }
}

async fn write(mut writing: OwnedWriteHalf<TcpStream>, link: Rc<Link>) {
    while let Some(bytes) = poll_fn(|cx| link.session.borrow_mut().poll_write(cx.waker())).await {
        let (result, bytes) = writing.write_all(bytes).await;
        if result.is_err() {
            // The read loop sees the end and says so.
            link.cut();
            return;
        }
        link.session.borrow_mut().recycle(bytes);
    }
}
