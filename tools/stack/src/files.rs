//! Programs, private directories and secrets on disk.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::StackError;
use crate::limits::SOCKET_PATH_MAX;

/// Looks for `name` on `PATH` and in the folders where Debian keeps servers, which are not on
/// every user's `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

/// The server program `name`, or an error that names the Debian package which holds it.
pub fn server_program(name: &'static str, package: &'static str) -> Result<PathBuf, StackError> {
    find_program(name).ok_or(StackError::NotInstalled { program: name, package })
}

/// One of Souk's own programs: it lies beside the running program, or one folder up when that is
/// a test.
pub fn sibling(name: &str) -> Result<PathBuf, StackError> {
    let us = std::env::current_exe().map_err(StackError::io("find the running program's path"))?;
    let mut folder = us.parent().unwrap_or(Path::new("/")).to_path_buf();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    if is_executable(&path) {
        return Ok(path);
    }
    Err(StackError::NotBuilt { name: name.to_owned(), path })
}

/// Makes `path` (and what is above it) as a directory that only its owner may enter.
pub fn make_private_dir(path: &Path) -> Result<(), StackError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(StackError::io(format!("make the directory {}", path.display())))
}

/// Replaces the file at `path` as a whole; only its owner may read it.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), StackError> {
    let failed = || StackError::io(format!("write {}", path.display()));
    let fresh = path.with_extension("new");
    fs::remove_file(&fresh).or_else(missing_is_fine).map_err(failed())?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(failed())?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed())?;
    fs::rename(&fresh, path).map_err(failed())
}

/// Writes 32 random bytes as base64url text to `path`, unless a secret is there already.
pub fn write_secret(path: &Path) -> Result<(), StackError> {
    if path.exists() {
        return Ok(());
    }
    let mut secret = [0u8; 32];
    getrandom::fill(&mut secret).map_err(|error| StackError::Io {
        what: "read the system's random source".into(),
        source: std::io::Error::other(error),
    })?;
    let text = data_encoding::BASE64URL_NOPAD.encode(&secret);
    write_private(path, text.as_bytes())
}

/// `path` made absolute, if a Unix socket can live there.
pub fn socket_path(path: &Path) -> Result<PathBuf, StackError> {
    let path = std::path::absolute(path)
        .map_err(StackError::io(format!("find the full path of {}", path.display())))?;
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        return Err(StackError::PathTooLong { path, max: SOCKET_PATH_MAX });
    }
    Ok(path)
}

fn missing_is_fine(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
