//! Where connections come from: the listening sockets, and how many connections there may be.

use crate::config::ConnectionSettings;
use crate::connection::{self, Thread};
use crate::driver::Driver;
use crate::limits::{ACCEPT_PAUSE, ADDRESS_STRIPES, BACKLOG, TOLD_MAX};
use crate::tlv;
use foldhash::fast::RandomState;
use monoio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};
use souk_proto::Code;
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Opens one listening socket per thread at the same address.
///
/// # Errors
/// If the address is not ours to use; a second front at the same port is refused, not mixed in.
pub fn open(address: SocketAddr, threads: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let mut sockets: Vec<Socket> = Vec::with_capacity(threads);
    let mut bound = address;
    for _ in 0..threads {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        // The first one is bound alone, so that it fails if anybody else listens there. Only then
        // is the port shared, with the sockets of this process.
        if sockets.is_empty() {
            socket.bind(&address.into())?;
            bound = socket.local_addr()?.as_socket().unwrap_or(address);
            rustix::net::sockopt::set_socket_reuseport(&socket, true)?;
        } else {
            rustix::net::sockopt::set_socket_reuseport(&socket, true)?;
            socket.bind(&bound.into())?;
        }
        sockets.push(socket);
    }
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok(sockets.into_iter().map(Into::into).collect())
}

/// How many connections the process has, in all and per client address.
pub struct Counts {
    max: usize,
    per_address: u32,
    all: AtomicUsize,
    addresses: Vec<Mutex<HashMap<IpAddr, u32, RandomState>>>,
    spread: RandomState,
}

/// The right to one connection.
pub struct Permit {
    counts: Arc<Counts>,
    /// The client's, as it is counted.
    address: IpAddr,
}

impl Counts {
    /// Counts of no connection, with these bounds.
    pub fn new(settings: &ConnectionSettings) -> Arc<Counts> {
        Arc::new(Counts {
            max: settings.max as usize,
            per_address: settings.per_address,
            all: AtomicUsize::new(0),
            addresses: (0..ADDRESS_STRIPES).map(|_| Mutex::default()).collect(),
            spread: RandomState::default(),
        })
    }

    /// Enters one more connection of a client.
    ///
    /// # Errors
    /// [`Code::Busy`] if the process has its full number, [`Code::TooManyConnections`] if this
    /// client has.
    pub fn enter(self: &Arc<Counts>, address: IpAddr) -> Result<Permit, Code> {
        if self.all.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return Err(Code::Busy);
        }
        let address = holder(address);
        let mut stripe = self.stripe(address);
        let count = stripe.entry(address).or_insert(0);
        if *count >= self.per_address {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return Err(Code::TooManyConnections);
        }
        *count += 1;
        Ok(Permit { counts: self.clone(), address })
    }

    fn stripe(&self, address: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, u32, RandomState>> {
        let spread = self.spread.hash_one(address) % ADDRESS_STRIPES as u64;
        let stripe = &self.addresses[usize::try_from(spread).unwrap_or(0)];
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address that a client counts under: whoever has one of IPv6 has its whole /64.
fn holder(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(own) => Ipv6Addr::from_bits(own.to_bits() & u128::MAX << 64).into(),
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counts.all.fetch_sub(1, Ordering::Relaxed);
        let mut stripe = self.counts.stripe(self.address);
        if let Some(count) = stripe.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                stripe.remove(&self.address);
            }
        }
    }
}

/// What the connections of a listener speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP.
    Http,
    /// The frames of the binary port.
    Tlv,
}

/// One thread's listening socket and what it does with connections.
pub struct Listener {
    speaks: Speaks,
    socket: TcpListener,
    /// The same socket, for what must not wait for the ring.
    direct: std::net::TcpListener,
    driver: Driver,
    thread: Rc<Thread>,
    counts: Arc<Counts>,
    stopped: Cell<bool>,
    /// Clients that are being told that there are too many connections.
    told: Rc<Cell<usize>>,
}

