//! What a match does to two ratings: Elo's formula with the logistic curve (A. E. Elo, "The Rating
//! of Chessplayers, Past and Present", 1978).

use crate::config::LeaderboardSettings;
use souk_db::leaderboard::RATING_MAX;

/// Difference of ratings at which the better player is expected to win ten of eleven.
const SCALE: f64 = 400.0;

/// How fast ratings move, and how low matches can bring them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elo {
    /// Most points that one match moves: K.
    pub k: u32,
    /// Rating below which no match brings anybody. Who is there already stays.
    pub floor: i32,
}

/// How a match ended for the first player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// The first player won.
    Win,
    /// Nobody won.
    Draw,
}

impl Elo {
    /// The formula with these settings.
    pub fn new(settings: &LeaderboardSettings) -> Elo {
        Elo { k: settings.k, floor: i32::try_from(settings.floor).unwrap_or(RATING_MAX) }
    }

    /// Both ratings after a match. What one gains the other loses, as far as the floor and the
    /// highest rating allow.
    pub fn rate(&self, first: i32, second: i32, score: Score) -> (i32, i32) {
        let points = self.points(first, second, score);
        (self.moved(first, points), self.moved(second, -points))
    }

    /// What the first player gains, in whole points: halves go away from zero.
    #[allow(clippy::cast_possible_truncation)]
    fn points(&self, first: i32, second: i32, score: Score) -> i32 {
        let expected = 1.0 / (1.0 + 10_f64.powf(f64::from(second - first) / SCALE));
        let scored = match score {
            Score::Win => 1.0,
            Score::Draw => 0.5,
        };
        (f64::from(self.k) * (scored - expected)).round() as i32
    }

    fn moved(&self, rating: i32, points: i32) -> i32 {
        (rating + points).max(self.floor.min(rating)).min(RATING_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{Elo, Score};
    use proptest::prelude::*;
    use souk_db::leaderboard::{RATING_MAX, RATING_MIN};

    const ELO: Elo = Elo { k: 32, floor: 100 };

    #[test]
    fn known_values() {
        assert_eq!(ELO.rate(1_000, 1_000, Score::Win), (1_016, 984));
        assert_eq!(ELO.rate(1_000, 1_000, Score::Draw), (1_000, 1_000));
        // Ten of eleven are expected: 32 / 11 and 32 * 10 / 11.
        assert_eq!(ELO.rate(1_400, 1_000, Score::Win), (1_403, 997));
        assert_eq!(ELO.rate(1_000, 1_400, Score::Win), (1_029, 1_371));
        assert_eq!(ELO.rate(1_400, 1_000, Score::Draw), (1_387, 1_013));
        assert_eq!(Elo { k: 10, ..ELO }.rate(2_000, 1_800, Score::Win), (2_002, 1_798));
    }

    #[test]
    fn nobody_falls_below_the_floor_or_is_lifted_to_it() {
        assert_eq!(ELO.rate(100, 101, Score::Win), (116, 100));
        let high = Elo { floor: 500, ..ELO };
        assert_eq!(high.rate(500, 505, Score::Win), (516, 500));
        assert_eq!(high.rate(300, 300, Score::Win), (316, 300));
        assert_eq!(ELO.rate(5_000, 5_000, Score::Win), (5_000, 4_984));
    }

    proptest! {
        #[test]
        fn ratings_stay_in_bounds_and_move_the_right_way(
            first in RATING_MIN..=RATING_MAX, second in RATING_MIN..=RATING_MAX, k in 1_u32..=400,
        ) {
            let elo = Elo { k, floor: 100 };
            let (winner, loser) = elo.rate(first, second, Score::Win);
            prop_assert!(winner >= first && loser <= second);
            prop_assert!((RATING_MIN..=RATING_MAX).contains(&winner));
            prop_assert!((RATING_MIN..=RATING_MAX).contains(&loser));
            if winner < RATING_MAX && loser > 100 {
                prop_assert_eq!(winner + loser, first + second);
            }
            let (one, other) = elo.rate(first, second, Score::Draw);
            prop_assert_eq!((other, one), elo.rate(second, first, Score::Draw));
        }
    }
}
