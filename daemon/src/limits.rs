//! Every bound of the daemon's links and shards, with its reason. The link's own bounds, which
//! front and daemon share, are in `souk_proto::limits`.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Requests in flight on one link; the front keeps to the same bound.
pub const REQUESTS_PER_LINK_MAX: usize = souk_proto::limits::REQUESTS_IN_FLIGHT_MAX;

/// Bytes of one request's body that wait for its service: a whole picture of 5 MiB may come before
/// its service first looks.
pub const BODY_WAITING_MAX: usize = 6 * 1024 * 1024;

/// Bytes of all request bodies on one link that wait for their services. Services take them as
/// they come, so this is only reached when a shard cannot keep up.
pub const LINK_BODIES_WAITING_MAX: usize = 64 * 1024 * 1024;

/// Links of one shard: one per front thread, so this is room for dozens of fronts.
pub const LINKS_PER_SHARD_MAX: usize = 1024;

/// Accepted connections that have not said HELLO yet. Further ones wait in the listen backlog.
pub const HANDSHAKES_MAX: usize = 256;

/// Bytes a peer may send without a whole HELLO among them: one takes under 500.
pub const HELLO_BYTES_MAX: usize = 4096;

/// Connections the kernel holds for the door while it is busy. More than all threads of a few
/// dozen fronts that reconnect at once.
pub const LISTEN_BACKLOG: i32 = 1024;

/// Links on their way from the door to one shard.
pub const ARRIVALS_MAX: usize = 64;

/// Pause after an accept that failed for want of descriptors or memory: retrying at once would
/// spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Pause between two looks at deadlines and silent peers. Services check deadlines themselves
/// before each store trip; this catches what waits.
pub const TICK: Duration = Duration::from_millis(200);

/// A tick that comes later than this was held up by this process itself: peers are not blamed for
/// having been silent meanwhile.
pub const LATE_TICK: Duration = Duration::from_secs(2);

/// How long a closing link may take to hand its last bytes to the kernel.
pub const CLOSE_FLUSH_MAX: Duration = Duration::from_secs(1);

/// How long an answer's stream waits for a peer that does not read before it is ended.
pub const STREAM_STALL_MAX: Duration = Duration::from_secs(10);

/// Submission queue entries of a shard's ring: one turn seldom queues more, and the queue is
/// flushed when it is full.
pub const RING_ENTRIES: u32 = 1024;

/// The id of the PING that follows GOAWAY. Its PONG says that the peer has read the GOAWAY.
pub const DRAIN_PING: u64 = u64::MAX;

/// Priority of pool threads below the rings, as a nice value: enough that a ring thread that
/// wakes is served first, not so much that logins starve on a busy machine.
pub const POOL_NICE: i32 = 5;

/// What a caller is told to wait when a pool's queue is full: a queue of 256 hashes takes two
/// cores about two seconds, so half of it is gone by then.
pub const POOL_RETRY_AFTER: Duration = Duration::from_secs(1);

/// A pool thread without work for this long gives its memory back. Long enough that logins one
/// after another find it warm: taking 19 MiB anew costs a hash some milliseconds.
pub const POOL_IDLE_AFTER: Duration = Duration::from_secs(2);

/// Locks that the tables of rate limits and guesses are spread over: more than threads that could
/// wait for one.
pub const BUCKET_STRIPES: usize = 64;

/// Rate limit buckets of the process, about 100 bytes each. The busiest stay; who is forgotten has
/// not asked for long and would have a full bucket anyway.
pub const RATE_BUCKETS_MAX: usize = 64 * 1024;

/// Budgets of wrong passwords, about 100 bytes each. Pushing one out takes this many wrong
/// passwords elsewhere, each at the cost of a full hash: at 200 a second more than five minutes.
pub const GUESS_BUCKETS_MAX: usize = 64 * 1024;

/// Wrong passwords that all known devices of one account may spend together, in budgets of one
/// device: more devices than one person uses at a time, far fewer than may be minted.
pub const GUESSING_DEVICES: u32 = 10;

/// Attempts to change a password while other changes of the row keep coming in between.
pub const PASSWORD_CHANGE_ATTEMPTS: usize = 5;

/// Verified passwords that one shard remembers, about 100 bytes each.
pub const MEMO_MAX: NonZeroUsize = NonZeroUsize::new(32 * 1024).expect("not zero");

/// Random bytes taken from the system at once.
pub const RANDOM_BATCH: usize = 1024;

/// A session's "last seen" is written at most this often, so that reading stays reading.
pub const LAST_SEEN_EVERY: Duration = Duration::from_secs(60);

