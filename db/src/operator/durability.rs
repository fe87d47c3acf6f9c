//! Whether a commit that the database acknowledges outlives its machine.

use super::{OperatorError, connect};
use mysql_async::prelude::Queryable;

/// A setting of the server with which acknowledged commits may be lost when its machine dies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loose {
    /// Its name; it should be 1.
    pub setting: &'static str,
    /// What it is.
    pub value: u64,
}

/// Settings that let acknowledged commits be lost; none if each commit is flushed to the disk.
/// With a binary log the log has to be flushed, too: after a crash the server rolls back what it
/// does not find there.
///
/// # Errors
/// See [`OperatorError`].
pub async fn loose(url: &str) -> Result<Vec<Loose>, OperatorError> {
    let mut conn = connect(url).await?;
    let sql = "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, \
         IF(@@GLOBAL.log_bin, @@GLOBAL.sync_binlog, 1)";
    let (log, binary_log) = conn.query_first(sql).await?.unwrap_or((1, 1));
    // What was asked is answered; how the connection ends does not matter.
    let _ = conn.disconnect().await;
    // MariaDB's 3 flushes at each commit as 1 does, and before it.
    let all = [
        ("innodb_flush_log_at_trx_commit", log, matches!(log, 1 | 3)),
        ("sync_binlog", binary_log, binary_log == 1),
    ];
    let loose = all.into_iter().filter(|(_, _, flushes)| !flushes);
    Ok(loose.map(|(setting, value, _)| Loose { setting, value }).collect())
}
