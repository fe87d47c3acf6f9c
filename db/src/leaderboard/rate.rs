//! Rating events, grouped: those that arrive while a transaction runs share the next one. A member
//! that fails changes nothing for its neighbours.
//!
//! One transaction: the rows of all users are locked in the order of their ids; the events are
//! decided in order of arrival, each from what the one before it left; the cache is fenced in one
//! round trip; then a few statements write everything, counts and versions last.

use super::statements::{self, Known, Player};
use super::sums::Sums;
use super::{
    ALL_TIME, BoardDelta, FIRST_RATING, RATING_MAX, RATING_MIN, RateError, Rated, RatingEvent,
};
use crate::accounts::USERS;
use crate::accounts::row::encode;
use crate::cache::Cache;
use crate::error::StoreError;
use crate::limits::RATING_ATTEMPTS;
use crate::mysql::{LOCK_WAIT, is_contention, meaning};
use crate::time::now_ms;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

/// A value in a unique index is there already: here, somebody else's event of the same name.
const DUPLICATE: u16 = 1062;

/// What a member of a group came to.
pub type Outcome = Result<Committed, RateError>;

/// A rating event that is in the database.
#[derive(Debug)]
pub struct Committed {
    pub rated: Rated,
    /// When Redis had dropped the old rows; `None` if there is nothing to wait for.
    pub fenced: Option<Instant>,
}

/// An attempt of one transaction.
enum Attempt {
    /// It stands, or had nothing to change.
    Done(Vec<Outcome>),
    /// Others came in between, and nothing stays.
    Again,
    /// A row's lock was not free in time, and nothing stays.
    Locked,
}

/// The transactions of one shard.
pub struct Rating {
    /// `None` when rows are not cached.
    pub cache: Option<Cache>,
}

impl Rating {
    /// Commits a group: together, else one by one. An error leaves the outcome of those unknown
    /// that have none.
    pub async fn commit(
        &self,
        conn: &mut Conn,
        events: &[(usize, &RatingEvent)],
        mut settle: impl FnMut(usize, Outcome),
    ) -> Result<(), StoreError> {
        let members: Vec<&RatingEvent> = events.iter().map(|(_, event)| *event).collect();
        for _ in 0..RATING_ATTEMPTS {
            match self.attempt(conn, &members).await? {
                Attempt::Done(outcomes) => {
                    for ((place, _), outcome) in events.iter().zip(outcomes) {
                        settle(*place, outcome);
                    }
                    return Ok(());
                }
                Attempt::Again => {}
                Attempt::Locked => break,
            }
        }
        let mut locked = HashSet::new();
        for (place, event) in events {
            settle(*place, self.commit_alone(conn, event, &mut locked).await?);
        }
        Ok(())
    }

    /// Commits one event. Users whose row was locked for too long are not waited for again:
    /// others wait behind this event.
    async fn commit_alone(
        &self,
        conn: &mut Conn,
        event: &RatingEvent,
        locked: &mut HashSet<u64>,
    ) -> Result<Outcome, StoreError> {
        for _ in 0..RATING_ATTEMPTS {
            if event.users.iter().any(|user| locked.contains(user)) {
                break;
            }
            match self.attempt(conn, &[event]).await? {
                Attempt::Done(mut outcomes) => return Ok(outcomes.remove(0)),
                Attempt::Again => {}
                Attempt::Locked => locked.extend(&event.users),
            }
        }
        Ok(Err(StoreError::database("the rows are locked by others; nothing was changed").into()))
    }

    async fn attempt(
        &self,
        conn: &mut Conn,
        events: &[&RatingEvent],
    ) -> Result<Attempt, StoreError> {
        let failed = match self.transact(conn, events).await {
            Ok(Some(outcomes)) => return Ok(Attempt::Done(outcomes)),
            Ok(None) => Attempt::Again,
            Err(Error::Server(said)) if said.code == LOCK_WAIT => Attempt::Locked,
            Err(Error::Server(said)) if said.code == DUPLICATE => Attempt::Again,
            Err(Error::Server(said)) if is_contention(said.code) => Attempt::Again,
            Err(error) => return Err(meaning(&error)),
        };
        conn.query_drop("ROLLBACK").await.map_err(|error| meaning(&error))?;
        Ok(failed)
    }

    /// One transaction; `None` when it must not stand.
    async fn transact(
        &self,
        conn: &mut Conn,
        events: &[&RatingEvent],
    ) -> Result<Option<Vec<Outcome>>, Error> {
        conn.query_drop("START TRANSACTION").await?;
        let season = statements::running_season(conn).await?;
        let names: Vec<&str> = events.iter().filter_map(|event| name(event)).collect();
        let known = statements::known_events(conn, &names).await?;
        let mut users: Vec<u64> = events.iter().flat_map(|event| &event.users).copied().collect();
        users.sort_unstable();
        users.dedup();
        let players = statements::lock(conn, &users, season).await?;
        let mut ledger = Ledger { season, known, players, events: BTreeMap::new() };
        let mut outcomes: Vec<Outcome> = events.iter().map(|event| ledger.decide(event)).collect();
        if ledger.events.is_empty() && !ledger.players.values().any(Player::is_touched) {
            conn.query_drop("COMMIT").await?;
            return Ok(Some(outcomes));
        }
        let now = now_ms();
        let changed = ledger.raise_versions(now);
        let fenced = self.fence(&changed).await;
        ledger.write(conn, now).await?;
        if self.cache.is_some() && fenced.is_none() && !changed.is_empty() {
            statements::note_unfenced(conn, &changed).await?;
        }
        let Some(boards) = ledger.sums().apply(conn).await? else { return Ok(None) };
        conn.query_drop("COMMIT").await?;
        self.publish(&ledger, &changed);
        for committed in outcomes.iter_mut().flatten().filter(|it| !it.rated.repeated) {
            committed.fenced = fenced;
            committed.rated.boards = boards.clone();
        }
        Ok(Some(outcomes))
    }