/// Time for what runs off an answer's path ("last seen").
pub const BACKGROUND_LIMIT: Duration = Duration::from_secs(5);

/// How much of that may run on one shard. "Last seen" that is left out is written a moment later.
pub const BACKGROUND_MAX: usize = 256;

/// Largest picture that may be uploaded.
pub const PICTURE_BYTES_MAX: usize = 5 * 1024 * 1024;

/// Longest edge of an uploaded picture, pixels.
pub const PICTURE_EDGE_MAX: u32 = 6_000;

/// Memory that decoding one picture may take: the largest picture at 16 bits for each of 4
/// channels, and 32 MiB for the decoder itself.
pub const PICTURE_MEMORY_MAX: u64 =
    PICTURE_EDGE_MAX as u64 * PICTURE_EDGE_MAX as u64 * 8 + 32 * 1024 * 1024;

/// Bytes of pictures that are being uploaded or wait for a picture thread, in the whole process:
/// a dozen of the largest or hundreds of usual ones.
pub const UPLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Uploads of one user at a time: enough for a second try beside one that hangs, and far from what
/// all may hold together.
pub const UPLOADS_PER_USER_MAX: usize = 2;

/// What a caller is told to wait when an upload finds no room: a picture is decoded well within it.
pub const UPLOAD_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Age after which a half written picture has no writer any more: no upload takes a day.
pub const PICTURE_LEFTOVER_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Users on one page of a search when the request does not say.
pub const PAGE_DEFAULT: u32 = 20;

/// Most users on one page of a search. A page is one frame.
pub const PAGE_MAX: u32 = 100;

/// Lines on one page of a board when the request does not say.
pub const BOARD_PAGE_DEFAULT: u32 = 100;

/// Most lines on one page of a board: with the longest names they are under 200 KiB, one frame.
pub const BOARD_PAGE_MAX: u32 = 500;

/// Lines on either side of a user when the request does not say.
pub const RADIUS_DEFAULT: u32 = 10;

/// Most lines on either side of a user.
pub const RADIUS_MAX: u32 = 100;

/// Attempts to read a user and the neighbours in one moment while the user keeps moving in between.
pub const NEIGHBOURS_ATTEMPTS: usize = 3;

/// Boards whose counts one shard keeps, 39 KiB each. Beside the board of all time and the season
/// that runs, somebody looks at one or two that have ended.
pub const BOARDS_KEPT: NonZeroUsize = NonZeroUsize::new(4).expect("not zero");

/// Own changes of a board that one shard remembers between two readings of its counts, 24 bytes
/// each: what comes in 200 ms at 40,000 changes a second, four times what is asked of a database.
/// Past it the counts are read anew.
pub const OWN_MOVES_MAX: usize = 8 * 1024;

/// Time for one look at the boards, and for the read of a first page that an older one could stand
/// in for. Both take a few milliseconds; past this the database is as good as away.
pub const BOARD_READ_MAX: Duration = Duration::from_secs(1);

/// Age at which a first page is read again though its board has not moved: names and pictures on it
/// are no part of the board's version.
pub const PAGE_AGE_MAX: Duration = Duration::from_secs(2);

/// Lines of all first pages that one shard keeps, some 200 bytes each: two of the largest pages and
/// five of the usual ones.
pub const PAGES_LINES_MAX: usize = 1_500;

/// Lines in one piece of news about a board.
pub const NEWS_LINES: u32 = 100;

/// Least time between two pieces of news: more often nobody can read them.
pub const NEWS_EVERY: Duration = Duration::from_millis(250);

/// How long before its deadline a watch ends by itself, so that it ends well: more than a [`TICK`].
pub const WATCH_MARGIN: Duration = Duration::from_millis(500);

/// Longest name of a rating event.
pub const EVENT_ID_MAX: usize = 64;

/// Most rating changes of one request.
pub const RATINGS_MAX: usize = 1_000;

/// Longest reason for hiding a user, characters.
pub const REASON_MAX: usize = 200;

/// Characters of a token's holder that the record of moderation takes.
pub const HOLDER_NAME_MAX: usize = 64;

/// Longest title of an auction, characters: the column's length.
pub const TITLE_CHARS_MAX: usize = 120;

/// Longest description of an auction, characters: 16 KiB at most, well under a frame.
pub const DESCRIPTION_CHARS_MAX: usize = 4_000;

/// How far ahead an auction may start, milliseconds: a year.
pub const AUCTION_AHEAD_MAX_MS: i64 = 365 * 24 * 60 * 60 * 1_000;

/// How long ago the start that a seller names may be, milliseconds: an hour, for clocks that are
/// wrong and forms that were filled in slowly. It is taken for now.
pub const AUCTION_LATE_MAX_MS: i64 = 60 * 60 * 1_000;

