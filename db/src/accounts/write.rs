//! Changing users: fence, commit, put, and only then the answer.

use super::query::{DELETE, INSERT, Name, UPDATE, datetime};
use super::read::{TAKEN_SOON, in_time, leads_to};
use super::row::{Change, NewUser, UserRow, credential_tag, encode};
use super::{Accounts, NAMES, USERS};
use crate::cache::millis;
use crate::error::{Server, StoreError, WriteError};
use crate::leaderboard::FIRST_RATING;
use crate::limits::{CHANGE_ATTEMPTS, FENCE_TTL, NAME_HINT_TTL, PUT_RETRY_EVERY};
use crate::mysql::{Effect, Write};
use crate::time::now_ms;
use mysql_async::Value;
use std::time::Instant;

/// When the cache's old value was fenced off.
#[derive(Clone, Copy)]
struct Fence {
    /// Asked for; the write must begin soon after.
    asked: Instant,
    /// Redis had set it by then.
    stands: Instant,
}

/// What the cache learns after a write.
enum After<'a> {
    Row(&'a UserRow),
    Deleted { id: u64, version: u64 },
}

impl Accounts {
    /// Adds a user. When this returns, the row is durable and every reader sees it.
    pub async fn create(&self, user: NewUser, deadline: Instant) -> Result<UserRow, WriteError> {
        in_time(deadline)?;
        let name = checked_name(&user.username)?;
        let fence = self.fence(None, Some(name)).await?;
        let fenced_at = fence.map(|fence| fence.asked);
        let now = now_ms();
        let write = Write {
            sql: INSERT,
            params: vec![
                Value::Bytes(name.as_bytes().to_vec()),
                text(&user.nickname),
                text(&user.password_hash),
                Value::Int(i64::from(FIRST_RATING)),
                datetime(now),
                datetime(now),
            ],
            fenced_at,
            effect: Effect::Joins,
        };
        let done = self.writer.submit(write, deadline).await?;
        let row = UserRow {
            id: done.id,
            username: user.username.to_ascii_lowercase(),
            nickname: user.nickname,
            picture: String::new(),
            rating: FIRST_RATING,
            version: 1,
            created_at_ms: now,
            updated_at_ms: now,
            credential_tag: credential_tag(&user.password_hash),
            password_hash: Some(user.password_hash),
        };
        // Nobody had a copy of a row that is new: its fence need not settle.
        self.publish(After::Row(&row), Some(name), deadline).await?;
        Ok(row)
    }

    /// Changes a user, if it still has the expected version (any, when `None`). When this returns,
    /// the change is durable and every reader sees it.
    pub async fn change(
        &self,
        id: u64,
        expected_version: Option<u64>,
        change: Change,
        deadline: Instant,
    ) -> Result<UserRow, WriteError> {
        for _ in 0..CHANGE_ATTEMPTS {
            in_time(deadline)?;
            let old = self.readers.by_id(id, deadline).await?.row.ok_or(WriteError::Missing)?;
            if expected_version.is_some_and(|version| version != old.version) {
                return Err(WriteError::Conflict);
            }
            if let Some(row) = self.change_from(old, &change, deadline).await? {
                return Ok(row);
            }
        }
        Err(WriteError::Conflict)
    }

    /// Deletes a user. When this returns, the row is gone for good and for every reader. Its
    /// sessions are not touched.
    pub async fn delete(&self, id: u64, deadline: Instant) -> Result<(), WriteError> {
        for _ in 0..CHANGE_ATTEMPTS {
            in_time(deadline)?;
            let old = self.readers.by_id(id, deadline).await?.row.ok_or(WriteError::Missing)?;
            let version = old.version + 1;
            let fence = self.fence(Some((id, version)), None).await?;
            let fenced_at = fence.map(|fence| fence.asked);
            let params = vec![Value::UInt(id), Value::UInt(old.version)];
            let effect = Effect::Leaves { id, rating: old.rating };
            let write = Write { sql: DELETE, params, fenced_at, effect };
            if self.writer.submit(write, deadline).await?.affected > 0 {
                if let Some(name) = Name::new(&old.username) {
                    self.hints.borrow_mut().pop(&name);
                }
                self.publish(After::Deleted { id, version }, None, deadline).await?;
                self.settle_fence(fence).await;
                return Ok(());
            }
        }
        Err(WriteError::Conflict)
    }

