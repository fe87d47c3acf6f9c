//! The front as a whole: its ring threads, from the first connection to the last.

use crate::app::App;
use crate::config::Settings;
use crate::connection::Thread;
use crate::driver::Driver;
use crate::limits::{CUT_TIME, DRAIN_LOOK, SWEEP_EVERY};
use crate::listener::{self, Counts, Listener, Speaks};
use crate::measures;
use crate::upstream::{Daemons, Upstream};
use monoio::io::AsyncReadRent;
use souk_meter::{Admin, AdminError, Meter, Running};
use souk_trace::{Exporter, Service, Tracer};
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Why a front does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is not valid.
    #[error(transparent)]
    Settings(#[from] souk_process::SettingsError),
    /// No ring, though one is demanded.
    #[error("{0}; or set http.driver = \"epoll\"")]
    Driver(String),
    /// The address to serve cannot be used.
    #[error("cannot listen at {address}: {source}{}", hint(source, key))]
    Listen {
        /// The setting that says so.
        key: &'static str,
        /// Which address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A daemon's name is not known.
    #[error("cannot find the daemon {daemon}: {source}; check link.daemons")]
    Daemon {
        /// Which one.
        daemon: String,
        /// Why not.
        source: io::Error,
    },
    /// What it measures cannot be shown or kept.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A thread or its runtime cannot be made.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

fn hint(error: &io::Error, key: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("; another program serves there: stop it or change {key}")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("; this machine has no such address: change {key}")
        }
        io::ErrorKind::PermissionDenied => {
            format!("; ports below 1024 need the capability CAP_NET_BIND_SERVICE: change {key}")
        }
        _ => String::new(),
    }
}

/// A front that serves.
pub struct Server {
    address: SocketAddr,
    bids: Option<SocketAddr>,
    driver: Driver,
    threads: Vec<(UnixStream, JoinHandle<()>)>,
    admin: Running,
    exporter: Exporter,
}

/// What one ring thread is made from.
struct Plan {
    settings: Arc<Settings>,
    daemons: Daemons,
    driver: Driver,
    meter: Meter,
    counts: Arc<Counts>,
    tracer: Tracer,
    socket: std::net::TcpListener,
    bids: Option<std::net::TcpListener>,
    stop: UnixStream,
    ready: mpsc::Sender<io::Result<()>>,
}

impl Server {
    /// Starts the ring threads and waits until all of them serve.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(settings: Settings) -> Result<Server, StartError> {
        let driver = Driver::choose(&settings.http.driver).map_err(StartError::Driver)?;
        let daemons = find_daemons(&settings)?;
        let hub = measures::hub(&settings.latency);
        let admin = Admin::open(&hub, &settings.admin, &settings.latency)?;
        let count = settings.http.thread_count();
        let (address, sockets) = open("http.listen", settings.http.address()?, count)?;
        let bids = settings.bids.address()?.map(|wanted| open("bids.listen", wanted, count));
        let (bids, bid_sockets) = bids.transpose()?.unzip();
        let mut bid_sockets = bid_sockets.into_iter().flatten();
        let counts = Counts::new(&settings.connections);
        let exporter = start_exporter(&settings, &daemons.node)?;
        let settings = Arc::new(settings);
        let (ready, outcomes) = mpsc::channel();
        let mut threads = Vec::with_capacity(count);
        for (index, socket) in sockets.into_iter().enumerate() {
            let (stop, stopped) = UnixStream::pair().map_err(StartError::Thread)?;
            let plan = Plan {
                settings: settings.clone(),
                daemons: daemons.clone(),
                driver,
                meter: hub.thread(),
                counts: counts.clone(),
                tracer: exporter.tracer().clone(),
                socket,
                bids: bid_sockets.next(),
                stop: stopped,
                ready: ready.clone(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("ring-{index}"))
                .spawn(move || plan.run())
                .map_err(StartError::Thread)?;
            threads.push((stop, thread));
        }
        drop(ready);
        for _ in 0..count {
            let gone = |_| Err(io::Error::other("it ended before it served"));
            outcomes.recv().unwrap_or_else(gone).map_err(StartError::Thread)?;
        }
        if let Some(place) = admin.place() {
            tracing::info!(%place, "measurements are shown");
        }
        let admin = admin.start()?;
        Ok(Server { address, bids, driver, threads, admin, exporter })
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it takes bids as frames, if it does.
    pub fn bids_address(&self) -> Option<SocketAddr> {
        self.bids
    }

    /// What it runs on.
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// Takes no more connections, finishes the requests in flight within `timeouts.drain_s`, and
    /// ends.
    pub fn stop(self) {
        for (stop, _) in &self.threads {
            // A thread that is gone needs no telling.
            let _ = (&*stop).write_all(&[1]);
        }
        for (_, thread) in self.threads {
            if thread.join().is_err() {
                tracing::error!("a ring thread panicked");
            }
        }
        self.admin.stop();
        self.exporter.stop();
    }
}

/// Opens a listening socket for each thread; also the address, with its port.
fn open(
    key: &'static str,
    wanted: SocketAddr,
    threads: usize,
) -> Result<(SocketAddr, Vec<std::net::TcpListener>), StartError> {
    let failed = |source| StartError::Listen { key, address: wanted, source };
    let sockets = listener::open(wanted, threads).map_err(failed)?;
    Ok((sockets[0].local_addr().map_err(failed)?, sockets))
}

/// Looks the daemons' names up, once: a lookup on a ring thread would stop all its connections.
fn find_daemons(settings: &Settings) -> Result<Daemons, StartError> {
    let mut addresses = Vec::new();
    for daemon in &settings.link.daemons {
        let failed = |source| StartError::Daemon { daemon: daemon.clone(), source };
        let found = daemon.to_socket_addrs().map_err(failed)?.next();
        addresses.push(found.ok_or_else(|| failed(io::Error::other("it has no address")))?);
    }
    Ok(Daemons { addresses, secret: settings.link.secret()?, node: settings.link.node_name() })
}

/// Starts what sends spans to a collector, if there is one.
fn start_exporter(settings: &Settings, node: &str) -> Result<Exporter, StartError> {
    let service =
        Service { name: "souk-front", version: env!("CARGO_PKG_VERSION"), instance: node };
    let (endpoint, share) = (settings.tracing.endpoint()?, settings.tracing.sample_ratio);
    Exporter::start(endpoint, share, &service).map_err(StartError::Thread)
}

impl Plan {
    fn run(mut self) {
        let _meter = std::mem::take(&mut self.meter).install();
        let (driver, ready) = (self.driver, self.ready.clone());
        let served = driver.run(async move {
            let ready = self.ready.clone();
            if let Err(error) = self.serve().await {
                // Nobody listens any more if another thread has failed before.
                let _ = ready.send(Err(error));
            }
        });
        if let Err(error) = served {
            let _ = ready.send(Err(error));
        }
    }

