//! What a shard knows of the boards, and how old that is: boards, counts, hidden users, tokens.
//!
//! Counts are read whole whenever a board's version has moved. In between this shard's own changes
//! are added to them, so that whoever made one sees it at once: each is remembered with the version
//! that it made, until counts of that version or a later one have been read.

use super::counts::Counts;
use crate::limits::{BOARDS_KEPT, HOLDER_NAME_MAX, OWN_MOVES_MAX};
use foldhash::fast::RandomState;
use lru::LruCache;
use souk_db::leaderboard::{ALL_TIME, BoardRow, Counts as Players, Look, Rated};
use std::collections::{HashMap, HashSet};
use std::time::Instant;

/// What the bearer of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Changes ratings.
    Service,
    /// Hides users too.
    Admin,
}

/// Who holds a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What the holder may do.
    pub role: Role,
    /// The token's number and label, for the record.
    pub name: String,
}

/// Everything that a shard knows of the boards.
pub struct State {
    /// When the last look that succeeded began.
    looked: Option<Instant>,
    rows: Vec<BoardRow>,
    hidden: HashSet<u64, RandomState>,
    holders: HashMap<[u8; 32], Holder, RandomState>,
    kept: LruCache<u64, Kept, RandomState>,
}

/// The counts of one board.
struct Kept {
    counts: Counts,
    /// The version that was read.
    version: u64,
    /// When they were read or last found unchanged: they hold all that was acknowledged by then.
    as_of: Instant,
    /// What this shard changed since.
    own: Vec<Own>,
}

/// A change of this shard.
#[derive(Clone, Copy)]
enum Own {
    /// A player moved, in the commit that made this version.
    Move { version: u64, from: i32, to: i32 },
    /// Something changed, and only the counts of this version can say what.
    Unknown { version: u64 },
}

impl Own {
    fn version(self) -> u64 {
        match self {
            Own::Move { version, .. } | Own::Unknown { version } => version,
        }
    }
}

/// Nothing is known yet.
impl Default for State {
    fn default() -> State {
        State {
            looked: None,
            rows: Vec::new(),
            hidden: HashSet::default(),
            holders: HashMap::default(),
            kept: LruCache::with_hasher(BOARDS_KEPT, RandomState::default()),
        }
    }
}

impl State {
    /// Takes in a look that began at this moment. Returns the boards whose counts must be read.
    pub fn saw(&mut self, look: Look, began: Instant) -> Vec<u64> {
        self.looked = Some(began);
        self.hidden = look.hidden.into_iter().collect();
        self.holders = look
            .tokens
            .into_iter()
            .filter_map(|token| {
                let role = match token.role.as_str() {
                    "service" => Role::Service,
                    "admin" => Role::Admin,
                    _ => return None,
                };
                let name = format!("token {} {}", token.id, token.label);
                let name = name.chars().take(HOLDER_NAME_MAX).collect();
                Some((token.hash, Holder { role, name }))
            })
            .collect();
        self.rows = look.boards;
        let mut moved = Vec::new();
        for (board, kept) in &mut self.kept {
            let row = self.rows.iter().find(|row| row.id == *board);
            match row.is_some_and(|row| row.version == kept.version) && kept.own.is_empty() {
                true => kept.as_of = kept.as_of.max(began),
                false => moved.push(*board),
            }
        }
        moved
    }

    /// Takes in counts that were read from this moment on. Those of no board drop it.
    pub fn counted(&mut self, board: u64, players: Players, began: Instant) {
        if players.version == 0 {
            self.kept.pop(&board);
            return;
        }
        let mut own = self.kept.pop(&board).map(|kept| kept.own).unwrap_or_default();
        own.retain(|own| own.version() > players.version);
        let mut counts = Counts::new(players.players);
        for own in &own {
            if let Own::Move { from, to, .. } = *own {
                counts.add(from, -1);
                counts.add(to, 1);
            }
        }
        self.kept.put(board, Kept { counts, version: players.version, as_of: began, own });
    }

    /// Takes in what this shard did to the ratings of these users.
    pub fn rated(&mut self, users: &[u64], rated: &Rated) {
        for delta in &rated.boards {
            let version = delta.version;
            let Some(kept) = self.kept.peek_mut(&delta.board).filter(|it| it.version < version)
            else {
                continue;
            };
            if kept.own.len() >= OWN_MOVES_MAX {
                self.kept.pop(&delta.board);
            } else if delta.board == ALL_TIME {
                let moves = rated.before.iter().zip(&rated.after);
                for (user, (&from, &to)) in users.iter().zip(moves) {
                    if from != to && !self.hidden.contains(user) {
                        kept.counts.add(from, -1);
                        kept.counts.add(to, 1);
                        kept.own.push(Own::Move { version, from, to });
                    }
                }
            } else if kept.own.last().is_none_or(|own| own.version() < version) {
                kept.own.push(Own::Unknown { version });
            }
        }
    }

