//! A whole Souk for a test: stores, daemons and fronts in one private directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use toml::Value;

use crate::{
    Config, MariaDb, MariaDbOptions, PrivateDir, Program, ProgramSpec, Redis, StackError, Watch,
    files,
};

/// What a [`Stack`] shall consist of. Begin with [`Stack::builder`].
#[derive(Clone, Default)]
pub struct StackBuilder {
    daemons: usize,
    fronts: usize,
    daemon_config: Config,
    front_config: Config,
    daemon_args: Vec<String>,
    front_args: Vec<String>,
    own_mariadb: bool,
    unmigrated: bool,
    watch: Option<Arc<dyn Watch>>,
}

impl StackBuilder {
    /// How many `soukd` to start (default 1).
    pub fn daemons(mut self, count: usize) -> StackBuilder {
        self.daemons = count;
        self
    }

    /// How many `souk-front` to start (default 1).
    pub fn fronts(mut self, count: usize) -> StackBuilder {
        self.fronts = count;
        self
    }

    /// Sets `section.key` in every daemon's settings file.
    pub fn daemon_set(mut self, key: &str, value: impl Into<Value>) -> StackBuilder {
        self.daemon_config.set(key, value);
        self
    }

    /// Sets `section.key` in every front's settings file.
    pub fn front_set(mut self, key: &str, value: impl Into<Value>) -> StackBuilder {
        self.front_config.set(key, value);
        self
    }

    /// Adds a command line argument to every daemon.
    pub fn daemon_arg(mut self, arg: &str) -> StackBuilder {
        self.daemon_args.push(arg.to_owned());
        self
    }

    /// Adds a command line argument to every front.
    pub fn front_arg(mut self, arg: &str) -> StackBuilder {
        self.front_args.push(arg.to_owned());
        self
    }

    /// Gives this stack a MariaDB of its own, for tests that stop or kill it. Else all stacks of
    /// a test program share one server, with a database each.
    pub fn own_mariadb(mut self) -> StackBuilder {
        self.own_mariadb = true;
        self
    }

    /// Leaves the database empty: no tables.
    pub fn unmigrated(mut self) -> StackBuilder {
        self.unmigrated = true;
        self
    }

    /// Sets who gets the log lines of all children.
    pub fn watch(mut self, watch: Arc<dyn Watch>) -> StackBuilder {
        self.watch = Some(watch);
        self
    }

    /// Starts everything and waits until all of it serves.
    pub fn start(self) -> Result<Stack, StackError> {
        let home = PrivateDir::new()?;
        let dir = home.path().to_path_buf();
        let mariadb = if self.own_mariadb {
            Database::Own(MariaDb::start(MariaDbOptions::small(dir.join("m")))?)
        } else {
            Database::Shared(shared_mariadb()?)
        };
        let database = fresh_database_name();
        mariadb.server().sql(&format!("CREATE DATABASE {database} CHARACTER SET utf8mb4"))?;
        let redis = Redis::start(dir.join("r"))?;
        files::make_private_dir(&dir.join("run"))?;
        for secret in ["link", "token"] {
            files::write_secret(&dir.join(secret))?;
        }
        let mut stack = Stack {
            daemons: Vec::new(),
            fronts: Vec::new(),
            redis,
            mariadb,
            database,
            builder: self,
            home,
        };
        if !stack.builder.unmigrated {
            stack.migrate()?;
        }
        for index in 0..stack.builder.daemons {
            let daemon = stack.start_daemon(index, "127.0.0.1:0")?;
            stack.daemons.push(daemon);
        }
        for index in 0..stack.builder.fronts {
            let front = stack.start_front(index, ("127.0.0.1:0", "127.0.0.1:0"))?;
            stack.fronts.push(front);
        }
        Ok(stack)
    }
}

/// A running stack. Dropping it kills all of it and removes its directory; when the test is
/// failing at that moment, the last log lines of its programs are printed first.
pub struct Stack {
    // Dropped in this order: fronts before daemons before stores before their directory.
    fronts: Vec<Program>,
    daemons: Vec<Program>,
    redis: Redis,
    mariadb: Database,
    database: String,
    builder: StackBuilder,
    home: PrivateDir,
}

