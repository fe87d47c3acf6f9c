//! Every bound of this crate, with its reason. Sizes are in bytes unless a name says otherwise.

use std::time::Duration;

/// Redis commands that wait for their reply, per shard. A reply takes well under a millisecond, so
/// this is many turns of work; past it Redis is stuck and callers are better told at once.
pub const REDIS_IN_FLIGHT_MAX: usize = 16 * 1024;

/// Bytes of commands that wait for the socket.
pub const REDIS_OUT_MAX: usize = 8 * 1024 * 1024;

/// Room for one ring read: some hundreds of rows.
pub const REDIS_READ_CHUNK: usize = 64 * 1024;

/// Longest bulk string in a reply. Our values stay under a kilobyte, INFO under ten.
pub const RESP_BULK_MAX: usize = 256 * 1024;

/// Most elements of one array in a reply: all sessions of a user, fields and values.
pub const RESP_ARRAY_MAX: usize = 8 * 1024;

/// Deepest nesting of arrays in a reply. Ours are flat.
pub const RESP_DEPTH_MAX: usize = 4;

/// Longest line of a reply that is not a bulk string: an error text of a script.
pub const RESP_LINE_MAX: usize = 4 * 1024;

/// Longest whole reply, all elements together.
pub const RESP_REPLY_MAX: usize = 1024 * 1024;

/// Time for a connection to Redis and its greeting.
pub const REDIS_CONNECT_MAX: Duration = Duration::from_secs(1);

/// A connection whose oldest command has no reply for so long is given up. Readers wait no longer
/// than this before they turn to the database.
pub const REDIS_SILENCE_MAX: Duration = Duration::from_millis(800);

/// How often the silence is measured.
pub const REDIS_SILENCE_TICK: Duration = Duration::from_millis(200);

/// First pause before a new connection; doubles up to [`BACKOFF_MAX`], with jitter.
pub const BACKOFF_MIN: Duration = Duration::from_millis(20);

/// Longest pause before a new connection: a server that is back is found within this time.
pub const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// Keys in one `SELECT … IN (…)`. Larger batches gain little and delay their first member.
pub const BATCH_KEYS_MAX: usize = 128;

/// Sizes to which a batch is padded, so that few prepared statements serve all of them.
pub const BATCH_SIZES: [usize; 4] = [1, 8, 32, BATCH_KEYS_MAX];

/// Readers that wait for a batch, per shard and kind of key: all requests of some links.
pub const READERS_MAX: usize = 16 * 1024;

/// Searches that wait for a connection, per shard. Each costs a range scan.
pub const SEARCHES_MAX: usize = 1024;

/// Most rows of one search, the page's look-ahead included.
pub const SEARCH_ROWS_MAX: u32 = 101;

/// Time for a connection to the database, logging in included.
pub const DATABASE_CONNECT_MAX: Duration = Duration::from_secs(2);

/// Longest read. The connection is dropped afterwards, for its state is unknown.
pub const READ_MAX: Duration = Duration::from_secs(3);

/// Pause between two looks for queued readers whose deadline has passed.
pub const SWEEP_EVERY: Duration = Duration::from_millis(50);

/// Pause between two looks at how far a replica is behind: the server counts in seconds.
pub const REPLICA_LOOK_EVERY: Duration = Duration::from_secs(5);

/// Largest packet we send to or accept from the database.
pub const PACKET_MAX: usize = 4 * 1024 * 1024;

/// Prepared statements kept per connection: ours are about a dozen.
pub const STATEMENTS_MAX: usize = 32;

/// Seconds the server keeps an idle connection. Longer than any pause between two requests at
/// night; a connection dropped nevertheless is replaced without an error.
pub const IDLE_CONNECTION_S: usize = 8 * 3600;

/// A connection unused for longer is asked whether it lives before a write is trusted to it.
pub const IDLE_CHECK: Duration = Duration::from_millis(500);

/// Seconds a statement waits for a row lock. Rows are locked for one commit only.
pub const LOCK_WAIT_S: u32 = 2;

/// Writes that wait for a transaction, per shard: a second's worth at a slow disk.
pub const WRITES_MAX: usize = 1024;

/// Writes in one transaction: enough to hide a commit's flush, few enough to hold locks briefly.
pub const GROUP_MAX: usize = 64;

/// Longest transaction. The connection is dropped afterwards.
pub const TRANSACTION_MAX: Duration = Duration::from_secs(10);

/// Attempts of one write that lost against a deadlock.
pub const WRITE_ATTEMPTS: usize = 4;

/// Rating events that wait for a transaction, per shard: several full batches of requests.
pub const RATINGS_MAX: usize = 8 * 1024;

/// Rating events in one transaction: enough that its fixed cost of a dozen statements counts for
/// little, few enough that locks are held for some milliseconds.
pub const RATING_GROUP_MAX: usize = 256;

/// Attempts of a rating transaction that lost against others.
pub const RATING_ATTEMPTS: usize = 6;

