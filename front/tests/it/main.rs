//! The front over real sockets: clients on one side, daemons that speak the link's protocol on the
//! other.

mod auctions;
mod bidding;
mod client;
mod connections;
mod daemon;
mod drain;
mod http;
mod leaderboard;
mod links;
mod live;
mod program;
mod slow;
mod tlv;
mod websocket;

use daemon::{Daemon, SECRET};
use souk_front::config::Settings;
use souk_front::driver::Driver;
use souk_front::server::Server;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

/// Every driver that this machine has. Epoll is everywhere.
fn drivers() -> Vec<&'static str> {
    let ring = Driver::choose("uring").map(|_| "uring");
    if let Err(why) = &ring {
        eprintln!("testing with epoll only: {why}");
    }
    ring.into_iter().chain(["epoll"]).collect()
}

/// A front under test; it is stopped when it goes out of scope.
struct Front {
    server: Option<Server>,
    _secret: tempfile::NamedTempFile,
}

impl Front {
    /// A front with one thread before these daemons.
    fn start(driver: &str, daemons: &[&Daemon]) -> Front {
        let addresses: Vec<_> = daemons.iter().map(|daemon| daemon.address()).collect();
        Front::start_with(driver, &addresses, |_| {})
    }

    fn start_with(
        driver: &str,
        daemons: &[SocketAddr],
        change: impl FnOnce(&mut Settings),
    ) -> Front {
        let mut secret = tempfile::NamedTempFile::new().expect("a temporary file");
        secret.write_all(SECRET).expect("written");
        let mode = std::fs::Permissions::from_mode(0o600);
        secret.as_file().set_permissions(mode).expect("ours");
        let mut settings = Settings::default();
        settings.http.listen = "127.0.0.1:0".into();
        settings.http.threads = 1;
        settings.bids.listen = "127.0.0.1:0".into();
        settings.http.driver = driver.into();
        settings.admin.listen = String::new();
        settings.link.daemons = daemons.iter().map(ToString::to_string).collect();
        settings.link.secret_file = secret.path().display().to_string();
        change(&mut settings);
        let server = Server::start(settings).expect("the front starts");
        Front { server: Some(server), _secret: secret }
    }

    fn address(&self) -> SocketAddr {
        self.server.as_ref().expect("not stopped yet").address()
    }

    /// Where it takes bids as frames.
    fn bids_address(&self) -> SocketAddr {
        let server = self.server.as_ref().expect("not stopped yet");
        server.bids_address().expect("it takes bids")
    }

    /// Stops it, having waited for what is in flight.
    fn stop(mut self) {
        self.server.take().expect("not stopped yet").stop();
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}
