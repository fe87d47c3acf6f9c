//! The admin listener: a thread that shows what the program measures, to whoever asks.
//!
//! It has nothing to do with the ring threads but the exchange of their records. One request a
//! connection, a thread for each connection, a bound on their number and on the time of each: a
//! client that is slow, silent or sends garbage costs one of these threads for a few seconds.

mod conversation;
mod listening;

pub use conversation::{Answer, Query};

use crate::hub::Hub;
use crate::intervals::IntervalLog;
use crate::latency::Latency;
use crate::limits::{ADMIN_ACCEPT_PAUSE, ADMIN_CONNECTIONS_MAX, COLLECT_EVERY};
use crate::metrics::{CONTENT_TYPE, Metrics};
use crate::settings::{AdminSettings, LatencySettings, Place};
use listening::Listening;
pub(crate) use listening::Stream;
use souk_process::SettingsError;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What answers requests for a path.
type Handler = Box<dyn Fn(&Query) -> Answer + Send + Sync>;

/// Why a program's measurements cannot be shown or kept.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// A setting is not valid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The address cannot be used.
    #[error("cannot serve metrics at {place}: {source}{}", listening::hint(source))]
    Listen {
        /// Which address.
        place: Place,
        /// Why not.
        source: io::Error,
    },
    /// The interval log cannot be written.
    #[error("cannot write interval logs to {path}: {source}; check latency.log_file")]
    Log {
        /// Which file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// There is no thread for it.
    #[error("cannot start the thread that serves metrics: {0}")]
    Thread(io::Error),
}

/// The admin side of a program, before it serves.
pub struct Admin {
    hub: Arc<Hub>,
    listening: Option<Listening>,
    log: Option<(IntervalLog, u64)>,
    handlers: Vec<(String, Handler)>,
}

impl Admin {
    /// Takes the address and opens the interval log that the settings name. `/metrics` and
    /// `/latency` are answered from the hub, `/profile` by the process's sampler.
    ///
    /// # Errors
    /// If the address or the file cannot be used.
    pub fn open(
        hub: &Arc<Hub>,
        admin: &AdminSettings,
        latency: &LatencySettings,
    ) -> Result<Admin, AdminError> {
        let listening = match admin.place()? {
            None => None,
            Some(place) => Some(
                Listening::open(&place).map_err(|source| AdminError::Listen { place, source })?,
            ),
        };
        let path = &latency.log_file;
        let log = (!path.is_empty())
            .then(|| IntervalLog::open(Arc::clone(hub), Path::new(path)))
            .transpose()
            .map_err(|source| AdminError::Log { path: path.clone(), source })?;
        let log = log.map(|log| (log, latency.log_every_s));
        let mut admin = Admin { hub: Arc::clone(hub), listening, log, handlers: Vec::new() };
        let metrics = Metrics::new(Arc::clone(hub));
        admin.handle("/metrics", move |_| Answer::new(200, CONTENT_TYPE, metrics.text()));
        let hub = Arc::clone(hub);
        admin.handle("/latency", move |_| {
            Answer::new(200, "application/json", Latency::of(&hub).json())
        });
        admin.handle("/profile", crate::profile::answer);
        Ok(admin)
    }

    /// Answers GET requests for this path too. A handler runs on a thread of its own and may take
    /// its time; it must bound what it does.
    pub fn handle(
        &mut self,
        path: &str,
        handler: impl Fn(&Query) -> Answer + Send + Sync + 'static,
    ) {
        self.handlers.push((path.to_owned(), Box::new(handler)));
    }

    /// Where it listens, with the port that it got; nothing if nowhere.
    pub fn place(&self) -> Option<&Place> {
        self.listening.as_ref().map(|listening| &listening.place)
    }

