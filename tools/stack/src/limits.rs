//! Every bound of this crate, with its reason.

use std::time::Duration;

/// Last log lines kept per child: enough for a stack trace in an error message.
pub const TAIL_LINES: usize = 200;

/// Longest log line taken in one piece, in bytes; a longer one is split.
pub const LINE_BYTES_MAX: u64 = 16 * 1024;

/// A Unix socket path must fit `sockaddr_un` with its terminating zero.
pub const SOCKET_PATH_MAX: usize = 107;

/// Making a new MariaDB data directory takes 1-3 s on an idle machine; tests share the cores.
pub const INSTALL_WITHIN: Duration = Duration::from_secs(180);

/// MariaDB answers in about a second; replaying a large redo log after a crash takes longer.
pub const MARIADB_READY_WITHIN: Duration = Duration::from_secs(180);

/// Redis answers in milliseconds; loading a large append-only file takes longer.
pub const REDIS_READY_WITHIN: Duration = Duration::from_secs(120);

/// How long a store may take to write everything out after SIGTERM before it is killed.
pub const STORE_STOP_WITHIN: Duration = Duration::from_secs(120);

/// How long a program may take to print its ready line.
pub const PROGRAM_READY_WITHIN: Duration = Duration::from_secs(60);

/// How long a program may take to drain after SIGTERM before it is killed. Longer than the
/// longest `drain_s` and `drain_limit_s` that the programs ship with.
pub const PROGRAM_STOP_WITHIN: Duration = Duration::from_secs(30);

/// How long the pipes of an ended child may stay open before its tail is taken as complete.
pub const PIPES_CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Pause between two probes of a server that is starting.
pub const PROBE_EVERY: Duration = Duration::from_millis(10);

/// How long one probe may wait for a server's answer.
pub const PROBE_WITHIN: Duration = Duration::from_secs(2);
