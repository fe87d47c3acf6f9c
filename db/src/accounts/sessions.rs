//! Sessions: one Redis hash per user, a field per session.
//!
//! Sessions live in Redis only, cache or no cache, and survive its restart (append-only file).
//! Without Redis every call here fails as unavailable.
//!
//! The newest sessions of a user, as many as the bound says, are always kept. When there are twice
//! as many, the expired and the oldest end, down to the bound: so opening one costs the same
//! however many there are.

use super::read::{hear, in_time};
use super::{Accounts, UserRow};
use crate::error::{Server, StoreError};
use crate::keys::Key;
use crate::redis::{Answer, Reply};
use prost::Message;
use std::time::Instant;

/// Names a session within its user. Random, made by the caller.
pub type SessionId = [u8; 16];

/// One session. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// When the session began.
    pub created_at_ms: i64,
    /// When it was last used, to the minute.
    pub last_seen_ms: i64,
    /// When it ends by itself. A record may outlive this moment: the reader compares.
    pub expires_at_ms: i64,
    /// A name of the device, for its owner.
    pub device: String,
    /// The address it came from, as text.
    pub address: String,
}

/// What follows the two times that the scripts read.
#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(int64, tag = "1")]
    last_seen_ms: i64,
    #[prost(string, tag = "2")]
    device: String,
    #[prost(string, tag = "3")]
    address: String,
}

impl SessionRecord {
    /// Created and expires, eight bytes each and big-endian, then the rest.
    fn encode(&self) -> Vec<u8> {
        let rest = Stored {
            last_seen_ms: self.last_seen_ms,
            device: self.device.clone(),
            address: self.address.clone(),
        };
        let mut out = Vec::with_capacity(16 + rest.encoded_len());
        // Times before 1970 would be huge for the scripts; there are none.
        out.extend_from_slice(&self.created_at_ms.max(0).to_be_bytes());
        out.extend_from_slice(&self.expires_at_ms.max(0).to_be_bytes());
        rest.encode_raw(&mut out);
        out
    }

    fn decode(bytes: &[u8]) -> Result<SessionRecord, StoreError> {
        let wrong = || StoreError::corrupt(Server::Redis, "a session's record has another form");
        let (created, rest) = bytes.split_first_chunk().ok_or_else(wrong)?;
        let (expires, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
        let stored = Stored::decode(rest).map_err(|_| wrong())?;
        Ok(SessionRecord {
            created_at_ms: i64::from_be_bytes(*created),
            expires_at_ms: i64::from_be_bytes(*expires),
            last_seen_ms: stored.last_seen_ms,
            device: stored.device,
            address: stored.address,
        })
    }
}

impl Accounts {
    /// The session and its user; `None` when there is no such session. One round trip to Redis
    /// when the user is cached.
    pub async fn session_and_user(
        &self,
        user_id: u64,
        session_id: &SessionId,
        deadline: Instant,
    ) -> Result<Option<(SessionRecord, Option<UserRow>)>, StoreError> {
        in_time(deadline)?;
        let session = self.ask_session(user_id, session_id)?;
        let user = self.ask_cache(user_id);
        let Some(session) = read_session(session).await? else { return Ok(None) };
        let user = match hear(user).await {
            Some(known) => known,
            None => self.fetch_by_id(user_id, deadline).await?,
        };
        Ok(Some((session, user)))
    }

    /// One session.
    pub async fn session(
        &self,
        user_id: u64,
        session_id: &SessionId,
        deadline: Instant,
    ) -> Result<Option<SessionRecord>, StoreError> {
        in_time(deadline)?;
        read_session(self.ask_session(user_id, session_id)?).await
    }

    /// Adds a session, and gives its user as it is after that (`None` if there is none). One round
    /// trip when the user is cached.
    ///
    /// It costs the same however many sessions there are; only at twice the bound per user are
    /// they looked at, and then the expired and the oldest go, down to the bound.
    pub async fn open_session(
        &self,
        user_id: u64,
        session_id: &SessionId,
        record: &SessionRecord,
        deadline: Instant,
    ) -> Result<Option<UserRow>, StoreError> {
        in_time(deadline)?;
        let (key, id) = (key(user_id), &session_id[..]);
        let ends = Key::number(record.expires_at_ms.max(0).unsigned_abs());
        // The key lives as long as its last session: NX sets a first time, GT never shortens one.
        let expire = |how: &'static str| {
            self.redis
                .issue(|cmd| cmd.arg("PEXPIREAT").arg(key.as_bytes()).arg(ends.as_bytes()).arg(how))
        };
        let record_bytes = record.encode();
        let set = self
            .redis
            .issue(|cmd| cmd.arg("HSET").arg(key.as_bytes()).arg(id).arg(&record_bytes[..]))?;
        let (first, later) = (expire("NX")?, expire("GT")?);
        let held = self.redis.issue(|cmd| cmd.arg("HLEN").arg(key.as_bytes()))?;
        // Redis answers in order: this is the user as of after the session.
        let user = self.ask_cache(user_id);
        set.await?;
        first.await?;
        later.await?;
        let most = self.sessions_per_user_max.max(1) as u64;
        if count(held.await?)? >= 2 * most {
            let opened = Key::number(record.created_at_ms.max(0).unsigned_abs());
            let most = Key::number(most);
            let args = [id, opened.as_bytes(), most.as_bytes()];
            let prune = &self.redis.scripts.session_prune;
            // Nobody waits for it. If it fails, the next login finds as many and tries again.
            drop(self.redis.issue_script(prune, key.as_bytes(), &args));
        }
        match hear(user).await {
            Some(known) => Ok(known),
            None => self.fetch_by_id(user_id, deadline).await,
        }
    }