enum Database {
    Own(MariaDb),
    Shared(Arc<SharedMariaDb>),
}

struct SharedMariaDb {
    server: MariaDb,
    // Below the server: it ends before its directory does.
    _home: PrivateDir,
}

impl Database {
    fn server(&self) -> &MariaDb {
        match self {
            Database::Own(server) => server,
            Database::Shared(shared) => &shared.server,
        }
    }
}

impl Stack {
    /// A stack with one daemon and one front, to be changed before it starts.
    pub fn builder() -> StackBuilder {
        StackBuilder { daemons: 1, fronts: 1, ..StackBuilder::default() }
    }

    /// MariaDB with an empty database of its own, and a Redis of its own: nothing else.
    pub fn stores() -> Result<Stack, StackError> {
        Stack::builder().daemons(0).fronts(0).unmigrated().start()
    }

    /// The URL of this stack's database.
    pub fn mysql_url(&self) -> String {
        self.mariadb.server().url_of(&self.database)
    }

    /// The URL of this stack's Redis.
    pub fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// The name of this stack's database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Runs SQL in this stack's database and returns tab separated lines.
    pub fn sql(&self, statements: &str) -> Result<String, StackError> {
        self.mariadb.server().sql(&format!("USE {}; {statements}", self.database))
    }

    /// This stack's MariaDB, to stop, kill and restart.
    ///
    /// # Panics
    /// When the stack was not built with [`StackBuilder::own_mariadb`]: other tests use it too.
    pub fn mariadb(&mut self) -> &mut MariaDb {
        match &mut self.mariadb {
            Database::Own(server) => server,
            Database::Shared(_) => panic!("this MariaDB is shared; build with own_mariadb()"),
        }
    }

    /// This stack's Redis, to stop, kill and restart.
    pub fn redis(&mut self) -> &mut Redis {
        &mut self.redis
    }

    /// This stack's directory; it goes away with the stack.
    pub fn dir(&self) -> &Path {
        self.home.path()
    }

    /// The file with the secret that fronts show to daemons.
    pub fn link_secret_file(&self) -> PathBuf {
        self.dir().join("link")
    }

    /// The daemons, in the order they were started.
    pub fn daemons(&self) -> &[Program] {
        &self.daemons
    }

    /// The fronts, in the order they were started.
    pub fn fronts(&self) -> &[Program] {
        &self.fronts
    }

    /// `host:port` of the first front.
    pub fn address(&self) -> &str {
        self.fronts.first().map_or("", Program::address)
    }

    /// `host:port` where the first front takes bids as frames; empty if it takes none.
    pub fn bids_address(&self) -> &str {
        self.fronts.first().map_or("", bids_of)
    }

    /// The same of all fronts, in the order they were started.
    pub fn bids_addresses(&self) -> Vec<String> {
        self.fronts.iter().map(|front| bids_of(front).to_owned()).collect()
    }