    async fn serve(self) -> io::Result<()> {
        self.driver.prepare(|on| self.stop.set_nonblocking(on))?;
        let mut stop = monoio::net::UnixStream::from_std(self.stop)?;
        let upstream = Upstream::start(&self.daemons);
        upstream.settled().await;
        let app = Rc::new(App::new(self.settings, upstream));
        let thread = Rc::new(Thread::new(app, self.tracer));
        let sockets = [(Speaks::Http, Some(self.socket)), (Speaks::Tlv, self.bids)];
        let mut listeners = Vec::new();
        for (speaks, socket) in sockets {
            let Some(socket) = socket else { continue };
            let (thread, counts) = (thread.clone(), self.counts.clone());
            listeners.push(Listener::new(speaks, socket, self.driver, thread, counts)?);
        }
        let sweeping = thread.clone();
        monoio::spawn(souk_meter::turns());
        monoio::spawn(async move {
            loop {
                monoio::time::sleep(SWEEP_EVERY).await;
                sweeping.sweep();
            }
        });
        let accepting: Vec<_> = listeners
            .iter()
            .cloned()
            .map(|listener| monoio::spawn(async move { listener.run().await }))
            .collect();
        let _ = self.ready.send(Ok(()));
        // A byte, or the end of whoever would have sent it.
        let _ = stop.read(vec![0; 1]).await;
        listeners.iter().for_each(|listener| listener.stop());
        for accepting in accepting {
            accepting.await;
        }
        drain(&thread).await;
        Ok(())
    }
}

/// Waits until every connection is closed, but not longer than `timeouts.drain_s`; then cuts what
/// is left.
async fn drain(thread: &Thread) {
    let limit = Duration::from_secs(thread.app.settings.timeouts.drain_s);
    thread.sweeper.drain();
    thread.app.live.drain();
    thread.app.auctions_live.drain();
    if !closed_within(thread, limit).await {
        tracing::warn!(
            connections = thread.sweeper.len(),
            "connections are cut: their requests did not finish within timeouts.drain_s"
        );
        thread.sweeper.cut_all();
        closed_within(thread, CUT_TIME).await;
    }
    thread.app.upstream.stop(CUT_TIME).await;
}

async fn closed_within(thread: &Thread, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    while !thread.sweeper.is_empty() {
        if Instant::now() >= until {
            return false;
        }
        monoio::time::sleep(DRAIN_LOOK).await;
    }
    true
}