    /// All sessions of a user, newest first, expired ones included.
    pub async fn sessions(
        &self,
        user_id: u64,
        deadline: Instant,
    ) -> Result<Vec<(SessionId, SessionRecord)>, StoreError> {
        in_time(deadline)?;
        let wrong = || StoreError::corrupt(Server::Redis, "sessions are not what they should be");
        let reply = self.redis.call(|cmd| cmd.arg("HGETALL").arg(key(user_id).as_bytes())).await?;
        let Reply::Array(fields) = reply else { return Err(wrong()) };
        let mut sessions = Vec::with_capacity(fields.len() / 2);
        for pair in fields.chunks_exact(2) {
            let [Reply::Bulk(id), Reply::Bulk(record)] = pair else { return Err(wrong()) };
            let id = SessionId::try_from(&id[..]).map_err(|_| wrong())?;
            sessions.push((id, SessionRecord::decode(record)?));
        }
        sessions.sort_by_key(|(_, record)| std::cmp::Reverse(record.created_at_ms));
        Ok(sessions)
    }

    /// Replaces the record of a session that still exists; false when it does not. The new record
    /// must not expire later than the old one.
    pub async fn touch_session(
        &self,
        user_id: u64,
        session_id: &SessionId,
        record: &SessionRecord,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        in_time(deadline)?;
        let script = &self.redis.scripts.session_touch;
        let args = [&session_id[..], &record.encode()];
        count(self.redis.script(script, key(user_id).as_bytes(), &args).await?).map(|n| n > 0)
    }

    /// Ends one session; false when there was none.
    pub async fn close_session(
        &self,
        user_id: u64,
        session_id: &SessionId,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        in_time(deadline)?;
        let reply = self
            .redis
            .call(|cmd| cmd.arg("HDEL").arg(key(user_id).as_bytes()).arg(&session_id[..]));
        count(reply.await?).map(|n| n > 0)
    }

    /// Ends all sessions but one; how many ended.
    pub async fn close_other_sessions(
        &self,
        user_id: u64,
        keep: &SessionId,
        deadline: Instant,
    ) -> Result<u64, StoreError> {
        in_time(deadline)?;
        let script = &self.redis.scripts.session_keep;
        count(self.redis.script(script, key(user_id).as_bytes(), &[&keep[..]]).await?)
    }

    /// Ends all sessions of a user; how many ended.
    pub async fn close_all_sessions(
        &self,
        user_id: u64,
        deadline: Instant,
    ) -> Result<u64, StoreError> {
        in_time(deadline)?;
        let held = self.redis.issue(|cmd| cmd.arg("HLEN").arg(key(user_id).as_bytes()))?;
        let gone = self.redis.issue(|cmd| cmd.arg("DEL").arg(key(user_id).as_bytes()))?;
        let held = count(held.await?)?;
        gone.await?;
        Ok(held)
    }

    fn ask_session(&self, user_id: u64, session_id: &SessionId) -> Result<Answer, StoreError> {
        self.redis.issue(|cmd| cmd.arg("HGET").arg(key(user_id).as_bytes()).arg(&session_id[..]))
    }
}

/// The braces keep all keys of a user on one node of a cluster.
fn key(user_id: u64) -> Key {
    Key::of(&[b"souk:{u:", Key::number(user_id).as_bytes(), b"}:sessions"])
}

async fn read_session(answer: Answer) -> Result<Option<SessionRecord>, StoreError> {
    match answer.await? {
        Reply::Bulk(record) => SessionRecord::decode(&record).map(Some),
        Reply::Nil => Ok(None),
        _ => Err(StoreError::corrupt(Server::Redis, "a session is not text")),
    }
}

fn count(reply: Reply) -> Result<u64, StoreError> {
    match reply {
        Reply::Int(n) => Ok(u64::try_from(n).unwrap_or_default()),
        _ => Err(StoreError::corrupt(Server::Redis, "a count is not a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_survives_the_way_to_redis_and_back(
            (created_at_ms, last_seen_ms) in (0..i64::MAX, any::<i64>()),
            expires_at_ms in 0..i64::MAX,
            (device, address) in any::<(String, String)>(),
        ) {
            let record =
                SessionRecord { created_at_ms, last_seen_ms, expires_at_ms, device, address };
            prop_assert_eq!(SessionRecord::decode(&record.encode()), Ok(record));
        }
    }
}
