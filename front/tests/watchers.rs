//! How much memory somebody costs who watches an auction and is told nothing for a while.
//!
//! It is counted at the allocator, so this is a program of its own with one test in it.

#[path = "it/daemon.rs"]
#[allow(dead_code)] // the other tests use the rest of it
mod daemon;

use daemon::{Daemon, SECRET};
use souk_front::config::Settings;
use souk_front::server::Server;
use souk_proto::auctions::{AuctionNews, NewsBid, State};
use souk_proto::{Kind, Method};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes in use in this process, which has the front in it, and of the clients their sockets alone.
static USED: AtomicI64 = AtomicI64::new(0);

struct Counting;

fn count(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

#[allow(unsafe_code)] // an allocator cannot be written without
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        USED.fetch_add(count(layout), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(count(layout), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What the product promises for each idle watcher, in bytes.
const PROMISED: i64 = 12 * 1024;

const WATCHERS: usize = 400;

fn news(sequence: u64, recent: u64) -> AuctionNews {
    let bid = |sequence| NewsBid {
        sequence,
        bidder: "bidder-0123456789".into(),
        leader: "bidder-0123456789".into(),
        ..NewsBid::default()
    };
    AuctionNews {
        auction_id: 3,
        sequence,
        state: State::Live.into(),
        ends_at_ms: 1_800_000_600_000,
        now_ms: 1_800_000_000_000,
        head: "ab".repeat(32),
        recent: (sequence - recent + 1..=sequence).map(bid).collect(),
        ..AuctionNews::default()
    }
}

fn front(daemon: &Daemon) -> (Server, tempfile::NamedTempFile) {
    let mut secret = tempfile::NamedTempFile::new().expect("a temporary file");
    secret.write_all(SECRET).expect("written");
    let mode = std::fs::Permissions::from_mode(0o600);
    secret.as_file().set_permissions(mode).expect("ours");
    let mut settings = Settings::default();
    settings.http.listen = "127.0.0.1:0".into();
    settings.http.threads = 1;
    settings.http.driver = "auto".into();
    settings.admin.listen = String::new();
    settings.link.daemons = vec![daemon.address().to_string()];
    settings.link.secret_file = secret.path().display().to_string();
    (Server::start(settings).expect("the front starts"), secret)
}

fn open(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("the front listens");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("settable");
    let request = "GET /api/v1/auctions/3/live HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\n\
                   connection: upgrade\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).expect("the front reads");
    socket
}

/// Reads up to the member that ends each message.
fn read_message(socket: &mut TcpStream, buffer: &mut Vec<u8>) {
    buffer.clear();
    let mut chunk = [0; 4096];
    let ended = |bytes: &[u8]| {
        let now = bytes.windows(7).rposition(|seven| seven == b"\"now\":\"");
        now.is_some_and(|at| bytes[at..].ends_with(b"\"}"))
    };
    while !ended(buffer) {
        match socket.read(&mut chunk) {
            Ok(0) => panic!("the front went away"),
            Ok(count) => buffer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}

#[test]
fn an_idle_watcher_of_an_auction_costs_less_than_12_kib() {
    let stream = Arc::new(Mutex::new(None));
    let daemon = Daemon::start("one", 1, {
        let stream = stream.clone();
        move |event| {
            if event.kind == Kind::Request && event.method == Some(Method::WatchAuction) {
                event.begin_items();
                event.item(&news(50, 50));
                *stream.lock().expect("no panic") = Some(event);
            }
        }
    });
    let (server, _secret) = front(&daemon);
    let mut buffer = Vec::with_capacity(64 * 1024);
    // The first costs what all share.
    let mut first = open(server.address());
    read_message(&mut first, &mut buffer);
    let mut sockets = Vec::with_capacity(WATCHERS);
    let before = USED.load(Ordering::Relaxed);
    for _ in 0..WATCHERS {
        let mut socket = open(server.address());
        read_message(&mut socket, &mut buffer);
        sockets.push(socket);
    }
    // They were told the largest message, and now one of the usual kind.
    if let Some(event) = &*stream.lock().expect("no panic") {
        event.item(&news(51, 1));
    }
    for socket in sockets.iter_mut().chain([&mut first]) {
        read_message(socket, &mut buffer);
        assert!(String::from_utf8_lossy(&buffer).contains("\"type\":\"bids\""));
    }
    // What a write leaves behind is given back a moment later.
    let until = Instant::now() + Duration::from_secs(20);
    let each = loop {
        let used = USED.load(Ordering::Relaxed) - before;
        let each = used / i64::try_from(WATCHERS).expect("small");
        if each < PROMISED || Instant::now() >= until {
            break each;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    eprintln!("{each} bytes for each idle watcher");
    assert!(each < PROMISED, "{each} bytes for each");
    assert!(each > 1024, "{each} bytes: nothing was counted");
    drop(sockets);
    drop(first);
    server.stop();
}
