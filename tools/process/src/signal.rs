//! SIGTERM and SIGINT as bytes on a socket, so that a ring or a blocking thread can wait for them.

use signal_hook::consts::{SIGINT, SIGTERM};
use std::io;
use std::os::unix::net::UnixStream;

/// A socket that receives one byte for each SIGTERM or SIGINT from now on. Call it once.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn termination() -> io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(SIGTERM, writer.try_clone()?)?;
    signal_hook::low_level::pipe::register(SIGINT, writer)?;
    Ok(reader)
}
