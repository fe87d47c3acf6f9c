//! What can go wrong while starting or stopping a program, said so that it can be fixed.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a program could not be started, watched or stopped.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A server program is not installed.
    #[error("{program} is not installed. Install it: apt-get install {package}")]
    NotInstalled {
        /// The program looked for.
        program: &'static str,
        /// The Debian package that holds it.
        package: &'static str,
    },
    /// One of Souk's own programs is not where it should be.
    #[error("{name} is not at {}. Build it: cargo build --workspace", path.display())]
    NotBuilt {
        /// The program looked for.
        name: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// A file, directory or process could not be used.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, with the path.
        what: String,
        /// What the system answered.
        source: io::Error,
    },
    /// The directory is too deep for a Unix socket in it.
    #[error(
        "the socket path {} is longer than {max} bytes, which the system allows at most. \
         Use a directory with a shorter path",
        path.display()
    )]
    PathTooLong {
        /// The path of the socket.
        path: PathBuf,
        /// The longest path allowed, in bytes.
        max: usize,
    },
    /// A child ended before it was ready.
    #[error("{label} ended with {status} before it was ready. Its last lines:\n{tail}")]
    Exited {
        /// The child's label.
        label: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines it wrote.
        tail: String,
    },
    /// A child did not become ready in time.
    #[error("{label} was not ready within {waited:?}. Its last lines:\n{tail}")]
    NotReady {
        /// The child's label.
        label: String,
        /// How long we waited.
        waited: Duration,
        /// The last lines it wrote.
        tail: String,
    },
    /// A child did not end in time and was killed.
    #[error("{label} did not stop within {waited:?} and was killed")]
    NotStopped {
        /// The child's label.
        label: String,
        /// How long we waited.
        waited: Duration,
    },
    /// A helper command answered with a failure.
    #[error("{what} failed:\n{output}")]
    Failed {
        /// What was tried.
        what: String,
        /// What the command wrote.
        output: String,
    },
}

impl StackError {
    /// Wraps a system error with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> StackError {
        let what = what.into();
        move |source| StackError::Io { what, source }
    }
}