    /// Keeps the old rows out of the cache from now on; says since when, or `None` if Redis is
    /// away or there is no cache.
    async fn fence(&self, changed: &[(u64, u64)]) -> Option<Instant> {
        let cache = self.cache.as_ref().filter(|_| !changed.is_empty())?;
        let rows = changed.iter().map(|&(id, version)| (cache.key_of(USERS, id), version));
        cache.fence_all(rows).await.ok().map(|()| Instant::now())
    }

    /// Puts the new rows in place of their fences. Nobody waits for it: a fence that stays costs
    /// readers a row, no more.
    fn publish(&self, ledger: &Ledger, changed: &[(u64, u64)]) {
        let Some(cache) = &self.cache else { return };
        for (id, version) in changed {
            if let Some(player) = ledger.players.get(id) {
                cache.put_soon(&cache.key_of(USERS, *id), *version, &encode(&player.row));
            }
        }
    }
}

fn name(event: &RatingEvent) -> Option<&str> {
    event.once.as_ref().map(|(name, _)| name.as_str())
}

/// What a transaction has read, and what it is to write.
struct Ledger {
    season: Option<u64>,
    /// Events that were there before.
    known: HashMap<String, Known>,
    players: BTreeMap<u64, Player>,
    /// Events of this transaction.
    events: BTreeMap<String, Known>,
}

impl Ledger {
    /// Decides one event, on what the events before it left.
    fn decide(&mut self, event: &RatingEvent) -> Outcome {
        if let Some((name, digest)) = &event.once {
            let known = self.known.get(name).filter(|known| !known.expired);
            if let Some(known) = known.or_else(|| self.events.get(name)) {
                return known.answer(digest, event.users.len());
            }
        }
        let mut before = Vec::with_capacity(event.users.len());
        for user in &event.users {
            before.push(self.players.get(user).ok_or(RateError::Missing(*user))?.row.rating);
        }
        let after = (event.decide)(&before);
        let in_range = |rating: &i32| (RATING_MIN..=RATING_MAX).contains(rating);
        if after.len() != before.len() || !after.iter().all(in_range) {
            return Err(RateError::OutOfRange);
        }
        self.decide_season(event);
        for (user, rating) in event.users.iter().zip(&after) {
            self.players.get_mut(user).expect("looked up above").row.rating = *rating;
        }
        if let Some((name, digest)) = &event.once {
            let known = Known::new(*digest, before.clone(), after.clone());
            self.events.insert(name.clone(), known);
        }
        let rated = Rated { before, after, repeated: false, boards: Vec::new() };
        Ok(Committed { rated, fenced: None })
    }

    fn decide_season(&mut self, event: &RatingEvent) {
        if self.season.is_none() {
            return;
        }
        let of = |user| self.players.get(user).and_then(|player| player.season);
        let before: Vec<i32> =
            event.users.iter().map(|user| of(user).unwrap_or(FIRST_RATING)).collect();
        for (user, rating) in event.users.iter().zip((event.decide)(&before)) {
            if let Some(player) = self.players.get_mut(user) {
                player.season = Some(rating.clamp(RATING_MIN, RATING_MAX));
            }
        }
    }

    /// Gives changed rows their next version and time; their ids and new versions.
    fn raise_versions(&mut self, now: i64) -> Vec<(u64, u64)> {
        let changed = self.players.values_mut().filter(|player| player.is_changed());
        changed
            .map(|player| {
                player.row.version += 1;
                player.row.updated_at_ms = now;
                (player.row.id, player.row.version)
            })
            .collect()
    }

    /// Writes rows, season's lines and events.
    async fn write(&self, conn: &mut Conn, now: i64) -> Result<(), Error> {
        let changed = self.players.values().filter(|player| player.is_changed());
        statements::update(conn, changed, now).await?;
        if let Some(season) = self.season {
            let lines = self.players.values().filter(|player| player.has_new_line());
            statements::write_lines(conn, season, lines).await?;
        }
        let known = |name: &&String| self.known.contains_key(*name);
        let replaced: Vec<&String> = self.events.keys().filter(known).collect();
        statements::forget_events(conn, &replaced).await?;
        statements::write_events(conn, &self.events).await
    }

    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for player in self.players.values().filter(|player| !player.hidden) {
            if player.is_changed() {
                sums.add(ALL_TIME, player.rating_before, -1);
                sums.add(ALL_TIME, player.row.rating, 1);
            }
            if let (Some(season), Some(rating), true) =
                (self.season, player.season, player.has_new_line())
            {
                if let Some(before) = player.season_before {
                    sums.add(season, before, -1);
                }
                sums.add(season, rating, 1);
            }
        }
        // Lines of hidden players too must not change after the season's end.
        if let Some(season) = self.season
            && self.players.values().any(Player::has_new_line)
        {
            sums.must_run(season);
        }
        sums
    }
}

impl Known {
    /// The first answer again, if the event is the same.
    fn answer(&self, digest: &[u8; 16], users: usize) -> Outcome {
        if self.digest != *digest || self.before.len() != users {
            return Err(RateError::OtherEvent);
        }
        let (before, after) = (self.before.clone(), self.after.clone());
        let rated = Rated { before, after, repeated: true, boards: Vec::<BoardDelta>::new() };
        Ok(Committed { rated, fenced: None })
    }
}
