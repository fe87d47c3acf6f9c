//! Every bound of the front's own, with its reason. The HTTP syntax has its own in
//! [`crate::http::limits`], the link in [`souk_proto::limits`]. Sizes are in bytes.

use std::time::Duration;

/// First size of a connection's read buffer: the head of a browser's request usually fits, and
/// 10,000 idle connections hold 20 MB.
pub const READ_FIRST: usize = 2 * 1024;

/// Room below which a read buffer grows while a head is incomplete.
pub const READ_LEAST: usize = 256;

/// Largest read buffer: the largest head, and the piece in which a body is read.
pub const READ_MAX: usize = 32 * 1024;

/// Requests of one connection that are in flight at once. Pipelining deeper gains nothing; what
/// comes past it waits in the socket.
pub const PIPELINE_MAX: usize = 32;

/// Encoded answers of one connection past which no further answer is encoded until the socket has
/// taken them.
pub const WRITE_HIGH: usize = 64 * 1024;

/// Write buffers kept by a thread for reuse; more than this many connections rarely have an answer
/// between two turns of the ring.
pub const SPARE_BUFFERS: usize = 1024;

/// Largest write buffer kept for reuse.
pub const SPARE_BUFFER_MAX: usize = 16 * 1024;

/// Largest part of a gathered body that is allocated before any of it has arrived.
pub const BODY_FIRST: usize = 16 * 1024;

/// How many times the pause that may be between two pieces of a body the whole of a gathered one
/// may take: 60 s unless set otherwise. They are small, so even a slow line needs one piece only;
/// the pause alone would let a client hold a body open for hours, byte by byte.
pub const BODY_TURNS: u32 = 6;

/// Bytes of a refused request that are read and dropped, so that the client sees the answer and
/// not a reset.
pub const LINGER_BYTES: u64 = 16 * 1024 * 1024;

/// Time for the same.
pub const LINGER_TIME: Duration = Duration::from_secs(2);

/// Connections over the limit that are told so at the same time, per thread. Any more are closed
/// without a word: each costs a task.
pub const TOLD_MAX: usize = 256;

/// Pause between two looks at a thread's timeouts. A timeout is late by at most this.
pub const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// Pause between two looks at the deadlines of the requests on the links.
pub const LINK_TICK: Duration = Duration::from_millis(50);

/// Pause after an accept that failed for want of files or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
pub const BACKLOG: i32 = 65_535;

/// Entries of a thread's ring: operations that enter the kernel together.
pub const RING_ENTRIES: u32 = 4096;

/// Locks among which the counts of connections per address are spread.
pub const ADDRESS_STRIPES: usize = 64;

/// At shutdown, how long a connection that has sent no request yet may still send one, and how long
/// one must have been idle to be closed without a last answer.
pub const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// Pause between two looks at what is left of a drain.
pub const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// At shutdown, how long sockets that were cut may take to close.
pub const CUT_TIME: Duration = Duration::from_millis(500);

/// At start, how long to wait for the links before clients are served.
pub const LINK_START: Duration = Duration::from_secs(1);

/// Time to connect to a daemon.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// First pause before a link is made again; it doubles with each failure.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(20);

/// Longest pause before a link is made again: a daemon that is back is found within it.
pub const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How long a request that lost its link waits for another link before it fails.
pub const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Items of a streamed answer that wait for the client: with 32 KiB each, 1 MiB. The largest
/// picture served fits, so only a stream that misbehaves is cut.
pub const STREAM_ITEMS_MAX: usize = 32;

/// How long one stream of news runs before it ends and another takes its place. The daemon ends it
/// at this deadline; the link would break it off a little later.
pub const WATCH_TIME: Duration = Duration::from_secs(50);

/// Boards that the watchers of one thread may look at. Each costs a stream on a link; there is one
/// board of all time and seldom more than a few seasons that anybody watches.
pub const WATCHED_BOARDS_MAX: usize = 64;

/// Least pause between two messages about a board: a person sees no more than four changes a
/// second.
pub const NEWS_PAUSE: Duration = Duration::from_millis(250);

/// Auctions that the watchers of one thread may look at. Each costs a stream on a link, and here
/// its last bids: at [`BIDS_KEPT`] of 200 bytes each, 50 MB in all.
pub const WATCHED_AUCTIONS_MAX: usize = 1024;

/// Bids of an auction that are kept for watchers who come back or fall behind: the bids of five
/// seconds at 50 a second, longer than a reconnect takes.
pub const BIDS_KEPT: usize = 256;

