//! From settings to a serving daemon, and back to nothing.
//!
//! What cannot be done is said with its cause and how to fix it.

use crate::config::Settings;
use crate::context::{Shared, SharedError};
use crate::door::{self, Door, Guard};
use crate::drain::{Event, Events};
use crate::measures;
use crate::shard::{self, Plan};
use souk_db::migrate::{MigrateError, SchemaState};
use souk_db::operator::durability::{self, Loose};
use souk_db::{StoreError, StoreSettings};
use souk_meter::{Admin, AdminError, Hub, Queue};
use souk_process::SettingsError;
use souk_proto::common::Hello;
use souk_proto::limits::{NODE_MAX, PROTOCOL_VERSION};
use souk_trace::{Exporter, Service, Tracer};
use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Why the daemon could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// A setting, or a file that a setting names.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The listening socket.
    #[error("cannot listen on {address}: {source}{}", listen_hint(source))]
    Listen {
        /// `link.listen`.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The ring.
    #[error("the kernel refused an io_uring: {source}. {}", ring_hint(source))]
    Ring {
        /// What the kernel said.
        source: io::Error,
    },
    /// What the daemon measures cannot be shown or kept.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A part that all shards share.
    #[error(transparent)]
    Shared(#[from] SharedError),
    /// The schema could not be looked at.
    #[error("the schema cannot be checked: {0}. Is mysql.url right and the database running?")]
    Check(#[from] MigrateError),
    /// The schema is not what this program needs.
    #[error("{}", schema_text(*.0))]
    Schema(SchemaState),
    /// A store.
    #[error("{0}")]
    Store(#[source] StoreError),
    /// Something of the operating system.
    #[error("cannot {what}: {source}")]
    System {
        /// What failed.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A shard's thread died: a defect.
    #[error("shard {0} ended unexpectedly; its log lines say why")]
    ShardLost(u32),
}

impl StartupError {
    /// The process's exit code: 2 for settings, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        if matches!(
            self,
            StartupError::Settings(_)
                | StartupError::Shared(SharedError::Settings(_))
                | StartupError::Admin(AdminError::Settings(_))
        ) {
            2
        } else {
            1
        }
    }
}

/// Runs the daemon until SIGTERM, SIGINT or SIGHUP. Prints `soukd ready ADDRESS` on stdout when it
/// serves.
///
/// # Errors
/// If it cannot start, or a shard is lost.
pub fn run(settings: Settings) -> Result<(), StartupError> {
    let events = Events::install()?;
    let secret =
        souk_process::read_secret("link.secret_file", Path::new(&settings.link.secret_file))?;
    let address = settings.listen()?;
    let mysql_url = settings.mysql_url()?;
    let files =
        souk_process::raise_open_files().map_err(system("raise the limit of open files"))?;
    let hub = measures::hub(&settings.latency);
    let admin = Admin::open(&hub, &settings.admin, &settings.latency)?;
    let listener =
        door::listen(address).map_err(|source| StartupError::Listen { address, source })?;
    let bound = listener.local_addr().map_err(system("read the listening address"))?;
    check_database(&mysql_url)?;
    let shared = Shared::new(&settings)?;
    let waiting = Arc::clone(&shared);
    hub.queue(Queue::Argon2, move || waiting.hashing.waiting() as u64);
    let waiting = Arc::clone(&shared);
    hub.queue(Queue::Pictures, move || waiting.pictures.waiting() as u64);
    let node = node_name(&settings, bound);
    let exporter = start_exporter(&settings, &node)?;

    let (stop, stopped) = watch::channel(false);
    let launch = Launch {
        node,
        tracer: exporter.tracer().clone(),
        stores: store_settings(&settings, mysql_url),
        shards: settings.shards(),
        settings: Arc::new(settings),
        shared,
        hub,
        stopped,
    };
    let mut fleet = launch.start(listener, secret, &events)?;
    if let Some(place) = admin.place() {
        tracing::info!(%place, "measurements are shown");
    }
    let admin = admin.start()?;
    let (node, shards) = (&launch.node, launch.shards);
    tracing::info!(node, shards, %bound, files, "soukd serves");
    souk_process::say(format_args!("soukd ready {bound}"));

    let ended = events.next();
    if let Event::ShardEnded(shard) = ended {
        return Err(StartupError::ShardLost(shard));
    }
    let limit_s = launch.settings.daemon.drain_limit_s;
    tracing::info!(limit_s, "soukd stops: finishing what is in flight");
    stop.send_replace(true);
    events.exit_at_next_signal();
    for (shard, thread) in fleet.drain(..).enumerate() {
        if thread.join().is_err() {
            return Err(StartupError::ShardLost(u32::try_from(shard).unwrap_or(u32::MAX)));
        }
    }
    admin.stop();
    exporter.stop();
    tracing::info!("soukd stopped");
    Ok(())
}

/// Starts what sends spans to a collector, if there is one.
fn start_exporter(settings: &Settings, node: &str) -> Result<Exporter, StartupError> {
    let (name, version) = ("soukd", env!("CARGO_PKG_VERSION"));
    let service = Service { name, version, instance: node };
    // Traces begin at the front: what it does not sample is not sampled here.
    Exporter::start(settings.tracing.endpoint()?, 0.0, &service)
        .map_err(system("start the thread that exports spans"))
}

/// What all shards start from.
struct Launch {
    node: String,
    tracer: Tracer,
    stores: StoreSettings,
    shards: u32,
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    hub: Arc<Hub>,
    stopped: watch::Receiver<bool>,
}

impl Launch {
    /// Starts all shards and waits until each serves.
    fn start(
        &self,
        listener: TcpListener,
        secret: Vec<u8>,
        events: &Events,
    ) -> Result<Vec<JoinHandle<()>>, StartupError> {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..self.shards).map(|_| door::arrivals()).unzip();
        let guard = Arc::new(Guard { secret, shards: senders });
        let mut door = Some(Door { listener, guard });
        let (ready, readiness) = mpsc::channel();
        let mut threads = Vec::new();
        for (shard, arrivals) in (0..self.shards).zip(receivers) {
            let plan = Plan {
                settings: Arc::clone(&self.settings),
                stores: self.stores.clone(),
                shared: Arc::clone(&self.shared),
                hello: self.hello(shard),
                arrivals,
                meter: self.hub.thread(),
                stop: self.stopped.clone(),
                door: door.take(),
                tracer: self.tracer.clone(),
            };
            let ready = ready.clone();
            let notice = events.notice(Event::ShardEnded(shard));
            let thread = std::thread::Builder::new()
                .name(format!("shard-{shard}"))
                .spawn(move || {
                    shard::run(plan, &ready);
                    drop(notice);
                })
                .map_err(system("start a shard's thread"))?;
            threads.push(thread);
        }
        drop(ready);
        for shard in 0..self.shards {
            // No answer means that a thread died without saying why.
            readiness.recv().unwrap_or(Err(StartupError::ShardLost(shard)))?;
        }
        Ok(threads)
    }

    fn hello(&self, shard: u32) -> Hello {
        Hello {
            version: PROTOCOL_VERSION,
            secret: Vec::new(),
            node: self.node.clone(),
            shard,
            shards: self.shards,
        }
    }
}

/// Refuses a schema that is not the one this program was built for, and warns of a server that
/// acknowledges what it has not flushed.
fn check_database(url: &str) -> Result<(), StartupError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the runtime for the look at the database"))?;
    match runtime.block_on(souk_db::migrate::check(url))? {
        SchemaState::Current => {}
        state => return Err(StartupError::Schema(state)),
    }
    match runtime.block_on(durability::loose(url)) {
        Ok(loose) => loose.iter().for_each(|Loose { setting, value }| {
            tracing::warn!(
                setting,
                value,
                "a crash of the database's machine can take acknowledged writes away; set it to 1"
            );
        }),
        Err(error) => tracing::warn!(%error, "the database does not tell how durable commits are"),
    }
    Ok(())
}

