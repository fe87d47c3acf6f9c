//! What is measured, by name: stages, counts, queues, batches, states.

use std::time::Duration;

/// Declares an enum with a list of its values and a name for each.
macro_rules! named {
    ($(#[$outer:meta])* $type:ident { $($(#[$inner:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $($(#[$inner])* $variant,)+ }

        impl $type {
            /// All of them, in the order of their numbers.
            pub const ALL: &[$type] = &[$($type::$variant,)+];

            /// The name in metrics and reports.
            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)+ }
            }
        }
    };
}

named! {
    /// A part of a request's time. A request has each part at most once, as a sum.
    Stage {
        /// Front: waiting for the client to send the rest of a head, or of a body that is needed
        /// whole. It lies before the request's total.
        Head = "head",
        /// Front: from the last byte read to the start of the handler.
        Parse = "parse",
        /// Front: until the link's write takes the request. Daemon: until its task first runs.
        Queue = "queue",
        /// Front: from there until the answer is read from the link.
        Link = "link",
        /// Daemon: reading the message.
        Decode = "decode",
        /// Daemon: waiting for Redis.
        Redis = "redis",
        /// Daemon: waiting for a connection to the database that is free.
        MysqlQueue = "mysql_queue",
        /// Daemon: waiting for the database.
        Mysql = "mysql",
        /// Daemon: waiting for a hashing thread.
        Argon2Queue = "argon2_queue",
        /// Daemon: hashing a password.
        Argon2 = "argon2",
        /// Daemon: everything else that the service does or waits for, pictures included.
        Logic = "logic",
        /// Turning the answer into bytes; in the front with the way from the link to there.
        Encode = "encode",
        /// Front: until the kernel has the last byte of the answer.
        Write = "write",
        /// All of it.
        Total = "total",
    }
}

named! {
    /// Something that happens and is counted.
    Count {
        /// A row was found in the process.
        ProcessHit = "process_hit",
        /// A row was looked for in the process and not found.
        ProcessMiss = "process_miss",
        /// A row, or that there is none, was found in Redis.
        RedisHit = "redis_hit",
        /// Redis was asked for a row and did not know it.
        RedisMiss = "redis_miss",
        /// A read joined another read of the same row.
        SingleFlightJoin = "single_flight_join",
        /// A login was answered by the memo of verified passwords.
        MemoHit = "memo_hit",
        /// A login had to be verified in full.
        MemoMiss = "memo_miss",
        /// A turn of the loop that had something to do; its end enters the ring.
        LoopTurn = "loop_turn",
        /// A shard looked whether its boards have moved.
        BoardLook = "board_look",
        /// A shard read the counts of a board that had.
        BoardCounts = "board_counts",
        /// A bid was accepted, and is durable.
        BidAccepted = "bid_accepted",
        /// A bid was refused: by the rules, a limit, or for what it was.
        BidRefused = "bid_refused",
        /// A bid was refused because bidding is paused, or a queue is full.
        BidBusy = "bid_busy",
        /// A bid failed with a store.
        BidFailed = "bid_failed",
        /// A time was found in which no bid could be taken.
        Outage = "outage",
        /// An auction was settled.
        AuctionSettled = "auction_settled",
    }
}

named! {
    /// Somewhere to wait, with a bound.
    Queue {
        /// Front: requests that wait for their daemon.
        Link = "link",
        /// Commands that wait for Redis.
        Redis = "redis",
        /// Reads that wait for a connection to the database.
        MysqlRead = "mysql_read",
        /// Writes that wait for a transaction.
        MysqlWrite = "mysql_write",
        /// Password hashes that wait for a thread.
        Argon2 = "argon2",
        /// Pictures that wait for a thread.
        Pictures = "pictures",
    }
}

named! {
    /// Where work is done several at a time.
    Batch {
        /// Frames of one write to a link.
        Link = "link",
        /// Commands of one write to Redis.
        Redis = "redis",
        /// Keys of one query.
        MysqlRead = "mysql_read",
        /// Writes of one transaction.
        MysqlWrite = "mysql_write",
    }
}

named! {
    /// A state that a thread tells at each tick. Over the threads it is a sum, for a store the
    /// worst.
    Level {
        /// Open connections to clients.
        Connections = "connections",
        /// Links that are up.
        Links = "links",
        /// [`Queue::Link`].
        LinkQueue = "link_queue",
        /// [`Queue::Redis`].
        RedisQueue = "redis_queue",
        /// [`Queue::MysqlRead`].
        MysqlReadQueue = "mysql_read_queue",
        /// [`Queue::MysqlWrite`].
        MysqlWriteQueue = "mysql_write_queue",
        /// 1 if this thread has a connection to Redis.
        RedisUp = "redis_up",
        /// 1 unless the database failed when this thread last used it.
        MysqlUp = "mysql_up",
        /// See [`ReplicaLag`].
        ReplicaLag = "replica_lag",
        /// Age in milliseconds of the oldest thing that this thread knows of the boards.
        BoardStaleness = "board_staleness",
        /// 0 if this thread lets bids through, 1 while it tries whether it can, 2 if it does not.
        BidBreaker = "bid_breaker",
    }
}

/// How far a database is behind its primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaLag {
    /// It is no replica, or does not tell.
    None,
    /// So far.
    Behind(Duration),
    /// It is a replica and replicates nothing: farther with each moment.
    Stopped,
}

impl ReplicaLag {
    /// As a level: milliseconds and one more, so that 0 is none.
    pub(crate) fn level(self) -> u64 {
        match self {
            ReplicaLag::None => 0,
            ReplicaLag::Behind(time) => {
                u64::try_from(time.as_millis()).map_or(u64::MAX, |ms| ms.saturating_add(1))
            }
            ReplicaLag::Stopped => u64::MAX,
        }
    }

    /// The seconds of a level; without end if it is stopped, nothing if there are none.
    pub(crate) fn seconds(level: u64) -> Option<f64> {
        match level {
            0 => None,
            u64::MAX => Some(f64::INFINITY),
            level => Some(Duration::from_millis(level - 1).as_secs_f64()),
        }
    }
}

/// The stages of the front, in the order of a request.
pub const FRONT_STAGES: &[Stage] = &[
    Stage::Head,
    Stage::Parse,
    Stage::Queue,
    Stage::Link,
    Stage::Encode,
    Stage::Write,
    Stage::Total,
];

/// The stages of the daemon, in the order of a request.
pub const DAEMON_STAGES: &[Stage] = &[
    Stage::Decode,
    Stage::Queue,
    Stage::Redis,
    Stage::MysqlQueue,
    Stage::Mysql,
    Stage::Argon2Queue,
    Stage::Argon2,
    Stage::Logic,
    Stage::Encode,
    Stage::Total,
];

/// What a program measures: fixed when it starts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program's name, as `/latency` says it: `souk-front` or `soukd`.
    pub program: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Names of routes; a request names its route by the place in this list.
    pub routes: Vec<String>,
    /// Which stages its requests can have.
    pub stages: &'static [Stage],
    /// Names of outcomes, by number; an empty name is never used.
    pub codes: Vec<String>,
    /// Which queues it has.
    pub queues: &'static [Queue],
    /// Where it works in batches.
    pub batches: &'static [Batch],
}
