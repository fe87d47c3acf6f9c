//! Every bound of this program, with its reason.

use std::time::Duration;

/// Users made by one transaction: large enough that its commit costs nothing beside its rows,
/// small enough that an interrupted seed loses a second of work.
pub const SEED_CHUNK: u64 = 50_000;

/// Most users to seed; names have up to 32 characters, memory and disk end long before.
pub const SEED_USERS_MAX: u64 = 1_000_000_000;

/// Password hashes that seeded users share. Each costs as much as a login.
pub const SEED_HASHES: usize = 32;

/// Users of a chunk that are looked up to see whether the chunk is there already.
pub const SEED_PROBES: u64 = 16;

/// Connections that seed at once: more than the server has cores only wait for each other.
pub const SEED_CONNECTIONS_MAX: usize = 4;

/// Most live auctions to seed: a list of them is read page by page, and a demo ends long before.
pub const SEED_AUCTIONS_MAX: u64 = 1_000_000;

/// Auctions made by one transaction: some hundred kilobytes of rows.
pub const SEED_LOTS: u64 = 1_000;

/// Demo users who sell: enough that most bidders meet auctions of others.
pub const SEED_SELLERS_MAX: usize = 1_000;

/// How often a chunk is tried again after a deadlock between two of them.
pub const SEED_TRIES: u32 = 10;

/// Page cache of the private MariaDB, MiB: a quarter of the memory, within these.
pub const BUFFER_POOL_MIB: std::ops::RangeInclusive<u64> = 256..=4096;

/// Redo log of the private MariaDB, MiB: a quarter of its page cache, within these.
pub const REDO_LOG_MIB: std::ops::RangeInclusive<u64> = 64..=512;

/// The port that takes bids as frames when nothing else is said, as in the front's settings.
pub const BIDS_PORT: u16 = 8090;

/// The same with the address, for `souk bid`.
pub const BIDS_ADDRESS: &str = "127.0.0.1:8090";

/// Where the front serves HTTP when nothing else is said.
pub const HTTP_URL: &str = "http://127.0.0.1:8080";

/// How long `souk bid` waits for anything: longer than the front waits for a daemon.
pub const BID_PAUSE_MAX: Duration = Duration::from_secs(15);

/// How long a store may take to answer a health question.
pub const REACH_WITHIN: Duration = Duration::from_secs(3);

/// Where the admin listeners are when no setting says otherwise: front, daemon.
pub const ADMIN_DEFAULTS: [&str; 2] = ["127.0.0.1:9101", "127.0.0.1:9102"];

/// Programs looked at together: more do not fit a screen.
pub const PROGRAMS_MAX: usize = 64;

/// The longest pause of an admin listener before or within an answer. They collect from threads
/// that look every 200 ms; a program that is stopped or hangs must not hold up the others.
pub const ADMIN_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Seconds between two readings of `souk latency`.
pub const INTERVAL_S: std::ops::RangeInclusive<f64> = 0.1..=3600.0;

/// How often `souk top` reads and draws.
pub const TOP_EVERY: Duration = Duration::from_secs(1);

/// Columns of the heat map that are kept, one for each reading: the widest terminals show no more.
pub const HEAT_COLUMNS_MAX: usize = 512;

/// Events that wait for the screen to be drawn: it is drawn faster than anyone types.
pub const EVENTS_MAX: usize = 64;

/// How long a flamegraph may look, s: what stands out shows within minutes.
pub const FLAME_SECONDS: std::ops::RangeInclusive<i64> = 1..=300;

/// Samples in each second of processor time: above this the samples are seen in the graph.
pub const FLAME_HZ: std::ops::RangeInclusive<i64> = 1..=999;

/// Samples in each second unless something else is asked: not in step with anything that ticks.
pub const FLAME_HZ_USUAL: u32 = 99;

/// Functions that are named below a flamegraph.
pub const FLAME_TOP: usize = 15;

/// Signs of a function's name that are shown there: a line of a wide terminal.
pub const FLAME_NAME: usize = 140;

/// Most data of one `perf record`: ten seconds of a busy program's switches take 100 MB.
pub const PERF_DATA_MAX: &str = "512M";

/// How often a recording looks whether it shall end.
pub const PERF_POLL: Duration = Duration::from_millis(20);

/// How long `perf record` may take to begin: it reads what the target has mapped.
pub const PERF_STARTS_WITHIN: Duration = Duration::from_secs(30);

/// How long `perf record` may take to write what it has.
pub const PERF_ENDS_WITHIN: Duration = Duration::from_secs(30);

/// How long a program may take, past the recording, to name its functions: it reads its own line
/// tables.
pub const SAMPLER_ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Frames whose inlined functions are remembered: more than a program has sampled addresses, as a
/// rule.
pub const INLINED_CACHE: usize = 100_000;

/// Wrong counts that are shown one by one.
pub const DIFFERENCES_SHOWN: usize = 20;