    /// The base URL of the first front, without a slash at the end.
    pub fn http(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where daemon `index` shows what it measures: `unix:/path`.
    pub fn daemon_admin(&self, index: usize) -> String {
        self.admin("soukd", index)
    }

    /// Where front `index` shows what it measures: `unix:/path`.
    pub fn front_admin(&self, index: usize) -> String {
        self.admin("front", index)
    }

    fn admin(&self, name: &str, index: usize) -> String {
        let number = if index == 0 { String::new() } else { format!("-{index}") };
        format!("unix:{}", text(&self.dir().join(format!("run/{name}-admin{number}.sock"))))
    }

    /// Applies the migrations with `souk migrate`.
    pub fn migrate(&self) -> Result<(), StackError> {
        let output = Command::new(files::sibling("souk")?)
            .args(["migrate", "--mysql", &self.mysql_url()])
            .stdin(Stdio::null())
            .output()
            .map_err(StackError::io("run souk migrate"))?;
        if output.status.success() {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(StackError::Failed { what: "souk migrate".into(), output })
    }

    /// Ends daemon `index` if it runs (SIGTERM) and starts it again on the same port.
    pub fn restart_daemon(&mut self, index: usize) -> Result<(), StackError> {
        let old = &self.daemons[index];
        if old.status().is_none() {
            old.stop()?;
        }
        let address = old.address().to_owned();
        self.daemons[index] = self.start_daemon(index, &address)?;
        Ok(())
    }

    /// Ends front `index` if it runs (SIGTERM) and starts it again on the same port.
    pub fn restart_front(&mut self, index: usize) -> Result<(), StackError> {
        let old = &self.fronts[index];
        if old.status().is_none() {
            old.stop()?;
        }
        let address = old.address().to_owned();
        let bids = bids_of(old).to_owned();
        self.fronts[index] = self.start_front(index, (&address, &bids))?;
        Ok(())
    }

    /// The settings file of daemon `index`, as it is started.
    pub fn daemon_config(&self, index: usize, listen: &str) -> Config {
        let dir = self.dir();
        let mut config = Config::new();
        config
            .set("link.listen", listen)
            .set("link.secret_file", text(&self.link_secret_file()))
            .set("daemon.shards", 1)
            .set("daemon.node", format!("daemon-{index}"))
            // Pictures are found by hash whichever daemon stored them: one state directory.
            .set("daemon.state_dir", text(&dir.join("state")))
            .set("mysql.url", self.mysql_url())
            .set("redis.url", self.redis_url())
            .set("sessions.token_secret_file", text(&dir.join("token")))
            .set("admin.listen", self.daemon_admin(index));
        config.extend(&self.builder.daemon_config);
        config
    }

    fn start_daemon(&self, index: usize, listen: &str) -> Result<Program, StackError> {
        let label = format!("soukd-{index}");
        let file = self.dir().join(format!("{label}.toml"));
        files::make_private_dir(&self.dir().join("state"))?;
        self.daemon_config(index, listen).write(&file)?;
        let mut spec = ProgramSpec::new(&label, files::sibling("soukd")?).arg("--config").arg(file);
        spec.args.extend(self.builder.daemon_args.iter().map(Into::into));
        self.start_program(spec)
    }

    fn start_front(
        &self,
        index: usize,
        (listen, bids): (&str, &str),
    ) -> Result<Program, StackError> {
        let label = format!("souk-front-{index}");
        let file = self.dir().join(format!("{label}.toml"));
        let daemons: Vec<String> = self.daemons.iter().map(|d| d.address().to_owned()).collect();
        let mut config = Config::new();
        config
            .set("http.listen", listen)
            .set("bids.listen", bids)
            .set("http.threads", 1)
            .set("link.node", format!("front-{index}"))
            .set("link.secret_file", text(&self.link_secret_file()))
            .set("link.daemons", daemons)
            .set("admin.listen", self.front_admin(index));
        config.extend(&self.builder.front_config).write(&file)?;
        let mut spec =
            ProgramSpec::new(&label, files::sibling("souk-front")?).arg("--config").arg(file);
        spec.args.extend(self.builder.front_args.iter().map(Into::into));
        self.start_program(spec)
    }

    fn start_program(&self, mut spec: ProgramSpec) -> Result<Program, StackError> {
        // A test means what it says, whatever the settings of who runs it.
        spec.inherit_settings = false;
        if let Some(watch) = &self.builder.watch {
            spec.watch = watch.clone();
        }
        Program::start(&spec)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for program in self.daemons.iter().chain(&self.fronts) {
                eprintln!("--- last lines of pid {}:\n{}", program.pid(), program.log());
            }
        }
    }
}

/// The MariaDB that the stacks of this process share. It is never dropped: the parent-death signal
/// ends it and the watcher removes its directory when the process ends.
fn shared_mariadb() -> Result<Arc<SharedMariaDb>, StackError> {
    static SHARED: Mutex<Option<Arc<SharedMariaDb>>> = Mutex::new(None);
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shared) = &*shared {
        return Ok(shared.clone());
    }
    let home = PrivateDir::new()?;
    let server = MariaDb::start(MariaDbOptions::small(home.path().join("m")))?;
    Ok(shared.insert(Arc::new(SharedMariaDb { server, _home: home })).clone())
}

/// Where a front takes bids as frames; empty if it takes none.
fn bids_of(front: &Program) -> &str {
    front.other("bids").unwrap_or_default()
}

fn fresh_database_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("souk_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