    /// One attempt of a change; `None` when the row changed since `old` was read.
    async fn change_from(
        &self,
        old: UserRow,
        change: &Change,
        deadline: Instant,
    ) -> Result<Option<UserRow>, WriteError> {
        let mut row = old.clone();
        let new_name = match &change.username {
            Some(username) => {
                let name = checked_name(username)?;
                row.username = username.to_ascii_lowercase();
                (row.username != old.username).then_some(name)
            }
            None => None,
        };
        row.nickname = change.nickname.clone().unwrap_or(row.nickname);
        row.picture = change.picture.clone().unwrap_or(row.picture);
        let hash = change.password_hash.clone().or(row.password_hash).ok_or_else(|| {
            StoreError::corrupt(Server::Database, "a user without a password hash")
        })?;
        row.credential_tag = credential_tag(&hash);
        row.version = old.version + 1;
        row.updated_at_ms = now_ms();
        let fence = self.fence(Some((row.id, row.version)), new_name).await?;
        let fenced_at = fence.map(|fence| fence.asked);
        let write = Write {
            sql: UPDATE,
            params: vec![
                text(&row.username),
                text(&row.nickname),
                text(&row.picture),
                text(&hash),
                datetime(row.updated_at_ms),
                Value::UInt(row.id),
                Value::UInt(old.version),
            ],
            fenced_at,
            effect: new_name.map_or(Effect::Nothing, |name| Effect::Renamed { id: row.id, name }),
        };
        row.password_hash = Some(hash);
        if self.writer.submit(write, deadline).await?.affected == 0 {
            return Ok(None);
        }
        self.publish(After::Row(&row), new_name, deadline).await?;
        self.settle_fence(fence).await;
        Ok(Some(row))
    }

    /// Keeps old rows, and "nobody has this name", out of the cache until the write is done or
    /// has failed.
    async fn fence(
        &self,
        row: Option<(u64, u64)>,
        name: Option<Name>,
    ) -> Result<Option<Fence>, StoreError> {
        if !self.cache_enabled {
            return Ok(None);
        }
        let asked = Instant::now();
        let name_fenced = name.map(|name| self.say(name, &[TAKEN_SOON], &millis(FENCE_TTL)));
        if let Some((id, version)) = row {
            self.cache.fence(&self.cache.key_of(USERS, id), version).await?;
        }
        if let Some(fenced) = name_fenced {
            fenced?.await?;
        }
        Ok(Some(Fence { asked, stands: Instant::now() }))
    }

    /// Waits until no process serves a copy of what was fenced off.
    async fn settle_fence(&self, fence: Option<Fence>) {
        if let Some(fence) = fence {
            self.settle(fence.stands).await;
        }
    }

    /// Tells the cache about a committed write. While Redis is away this waits for it: until it
    /// knows, the write is not acknowledged.
    async fn publish(
        &self,
        after: After<'_>,
        name: Option<Name>,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        if !self.cache_enabled {
            return Ok(());
        }
        loop {
            match self.publish_once(&after, name).await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() + PUT_RETRY_EVERY >= deadline => return Err(error),
                Err(_) => tokio::time::sleep(PUT_RETRY_EVERY).await,
            }
        }
    }

    async fn publish_once(&self, after: &After<'_>, name: Option<Name>) -> Result<(), StoreError> {
        match after {
            After::Row(row) => {
                let said = name.map(|name| self.say(name, &leads_to(row), &millis(NAME_HINT_TTL)));
                let key = self.cache.key_of(USERS, row.id);
                self.cache.put(&key, row.version, &encode(row)).await?;
                if let Some(said) = said {
                    said?.await?;
                }
                Ok(())
            }
            After::Deleted { id, version } => {
                self.cache.bury(&self.cache.key_of(USERS, *id), *version).await
            }
        }
    }

    /// Sets what a name leads to, whatever was held.
    fn say(&self, name: Name, value: &[u8], ttl: &str) -> Result<crate::redis::Answer, StoreError> {
        let key = self.cache.key(NAMES, name.as_bytes());
        self.redis.issue(|cmd| cmd.arg("SET").arg(key.as_bytes()).arg(value).arg("PX").arg(ttl))
    }
}

fn checked_name(username: &str) -> Result<Name, StoreError> {
    Name::new(username).ok_or_else(|| {
        StoreError::corrupt(Server::Database, "a username outside a-z 0-9 _ . - cannot be stored")
    })
}

fn text(text: &str) -> Value {
    Value::Bytes(text.as_bytes().to_vec())
}
