//! The ring: which driver a thread runs on, and the one system call that the runtime lacks.

use crate::limits::RING_ENTRIES;
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, RawFd};

/// What moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A completion ring in the kernel.
    Uring,
    /// Readiness and plain system calls.
    Epoll,
}

/// The ring settings: the kernel runs our completions only when we enter it, on this thread.
fn ring() -> io_uring::Builder {
    let mut builder = io_uring::IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun();
    builder
}

impl Driver {
    /// The driver's name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Driver::Uring => "uring",
            Driver::Epoll => "epoll",
        }
    }

    /// The driver for the setting `http.driver`. `auto` tries a ring and says so if it gets none.
    ///
    /// # Errors
    /// If a ring is demanded and the kernel refuses it; the text says how to get one.
    pub fn choose(setting: &str) -> Result<Driver, String> {
        if setting == "epoll" {
            return Ok(Driver::Epoll);
        }
        let Err(error) = ring().build(8) else { return Ok(Driver::Uring) };
        let why = format!(
            "the kernel refuses an io_uring ring ({error}): it needs Linux 6.1 or newer, \
             kernel.io_uring_disabled = 0, a container profile that allows io_uring, and enough \
             locked memory (ulimit -l)"
        );
        if setting == "uring" {
            return Err(why);
        }
        tracing::warn!("serving with epoll: {why}");
        Ok(Driver::Epoll)
    }

    /// Runs a thread's work to its end.
    ///
    /// # Errors
    /// If the runtime cannot be built.
    pub fn run<F: Future>(self, work: F) -> io::Result<F::Output> {
        match self {
            Driver::Uring => {
                let builder = RuntimeBuilder::<TimeDriver<IoUringDriver>>::new();
                let mut runtime =
                    builder.uring_builder(ring()).with_entries(RING_ENTRIES).build()?;
                Ok(runtime.block_on(work))
            }
            Driver::Epoll => {
                let builder = RuntimeBuilder::<TimeDriver<LegacyDriver>>::new();
                Ok(builder.build()?.block_on(work))
            }
        }
    }

    /// Prepares a socket made by the standard library: the ring wants it blocking, epoll not.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn prepare(self, set_nonblocking: impl FnOnce(bool) -> io::Result<()>) -> io::Result<()> {
        set_nonblocking(self == Driver::Epoll)
    }
}

/// Ends one or both directions of a socket, so that an operation in flight completes. Nothing to
/// do about a failure: the socket is then not connected any more.
pub fn shutdown(descriptor: RawFd, how: Shutdown) {
    // Callers keep the socket open while its number is known to whoever may call this.
    #[allow(unsafe_code)] // the runtime's sockets give out their number only
    let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let how = match how {
        Shutdown::Read => rustix::net::Shutdown::Read,
        Shutdown::Write => rustix::net::Shutdown::Write,
        Shutdown::Both => rustix::net::Shutdown::Both,
    };
    let _ = rustix::net::shutdown(socket, how);
}
