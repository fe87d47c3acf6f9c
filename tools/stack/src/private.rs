//! A private directory under the system's temporary one, gone when we are.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;

use crate::StackError;

/// Waits until its standard input closes, which it does at our end of whatever kind, and then
/// removes the directory. The servers in it are being killed at that moment: hence the retries.
const WATCHER: &str = "read -r _; i=0; while [ -e \"$1\" ] && [ $i -lt 25 ]; do \
    rm -rf -- \"$1\" && break; sleep 0.2; i=$((i+1)); done";

/// The file whose lock says that the directory is in use. A name that no user of the directory
/// takes for something of its own.
const LOCK: &str = ".private-dir";

/// A directory `souk-<pid>-<random>` that only we may enter. It is removed on drop, or by a
/// watcher after our death.
pub struct PrivateDir {
    path: PathBuf,
    watcher: Child,
    _lock: File,
}

impl PrivateDir {
    /// Makes one, and first sweeps away what dead processes left behind.
    pub fn new() -> Result<PrivateDir, StackError> {
        static SWEEP: Once = Once::new();
        let root = root();
        SWEEP.call_once(|| sweep(&root));
        let path = tempfile::Builder::new()
            .prefix(&format!("souk-{}-", std::process::id()))
            .tempdir_in(&root)
            .map_err(StackError::io(format!("make a directory in {}", root.display())))?
            .keep();
        let lock = File::create(path.join(LOCK))
            .and_then(|lock| lock.lock().map(|()| lock))
            .map_err(StackError::io(format!("lock {}", path.display())))?;
        let watcher = Command::new("/bin/sh")
            .args(["-c", WATCHER, "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .current_dir("/")
            .spawn()
            .map_err(StackError::io("start /bin/sh"))?;
        Ok(PrivateDir { path, watcher, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        // What cannot be removed now, the watcher tries again.
        fs::remove_dir_all(&self.path).ok();
        drop(self.watcher.stdin.take());
        self.watcher.wait().ok();
    }
}

/// The system's temporary directory, unless a socket below it would get too long a path.
fn root() -> PathBuf {
    let root = std::env::temp_dir();
    if root.as_os_str().len() <= 40 { root } else { PathBuf::from("/tmp") }
}

/// Removes directories of processes that are gone. A directory is ours to remove only if its
/// process does not exist *and* nobody holds its lock: process ids repeat across containers.
fn sweep(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| {
            let (pid, _) = name.strip_prefix("souk-")?.split_once('-')?;
            pid.parse::<u32>().ok()
        });
        let Some(pid) = pid else { continue };
        if Path::new("/proc").join(pid.to_string()).exists() {
            continue;
        }
        let unlocked = match File::open(entry.path().join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(_) => true,
        };
        if unlocked {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}
