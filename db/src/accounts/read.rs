//! Reading users: the cache first where it may be asked, then the database.

use super::query::Name;
use super::row::{UserRow, decode, encode};
use super::{Accounts, Copy, NAMES, USERS, WHOLE};
use crate::cache::{Cache, Cached, Field, Lease, Look, Ticket, millis};
use crate::error::StoreError;
use crate::keys::Key;
use crate::limits::{FILL_AGE_MAX, NAME_HINT_TTL, NEAR_SETTLE, SEARCH_ROWS_MAX};
use crate::mysql::Found;
use crate::redis::{Answer, Reply};
use bytes::Bytes;
use mysql_async::Value;
use souk_meter::Count;
use std::rc::Rc;
use std::time::Instant;

/// A name leads to this id.
pub(super) const LEADS: u8 = b'H';
/// Nobody has this name.
pub(super) const NOBODY: u8 = b'A';
/// A write is about to give the name to someone.
pub(super) const TAKEN_SOON: u8 = b'F';

/// What the name's key said.
enum Hint {
    Leads(u64),
    Nobody,
    Nothing,
}

impl Accounts {
    /// The user with this id. Never older than what was acknowledged before the call.
    pub async fn by_id(&self, id: u64, deadline: Instant) -> Result<Option<UserRow>, StoreError> {
        let now = in_time(deadline)?;
        if let Some(known) = self.hear_user(id, self.ask_user(id, now)).await {
            return Ok(known);
        }
        // Boxed, here and below: a read that is cached need not carry the room for one that is not.
        Box::pin(self.fetch_by_id(id, deadline)).await
    }

    /// The user with this name, in any case of letters. Never older than what was acknowledged
    /// before the call.
    pub async fn by_name(
        &self,
        username: &str,
        deadline: Instant,
    ) -> Result<Option<UserRow>, StoreError> {
        let now = in_time(deadline)?;
        let Some(name) = Name::new(username) else { return Ok(None) };
        if !self.cache_enabled {
            return Ok(self.readers.by_name(name, deadline).await?.row);
        }
        let mut seen = Bytes::new();
        let near = self.hints.borrow_mut().get(&name).copied();
        let id = match near {
            Some(id) => Some(id),
            None => match self.ask_hint(name, &mut seen).await {
                Hint::Leads(id) => Some(id),
                Hint::Nobody => return Ok(None),
                Hint::Nothing => None,
            },
        };
        // A hint is only believed if the row it leads to bears the name now.
        if let Some(id) = id
            && let Some(Some(row)) = self.hear_user(id, self.ask_user(id, now)).await
            && row.username.as_bytes() == name.as_bytes()
        {
            if near.is_none() {
                self.hints.borrow_mut().put(name, id);
            }
            return Ok(Some(row));
        }
        Box::pin(self.fetch_by_name(name, &seen, deadline)).await
    }

    /// The user with this id and its password hash, straight from the database.
    pub async fn with_hash_by_id(
        &self,
        id: u64,
        deadline: Instant,
    ) -> Result<Option<UserRow>, StoreError> {
        in_time(deadline)?;
        Ok(self.readers.by_id(id, deadline).await?.row)
    }

    /// The user with this name and its password hash, straight from the database.
    pub async fn with_hash_by_name(
        &self,
        username: &str,
        deadline: Instant,
    ) -> Result<Option<UserRow>, StoreError> {
        in_time(deadline)?;
        let Some(name) = Name::new(username) else { return Ok(None) };
        Ok(self.readers.by_name(name, deadline).await?.row)
    }

    /// Users whose name starts with `prefix`, in order of name, after the name `after`; at most
    /// `limit`, and never more than [`SEARCH_ROWS_MAX`]. Straight from the database.
    pub async fn search(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
        deadline: Instant,
    ) -> Result<Vec<UserRow>, StoreError> {
        in_time(deadline)?;
        let prefix = match prefix {
            "" => Vec::new(),
            text => match Name::new(text) {
                Some(name) => name.as_bytes().to_vec(),
                None => return Ok(Vec::new()),
            },
        };
        let after = match after {
            None | Some("") => Vec::new(),
            Some(text) => match Name::new(text) {
                Some(name) => name.as_bytes().to_vec(),
                None => return Ok(Vec::new()),
            },
        };
        let end = [&prefix[..], b"~"].concat();
        let limit = limit.min(SEARCH_ROWS_MAX);
        let params = vec![
            Value::Bytes(prefix),
            Value::Bytes(after),
            Value::Bytes(end),
            Value::UInt(u64::from(limit)),
        ];
        self.readers.page(params, deadline).await
    }

    /// Asks for a user now, wherever the cache has it.
    pub(super) fn ask_user(&self, id: u64, now: Instant) -> Asked<UserRow> {
        if !self.cache_enabled {
            return Asked::Nowhere;
        }
        let key = self.cache.key_of(USERS, id);
        let (answer, ticket) = match self.look(&key, &WHOLE, now) {
            Look::Copy(Copy::User(row)) => return Asked::Here(row),
            Look::Wanted(ticket) => (self.cache.ask_tracked(&key), Some(ticket)),
            Look::Copy(Copy::Session(_)) | Look::Nothing => (self.cache.ask(&key), None),
        };
        answer.map_or(Asked::Nowhere, |answer| Asked::There(answer, ticket))
    }