/// Bids that a snapshot shows: what a page has room for, and what daemons send at first.
pub const SNAPSHOT_BIDS: usize = 50;

/// Least pause between two pieces told to an auction's watchers, and what each of them adds: about
/// the time that it takes to tell one of them. So telling them takes at most half of a thread, and
/// 5,000 on one thread are told 20 times a second.
pub const TOLD_PAUSE: Duration = Duration::from_millis(10);
/// See [`TOLD_PAUSE`].
pub const TOLD_PAUSE_EACH: Duration = Duration::from_micros(8);

/// How long before the end of an auction its watchers are told that it is near, in milliseconds.
pub const ENDING_SOON_MS: i64 = 60_000;

/// Longest wait for a time by a daemon's clock before it is looked at again: clocks drift.
pub const ALARM_MAX: Duration = Duration::from_secs(60);

/// Messages about one state of an auction that are kept for others who know as much. Almost all
/// watchers know the same; for those who do not, messages are made one by one.
pub const PIECES_KEPT: usize = 16;

/// How long such a message is told to others, in milliseconds: it says what time it is.
pub const PIECE_FRESH_MS: i64 = 250;

/// First pause before a stream of news is asked for again; it doubles with each failure.
pub const WATCH_BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// Longest pause before a stream of news is asked for again.
pub const WATCH_BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How long a stream to a watcher is silent before something is sent to keep it: below the minute
/// after which common proxies close.
pub const LIVE_KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How long a WebSocket's client may be silent, though it was sent pings, before it is given up.
pub const WEBSOCKET_SILENCE_MAX: Duration = Duration::from_secs(50);

/// How long the other side of a WebSocket may take to answer a close.
pub const WEBSOCKET_CLOSE_TIME: Duration = Duration::from_secs(1);

/// Longest message, and frame, that a WebSocket's client may send, in bytes. Watchers have nothing
/// to say; this is room for those that say something all the same.
pub const WEBSOCKET_MESSAGE_MAX: usize = 4 * 1024;

/// First pages that a thread keeps encoded: with 500 lines of 250 bytes each, 8 MB; usually a few
/// of 25 KB.
pub const PAGES_KEPT: usize = 64;

/// Read buffer of a connection to the binary port, in bytes. It never grows: the longest frame has
/// 257 bytes, and this is over 200 bids.
pub const TLV_READ: usize = 4 * 1024;

/// Bids of one connection to the binary port that wait for their answers; what comes past them
/// stays in the socket. With answers in 10 ms that is 25,000 bids a second, and with 256 bytes for
/// each bid, and as many for the line of its auction, 128 KiB at most.
pub const TLV_BIDS_MAX: usize = 256;

/// Bids that go over the link in one request, as many as a daemon takes.
pub const TLV_OFFERS_MAX: usize = 64;

/// Encoded frames of one connection to the binary port past which nothing more is read or encoded
/// until the socket has taken them, in bytes: fifty answers. Of each the times are kept until
/// it is written, 256 bytes at most, for this and for the write in flight: 60 KiB.
pub const TLV_WRITE_HIGH: usize = 4 * 1024;

/// Auctions that one connection to the binary port may be subscribed to. Each costs about 300 bytes
/// and a watcher; whoever follows more opens another connection.
pub const TLV_SUBSCRIPTIONS_MAX: usize = 64;

/// How long a connection to the binary port is silent before the kernel asks whether the other end
/// is still there. Clients that went without a word are found within two minutes.
pub const TLV_KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// Pause between two such questions.
pub const TLV_KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// So many of them without an answer end the connection.
pub const TLV_KEEPALIVE_TRIES: u32 = 4;

/// Largest amount of money in a bid: with more, sums of prices could leave 64 bits. The daemon
/// refuses the whole request that holds such an amount, so it is kept out of those of others.
pub const TLV_MONEY_MAX: i64 = 1_000_000_000_000_000;

/// What a client is told to wait when no daemon can be reached.
pub const UNAVAILABLE_RETRY: Duration = Duration::from_secs(1);

/// Open files kept for other than clients: rings, listeners, the links to the daemons, the log.
pub const OTHER_FILES: u64 = 64;

const _: () = assert!(READ_MAX > crate::http::limits::MAX_HEAD, "any head fits the read buffer");

const _: () = assert!(
    WATCH_TIME.as_secs() + 5 <= souk_proto::limits::DEADLINE_MAX.as_secs(),
    "a stream of news ends before the link breaks it off"
);
