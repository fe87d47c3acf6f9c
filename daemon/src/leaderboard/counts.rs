//! How many players stand at each rating, as a Fenwick tree (P. M. Fenwick, "A new data structure
//! for cumulative frequency tables", Software: Practice and Experience 24(3), 1994).
//!
//! Ratings are bounded, so this is the whole order statistic of a board: a rank is a sum of a dozen
//! numbers, whatever the number of players. A tree takes 39 KiB.

use souk_db::leaderboard::{RATING_MAX, RATING_MIN};

/// Different ratings that there can be.
const RATINGS: usize = (RATING_MAX - RATING_MIN + 1).unsigned_abs() as usize;

/// The lowest rating, as a number to count from.
const FIRST: usize = RATING_MIN.unsigned_abs() as usize;

/// Ratings that one bucket of the histogram counts.
const BUCKET: i32 = 100;

/// Largest power of two that is no more than [`RATINGS`]: where the descent begins.
const HIGHEST_BIT: usize = 1 << RATINGS.ilog2();

/// The players of one board by rating.
#[derive(Clone)]
pub struct Counts {
    /// Place `i`, from 1, has the players of the `i & -i` ratings that end with the `i`th. Signed:
    /// a change may be known here before what it builds upon.
    tree: Box<[i64]>,
    total: i64,
}

impl Counts {
    /// A board with this many players at each of these ratings. Others are left out.
    pub fn new(players: impl IntoIterator<Item = (i32, u64)>) -> Counts {
        let mut counts = Counts { tree: vec![0; RATINGS + 1].into(), total: 0 };
        for (rating, players) in players {
            counts.add(rating, i64::try_from(players).unwrap_or(i64::MAX));
        }
        counts
    }

    /// So many players more at this rating, or fewer.
    pub fn add(&mut self, rating: i32, players: i64) {
        let Some(mut place) = place(rating) else { return };
        self.total += players;
        while place <= RATINGS {
            self.tree[place] += players;
            place += place & place.wrapping_neg();
        }
    }

    /// Players on the board.
    pub fn total(&self) -> u64 {
        unsigned(self.total)
    }

    /// Players with a higher rating.
    pub fn above(&self, rating: i32) -> u64 {
        unsigned(self.total - self.up_to(rating))
    }

    /// Players with this rating.
    pub fn at(&self, rating: i32) -> u64 {
        unsigned(self.up_to(rating) - self.up_to(rating.saturating_sub(1)))
    }

    /// The lowest rating that at least this many per cent of the players, 0 to 100, do not exceed:
    /// at 0 the lowest of all. Nothing on an empty board.
    pub fn percentile(&self, per_cent: f64) -> Option<i32> {
        let total = self.total();
        if total == 0 {
            return None;
        }
        self.lowest_with(wanted(total, per_cent).clamp(1, total))
    }

    /// The lowest rating that this many players, at least 1, do not exceed.
    fn lowest_with(&self, players: u64) -> Option<i32> {
        let mut left = i64::try_from(players).ok()?;
        let (mut place, mut step) = (0, HIGHEST_BIT);
        while step > 0 {
            if place + step <= RATINGS && self.tree[place + step] < left {
                place += step;
                left -= self.tree[place];
            }
            step /= 2;
        }
        i32::try_from(place).ok().map(|place| RATING_MIN + place).filter(|it| *it <= RATING_MAX)
    }

    /// First rating, last rating and players of each bucket, from the lowest. The last takes in the
    /// highest rating.
    pub fn buckets(&self) -> impl Iterator<Item = (i32, i32, u64)> {
        let starts = (RATING_MIN..RATING_MAX).step_by(BUCKET.unsigned_abs() as usize);
        starts.map(|from| {
            let last = from + BUCKET - 1;
            let to = if last + 1 >= RATING_MAX { RATING_MAX } else { last };
            (from, to, unsigned(self.up_to(to) - self.up_to(from - 1)))
        })
    }

    /// Players with this rating or a lower one.
    fn up_to(&self, rating: i32) -> i64 {
        if rating >= RATING_MAX {
            return self.total;
        }
        let mut place = place(rating).unwrap_or(0);
        let mut sum = 0;
        while place > 0 {
            sum += self.tree[place];
            place &= place - 1;
        }
        sum
    }
}

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counts").field("total", &self.total).finish_non_exhaustive()
    }
}

/// A rating's place in the tree, from 1.
fn place(rating: i32) -> Option<usize> {
    let possible = (RATING_MIN..=RATING_MAX).contains(&rating);
    usize::try_from(rating).ok().filter(|_| possible).map(|it| it - FIRST + 1)
}

