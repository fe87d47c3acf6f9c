//! Accounts: users and their sessions.

mod row;
mod sessions;

pub use row::{Change, NewUser, UserRow, credential_tag};
pub use sessions::{SessionId, SessionRecord};

use crate::error::{StoreError, WriteError};
use std::time::Instant;

/// Users and sessions of one shard's stores.
pub struct Accounts {}

macro_rules! soon {
    () => {
        Err(StoreError::DeadlineExceeded.into())
    };
}

#[allow(unused_variables, clippy::unused_async)]
impl Accounts {
    /// The user with this id.
    pub async fn by_id(&self, id: u64, deadline: Instant) -> Result<Option<UserRow>, StoreError> {
        soon!()
    }
    /// The user with this name (lower case).
    pub async fn by_name(
        &self,
        username: &str,
        deadline: Instant,
    ) -> Result<Option<UserRow>, StoreError> {
        soon!()
    }
    /// The user with this id and its password hash, straight from the database.
    pub async fn with_hash_by_id(
        &self,
        id: u64,
        deadline: Instant,
    ) -> Result<Option<UserRow>, StoreError> {
        soon!()
    }
    /// The user with this name and its password hash, straight from the database.
    pub async fn with_hash_by_name(
        &self,
        username: &str,
        deadline: Instant,
    ) -> Result<Option<UserRow>, StoreError> {
        soon!()
    }
    /// Adds a user.
    pub async fn create(&self, user: NewUser, deadline: Instant) -> Result<UserRow, WriteError> {
        soon!()
    }
    /// Changes a user, if it still has the expected version (any, when `None`).
    pub async fn change(
        &self,
        id: u64,
        expected_version: Option<u64>,
        change: Change,
        deadline: Instant,
    ) -> Result<UserRow, WriteError> {
        soon!()
    }
    /// Deletes a user.
    pub async fn delete(&self, id: u64, deadline: Instant) -> Result<(), WriteError> {
        soon!()
    }
    /// Users whose name starts with `prefix`, in order of name, after the name `after`.
    pub async fn search(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
        deadline: Instant,
    ) -> Result<Vec<UserRow>, StoreError> {
        soon!()
    }
    /// The session and its user; `None` when there is no such session.
    pub async fn session_and_user(
        &self,
        user_id: u64,
        session_id: &SessionId,
        deadline: Instant,
    ) -> Result<Option<(SessionRecord, Option<UserRow>)>, StoreError> {
        soon!()
    }
    /// One session.
    pub async fn session(
        &self,
        user_id: u64,
        session_id: &SessionId,
        deadline: Instant,
    ) -> Result<Option<SessionRecord>, StoreError> {
        soon!()
    }
    /// Adds a session; past the bound per user the oldest is dropped.
    pub async fn open_session(
        &self,
        user_id: u64,
        session_id: &SessionId,
        record: &SessionRecord,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        soon!()
    }
    /// All sessions of a user, newest first, expired ones included.
    pub async fn sessions(
        &self,
        user_id: u64,
        deadline: Instant,
    ) -> Result<Vec<(SessionId, SessionRecord)>, StoreError> {
        soon!()
    }
    /// Replaces the record of a session that still exists; false when it does not.
    pub async fn touch_session(
        &self,
        user_id: u64,
        session_id: &SessionId,
        record: &SessionRecord,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        soon!()
    }
    /// Ends one session; false when there was none.
    pub async fn close_session(
        &self,
        user_id: u64,
        session_id: &SessionId,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        soon!()
    }
    /// Ends all sessions but one; how many ended.
    pub async fn close_other_sessions(
        &self,
        user_id: u64,
        keep: &SessionId,
        deadline: Instant,
    ) -> Result<u64, StoreError> {
        soon!()
    }
    /// Ends all sessions of a user; how many ended.
    pub async fn close_all_sessions(
        &self,
        user_id: u64,
        deadline: Instant,
    ) -> Result<u64, StoreError> {
        soon!()
    }
}