    /// Serves, and writes interval logs, until it is stopped.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(self) -> Result<Running, AdminError> {
        let (stop, stopped) = channel();
        let Admin { hub, listening, log, handlers } = self;
        let keeper = std::thread::Builder::new()
            .name("meter".into())
            .spawn(move || keep(&hub, log, &stopped))
            .map_err(AdminError::Thread)?;
        let mut running = Running { stop: Some(stop), keeper: Some(keeper), server: None };
        if let Some(listening) = listening {
            let server = Arc::new(Server {
                listening,
                handlers,
                stopping: AtomicBool::new(false),
                open: AtomicUsize::new(0),
            });
            let accepting = Arc::clone(&server);
            let thread = std::thread::Builder::new()
                .name("admin".into())
                .spawn(move || accepting.accept())
                .map_err(AdminError::Thread)?;
            running.server = Some((server, thread));
        }
        Ok(running)
    }
}

/// The admin side of a program that serves. Dropping it stops it.
pub struct Running {
    stop: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
    server: Option<(Arc<Server>, JoinHandle<()>)>,
}

impl Running {
    /// Takes no more requests and writes the last interval. Call it when the threads that record
    /// have ended, so that nothing of them is missing.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some((server, thread)) = self.server.take() {
            server.stopping.store(true, Ordering::Release);
            server.listening.close();
            join(thread);
        }
        drop(self.stop.take());
        self.keeper.take().into_iter().for_each(join);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread that shows measurements panicked");
    }
}

/// Collects now and then, and writes interval logs, until the sender of `stopped` is gone.
fn keep(hub: &Hub, mut log: Option<(IntervalLog, u64)>, stopped: &Receiver<()>) {
    let every = match &log {
        Some((_, seconds @ 1..)) => Duration::from_secs(*seconds).min(COLLECT_EVERY),
        _ => COLLECT_EVERY,
    };
    let mut said = false;
    let mut written = Instant::now();
    loop {
        let over = stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout);
        let Some((log, seconds)) = &mut log else {
            if over {
                return;
            }
            hub.collect();
            continue;
        };
        // The last interval is always written, the others if they are asked for.
        let due = *seconds > 0 && written.elapsed() >= Duration::from_secs(*seconds);
        if over || due {
            written = Instant::now();
            match log.write() {
                Ok(()) => said = false,
                // Once an outage: the intervals that follow fail for the same reason.
                Err(error) if !std::mem::replace(&mut said, true) => {
                    tracing::warn!(%error, "an interval log cannot be written: check latency.log_file");
                }
                Err(_) => {}
            }
        } else {
            hub.collect();
        }
        if over {
            return;
        }
    }
}

struct Server {
    listening: Listening,
    handlers: Vec<(String, Handler)>,
    stopping: AtomicBool,
    open: AtomicUsize,
}

impl Server {
    fn accept(self: &Arc<Server>) {
        loop {
            let accepted = self.listening.accept();
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            match accepted {
                Ok(stream) => self.take(stream),
                Err(error) => {
                    tracing::debug!(%error, "an admin connection could not be accepted");
                    std::thread::sleep(ADMIN_ACCEPT_PAUSE);
                }
            }
        }
    }

    /// Serves a connection on a thread of its own; one too many is closed.
    fn take(self: &Arc<Server>, stream: Stream) {
        /// Gives the place back, also when the handler panics.
        struct Place(Arc<Server>);
        impl Drop for Place {
            fn drop(&mut self) {
                self.0.open.fetch_sub(1, Ordering::AcqRel);
            }
        }
        let open = self.open.fetch_add(1, Ordering::AcqRel);
        let place = Place(Arc::clone(self));
        if open >= ADMIN_CONNECTIONS_MAX {
            return;
        }
        let thread = std::thread::Builder::new().name("admin-client".into());
        let serving = thread.spawn(move || {
            conversation::serve(stream, |query| place.0.answer(query));
            drop(place);
        });
        if let Err(error) = serving {
            tracing::debug!(%error, "an admin connection has no thread");
        }
    }

    fn answer(&self, query: &Query) -> Answer {
        match self.handlers.iter().find(|(path, _)| path == query.path()) {
            Some((_, handler)) => handler(query),
            None => {
                let paths: Vec<&str> = self.handlers.iter().map(|(path, _)| &**path).collect();
                Answer::text(404, &format!("nothing here; there is {}\n", paths.join(", ")))
            }
        }
    }
}
