//! Sessions: one Redis hash per user, a field per session.
//!
//! Sessions live in Redis only, cache or no cache, and survive its restart (append-only file).
//! Without Redis every call here fails as unavailable.
//!
//! The newest sessions of a user, as many as the bound says, are always kept. About one login in
//! eight counts them; when there are twice as many, the expired and the oldest end, down to the
//! bound: so opening one costs the same however many there are.
//!
//! A session in use is copied into the process (see `cache::near`): ending one is acknowledged when
//! no process serves its copy any more.

use super::read::{Asked, in_time};
use super::{Accounts, Copy, UserRow};
use crate::cache::Look;
use crate::error::{Server, StoreError};
use crate::keys::Key;
use crate::limits::SESSIONS_COUNTED_EVERY;
use crate::redis::Reply;
use ::redis::Cmd;
use prost::Message;
use std::rc::Rc;
use std::time::Instant;

const DAY_MS: u64 = 24 * 3600 * 1000;

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

/// What follows the two times.
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
    /// When its key may go: at the end of the day on which it expires.
    fn key_ends_ms(&self) -> u64 {
        let expires = self.expires_at_ms.max(0).unsigned_abs();
        expires.saturating_add(DAY_MS) / DAY_MS * DAY_MS
    }

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
    /// The session and its user; `None` when there is no such session. At most one round trip to
    /// Redis when the user is cached.
    pub async fn session_and_user(
        &self,
        user_id: u64,
        session_id: &SessionId,
        deadline: Instant,
    ) -> Result<Option<(Rc<SessionRecord>, Option<UserRow>)>, StoreError> {
        let now = in_time(deadline)?;
        let session = self.ask_session(user_id, session_id, now)?;
        let user = self.ask_user(user_id, now);
        let Some(session) = self.hear_session(user_id, session_id, session).await? else {
            return Ok(None);
        };
        let user = match self.hear_user(user_id, user).await {
            Some(known) => known,
            None => Box::pin(self.fetch_by_id(user_id, deadline)).await?,
        };
        Ok(Some((session, user)))
    }

    /// One session.
    pub async fn session(
        &self,
        user_id: u64,
        session_id: &SessionId,
        deadline: Instant,
    ) -> Result<Option<Rc<SessionRecord>>, StoreError> {
        let now = in_time(deadline)?;
        let session = self.ask_session(user_id, session_id, now)?;
        self.hear_session(user_id, session_id, session).await
    }

    /// Adds a session, and gives its user as it is after that (`None` if there is none). One round
    /// trip when the user is cached.
    ///
    /// It costs the same however many sessions there are; only now and then are they counted, and
    /// at twice the bound per user the expired and the oldest go, down to the bound.
    pub async fn open_session(
        &self,
        user_id: u64,
        session_id: &SessionId,
        record: &SessionRecord,
        deadline: Instant,
    ) -> Result<Option<UserRow>, StoreError> {
        let now = in_time(deadline)?;
        let (key, id) = (key(user_id), &session_id[..]);
        let record_bytes = record.encode();
        let set = self
            .redis
            .issue(|cmd| cmd.arg("HSET").arg(key.as_bytes()).arg(id).arg(&record_bytes[..]))?;
        // The key lives as long as its newest session, and up to a day longer: so most logins
        // change nothing (NX sets a first time, GT never shortens one), and what changes nothing is
        // not written to the log, which costs Redis as much as the session. Nobody waits for it: it
        // fails only with the connection, and then the next login sets it.
        let ends = Key::number(record.key_ends_ms());
        for how in ["NX", "GT"] {
            drop(self.redis.issue(|cmd| {
                let cmd = cmd.arg("PEXPIREAT").arg(key.as_bytes());
                cmd.arg(ends.as_bytes()).arg(how)
            }));
        }
        // Session ids are random: this is as good as a die.
        let counted = session_id[0].is_multiple_of(SESSIONS_COUNTED_EVERY);
        let held = counted
            .then(|| self.redis.issue(|cmd| cmd.arg("HLEN").arg(key.as_bytes())))
            .transpose()?;
        // Redis answers in order: this is the user as of after the session. That goes for a copy
        // too, if it is still there when the session's reply is: whatever changed before, Redis
        // said before.
        let user = match self.ask_user(user_id, now) {
            Asked::Here(_) => None,
            asked => Some(asked),
        };
        set.await?;
        let most = self.sessions_per_user_max.max(1);
        if let Some(held) = held
            && count(held.await?)? >= 2 * most as u64
        {
            let now_ms = record.created_at_ms;
            Box::pin(self.prune(user_id, session_id, now_ms, most, deadline)).await?;
        }
        let user = user.unwrap_or_else(|| self.ask_user(user_id, Instant::now()));
        match self.hear_user(user_id, user).await {
            Some(known) => Ok(known),
            None => Box::pin(self.fetch_by_id(user_id, deadline)).await,
        }
    }

    /// Ends a user's expired sessions, then the oldest down to the bound. The one just opened
    /// stays, whatever other machines' clocks said. Nobody waits for the end of it; if it fails,
    /// another login finds as many and tries again.
    async fn prune(
        &self,
        user_id: u64,
        opened: &SessionId,
        now_ms: i64,
        most: usize,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let others =
            self.sessions(user_id, deadline).await?.into_iter().filter(|(id, _)| id != opened);
        let (live, expired): (Vec<_>, Vec<_>) =
            others.partition(|(_, record)| record.expires_at_ms > now_ms);
        let gone = expired.iter().chain(live.iter().skip(most - 1));
        drop(self.redis.issue(|cmd| {
            let cmd = cmd.arg("HDEL").arg(key(user_id).as_bytes());
            gone.fold(cmd, |cmd, (id, _)| cmd.arg(&id[..]))
        }));
        Ok(())
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
        let ended = count(reply.await?)?;
        self.settle(Instant::now()).await;
        Ok(ended > 0)
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
        let ended = count(self.redis.script(script, key(user_id).as_bytes(), &[&keep[..]]).await?)?;
        self.settle(Instant::now()).await;
        Ok(ended)
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
        self.settle(Instant::now()).await;
        Ok(held)
    }

    /// Asks for a session now. There is always somebody to ask: sessions live in Redis.
    fn ask_session(
        &self,
        user_id: u64,
        session_id: &SessionId,
        now: Instant,
    ) -> Result<Asked<SessionRecord>, StoreError> {
        let key = key(user_id);
        let look = match self.cache_enabled {
            true => self.look(&key, session_id, now),
            false => Look::Nothing,
        };
        let redis = &self.redis;
        let (answer, ticket) = match look {
            Look::Copy(Copy::Session(record)) => return Ok(Asked::Here(record)),
            Look::Wanted(ticket) => {
                (redis.issue_tracked(|cmd| hget(cmd, &key, session_id))?, Some(ticket))
            }
            Look::Copy(Copy::User(_)) | Look::Nothing => {
                (redis.issue(|cmd| hget(cmd, &key, session_id))?, None)
            }
        };
        Ok(Asked::There(answer, ticket))
    }

    async fn hear_session(
        &self,
        user_id: u64,
        session_id: &SessionId,
        asked: Asked<SessionRecord>,
    ) -> Result<Option<Rc<SessionRecord>>, StoreError> {
        let (answer, ticket) = match asked {
            Asked::Here(record) => return Ok(Some(record)),
            Asked::There(answer, ticket) => (answer, ticket),
            Asked::Nowhere => return Ok(None),
        };
        let record = match answer.await? {
            Reply::Bulk(record) => Rc::new(SessionRecord::decode(&record)?),
            Reply::Nil => return Ok(None),
            _ => return Err(StoreError::corrupt(Server::Redis, "a session is not text")),
        };
        if let Some(ticket) = ticket {
            let copy = Copy::Session(Rc::clone(&record));
            self.near.borrow_mut().keep(&key(user_id), session_id, ticket, copy);
        }
        Ok(Some(record))
    }
}

fn hget<'a>(cmd: &'a mut Cmd, key: &Key, session_id: &SessionId) -> &'a mut Cmd {
    cmd.arg("HGET").arg(key.as_bytes()).arg(&session_id[..])
}

/// The braces keep all keys of a user on one node of a cluster.
fn key(user_id: u64) -> Key {
    Key::of(&[b"souk:{u:", Key::number(user_id).as_bytes(), b"}:sessions"])
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