/// Reads of boards that wait for a connection, per shard. Each costs a range scan.
pub const BOARD_READS_MAX: usize = 1024;

/// Most lines of one slice of a board, the page's look-ahead included.
pub const SLICE_LINES_MAX: u32 = 501;

/// Reads of auctions that wait for a connection, per shard. Each costs a range scan.
pub const AUCTION_READS_MAX: usize = 1024;

/// Most rows of one list of auctions or notifications, the page's look-ahead included.
pub const AUCTION_ROWS_MAX: u32 = 101;

/// Most bids of one read, the page's look-ahead included.
pub const BID_ROWS_MAX: u32 = 501;

/// Lines of the index of bids in one look for auctions somebody bid on: most have a few bids of
/// one user, and a look that finds only one auction is still a short one.
pub const BIDDING_LOOK: usize = 64;

/// Auctions of which one question asks whether somebody watches them: a page.
pub const WATCHED_MAX: usize = 128;

/// Up to here unread notifications are counted.
pub const UNREAD_MAX: u32 = 100;

/// Notifications that one statement marks as read: their locks are held briefly.
pub const MARKED_MAX: u64 = 1000;

/// Changes of auctions that wait for a transaction, per shard: when a thousand auctions end at
/// once, their settlements find room.
pub const AUCTION_CHANGES_MAX: usize = 2048;

/// Changes of auctions in one transaction: enough to hide a commit's flush, few enough to hold
/// locks briefly.
pub const AUCTION_GROUP_MAX: usize = 32;

/// Attempts to settle an auction whose last bids arrive meanwhile.
pub const SETTLE_ATTEMPTS: usize = 8;

/// Offers of bids that are not answered yet, per shard: some hundred milliseconds of work, and a
/// burst of as many at once. Those to be committed are among them, so one commit fits in a packet.
pub const OFFERS_MAX: usize = 5_000;

/// Offers in one call of the script: it holds up Redis for some hundred microseconds.
pub const OFFERS_AT_ONCE: usize = 256;

/// Auctions whose state a shard knows, at work or idle: a kilobyte or two each.
pub const ROOMS_MAX: usize = 8 * 1024;

/// Times an offer is tried: each time somebody else took the auction over, or a store forgot it.
pub const OFFER_ATTEMPTS: u8 = 8;

/// An offer that waited longer counts as of when it is decided. Up to this the queue is the usual
/// one.
pub const OFFER_LATE: Duration = Duration::from_millis(500);

/// Auctions with bids that were decided and not committed, of which a shard remembers that it has
/// to see to them: as many as offers.
pub const UNFINISHED_MAX: usize = OFFERS_MAX;

/// Auctions that are seen to after one look at the stores.
pub const UNFINISHED_AT_ONCE: usize = 64;

/// How long an auction's state stays in Redis; each 64 bids it begins anew. Without it the next bid
/// makes it from the row.
pub const STATE_TTL: Duration = Duration::from_secs(3600);

/// How long an auction's log stays in Redis. What is not committed by then was never acknowledged.
pub const LOG_TTL: Duration = Duration::from_secs(24 * 3600);

/// Within this time an auction is adopted, or somebody else may begin to.
pub const FENCE_STANDS: Duration = Duration::from_secs(2);

/// How long an adoption waits for somebody else's: until its fence falls, and a little.
pub const FENCE_WAIT_MAX: Duration = Duration::from_secs(3);

/// Longest pause between two looks whether somebody else's fence still stands; jittered.
pub const FENCE_LOOK_EVERY: Duration = Duration::from_millis(10);

/// Bids that are read from a log at once: well within what a reply may hold.
pub const LOG_READ: usize = 512;

/// Rounds of one adoption: each commits a part of the log, or lost against somebody else.
pub const ADOPT_ROUNDS: usize = 24;

/// Connections that commit bids, per shard: while one waits for the disk, the other one's bids are
/// written.
pub const COMMIT_LINES: usize = 2;

/// Bids of as many script calls in one transaction: the bound on offers binds before.
pub const COMMITS_AT_ONCE: usize = 1024;

/// Script calls whose bids wait for a transaction: never more than offers, and none is turned away
/// here, for its bids are decided. Twice, for what is found in logs.
pub const COMMITS_MAX: usize = 2 * OFFERS_MAX;

/// Attempts of a transaction of bids that lost against others.
pub const COMMIT_ATTEMPTS: usize = 6;

/// Questions of the bid engine that wait for a connection: each waiting offer has one at most.
pub const BID_LOOKS_MAX: usize = 2 * OFFERS_MAX;

/// Questions of the bid engine that are answered in one go.
pub const BID_LOOKS_AT_ONCE: usize = 256;

/// No bid could be taken for longer than this: an outage, for which auctions are extended. Several
/// beats, so that a late one is none.
pub const OUTAGE_MIN: Duration = Duration::from_millis(1_500);

/// Auctions that are extended by an outage in one transaction: few enough to hold their locks
/// briefly.
pub const EXTENDED_AT_ONCE: usize = 1_000;