/// Shortest auction, milliseconds.
pub const AUCTION_LENGTH_MIN_MS: i64 = 1_000;

/// Longest auction, milliseconds: 90 days.
pub const AUCTION_LENGTH_MAX_MS: i64 = 90 * 24 * 60 * 60 * 1_000;

/// Widest window of a soft close, seconds.
pub const SOFT_WINDOW_MAX_S: u32 = 3_600;

/// Most extensions of a soft close: with the widest window an auction is over after 42 more days.
pub const EXTENSIONS_MAX: u32 = 1_000;

/// Attempts to edit an auction while others edit it in between.
pub const AUCTION_EDIT_ATTEMPTS: usize = 3;

/// Most offers of one request: what a connection that pipelines has in one packet or two.
pub const OFFERS_MAX: usize = 64;

/// Auctions on one page of a list when the request does not say.
pub const AUCTION_PAGE_DEFAULT: u32 = 20;

/// Most auctions on one page of a list: under 2 KiB each with the longest names and tables of
/// increments, so that a page is one frame.
pub const AUCTION_PAGE_MAX: u32 = 100;

/// Bids on one page of a history when the request does not say.
pub const BIDS_PAGE_DEFAULT: u32 = 100;

/// Most bids on one page of a history.
pub const BIDS_PAGE_MAX: u32 = 500;

/// Bytes of bids on one page: what a frame takes, less the rest of the page.
pub const BIDS_PAGE_BYTES_MAX: usize = souk_proto::limits::PAYLOAD_MAX - 1_024;

/// Notifications on one page when the request does not say.
pub const NOTIFICATIONS_DEFAULT: u32 = 20;

/// Most notifications on one page.
pub const NOTIFICATIONS_MAX: u32 = 100;

/// Pause between two looks at both stores. A third of the silence that counts as an outage.
pub const BEAT_EVERY: Duration = Duration::from_millis(500);

/// Time for one look: past it bids would wait longer than anybody who bids does.
pub const BEAT_MAX: Duration = Duration::from_secs(1);

/// Age of a look at both stores up to which no outage can have begun since: less than the silence
/// that counts as one, more than two looks are apart.
pub const CERTAIN_MAX: Duration = Duration::from_secs(1);

/// First pause between two looks while a store is away: a restart takes about as long.
pub const PROBE_FIRST: Duration = Duration::from_millis(100);

/// Longest pause between two such looks.
pub const PROBE_MAX: Duration = Duration::from_secs(1);

/// Pause between two looks for auctions that are over, when the first has found them all.
pub const SETTLE_EVERY: Duration = Duration::from_millis(200);

/// Auctions that one look finds.
pub const SETTLE_BATCH: u32 = 64;

/// Most auctions that one look takes, when all that it found before could not be settled.
pub const SETTLE_BATCH_MAX: u32 = 4_096;

/// Auctions that one shard settles at a time: enough to share commits, too few to hold bids up.
pub const SETTLING_MAX: usize = 16;

/// Time for one settlement.
pub const SETTLE_MAX: Duration = Duration::from_secs(5);

/// Auctions that are watched on one shard, 50 KiB each with all bids that are kept.
pub const FEEDS_MAX: usize = 4_096;

/// Bids of a watched auction that are kept in memory: what a hot auction takes in 20 ms.
pub const FEED_BIDS_MAX: usize = 256;

/// Bids in the first news of an auction.
pub const FIRST_BIDS: usize = 50;

/// Least time between two pieces of news of an auction on one stream.
pub const AUCTION_NEWS_EVERY: Duration = Duration::from_millis(10);

/// Pause after which a watched auction is read again though nothing was heard of it: a lost word is
/// made good within it.
pub const FEED_READ_EVERY: Duration = Duration::from_secs(2);

/// Pause before a watched auction is read again that had not changed though it was said to have:
/// others are told of bids a commit before they can be read. It doubles.
pub const FEED_REREAD_FIRST: Duration = Duration::from_millis(10);

/// How often that is done: 630 ms in all.
pub const FEED_REREADS: u32 = 6;

/// Watched auctions that one shard reads at a time.
pub const AUCTION_READS_MAX: usize = 256;

/// Time for one read of watched auctions.
pub const FEED_READ_MAX: Duration = Duration::from_secs(1);

/// How long a port in use is waited for at the start: a killed daemon's ring lets go of it in some
/// tens of milliseconds; whoever holds it longer is another program.
pub const PORT_WAIT_MAX: Duration = Duration::from_secs(1);

/// How often it is tried meanwhile.
pub const PORT_POLL: Duration = Duration::from_millis(10);
