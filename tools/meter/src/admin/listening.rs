//! The admin listener's socket: TCP or Unix.

use crate::settings::Place;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// A listening socket. A Unix socket's file goes away with it.
pub(super) struct Listening {
    /// Where, with the port that it got.
    pub(super) place: Place,
    socket: Socket,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listening {
    pub(super) fn open(place: &Place) -> io::Result<Listening> {
        match place {
            Place::Tcp(address) => {
                let socket = TcpListener::bind(address)?;
                let place = Place::Tcp(socket.local_addr()?);
                Ok(Listening { place, socket: Socket::Tcp(socket) })
            }
            Place::Unix(path) => {
                remove_leftover(path);
                let socket = UnixListener::bind(path)?;
                // The measurements are for whoever runs the program.
                fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
                Ok(Listening { place: place.clone(), socket: Socket::Unix(socket) })
            }
        }
    }

    pub(super) fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(socket) => Ok(Stream::Tcp(socket.accept()?.0)),
            Socket::Unix(socket) => Ok(Stream::Unix(socket.accept()?.0)),
        }
    }

    /// Ends the accept in flight.
    pub(super) fn close(&self) {
        let socket: BorrowedFd<'_> = match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        };
        // It fails only if the socket is closed already.
        let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Place::Unix(path) = &self.place {
            // Whoever starts next removes it otherwise.
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes the socket of a program that ended without doing so itself.
fn remove_leftover(path: &Path) {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(path).is_err_and(refused) {
        let _ = fs::remove_file(path);
    }
}

pub(super) fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program serves there: stop it or change admin.listen (empty: nowhere)"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: change admin.listen"
        }
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
            "; the folder must exist and be ours to write: change admin.listen"
        }
        io::ErrorKind::InvalidInput => "; a socket's path has at most 107 bytes",
        _ => "",
    }
}

impl Stream {
    /// Connects, for whoever reads the listener.
    pub(crate) fn connect(place: &Place) -> io::Result<Stream> {
        match place {
            Place::Tcp(address) => Ok(Stream::Tcp(TcpStream::connect(address)?)),
            Place::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path)?)),
        }
    }

    /// Bounds the next reads and writes; longer than zero.
    pub(crate) fn set_timeout(&self, limit: Duration) -> io::Result<()> {
        let limit = Some(limit);
        match self {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(limit).and_then(|()| stream.set_write_timeout(limit))
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(limit).and_then(|()| stream.set_write_timeout(limit))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