/// How many of these players so many per cent are, a part of one counted as one.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn wanted(total: u64, per_cent: f64) -> u64 {
    // Multiplied first: whole per cents of a whole number are exact up to 2^53 / 100 players.
    (total as f64 * per_cent / 100.0).ceil() as u64
}

/// A number of players. Below zero is a moment at which only half of a change is known.
fn unsigned(players: i64) -> u64 {
    u64::try_from(players).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Counts, RATING_MAX, RATING_MIN, RATINGS};
    use proptest::prelude::*;

    fn rating() -> impl Strategy<Value = i32> {
        prop_oneof![RATING_MIN..=RATING_MAX, 995..1_005, Just(RATING_MIN), Just(RATING_MAX)]
    }

    fn below(players: &[i32], rating: i32) -> usize {
        players.iter().filter(|it| **it <= rating).count()
    }

    #[test]
    fn a_tree_takes_less_than_64_kib() {
        assert!(size_of::<i64>() * (RATINGS + 1) + size_of::<Counts>() < 64 * 1024);
    }

    #[test]
    fn an_empty_board_has_nobody_anywhere() {
        let counts = Counts::new([]);
        assert_eq!((counts.total(), counts.above(RATING_MIN), counts.at(1_000)), (0, 0, 0));
        assert_eq!(counts.percentile(50.0), None);
        assert!(counts.buckets().all(|(_, _, players)| players == 0));
    }

    #[test]
    fn what_cannot_be_is_left_out() {
        let beyond = [(RATING_MIN - 1, 1), (RATING_MAX + 1, 1), (i32::MIN, 1), (i32::MAX, 1)];
        assert_eq!(Counts::new(beyond).total(), 0);
        let one = Counts::new([(1_000, 1)]);
        assert_eq!((one.above(i32::MIN), one.above(i32::MAX), one.at(i32::MIN)), (1, 0, 0));
    }

    #[test]
    fn a_change_that_is_known_before_its_player_shows_nobody_less_than_none() {
        let mut counts = Counts::new([]);
        counts.add(1_000, -1);
        counts.add(1_010, 1);
        assert_eq!((counts.at(1_000), counts.at(1_010), counts.total()), (0, 1, 0));
    }

    #[test]
    fn buckets_cover_every_rating_once() {
        let buckets: Vec<_> = Counts::new([]).buckets().collect();
        assert_eq!((buckets.len(), buckets[0].0, buckets[48].1), (49, RATING_MIN, RATING_MAX));
        assert!(buckets.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
    }

    #[test]
    fn percentiles_of_known_boards() {
        let counts = Counts::new([(100, 1), (200, 1), (300, 1), (5_000, 1)]);
        let at = |per_cent| counts.percentile(per_cent).expect("players");
        assert_eq!([at(0.0), at(25.0), at(25.1), at(50.0)], [100, 100, 200, 200]);
        assert_eq!([at(75.0), at(99.0), at(100.0)], [300, 5_000, 5_000]);
    }

    proptest! {
        /// The tree says what sorting and counting say, whatever came and went.
        #[test]
        fn it_agrees_with_a_naive_count(
            first in proptest::collection::vec(rating(), 0..80),
            moves in proptest::collection::vec((any::<proptest::sample::Index>(), rating()), 0..80),
            asked in proptest::collection::vec(rating(), 1..20),
            per_cent in 0.0..=100.0_f64,
        ) {
            let mut players = first;
            let mut counts = Counts::new(players.iter().map(|rating| (*rating, 1)));
            for (who, to) in moves {
                if players.is_empty() {
                    break;
                }
                let who = who.index(players.len());
                counts.add(players[who], -1);
                counts.add(to, 1);
                players[who] = to;
            }
            prop_assert_eq!(counts.total(), players.len() as u64);
            for rating in asked {
                let above = players.len() - below(&players, rating);
                prop_assert_eq!(counts.above(rating), above as u64);
                let at = players.iter().filter(|it| **it == rating).count();
                prop_assert_eq!(counts.at(rating), at as u64);
            }
            for (from, to, count) in counts.buckets() {
                let expected = below(&players, to) - below(&players, from - 1);
                prop_assert_eq!(count, expected as u64);
            }
            players.sort_unstable();
            let enough = |rating: i32| {
                let wanted = (players.len() as f64 * per_cent / 100.0).ceil();
                below(&players, rating) as f64 >= wanted
            };
            let expected = players.iter().copied().find(|rating| enough(*rating));
            prop_assert_eq!(counts.percentile(per_cent), expected);
        }
    }
}
