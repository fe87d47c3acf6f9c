use super::{Feed, Reads, Taken};
use crate::limits::{FEED_BIDS_MAX, FEED_READ_EVERY, FEED_REREAD_FIRST, FIRST_BIDS};
use proptest::prelude::*;
use souk_db::auctions::rules::Step;
use souk_db::auctions::{AuctionRow, BidRow, Outcome, Phase, Terms};
use std::time::{Duration, Instant};

fn row(sequence: u64) -> AuctionRow {
    AuctionRow {
        id: 1,
        seller_id: 2,
        terms: Terms {
            title: "A lamp".into(),
            description: "Brass.".into(),
            currency: "EUR".into(),
            start_price: 100,
            increments: vec![Step { from: 0, step: 1 }],
            reserve: None,
            buy_now: None,
            start_at_ms: 0,
            end_at_ms: 1_000_000,
            soft_window_ms: 0,
            extensions_max: 0,
        },
        picture: String::new(),
        phase: Phase::Open,
        outcome: None,
        extended: 0,
        outage_ms: 0,
        outages: 0,
        sequence,
        price: i64::try_from(sequence).expect("small"),
        leader_id: sequence,
        leader_max: 9_999,
        last_at_ms: 0,
        head: [0; 32],
        salt: [1; 16],
        version: 1,
        created_at_ms: 0,
    }
}

fn bids(range: std::ops::RangeInclusive<u64>) -> Vec<BidRow> {
    let bid = |sequence| BidRow {
        auction_id: 1,
        sequence,
        bidder_id: sequence,
        amount: 1,
        max_amount: 9_999,
        price: 1,
        leader_id: sequence,
        at_ms: 0,
        ends_at_ms: 1_000_000,
        head: [0; 32],
        bid_id: Some("mine".into()),
    };
    range.map(bid).collect()
}

fn recent(feed: &Feed, after: Option<u64>) -> Vec<u64> {
    feed.recent(after).map(|bid| bid.sequence).collect()
}

#[test]
fn bids_that_follow_are_news_and_others_are_not() {
    let mut feed = Feed::new(row(3), &bids(1..=4));
    assert_eq!((feed.row().sequence, recent(&feed, None)), (3, vec![1, 2, 3]));
    assert_eq!(feed.take(&row(5), &bids(3..=5)), Taken::News);
    assert_eq!(recent(&feed, Some(3)), [4, 5]);
    assert_eq!(feed.take(&row(5), &bids(4..=5)), Taken::Known);
    assert_eq!(feed.take(&row(4), &bids(4..=4)), Taken::Known);
    assert_eq!(feed.take(&row(8), &bids(7..=8)), Taken::Unclear, "6 is missing");
    assert_eq!(feed.row().sequence, 5);
}

#[test]
fn what_changes_without_a_bid_is_news() {
    let mut feed = Feed::new(row(1), &bids(1..=1));
    let longer = AuctionRow { outage_ms: 5_000, ..row(1) };
    assert_eq!(feed.take(&longer, &[]), Taken::News);
    let edited = AuctionRow { version: 2, ..longer.clone() };
    assert_eq!(feed.take(&edited, &[]), Taken::News);
    // Somebody decided a bid who does not know of the outage.
    assert_eq!(feed.take(&row(2), &bids(2..=2)), Taken::Unclear);
    let settled =
        AuctionRow { phase: Phase::Ended, outcome: Some(Outcome::Sold), ..edited.clone() };
    assert_eq!(feed.take(&settled, &[]), Taken::News);
    assert_eq!(feed.take(&edited, &[]), Taken::Known);
    assert_eq!(feed.row().phase, Phase::Ended);
}

#[test]
fn nothing_is_kept_that_no_watcher_is_told() {
    let feed = Feed::new(row(1), &bids(1..=1));
    assert!(feed.row().terms.description.is_empty());
    assert!(feed.recent(None).all(|bid| bid.max_amount == 0 && bid.bid_id.is_none()));
}

#[test]
fn the_first_news_are_bounded_and_so_is_what_is_kept() {
    let many = FEED_BIDS_MAX as u64 + 10;
    let mut feed = Feed::new(row(many), &bids(11..=many));
    assert_eq!(recent(&feed, None).len(), FIRST_BIDS);
    assert_eq!(recent(&feed, Some(0)).len(), FEED_BIDS_MAX);
    // More came than are kept: what is known before them is forgotten.
    let last = 3 * many;
    let read = bids(last - FEED_BIDS_MAX as u64 + 1..=last);
    assert_eq!(feed.take(&row(last), &read), Taken::News);
    assert_eq!(recent(&feed, Some(many)).len(), FEED_BIDS_MAX);
}

#[test]
fn a_word_is_followed_by_reads_until_it_is_seen() {
    let mut now = Instant::now();
    let mut reads = Reads::new(now);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        reads.read(false, now);
        pauses.push((reads.due() - now).as_millis());
        now = reads.due();
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 2_000, 2_000]);
    reads.heard(now);
    assert_eq!(reads.due(), now);
    reads.read(true, now);
    assert_eq!(reads.due(), now + FEED_REREAD_FIRST);
    reads.read(false, now);
    reads.read(false, now);
    assert_eq!(reads.due(), now + FEED_READ_EVERY);
}

#[test]
fn words_that_come_fast_do_not_make_reads_faster() {
    let now = Instant::now();
    let mut reads = Reads::new(now);
    reads.read(true, now);
    for ms in 0..10 {
        reads.heard(now + Duration::from_millis(ms));
    }
    assert_eq!(reads.due(), now + FEED_REREAD_FIRST);
    reads.failed(now);
    reads.heard(now);
    assert_eq!(reads.due(), now + FEED_REREAD_FIRST);
}

proptest! {
    /// Words in any order, repeated and lost, with reads in between: what is kept is always a run
    /// without gaps that ends with the row, and a read at the end brings all.
    #[test]
    fn what_is_kept_leads_to_the_row_without_a_gap(
        steps in proptest::collection::vec((1_u64..600, 0_u64..20), 0..60)
    ) {
        let mut feed = Feed::new(row(0), &[]);
        for (last, count) in steps {
            let before = feed.row().sequence;
            let given = bids(last.saturating_sub(count).max(1)..=last);
            feed.take(&row(last), &given);
            prop_assert!(feed.row().sequence >= before);
            let kept = recent(&feed, Some(0));
            prop_assert!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]));
            prop_assert_eq!(kept.last().copied().unwrap_or(0), feed.row().sequence);
        }
        feed.take(&row(700), &bids(700 - FEED_BIDS_MAX as u64 + 1..=700));
        prop_assert_eq!(feed.row().sequence, 700);
    }
}
