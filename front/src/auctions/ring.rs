//! The last bids of an auction, without a gap.

use crate::limits::BIDS_KEPT;
use souk_proto::auctions::NewsBid;
use std::collections::VecDeque;

/// At most [`BIDS_KEPT`] bids that lead up to the last one without a gap.
#[derive(Clone, Debug, Default)]
pub struct Ring(VecDeque<NewsBid>);

impl Ring {
    /// Takes in the bids of an item of news that tells that `last` is the last bid. What does not
    /// go together with the bids before takes their place.
    pub fn extend(&mut self, bids: Vec<NewsBid>, last: u64) {
        for bid in bids {
            match self.0.back().map(|newest| newest.sequence) {
                Some(newest) if bid.sequence <= newest => continue,
                Some(newest) if bid.sequence != newest + 1 => self.0.clear(),
                _ => {}
            }
            self.0.push_back(bid);
        }
        if self.0.back().is_some_and(|newest| newest.sequence != last) {
            self.0.clear();
        }
        let over = self.0.len().saturating_sub(BIDS_KEPT);
        self.0.drain(..over);
    }

    /// The bids after this sequence number, if all of them up to `last` are here.
    pub fn after(&self, sequence: u64, last: u64) -> Option<impl Iterator<Item = &NewsBid>> {
        let missed = usize::try_from(last.checked_sub(sequence)?).ok()?;
        let from = self.0.len().checked_sub(missed)?;
        Some(self.0.range(from..))
    }

    /// The last so many bids.
    pub fn latest(&self, most: usize) -> impl Iterator<Item = &NewsBid> {
        self.0.range(self.0.len().saturating_sub(most)..)
    }

    /// All of them, in order.
    pub fn into_bids(self) -> Vec<NewsBid> {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::{BIDS_KEPT, Ring};
    use proptest::prelude::*;
    use souk_proto::auctions::NewsBid;

    fn bids(range: std::ops::RangeInclusive<u64>) -> Vec<NewsBid> {
        range.map(|sequence| NewsBid { sequence, ..NewsBid::default() }).collect()
    }

    fn after(ring: &Ring, sequence: u64, last: u64) -> Option<Vec<u64>> {
        Some(ring.after(sequence, last)?.map(|bid| bid.sequence).collect())
    }

    #[test]
    fn bids_that_go_on_are_joined_and_a_gap_begins_anew() {
        let mut ring = Ring::default();
        ring.extend(bids(3..=5), 5);
        ring.extend(bids(4..=7), 7);
        assert_eq!(after(&ring, 2, 7), Some(vec![3, 4, 5, 6, 7]));
        assert_eq!(after(&ring, 7, 7), Some(vec![]));
        assert_eq!((after(&ring, 1, 7), after(&ring, 8, 7)), (None, None));
        ring.extend(bids(10..=11), 11);
        assert_eq!((after(&ring, 9, 11), after(&ring, 8, 11)), (Some(vec![10, 11]), None));
        ring.extend(vec![], 15);
        assert_eq!(ring.latest(50).count(), 0, "bids are missing up to the last");
    }

    #[test]
    fn the_oldest_bids_make_room() {
        let mut ring = Ring::default();
        let last = BIDS_KEPT as u64 + 10;
        ring.extend(bids(1..=last), last);
        assert_eq!(after(&ring, 10, last).map(|bids| bids.len()), Some(BIDS_KEPT));
        assert_eq!(after(&ring, 9, last), None);
        assert_eq!(ring.latest(50).next().map(|bid| bid.sequence), Some(last - 49));
    }

    proptest! {
        #[test]
        fn what_is_given_out_has_no_gap_whatever_comes_in(
            items in proptest::collection::vec((1..400u64, 0..40u64, 0..3u64), 1..40),
            asked in 0..500u64,
        ) {
            let mut ring = Ring::default();
            let mut last = 0;
            for (from, count, skipped) in items {
                last = from + count + skipped;
                ring.extend(bids(from..=from + count), last);
            }
            if let Some(found) = after(&ring, asked, last) {
                prop_assert_eq!(found, (asked + 1..=last).collect::<Vec<_>>());
            }
        }
    }
}