impl Listener {
    /// Takes over a listening socket on the ring thread that serves it.
    ///
    /// # Errors
    /// If the runtime refuses the socket.
    pub fn new(
        speaks: Speaks,
        socket: std::net::TcpListener,
        driver: Driver,
        thread: Rc<Thread>,
        counts: Arc<Counts>,
    ) -> io::Result<Rc<Listener>> {
        driver.prepare(|on| socket.set_nonblocking(on))?;
        let direct = socket.try_clone()?;
        let socket = TcpListener::from_std(socket)?;
        let stopped = Cell::new(false);
        let told = Rc::default();
        Ok(Rc::new(Listener { speaks, socket, direct, driver, thread, counts, stopped, told }))
    }

    /// Takes the connections that wait already, and no more.
    pub fn stop(&self) {
        self.stopped.set(true);
        if let Err(error) = self.take_waiting() {
            tracing::warn!(%error, "connections that waited at shutdown may be lost");
        }
        // The accept in flight completes with an error.
        let _ = rustix::net::shutdown(&self.direct, rustix::net::Shutdown::Both);
    }

    fn take_waiting(&self) -> io::Result<()> {
        self.direct.set_nonblocking(true)?;
        loop {
            match self.direct.accept() {
                Ok((stream, address)) => {
                    self.driver.prepare(|on| stream.set_nonblocking(on))?;
                    self.take(TcpStream::from_std(stream)?, address.ip().to_canonical());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes connections until it is stopped.
    pub async fn run(&self) {
        let mut said = false;
        while !self.stopped.get() {
            match self.socket.accept().await {
                Ok((stream, address)) => {
                    said = false;
                    self.take(stream, address.ip().to_canonical());
                }
                Err(_) if self.stopped.get() => break,
                // The client left between its connect and our accept.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !said {
                        said = true;
                        tracing::error!(
                            %error,
                            "cannot accept connections for now; if these are too many open files, \
                             raise LimitNOFILE or lower connections.max"
                        );
                    }
                    monoio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, address: IpAddr) {
        // A client that is gone already shows itself at the first read.
        let _ = stream.set_nodelay(true);
        match self.counts.enter(address) {
            Ok(permit) => {
                let thread = self.thread.clone();
                match self.speaks {
                    Speaks::Http => {
                        monoio::spawn(connection::serve(thread, stream, address, permit))
                    }
                    Speaks::Tlv => monoio::spawn(tlv::serve(thread, stream, address, permit)),
                };
            }
            Err(code) if self.told.get() < TOLD_MAX => {
                let (told, thread) = (self.told.clone(), self.thread.clone());
                told.set(told.get() + 1);
                let speaks = self.speaks;
                monoio::spawn(async move {
                    match speaks {
                        Speaks::Http => connection::turn_away(thread, stream, code).await,
                        Speaks::Tlv => tlv::turn_away(thread, stream, code).await,
                    }
                    told.set(told.get() - 1);
                });
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, open};
    use crate::config::ConnectionSettings;
    use souk_proto::Code;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    #[test]
    fn a_second_process_at_the_same_port_is_refused() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let first = open(any, 2).expect("a free port");
        let address = first[0].local_addr().expect("bound");
        assert_eq!(first[1].local_addr().expect("bound"), address);
        let second = open(address, 2).expect_err("the port is taken");
        assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);
        drop(first);
        open(address, 1).expect("free again");
    }

    #[test]
    fn connections_are_bounded_in_all_and_per_address() {
        let counts = Counts::new(&ConnectionSettings { max: 3, per_address: 2 });
        let [one, other] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        let first = counts.enter(one).expect("room");
        let _second = counts.enter(one).expect("room");
        assert_eq!(counts.enter(one).err(), Some(Code::TooManyConnections));
        let _third = counts.enter(other).expect("room");
        assert_eq!(counts.enter(other).err(), Some(Code::Busy));
        drop(first);
        counts.enter(one).expect("room again");
    }

    #[test]
    fn the_addresses_of_one_network_of_ipv6_count_as_one() {
        let counts = Counts::new(&ConnectionSettings { max: 10, per_address: 2 });
        let enter = |address: &str| counts.enter(address.parse().expect("an address"));
        let first = enter("2001:db8:0:1::1").expect("room");
        let _second = enter("2001:db8:0:1:ffff::2").expect("room");
        assert_eq!(enter("2001:db8:0:1::3").err(), Some(Code::TooManyConnections));
        let _third = enter("2001:db8:0:2::1").expect("another network");
        drop(first);
        enter("2001:db8:0:1::4").expect("room again");
    }
}