    /// What the cache knows of a user: `None` if nothing.
    pub(super) async fn hear_user(
        &self,
        id: u64,
        asked: Asked<UserRow>,
    ) -> Option<Option<UserRow>> {
        let (answer, ticket) = match asked {
            Asked::Here(row) => return Some(Some((*row).clone())),
            Asked::There(answer, ticket) => (answer, ticket),
            Asked::Nowhere => return None,
        };
        match Cache::understand(answer.await) {
            Cached::Live(version, payload) => {
                let row = decode(version, &payload)?;
                if let Some(ticket) = ticket {
                    let copy = Copy::User(Rc::new(row.clone()));
                    let key = self.cache.key_of(USERS, id);
                    self.near.borrow_mut().keep(&key, &WHOLE, ticket, copy);
                }
                Some(Some(row))
            }
            Cached::Gone => Some(None),
            Cached::Unknown => None,
        }
    }

    /// The copy of a value in the process, while the lease allows to serve it. When it does not,
    /// the read that goes to Redis instead renews it.
    pub(super) fn look(&self, key: &Key, field: &Field, now: Instant) -> Look<Copy> {
        let look = match self.near.borrow_mut().look(key, field) {
            Look::Copy(_) if self.redis.lease(now) != Lease::Held => Look::Nothing,
            look => look,
        };
        let hit = matches!(look, Look::Copy(_));
        souk_meter::count(if hit { Count::ProcessHit } else { Count::ProcessMiss });
        look
    }

    /// Waits until no process serves a copy any more of what Redis had dropped by then.
    pub(super) async fn settle(&self, dropped: Instant) {
        if self.cache_enabled {
            tokio::time::sleep_until((dropped + NEAR_SETTLE).into()).await;
        }
    }

    /// Reads a user from the database and fills the cache.
    pub(super) async fn fetch_by_id(
        &self,
        id: u64,
        deadline: Instant,
    ) -> Result<Option<UserRow>, StoreError> {
        in_time(deadline)?;
        let found = self.readers.by_id(id, deadline).await?;
        if self.cache_enabled && found.first {
            match &found.row {
                Some(row) => self.fill(row, found.run.began),
                None => self.cache.fill_absent(&self.cache.key_of(USERS, id), found.run.began),
            }
        }
        Ok(found.row)
    }

    async fn fetch_by_name(
        &self,
        name: Name,
        seen: &[u8],
        deadline: Instant,
    ) -> Result<Option<UserRow>, StoreError> {
        in_time(deadline)?;
        let Found { row, first, run } = self.readers.by_name(name, deadline).await?;
        let asked = run.began;
        match &row {
            Some(row) => drop(self.hints.borrow_mut().put(name, row.id)),
            None => drop(self.hints.borrow_mut().pop(&name)),
        }
        if first && asked.elapsed() < FILL_AGE_MAX {
            let key = self.cache.key(NAMES, name.as_bytes());
            match &row {
                Some(row) => {
                    self.fill(row, asked);
                    self.set_hint(&key, &leads_to(row), seen, &millis(NAME_HINT_TTL));
                }
                None => self.set_hint(&key, &[NOBODY], seen, &millis(self.cache.negative_ttl())),
            }
        }
        Ok(row)
    }

    fn fill(&self, row: &UserRow, asked: Instant) {
        let key = self.cache.key_of(USERS, row.id);
        self.cache.fill(&key, row.version, &encode(row), asked);
    }

    /// A hint that cannot be set costs the next reader a row, no more.
    fn set_hint(&self, key: &Key, hint: &[u8], seen: &[u8], ttl: &str) {
        let script = &self.redis.scripts.hint;
        drop(self.redis.issue_script(script, key.as_bytes(), &[hint, ttl.as_bytes(), seen]));
    }

    /// What Redis knows of a name; what it said goes to `seen`, unless it is a writer's word that
    /// no reader may replace.
    async fn ask_hint(&self, name: Name, seen: &mut Bytes) -> Hint {
        let Ok(answer) = self.cache.ask(&self.cache.key(NAMES, name.as_bytes())) else {
            return Hint::Nothing;
        };
        let Ok(Reply::Bulk(value)) = answer.await else { return Hint::Nothing };
        match value.split_first() {
            Some((&NOBODY, [])) => Hint::Nobody,
            Some((&LEADS, rest)) => match rest.split_first_chunk() {
                Some((id, version)) if version.len() == size_of::<u64>() => {
                    let id = u64::from_be_bytes(*id);
                    *seen = value;
                    Hint::Leads(id)
                }
                _ => Hint::Nothing,
            },
            _ => Hint::Nothing,
        }
    }
}

/// The value of a name's key that leads to a user. The version makes it another one after each
/// write: who saw a name lead to a user, that lost it and got it back since, saw something else.
pub(super) fn leads_to(row: &UserRow) -> [u8; 17] {
    let mut hint = [LEADS; 17];
    hint[1..9].copy_from_slice(&row.id.to_be_bytes());
    hint[9..].copy_from_slice(&row.version.to_be_bytes());
    hint
}

/// A value that was asked for.
pub(super) enum Asked<T> {
    /// The process has a copy.
    Here(Rc<T>),
    /// Redis was asked; with a ticket, its word becomes a copy.
    There(Answer, Option<Ticket>),
    /// There is no cache to ask.
    Nowhere,
}

/// Work whose deadline has passed is dropped before it costs a round trip. Says what time it is.
pub(super) fn in_time(deadline: Instant) -> Result<Instant, StoreError> {
    let now = souk_meter::now();
    if now < deadline { Ok(now) } else { Err(StoreError::DeadlineExceeded) }
}
