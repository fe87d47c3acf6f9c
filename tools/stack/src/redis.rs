//! A private Redis server: own directory, Unix socket only, append-only file on.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crate::child::{Child, Quiet, Watch};
use crate::{StackError, files, limits};

const LABEL: &str = "redis";

/// How to run it.
#[derive(Clone)]
pub struct RedisOptions {
    /// Its home: socket and append-only file. Made if absent, kept when it stops.
    pub dir: PathBuf,
    /// Gets its log lines and its end.
    pub watch: Arc<dyn Watch>,
}

/// A private Redis. Dropping it kills it; its append-only file stays.
pub struct Redis {
    options: RedisOptions,
    socket: PathBuf,
    child: Option<Child>,
}

impl Redis {
    /// Starts it in `dir`, quietly.
    pub fn start(dir: PathBuf) -> Result<Redis, StackError> {
        Redis::start_with(RedisOptions { dir, watch: Arc::new(Quiet) })
    }

    /// Starts it and waits until it has loaded its file and answers.
    pub fn start_with(options: RedisOptions) -> Result<Redis, StackError> {
        program()?;
        files::make_private_dir(&options.dir)?;
        let socket = files::socket_path(&options.dir.join("sock"))?;
        let mut server = Redis { options, socket, child: None };
        server.run()?;
        Ok(server)
    }

    /// The URL of the server that lives in `dir`, running or not: `unix:///path`.
    pub fn url_in(dir: &Path) -> String {
        url(&dir.join("sock"))
    }

    /// Its URL, `unix:///path`.
    pub fn url(&self) -> String {
        url(&self.socket)
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

    /// Stops it cleanly. One that does not end in time is killed: an error.
    pub fn stop(&mut self) -> Result<(), StackError> {
        match self.child.take() {
            Some(child) => child.stop(limits::STORE_STOP_WITHIN).map(drop),
            None => Ok(()),
        }
    }

    /// SIGKILL: up to the last second of writes is lost.
    pub fn kill(&mut self) {
        if let Some(child) = self.child.take() {
            child.kill();
        }
    }

    /// Stops it cleanly if it runs, and starts it again on the same file and socket.
    pub fn restart(&mut self) -> Result<(), StackError> {
        self.stop()?;
        self.run()
    }

    fn run(&mut self) -> Result<(), StackError> {
        let mut command = Command::new(program()?);
        command
            .args(["--port", "0", "--daemonize", "no", "--unixsocketperm", "700"])
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--loglevel", "warning"])
            // The append-only file is enough; a snapshot would write everything a second time.
            .args(["--save", ""])
            .arg("--unixsocket")
            .arg(&self.socket)
            .arg("--dir")
            .arg(&self.options.dir);
        fs::remove_file(&self.socket).ok();
        let child = Child::spawn(LABEL, command, None, &self.options.watch)?;
        let began = Instant::now();
        while !answers(&self.socket) {
            if child.status().is_some() || began.elapsed() > limits::REDIS_READY_WITHIN {
                return Err(child.not_ready(limits::REDIS_READY_WITHIN));
            }
            thread::sleep(limits::PROBE_EVERY);
        }
        self.child = Some(child);
        Ok(())
    }
}

fn url(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}

/// Redis, or Valkey under its own name.
fn program() -> Result<PathBuf, StackError> {
    files::find_program("valkey-server")
        .filter(|_| files::find_program("redis-server").is_none())
        .map_or_else(|| files::server_program("redis-server", "redis-server"), Ok)
}

/// Whether a server at `socket` answers PING with PONG rather than with "loading".
fn answers(socket: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    let mut reply = [0u8; 7];
    stream.set_read_timeout(Some(limits::PROBE_WITHIN)).is_ok()
        && stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut reply).is_ok()
        && reply == *b"+PONG\r\n"
}