    /// When what is known without counts was read.
    pub fn looked(&self) -> Option<Instant> {
        self.looked
    }

    /// All boards, in order of id.
    pub fn rows(&self) -> &[BoardRow] {
        &self.rows
    }

    /// The board with this number.
    pub fn row(&self, board: u64) -> Option<&BoardRow> {
        self.rows.iter().find(|row| row.id == board)
    }

    /// Whether no board shows this user.
    pub fn is_hidden(&self, user_id: u64) -> bool {
        self.hidden.contains(&user_id)
    }

    /// Who holds the token with this hash.
    pub fn holder(&self, hash: &[u8; 32]) -> Option<&Holder> {
        self.holders.get(hash)
    }

    /// The counts of a board, if they hold all that was acknowledged by this moment and what this
    /// shard changed.
    pub fn counts(&mut self, board: u64, since: Instant) -> Option<&Counts> {
        let whole = |kept: &Kept| !kept.own.iter().any(|own| matches!(own, Own::Unknown { .. }));
        let kept = self.kept.get(&board).filter(|kept| kept.as_of >= since && whole(kept))?;
        Some(&kept.counts)
    }

    /// The newest version of a board that this shard has heard of.
    pub fn version(&self, board: u64) -> u64 {
        let row = self.row(board).map_or(0, |row| row.version);
        let own = self.kept.peek(&board).and_then(|kept| kept.own.last());
        row.max(own.map_or(0, |own| own.version()))
    }

    /// As of when the oldest thing that is kept up to date is known; nothing before the first look.
    pub fn as_of(&self) -> Option<Instant> {
        let kept = self.kept.iter().map(|(_, kept)| kept.as_of);
        self.looked.map(|looked| kept.fold(looked, Instant::min))
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("looked", &self.looked).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Role, State};
    use proptest::prelude::*;
    use souk_db::leaderboard::{
        ALL_TIME, BoardDelta, BoardRow, Counts as Players, Look, Rated, ServiceToken,
    };
    use std::time::{Duration, Instant};

    fn row(id: u64, version: u64) -> BoardRow {
        BoardRow { id, name: "a board".into(), starts_at_ms: 0, ends_at_ms: None, version }
    }

    fn look(versions: &[(u64, u64)]) -> Look {
        let boards = versions.iter().map(|(id, version)| row(*id, *version)).collect();
        Look { boards, hidden: vec![13], tokens: Vec::new() }
    }

    fn players(version: u64, players: &[(i32, u64)]) -> Players {
        Players { version, players: players.to_vec() }
    }

    fn moved(board: u64, version: u64, before: &[i32], after: &[i32]) -> Rated {
        let boards = vec![BoardDelta { board, version }];
        Rated { before: before.to_vec(), after: after.to_vec(), repeated: false, boards }
    }

    #[test]
    fn a_change_of_ones_own_is_there_at_once_and_counted_once() {
        let (mut state, now) = (State::default(), Instant::now());
        assert!(state.saw(look(&[(0, 5)]), now).is_empty());
        state.counted(0, players(5, &[(1_000, 3)]), now);
        state.rated(&[1], &moved(0, 6, &[1_000], &[1_200]));
        let counts = state.counts(0, now).expect("counts");
        assert_eq!((counts.at(1_000), counts.above(1_000)), (2, 1));
        assert_eq!(state.version(0), 6);
        // The same commit had another event, and somebody else had one before it.
        state.rated(&[2], &moved(0, 6, &[1_000], &[900]));
        assert_eq!(state.saw(look(&[(0, 6)]), now), [0]);
        state.counted(0, players(6, &[(800, 1), (900, 1), (1_000, 1), (1_200, 1)]), now);
        // A late word of what those counts hold changes nothing.
        state.rated(&[2], &moved(0, 6, &[1_000], &[900]));
        let counts = state.counts(0, now).expect("counts");
        assert_eq!([800, 900, 1_000, 1_200].map(|it| counts.at(it)), [1, 1, 1, 1]);
        assert!(state.saw(look(&[(0, 6)]), now).is_empty());
    }

    #[test]
    fn counts_that_were_read_before_a_change_do_not_undo_it() {
        let (mut state, now) = (State::default(), Instant::now());
        state.saw(look(&[(0, 1)]), now);
        state.counted(0, players(1, &[(1_000, 1)]), now);
        state.rated(&[1], &moved(0, 3, &[1_000], &[1_200]));
        state.counted(0, players(2, &[(1_000, 1), (700, 1)]), now);
        let counts = state.counts(0, now).expect("counts");
        assert_eq!((counts.at(1_000), counts.at(1_200), counts.at(700)), (0, 1, 1));
    }

