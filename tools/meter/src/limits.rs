//! Every bound of this crate, with its reason.

use std::time::Duration;

/// Shortest time that is told from others, nanoseconds. Anything shorter counts as this.
pub const NS_MIN: u64 = 1_000;

/// Longest time that is told from others, nanoseconds: a minute, twice the longest deadline.
/// Anything longer counts as this.
pub const NS_MAX: u64 = 60_000_000_000;

/// Digits that a recorded time is exact to.
pub const DIGITS: u8 = 3;

/// Powers of two that batch sizes are told apart by: up to 32,768.
pub const SIZE_BUCKETS: usize = 16;

/// Requests that are entered into a thread's histograms at a time: enough that the histograms are
/// in the cache for most of them, few enough that it takes microseconds.
pub const BLOCK: usize = 64;

/// How long a reader waits for the threads to hand over what they recorded. They look for it at
/// their ticks, at most 200 ms apart; a thread that is busier than that is read the next time.
pub const COLLECT_MAX: Duration = Duration::from_secs(1);

/// Longest time between two collections when nobody reads. A thread counts in 32 bits, and so does
/// the kernel for a ring's submissions: neither runs over within this time at 7 million a second.
pub const COLLECT_EVERY: Duration = Duration::from_secs(600);

/// Connections of the admin listener at a time: a scraper, some people, and one that hangs.
pub const ADMIN_CONNECTIONS_MAX: usize = 16;

/// Longest request head on the admin listener, bytes.
pub const ADMIN_HEAD_MAX: usize = 4 * 1024;

/// Headers of such a request.
pub const ADMIN_HEADERS_MAX: usize = 32;

/// Time for a request head on the admin listener, from the first byte to the last.
pub const ADMIN_HEAD_TIME: Duration = Duration::from_secs(5);

/// Time for a client of the admin listener to take more of an answer.
pub const ADMIN_WRITE_TIME: Duration = Duration::from_secs(5);

/// Pause after an accept that failed for want of files or memory.
pub const ADMIN_ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest answer that [`crate::client::get`] takes, bytes: all routes and stages of a program are
/// under 2 MiB.
pub const ANSWER_MAX: u64 = 64 * 1024 * 1024;

/// Time for a client of the admin listener to take a whole answer.
pub const ADMIN_ANSWER_TIME: Duration = Duration::from_secs(60);