fn store_settings(settings: &Settings, mysql_url: String) -> StoreSettings {
    StoreSettings {
        mysql_url,
        mysql_connections: settings.mysql.connections as usize,
        redis_url: settings.redis.url.clone(),
        cache_enabled: settings.cache.enabled,
        users_ttl: Duration::from_secs(settings.cache.users_ttl_s),
        negative_ttl: Duration::from_secs(settings.cache.negative_ttl_s),
        sessions_per_user_max: settings.sessions.per_user_max as usize,
    }
}

/// The set name, or `hostname:port`.
fn node_name(settings: &Settings, bound: SocketAddr) -> String {
    if !settings.daemon.node.is_empty() {
        return settings.daemon.node.clone();
    }
    let port = format!(":{}", bound.port());
    let uname = rustix::system::uname();
    let mut name = String::new();
    for character in uname.nodename().to_string_lossy().chars() {
        if name.len() + character.len_utf8() + port.len() > NODE_MAX {
            break;
        }
        name.push(character);
    }
    name + &port
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartupError {
    move |source| StartupError::System { what, source }
}

fn listen_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            ". Another program has this port: stop it or set link.listen to a free one"
        }
        io::ErrorKind::AddrNotAvailable => {
            ". This machine does not have that address: set link.listen to one that it has"
        }
        io::ErrorKind::PermissionDenied => ". Ports under 1024 need privileges: set link.listen",
        _ => "",
    }
}

/// What usually stands behind a refused ring.
fn ring_hint(error: &io::Error) -> String {
    let mut hint = String::new();
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    if let Ok(value) = disabled
        && value.trim() != "0"
    {
        let value = value.trim();
        let _ = write!(hint, "kernel.io_uring_disabled is {value}: set it to 0 with sysctl. ");
    }
    hint.push_str(match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => {
            "Containers often forbid io_uring by seccomp: allow io_uring_setup, io_uring_enter and \
             io_uring_register in their profile."
        }
        Some(rustix::io::Errno::NOMEM) => {
            "RLIMIT_MEMLOCK is too small for the ring: raise it (ulimit -l, LimitMEMLOCK=)."
        }
        Some(rustix::io::Errno::NOSYS) => {
            "This kernel has no io_uring, or a sandbox hides it: use Linux 6.0 or newer."
        }
        Some(rustix::io::Errno::INVAL) => {
            "This kernel's io_uring is too old: use Linux 6.0 or newer."
        }
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => {
            "Too many files are open: raise the limit (ulimit -n, LimitNOFILE=)."
        }
        _ => "`souk doctor` looks at what io_uring needs.",
    });
    hint
}

fn schema_text(state: SchemaState) -> String {
    match state {
        SchemaState::Missing => {
            "the database has no schema yet: run `souk migrate` with the same mysql.url".into()
        }
        SchemaState::Older { have, want } => format!(
            "the database schema is version {have}, this soukd needs {want}: run `souk migrate`"
        ),
        SchemaState::Newer { have, want } => format!(
            "the database schema is version {have}, newer than the {want} that this soukd knows: \
             start the soukd of the release that migrated it"
        ),
        SchemaState::Current => "the database schema is current".into(),
    }
}