    #[test]
    fn hidden_users_move_nothing() {
        let (mut state, now) = (State::default(), Instant::now());
        state.saw(look(&[(0, 1)]), now);
        state.counted(0, players(1, &[(1_000, 1)]), now);
        state.rated(&[13, 1], &moved(0, 2, &[1_000, 1_000], &[1_016, 984]));
        let counts = state.counts(0, now).expect("counts");
        assert_eq!((counts.total(), counts.at(1_016), counts.at(984)), (1, 0, 1));
    }

    #[test]
    fn a_season_that_this_shard_changed_must_be_read_again() {
        let (mut state, now) = (State::default(), Instant::now());
        state.saw(look(&[(0, 1), (4, 1)]), now);
        state.counted(4, players(1, &[(1_000, 1)]), now);
        assert!(state.counts(4, now).is_some());
        state.rated(&[1], &moved(4, 2, &[1_500], &[1_600]));
        assert!(state.counts(4, now).is_none());
        state.counted(4, players(2, &[(1_100, 1)]), now);
        assert_eq!(state.counts(4, now).expect("counts").at(1_100), 1);
    }

    #[test]
    fn what_is_unchanged_is_as_young_as_the_look_and_what_moved_is_not() {
        let (mut state, then) = (State::default(), Instant::now());
        assert_eq!(state.as_of(), None);
        let now = then + Duration::from_secs(1);
        state.saw(look(&[(0, 1), (4, 1)]), then);
        state.counted(0, players(1, &[]), then);
        state.counted(4, players(1, &[]), then);
        assert_eq!(state.saw(look(&[(0, 1), (4, 2)]), now), [4]);
        assert!(state.counts(0, now).is_some() && state.counts(4, now).is_none());
        assert_eq!(state.as_of(), Some(then));
        state.counted(4, players(0, &[]), now);
        assert!(state.counts(4, then).is_none(), "the board is gone");
        assert_eq!(state.as_of(), Some(now));
    }

    #[test]
    fn tokens_of_no_known_role_are_nobodys() {
        let mut state = State::default();
        let token = |id: u8, role: &str| ServiceToken {
            hash: [id; 32],
            role: role.into(),
            id: id.into(),
            label: "ci".into(),
        };
        let tokens = vec![token(1, "service"), token(2, "admin"), token(3, "king")];
        let look = Look { tokens, ..look(&[]) };
        state.saw(look, Instant::now());
        assert_eq!(state.holder(&[1; 32]).map(|it| it.role), Some(Role::Service));
        let admin = state.holder(&[2; 32]).expect("the admin");
        assert_eq!((admin.role, admin.name.as_str()), (Role::Admin, "token 2 ci"));
        assert!(state.holder(&[3; 32]).is_none());
    }

    proptest! {
        /// Commits of this shard and of others, words of them in any order after their commit,
        /// rereads at any time: in the end the counts are those of the table.
        #[test]
        fn counts_end_as_the_table_has_them(steps in proptest::collection::vec(
            (0..4_u8, 0..6_usize, 100..140_i32), 1..60)) {
            let (mut state, now) = (State::default(), Instant::now());
            let mut ratings = [1_000_i32; 6];
            let mut version = 1;
            let mut late = Vec::new();
            let table = |ratings: &[i32; 6], version| {
                players(version, &ratings.map(|rating| (rating, 1)))
            };
            state.saw(look(&[(ALL_TIME, version)]), now);
            state.counted(ALL_TIME, table(&ratings, version), now);
            for (step, who, to) in steps {
                let from = ratings[who];
                match step {
                    0 => {
                        ratings[who] = to;
                        version += 1;
                        late.push(moved(ALL_TIME, version, &[from], &[to]));
                    }
                    1 => {
                        ratings[who] = to;
                        version += 1;
                    }
                    2 => late.drain(..).for_each(|rated| state.rated(&[1], &rated)),
                    _ => {
                        state.saw(look(&[(ALL_TIME, version)]), now);
                        state.counted(ALL_TIME, table(&ratings, version), now);
                    }
                }
            }
            late.drain(..).for_each(|rated| state.rated(&[1], &rated));
            for board in state.saw(look(&[(ALL_TIME, version)]), now) {
                state.counted(board, table(&ratings, version), now);
            }
            let counts = state.counts(ALL_TIME, now).expect("counts");
            for rating in (100..140).chain([1_000]) {
                let expected = ratings.iter().filter(|it| **it == rating).count() as u64;
                prop_assert_eq!(counts.at(rating), expected);
            }
        }
    }
}
