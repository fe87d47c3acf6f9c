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

/// How often a chunk is tried again after a deadlock between two of them.
pub const SEED_TRIES: u32 = 10;

/// Page cache of the private MariaDB, MiB: a quarter of the memory, within these.
pub const BUFFER_POOL_MIB: std::ops::RangeInclusive<u64> = 256..=4096;

/// Redo log of the private MariaDB, MiB: a quarter of its page cache, within these.
pub const REDO_LOG_MIB: std::ops::RangeInclusive<u64> = 64..=512;

/// How long a store may take to answer a health question.
pub const REACH_WITHIN: Duration = Duration::from_secs(3);