/// Rows that are fenced at one look after Redis was away: one round trip's worth.
pub const MEND_ROWS_MAX: usize = 512;

/// Old rating events that are deleted at once: some milliseconds of the writer's time.
pub const EVENTS_SWEPT: u64 = 1000;

/// Pause between two looks for old rating events while there are few of them.
pub const EVENTS_SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Attempts of a change that names no version and meets other changes of the same row.
pub const CHANGE_ATTEMPTS: usize = 4;

/// Pause between two attempts to put a committed row into the cache while Redis reconnects.
pub const PUT_RETRY_EVERY: Duration = Duration::from_millis(25);

/// How long a fence keeps rows of an older version out of the cache: longer than the wait for the
/// transaction, the transaction and the oldest fill together.
pub const FENCE_TTL: Duration = Duration::from_secs(30);

/// A write whose fence is older than this when its transaction would begin is not begun.
pub const FENCE_AGE_MAX: Duration = Duration::from_secs(5);

/// A row read longer ago than this is not put into the cache: its fence may be gone.
pub const FILL_AGE_MAX: Duration = Duration::from_secs(5);

/// What a write puts stays at least so long, whatever is configured: longer than the oldest fill,
/// the time it may wait in a connection included, so that no older row follows it.
pub const PUT_TTL_MIN: Duration = Duration::from_secs(FILL_AGE_MAX.as_secs() + 1);

/// How long a deleted row's tombstone stays. At least [`PUT_TTL_MIN`].
pub const TOMBSTONE_TTL: Duration = Duration::from_secs(60);

/// How long Redis remembers which id a name led to. Longer than a hint is useful costs memory.
pub const NAME_HINT_TTL: Duration = Duration::from_secs(3600);

/// Names whose id is remembered in the process, per shard: about 3 MiB.
pub const NAME_HINTS_MAX: usize = 32 * 1024;

/// How long copies in the process are served after the moment that the latest reply of Redis
/// speaks for: many round trips, and short enough that changes can wait for its end.
pub const NEAR_LEASE: Duration = Duration::from_millis(20);

/// How long a change waits, from the moment when Redis dropped the old value, before it is
/// acknowledged: the lease, and a tenth more for clocks that run at different speeds.
pub const NEAR_SETTLE: Duration = Duration::from_millis(22);

/// One login in so many counts the user's sessions: each time would cost Redis a tenth of a login.
pub const SESSIONS_COUNTED_EVERY: u8 = 8;

/// Keys of which the process holds copies, per shard: about 2 MiB.
pub const NEAR_MAX: usize = 4096;

/// Copies of one key: sessions of one user that are used at the same time.
pub const NEAR_FIELDS_MAX: usize = 8;

/// Traces of keys that were asked for once, per shard, two bytes each: a key that comes again
/// before another takes its place is worth a copy.
pub const NEAR_SEEN: usize = 16 * 1024;

/// Seconds to wait for another program that migrates the same database.
pub const MIGRATE_LOCK_S: u32 = 60;

/// Seconds an operator's command waits for another one that does the same.
pub const OPERATOR_LOCK_S: u32 = 10;

/// Attempts to write what a recount found, against ratings that change meanwhile.
pub const RECOUNT_ATTEMPTS: usize = 20;

/// Auctions that an audit holds at a time: some hundred kilobytes.
pub const AUDIT_AUCTIONS: usize = 512;

/// Acknowledged bids that an audit looks for at once: one round trip's worth.
pub const AUDIT_ACKS: usize = 1024;

/// Longest line of a file of acknowledgements: an answer is some hundred bytes.
pub const ACK_LINE_MAX: u64 = 64 * 1024;

/// Findings that an audit keeps; the others are counted.
pub const FINDINGS_MAX: usize = 1000;

/// How long an auction may be over before an audit wants its settlement, ms: it takes a second,
/// and some more while a store is away.
pub const SETTLED_WITHIN_MS: i64 = 60_000;

/// Longest name of a season, in characters, as its column has it.
pub const BOARD_NAME_MAX: usize = 64;

/// Longest label of a token, in characters, as its column has it.
pub const TOKEN_LABEL_MAX: usize = 64;

/// Longest username, in bytes: they are ASCII.
pub const USERNAME_MAX: usize = 32;

/// Time for both servers to answer a health check.
pub const HEALTH_MAX: Duration = Duration::from_secs(1);

const _: () = assert!(
    FENCE_AGE_MAX.as_secs() + TRANSACTION_MAX.as_secs() + FILL_AGE_MAX.as_secs()
        < FENCE_TTL.as_secs(),
    "no row read before a commit can reach the cache after its fence is gone"
);
const _: () = assert!(PUT_TTL_MIN.as_secs() <= TOMBSTONE_TTL.as_secs(), "nor a deleted one");
const _: () = assert!(NEAR_LEASE.as_millis() < NEAR_SETTLE.as_millis(), "no copy outlives it");
