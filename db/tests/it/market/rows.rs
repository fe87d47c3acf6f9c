//! What sellers do with their auctions, and what users note about them.

use super::scene::{HOUR, SELLER, T0, bid, number, put_up, terms};
use crate::harness::{join_all, settings, soon, stack, with_stores};
use souk_db::StoreError;
use souk_db::auctions::chain::first_head;
use souk_db::auctions::rules::Step;
use souk_db::auctions::{AuctionError, Phase, Range, Terms};
use std::rc::Rc;

#[test]
fn an_auction_is_read_as_it_was_put_up() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let largest = Terms {
            title: "☂".repeat(120),
            description: "ü\0'\"".repeat(1_000),
            increments: (0..16)
                .map(|n| Step { from: n * 66_666_666_666_666, step: 1_000_000_000_000_000 })
                .collect(),
            buy_now: Some(1_000_000_000_000_000),
            reserve: None,
            ..terms()
        };
        let made = [put_up(stores, &terms()).await, put_up(stores, &largest).await];
        assert_eq!((&made[0].terms, &made[1].terms), (&terms(), &largest));
        assert_ne!(made[0].salt, made[1].salt);
        let missing = made[1].id + 1;
        let asked = [made[0].id, made[1].id, missing, made[0].id];
        let reads = asked.map(|id| Box::pin(stores.auctions.row(id, soon())));
        let found = join_all(reads.into()).await;
        let found: Vec<_> = found.into_iter().map(|it| it.expect("reads")).collect();
        assert_eq!(found[0].as_deref(), Some(&made[0]));
        assert_eq!(found[1].as_deref(), Some(&made[1]));
        assert_eq!(found[2], None);
        let (first, last) = (found[0].as_ref().unwrap(), found[3].as_ref().unwrap());
        assert!(Rc::ptr_eq(first, last), "they are read together");
        assert_eq!(first.head, first_head(first.id));
        assert_eq!((first.phase, first.version, first.sequence), (Phase::Open, 1, 0));
    });
}

#[test]
fn one_that_cannot_be_stored_fails_alone() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let broken = Terms { title: "x".repeat(121), ..terms() };
        let all = [terms(), broken, terms()];
        let made = all.iter().map(|it| Box::pin(stores.auctions.create(7, it, T0, soon())));
        let made = join_all(made.collect()).await;
        assert_eq!(made.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(number(&stack, "SELECT COUNT(*) FROM auctions"), 2);
    });
}

#[test]
fn a_seller_changes_an_auction_before_the_first_bid_and_before_its_end() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let it = &stores.auctions;
        let id = put_up(stores, &terms()).await.id;
        let new = Terms { title: "Two lamps".to_owned(), reserve: None, ..terms() };
        let edited = it.edit(id, SELLER, Some(1), &new, T0, soon()).await.unwrap();
        assert_eq!((&edited.terms, edited.version), (&new, 2));
        assert_eq!(*it.row(id, soon()).await.unwrap().unwrap(), edited);
        let picture = "ab".repeat(32);
        let pictured = it.set_picture(id, SELLER, &picture, T0, soon()).await.unwrap();
        assert_eq!((&pictured.picture, pictured.version), (&picture, 3));
        assert_eq!(*it.row(id, soon()).await.unwrap().unwrap(), pictured);

        let edit = |id, seller, version, now| it.edit(id, seller, version, &new, now, soon());
        assert_eq!(edit(id, SELLER, Some(2), T0).await, Err(AuctionError::Conflict));
        assert_eq!(edit(id, 8, None, T0).await, Err(AuctionError::NotSeller));
        assert_eq!(edit(id + 1, SELLER, None, T0).await, Err(AuctionError::Missing));
        let late = T0 + HOUR;
        assert_eq!(edit(id, SELLER, None, late).await, Err(AuctionError::Over(Phase::Open)));
        let cancel = |seller, now| it.cancel(id, seller, now, soon());
        assert_eq!(cancel(SELLER, late).await, Err(AuctionError::Over(Phase::Open)));
        assert_eq!(cancel(8, T0).await, Err(AuctionError::NotSeller));
        assert_eq!(*it.row(id, soon()).await.unwrap().unwrap(), pictured);

        let cancelled = cancel(SELLER, T0).await.unwrap();
        assert_eq!((cancelled.phase, cancelled.version), (Phase::Cancelled, 4));
        assert_eq!(cancel(SELLER, late).await, Ok(cancelled.clone()), "once more is fine");
        let over = Err(AuctionError::Over(Phase::Cancelled));
        assert_eq!(edit(id, SELLER, None, T0).await, over);
        assert_eq!(*it.row(id, soon()).await.unwrap().unwrap(), cancelled);
    });
}

