//! Souk's rules: one plain async function for each method of the link.
//!
//! A service takes the shard's [`Context`](crate::context::Context), the request as it came, and
//! the deadline; it knows no socket and no frame. Form was checked at the edge; meaning is checked
//! here.

pub mod accounts;
pub mod auctions;
pub mod leaderboard;

use souk_db::{StoreError, WriteError};
use souk_proto::{Code, Failure};
use std::time::Duration;

/// Pause after which asking a store that was away or busy again is worth it.
const STORE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a client is told of a store's error. The store's own text stays here.
pub(crate) fn store_failure(error: StoreError) -> Failure {
    match error {
        StoreError::Unavailable { .. } => {
            tracing::debug!(%error, "a store is away");
            Failure::new(Code::StoreUnavailable).retry_after(STORE_RETRY_AFTER)
        }
        StoreError::Busy(_) => Failure::new(Code::Busy).retry_after(STORE_RETRY_AFTER),
        StoreError::DeadlineExceeded => Failure::new(Code::DeadlineExceeded),
        StoreError::Corrupt { .. } => {
            tracing::error!(%error, "a store gave an answer that makes no sense");
            Failure::new(Code::Internal)
        }
    }
}

/// What a client is told of a write that did not happen.
fn write_failure(error: WriteError) -> Failure {
    match error {
        WriteError::Taken => {
            Failure { field: "username".into(), ..Failure::new(Code::UsernameTaken) }
        }
        WriteError::Conflict => Failure::new(Code::VersionConflict),
        // The row of somebody logged in is gone: so is the login.
        WriteError::Missing => Failure::new(Code::Unauthenticated),
        WriteError::Store(error) => store_failure(error),
    }
}
