//! Ranks of the lines of a page: standard competition ranking. Players with the same rating share a
//! rank, and the next one is skipped for each of them.

/// The rank of each of these ratings, which follow each other on a board in its order. `above` is
/// how many players have a higher rating than the first of them, `level` how many have the same:
/// some of those may stand before the first line.
pub fn ranks(ratings: &[i32], above: u64, level: u64) -> Vec<u64> {
    let Some(first) = ratings.first() else { return Vec::new() };
    let shown = ratings.iter().take_while(|rating| *rating == first).count() as u64;
    // What stands before the first line shifts all ranks but the first.
    let hidden = level.saturating_sub(shown);
    let mut ranks: Vec<u64> = Vec::with_capacity(ratings.len());
    for (place, rating) in (0_u64..).zip(ratings) {
        let rank = match ranks.last() {
            None => above + 1,
            Some(&last) if ratings[ranks.len() - 1] == *rating => last,
            Some(_) => above + hidden + place + 1,
        };
        ranks.push(rank);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::ranks;
    use proptest::prelude::*;

    #[test]
    fn ties_share_a_rank_and_the_next_is_skipped() {
        assert_eq!(ranks(&[9, 8, 8, 8, 7, 7, 6], 0, 1), [1, 2, 2, 2, 5, 5, 7]);
        assert!(ranks(&[], 0, 0).is_empty());
    }

    #[test]
    fn a_page_that_begins_among_ties_counts_those_before_it() {
        // Two of four with rating 8 stand on the page before.
        assert_eq!(ranks(&[8, 8, 7], 1, 4), [2, 2, 6]);
    }

    proptest! {
        #[test]
        fn any_page_of_a_board_has_the_ranks_of_the_whole(
            mut board in proptest::collection::vec(0..12_i32, 1..40), from: usize, to: usize,
        ) {
            board.sort_unstable_by(|one, other| other.cmp(one));
            let from = from % board.len();
            let page = &board[from..=from + to % (board.len() - from)];
            let above = |rating: i32| board.iter().filter(|it| **it > rating).count() as u64;
            let level = board.iter().filter(|it| **it == page[0]).count() as u64;
            let expected: Vec<u64> = page.iter().map(|rating| above(*rating) + 1).collect();
            prop_assert_eq!(ranks(page, above(page[0]), level), expected);
        }
    }
}