#[test]
fn an_auction_with_a_bid_stays_as_it_is() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let it = &stores.auctions;
        let mut row = put_up(stores, &terms()).await;
        bid(&stack, &mut row, &[(1, 1_000, 1_000, 5)]);
        let id = row.id;
        let has_bids = Err(AuctionError::HasBids);
        assert_eq!(it.edit(id, SELLER, None, &terms(), T0, soon()).await, has_bids);
        assert_eq!(it.cancel(id, SELLER, T0, soon()).await, has_bids);
        assert_eq!(it.set_picture(id, SELLER, "", T0, soon()).await, has_bids);
        assert_eq!(*it.row(id, soon()).await.unwrap().unwrap(), row);
    });
}

#[test]
fn bids_are_read_from_both_sides_of_a_number() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let it = &stores.auctions;
        let (mut row, mut other) = (put_up(stores, &terms()).await, put_up(stores, &terms()).await);
        let offers: Vec<_> =
            (0..9).map(|n| (1 + n as u64 % 2, 1_000 + 50 * n, 1_000 + 50 * n, n)).collect();
        let bids = bid(&stack, &mut row, &offers);
        bid(&stack, &mut other, &offers[..2]);
        let read = |range, limit| it.bids(row.id, range, limit, soon());
        assert_eq!(read(Range::After(0), 500).await.unwrap(), bids);
        assert_eq!(read(Range::After(3), 2).await.unwrap(), bids[3..5]);
        let falling: Vec<_> = bids[..4].iter().rev().cloned().collect();
        assert_eq!(read(Range::Before(5), 500).await.unwrap(), falling);
        assert_eq!(read(Range::Before(u64::MAX), 1).await.unwrap(), bids[8..]);
        assert_eq!(read(Range::After(9), 500).await.unwrap(), []);
    });
}

#[test]
fn a_user_watches_auctions_that_there_are() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let it = &stores.auctions;
        let (one, two) = (put_up(stores, &terms()).await.id, put_up(stores, &terms()).await.id);
        for watched in [true, true] {
            it.watch(5, two, watched, soon()).await.unwrap();
        }
        assert_eq!(it.watched(5, &[one, two, 99], soon()).await.unwrap(), [two]);
        assert_eq!(it.watched(6, &[one, two], soon()).await.unwrap(), [0_u64; 0]);
        assert_eq!(it.watched(5, &[], soon()).await.unwrap(), [0_u64; 0]);
        assert_eq!(it.watch(5, 99, true, soon()).await, Err(AuctionError::Missing));
        it.watch(5, two, false, soon()).await.unwrap();
        it.watch(5, two, false, soon()).await.unwrap();
        assert_eq!(it.watched(5, &[one, two], soon()).await.unwrap(), [0_u64; 0]);
    });
}

#[test]
fn a_row_that_cannot_be_read_is_called_so() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let (good, bad) = (put_up(stores, &terms()).await, put_up(stores, &terms()).await);
        for damage in ["increments = '[[1]]'", "increments = ''"] {
            stack.sql(&format!("UPDATE auctions SET {damage} WHERE id = {}", bad.id)).unwrap();
            let read = stores.auctions.row(bad.id, soon()).await;
            assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
            let cancelled = stores.auctions.cancel(bad.id, SELLER, T0, soon()).await;
            let is_said = matches!(cancelled, Err(AuctionError::Store(StoreError::Corrupt { .. })));
            assert!(is_said, "{cancelled:?}");
            assert_eq!(stores.auctions.row(good.id, soon()).await.unwrap().as_deref(), Some(&good));
        }
    });
}
