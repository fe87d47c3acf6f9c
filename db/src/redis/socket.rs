//! The ring socket to Redis, over TCP or a Unix socket.

use crate::error::StoreError;
use crate::limits::REDIS_CONNECT_MAX;
use ::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use std::io;
use std::net::Shutdown;
use std::path::PathBuf;
use tokio_uring::BufResult;

/// Where Redis is and how to log in there.
#[derive(Debug, Clone)]
pub struct Address {
    place: Place,
    /// What was configured, without a password, for messages.
    pub shown: String,
    pub username: Option<String>,
    pub password: Option<String>,
    pub database: i64,
}

#[derive(Debug, Clone)]
enum Place {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Address {
    /// Reads `redis://[user:password@]host:port[/db]` or `unix:///path[?db=n]`.
    pub fn parse(url: &str) -> Result<Address, StoreError> {
        let bad = |why: &str| {
            StoreError::redis(format!(
                "the Redis URL cannot be used: {why}. \
                 It must look like redis://host:port or unix:///path/to/socket"
            ))
        };
        let info: ConnectionInfo = url.into_connection_info().map_err(|e| bad(&e.to_string()))?;
        let (place, shown) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                (Place::Tcp(host.clone(), *port), format!("redis://{host}:{port}"))
            }
            ConnectionAddr::Unix(path) => {
                (Place::Unix(path.clone()), format!("unix://{}", path.display()))
            }
            _ => return Err(bad("only plain TCP and Unix sockets are supported")),
        };
        let login = info.redis_settings();
        Ok(Address {
            place,
            shown,
            username: login.username().map(str::to_owned),
            password: login.password().map(str::to_owned),
            database: login.db(),
        })
    }
}

/// A connected stream. Reads and writes may run at the same time; a read in flight is ended by
/// [`Socket::shutdown`], never by dropping it.
pub enum Socket {
    Tcp(tokio_uring::net::TcpStream),
    Unix(tokio_uring::net::UnixStream),
}

impl Socket {
    /// Connects within [`REDIS_CONNECT_MAX`]. The connect itself runs on epoll, where it can be
    /// given up; a connect on the ring cannot.
    pub async fn connect(address: &Address) -> io::Result<Socket> {
        tokio::time::timeout(REDIS_CONNECT_MAX, Self::connect_any(&address.place))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn connect_any(place: &Place) -> io::Result<Socket> {
        match place {
            Place::Tcp(host, port) => {
                let stream = tokio::net::TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?; // on the ring, not-ready must wait, not fail
                Ok(Socket::Tcp(tokio_uring::net::TcpStream::from_std(stream)))
            }
            Place::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path).await?.into_std()?;
                stream.set_nonblocking(false)?;
                Ok(Socket::Unix(tokio_uring::net::UnixStream::from_std(stream)))
            }
        }
    }

    pub async fn read(&self, buffer: Vec<u8>) -> BufResult<usize, Vec<u8>> {
        match self {
            Socket::Tcp(stream) => stream.read(buffer).await,
            Socket::Unix(stream) => stream.read(buffer).await,
        }
    }

    pub async fn write_all(&self, bytes: Vec<u8>) -> BufResult<(), Vec<u8>> {
        match self {
            Socket::Tcp(stream) => stream.write_all(bytes).await,
            Socket::Unix(stream) => stream.write_all(bytes).await,
        }
    }

    /// Ends reads and writes in flight, ours included.
    pub fn shutdown(&self) {
        // It fails only when the peer is gone already, and then reads end by themselves.
        let _ = match self {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}
