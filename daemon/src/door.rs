//! The door: accepts connections on shard 0's ring, checks each HELLO and hands the connection to
//! the shard that it asked for.
//!
//! An accept or read in flight is never dropped: it is ended by shutdown(2) and awaited.

use crate::limits::{
    ACCEPT_PAUSE, ARRIVALS_MAX, HANDSHAKES_MAX, HELLO_BYTES_MAX, LISTEN_BACKLOG, PORT_POLL,
    PORT_WAIT_MAX,
};
use prost::Message;
use socket2::{Domain, Protocol, Socket, Type};
use souk_proto::common::{GoAway, Hello};
use souk_proto::limits::HELLO_TIMEOUT;
use souk_proto::{Header, Inbox, Kind, Outbox, hello};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::TcpStream;

/// A connection that said a right HELLO.
pub(crate) struct Arrival {
    pub(crate) socket: std::net::TcpStream,
    /// What the peer sent behind its HELLO.
    pub(crate) inbox: Inbox,
    /// `node@address`.
    pub(crate) peer: String,
}

/// The listening socket and the way to the shards.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) guard: Arc<Guard>,
}

/// What a HELLO is checked against, and where it leads.
pub(crate) struct Guard {
    pub(crate) secret: Vec<u8>,
    pub(crate) shards: Vec<mpsc::Sender<Arrival>>,
}

/// Binds the listening socket. Without `SO_REUSEPORT`, so that a second daemon on the same port is
/// refused instead of silently sharing it. A daemon that was killed may hold the port for another
/// moment, while the kernel ends the accept in its ring: that is waited for.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let end = Instant::now() + PORT_WAIT_MAX;
    loop {
        match try_listen(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < end => {
                thread::sleep(PORT_POLL);
            }
            done => return done,
        }
    }
}

fn try_listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

/// A queue of links to one shard.
pub(crate) fn arrivals() -> (mpsc::Sender<Arrival>, mpsc::Receiver<Arrival>) {
    mpsc::channel(ARRIVALS_MAX)
}

impl Door {
    /// Accepts until the daemon stops.
    pub(crate) async fn run(self, stop: watch::Receiver<bool>) {
        // A second descriptor of the same socket, to shut it down while the ring has the first.
        let handle = match self.listener.try_clone() {
            Ok(handle) => handle,
            Err(error) => return tracing::error!(%error, "no connection can be accepted"),
        };
        let mut stopped = stop.clone();
        tokio_uring::spawn(async move {
            // An error means that the main thread is gone, which ends the daemon too.
            let _ = stopped.wait_for(|stop| *stop).await;
            // Ends the accept in flight. It fails only if the socket is closed already.
            let _ = rustix::net::shutdown(&handle, rustix::net::Shutdown::Both);
        });
        let listener = tokio_uring::net::TcpListener::from_std(self.listener);
        let room = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        loop {
            let permit = Arc::clone(&room).acquire_owned().await.expect("it is never closed");
            match listener.accept().await {
                _ if *stop.borrow() => break,
                Ok((socket, address)) => {
                    let guard = Arc::clone(&self.guard);
                    tokio_uring::spawn(async move {
                        guard.receive(socket, address).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Guard {
    /// Checks a connection's HELLO and hands it over, or tells the peer why not.
    async fn receive(&self, socket: TcpStream, address: SocketAddr) {
        let checked = match read_hello(&socket).await {
            Ok((hello, inbox)) => self.check(&socket, address, &hello, inbox),
            Err(refusal) => Err(refusal),
        };
        let Err(refusal) = checked else { return };
        tracing::warn!(%address, reason = %refusal, "link refused");
        if let Refusal::Silent(_) = refusal {
            return;
        }
        let mut outbox = Outbox::new();
        let go_away = GoAway { reason: refusal.to_string() };
        let queued = outbox.push(&Header::new(Kind::GoAway, 0), &go_away);
        debug_assert!(queued.is_ok(), "an empty outbox takes a short message");
        if let Some(buffer) = outbox.take() {
            // A fresh connection's send buffer takes it at once; who is gone misses nothing.
            let _ = socket.write_all(buffer).await;
        }
        let _ = socket.shutdown(Shutdown::Write);
    }

    fn check(
        &self,
        socket: &TcpStream,
        address: SocketAddr,
        hello: &Hello,
        inbox: Inbox,
    ) -> Result<(), Refusal> {
        let shards = u32::try_from(self.shards.len()).expect("settings bound the shards");
        hello::check_front(hello, &self.secret, shards)?;
        let socket = to_std(socket).map_err(Refusal::Silent)?;
        let peer = format!("{}@{address}", hello.node);
        let arrival = Arrival { socket, inbox, peer };
        self.shards[hello.shard as usize].try_send(arrival).map_err(|_| Refusal::Busy)
    }
}

/// Why a connection did not become a link.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Hello(#[from] hello::HelloError),
    #[error("the first frame must be a HELLO: {0}")]
    NoHello(String),
    #[error("no HELLO came within {} s", HELLO_TIMEOUT.as_secs())]
    Late,
    #[error("too many links arrive at this shard at once, or it stops; try again shortly")]
    Busy,
    /// The peer is gone; there is nobody to tell.
    #[error("{0}")]
    Silent(io::Error),
}

/// Reads until the HELLO is whole; what follows it stays in the inbox.
async fn read_hello(socket: &TcpStream) -> Result<(Hello, Inbox), Refusal> {
    socket.set_nodelay(true).map_err(Refusal::Silent)?;
    let mut late = pin!(tokio::time::sleep(HELLO_TIMEOUT));
    let mut inbox = Inbox::new();
    let mut received = 0;
    loop {
        let buffer = inbox.lend();
        let end = buffer.len();
        let mut read = pin!(socket.read(buffer.slice(end..)));
        let (read, slice) = tokio::select! {
            read = &mut read => read,
            () = &mut late => {
                // The read must come back before its buffer goes. The write side stays, to say why.
                let _ = socket.shutdown(Shutdown::Read);
                let _ = read.await;
                return Err(Refusal::Late);
            }
        };
        inbox.restore(slice.into_inner());
        match read {
            Ok(0) => return Err(Refusal::Silent(io::ErrorKind::UnexpectedEof.into())),
            Ok(bytes) => received += bytes,
            Err(error) => return Err(Refusal::Silent(error)),
        }
        if let Some(frame) = inbox.next().map_err(|error| Refusal::NoHello(error.to_string()))? {
            if frame.header.kind != Kind::Hello {
                let kind = frame.header.kind;
                return Err(Refusal::NoHello(format!("a {kind:?} came")));
            }
            let hello = Hello::decode(frame.payload)
                .map_err(|error| Refusal::NoHello(error.to_string()))?;
            return Ok((hello, inbox));
        }
        if received > HELLO_BYTES_MAX {
            return Err(Refusal::NoHello(format!("{received} bytes came and none of it is one")));
        }
    }
}

/// The connection as a descriptor of its own, which can go to another thread and its ring.
#[allow(unsafe_code)] // the ring's stream only lends its descriptor as a number
fn to_std(socket: &TcpStream) -> io::Result<std::net::TcpStream> {
    // SAFETY: the stream is alive and keeps its descriptor open for the length of this call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) };
    Ok(borrowed.try_clone_to_owned()?.into())
}
