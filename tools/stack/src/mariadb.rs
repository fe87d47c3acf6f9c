//! A private MariaDB server: own data directory, Unix socket only.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::child::{Child, Quiet, Watch};
use crate::{StackError, files, limits};

const PACKAGE: &str = "mariadb-server";
const LABEL: &str = "mariadb";

/// What a path keeps unchanged inside a URL's query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// How to run it.
#[derive(Clone)]
pub struct MariaDbOptions {
    /// Its home: data, socket and temporary files. Made if absent, kept when it stops.
    pub dir: PathBuf,
    /// InnoDB's page cache in MiB.
    pub buffer_pool_mib: u64,
    /// The redo log in MiB: more lets bulk loads run longer between checkpoints.
    pub redo_log_mib: u64,
    /// Gets its log lines and its end.
    pub watch: Arc<dyn Watch>,
}

impl MariaDbOptions {
    /// Small, as tests want it. Durability is real all the same: a commit is on disk.
    pub fn small(dir: PathBuf) -> MariaDbOptions {
        MariaDbOptions { dir, buffer_pool_mib: 32, redo_log_mib: 16, watch: Arc::new(Quiet) }
    }
}

/// A private MariaDB. Dropping it kills it; its data stays.
pub struct MariaDb {
    options: MariaDbOptions,
    socket: PathBuf,
    child: Option<Child>,
}

impl MariaDb {
    /// Makes the data directory if there is none, starts the server and waits until it answers.
    pub fn start(options: MariaDbOptions) -> Result<MariaDb, StackError> {
        files::server_program("mariadbd", PACKAGE)?;
        files::make_private_dir(&options.dir)?;
        let socket = files::socket_path(&options.dir.join("sock"))?;
        install(&options.dir)?;
        let mut server = MariaDb { options, socket, child: None };
        server.run()?;
        Ok(server)
    }

    /// The URL of the database `souk` of the server that lives in `dir`, running or not.
    pub fn url_in(dir: &Path) -> String {
        url(&dir.join("sock"), "souk")
    }

    /// The URL of the database `souk`.
    pub fn url(&self) -> String {
        self.url_of("souk")
    }

    /// The URL of the database `name`, whether it exists or not.
    pub fn url_of(&self, name: &str) -> String {
        url(&self.socket, name)
    }

    /// The path of its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// Its last log lines, newline separated.
    pub fn log(&self) -> String {
        self.child.as_ref().map(Child::tail).unwrap_or_default()
    }

    /// Runs SQL as root through Debian's command line client; the answer is tab separated, without
    /// a heading. For tests and tools that need an eye of their own on the data.
    pub fn sql(&self, statements: &str) -> Result<String, StackError> {
        let client = files::server_program("mariadb", "mariadb-client")?;
        let output = Command::new(client)
            .arg("--no-defaults")
            .arg(option("--socket=", &self.socket))
            .args(["--user=root", "--batch", "--skip-column-names", "--execute"])
            .arg(statements)
            .stdin(Stdio::null())
            .output()
            .map_err(StackError::io("run the mariadb client"))?;
        if !output.status.success() {
            let output = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(StackError::Failed { what: format!("SQL {statements:?}"), output });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Stops it cleanly. One that does not end in time is killed: an error.
    pub fn stop(&mut self) -> Result<(), StackError> {
        match self.child.take() {
            Some(child) => child.stop(limits::STORE_STOP_WITHIN).map(drop),
            None => Ok(()),
        }
    }

    /// SIGKILL: what was committed is there after the next start, nothing else is promised.
    pub fn kill(&mut self) {
        if let Some(child) = self.child.take() {
            child.kill();
        }
    }

    /// Stops it cleanly if it runs, and starts it again on the same data and socket.
    pub fn restart(&mut self) -> Result<(), StackError> {
        self.stop()?;
        self.run()
    }

    fn run(&mut self) -> Result<(), StackError> {
        let dir = &self.options.dir;
        let mut command = Command::new(files::server_program("mariadbd", PACKAGE)?);
        command
            .arg("--no-defaults")
            .args(run_as_root())
            .arg(option("--datadir=", &dir.join("data")))
            .arg(option("--tmpdir=", &dir.join("tmp")))
            .arg(option("--socket=", &self.socket))
            .arg(option("--pid-file=", &dir.join("pid")))
            .arg("--skip-networking")
            .arg("--character-set-server=utf8mb4")
            .arg("--max-allowed-packet=64M")
            .arg("--max-connections=1000")
            // Eight times this is plenty for a few tables; the default asks for 33000 open files.
            .arg("--table-open-cache=400")
            // From 2 on it logs each connection that just closes, our probes among them.
            .args(["--log-warnings=1", "--silent-startup"])
            .arg("--innodb-flush-log-at-trx-commit=1")
            .arg(format!("--innodb-buffer-pool-size={}M", self.options.buffer_pool_mib))
            .arg(format!("--innodb-log-file-size={}M", self.options.redo_log_mib));
        // A socket left by a killed server would be taken for a running one that does not answer.
        fs::remove_file(&self.socket).ok();
        let child = Child::spawn(LABEL, command, None, &self.options.watch)?;
        let began = Instant::now();
        while !greets(&self.socket) {
            if child.status().is_some() || began.elapsed() > limits::MARIADB_READY_WITHIN {
                return Err(child.not_ready(limits::MARIADB_READY_WITHIN));
            }
            thread::sleep(limits::PROBE_EVERY);
        }
        self.child = Some(child);
        Ok(())
    }
}

fn url(socket: &Path, database: &str) -> String {
    let socket = socket.to_string_lossy();
    let socket = utf8_percent_encode(&socket, QUERY);
    format!("mysql://root@localhost/{database}?socket={socket}")
}

/// Makes the data directory. It gets its name when it is complete, so that a first start which
/// was interrupted begins anew.
fn install(dir: &Path) -> Result<(), StackError> {
    let data = dir.join("data");
    files::make_private_dir(&dir.join("tmp"))?;
    if data.exists() {
        return Ok(());
    }
    let fresh = dir.join("data.new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)
            .map_err(StackError::io(format!("remove {}", fresh.display())))?;
    }
    files::make_private_dir(&fresh)?;
    let mut command = Command::new(files::server_program("mariadb-install-db", PACKAGE)?);
    command
        .arg("--no-defaults")
        .args(run_as_root())
        .arg(option("--datadir=", &fresh))
        .arg(option("--tmpdir=", &dir.join("tmp")))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"])
        // No fsync is needed for what is made anew after a crash.
        .args(["--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=16M"]);
    let quiet: Arc<dyn Watch> = Arc::new(Quiet);
    let child = Child::spawn("mariadb-install-db", command, None, &quiet)?;
    match child.wait(limits::INSTALL_WITHIN) {
        Some(status) if status.success() => {}
        _ => return Err(child.not_ready(limits::INSTALL_WITHIN)),
    }
    fs::rename(&fresh, &data).map_err(StackError::io(format!("rename {}", fresh.display())))
}

/// MariaDB refuses to run as root unless told so.
fn run_as_root() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some("--user=root")
}

fn option(name: &str, path: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(name);
    option.push(path);
    option
}

/// Whether a server at `socket` sends its greeting: a packet that begins with protocol 10.
fn greets(socket: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    let mut head = [0u8; 5];
    stream.set_read_timeout(Some(limits::PROBE_WITHIN)).is_ok()
        && stream.read_exact(&mut head).is_ok()
        && head[4] == 10
}
