//! Several owners of one auction, and what they find when one of them, or a store, is gone.

use super::{END, NOW, bid, bids, make, named, offer, plain, verified};
use crate::harness::{
    PATIENCE, on_a_ring, redis, settings, soon, stack, stack_of_its_own, with_stores,
};
use souk_db::auctions::rules::{Refusal, Rules};
use souk_db::auctions::{BidError, BidRow, Offer};
use souk_db::{StoreSettings, Stores};
use souk_stack::Stack;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The name of a key of an auction, which must be there.
fn key(stack: &Stack, id: u64, end: &str) -> String {
    let keys = redis(stack, &["KEYS", &format!("souk:{{a:{id}}}:*:{end}")]);
    keys.lines().find(|line| line.starts_with("souk")).expect("a key").to_owned()
}

#[test]
fn a_bid_whose_owner_died_before_the_commit_is_finished_by_the_next() {
    let stack = stack();
    make(&stack, &[plain(), plain()]);
    with_stores(&settings(&stack), async |first| {
        with_stores_too(&stack, async |second| {
            for id in [1, 2] {
                bid(first, id, offer(2, 100)).await.unwrap();
                let log = key(&stack, id, "log");
                let entries = [
                    ("2-0", format!("3 200 300 {NOW} its name")),
                    ("3-0", format!("2 210 210 {NOW} ")),
                    ("4-0", format!("9 211 211 {NOW} too little")),
                    ("5-0", format!("9 900 900 {NOW} after one that never was")),
                ];
                for (id, line) in &entries {
                    redis(&stack, &["XADD", &log, id, "b", line]);
                }
            }
            let again = Offer { max_amount: 300, ..named(3, 200, "its name") };
            let placed = bid(second, 1, again).await.unwrap();
            assert_eq!((placed.bid.sequence, placed.repeated), (2, true));
            let closed = second.auctions.close(2, END, soon()).await.unwrap();
            assert_eq!((closed.ended, closed.row.sequence, closed.row.price), (true, 3, 220));
            let later = second.auctions.close(2, END - 1, soon()).await.unwrap();
            assert!(!later.ended);
            let next = bid(first, 2, offer(4, 400)).await.unwrap();
            assert_eq!(next.bid.sequence, 4);
        })
        .await;
    });
    assert_eq!(verified(&stack, 1, &plain()).len(), 3);
    assert_eq!(verified(&stack, 2, &plain()).len(), 4);
}

/// Opens further stores within the same ring, and closes them.
pub async fn with_stores_too(stack: &Stack, body: impl AsyncFnOnce(&Stores)) {
    let stores = Stores::open(&settings(stack)).await.expect("opens");
    body(&stores).await;
    stores.close().await;
}

#[test]
fn a_row_that_was_changed_meanwhile_is_adopted_and_the_bid_decided_again() {
    let stack = stack();
    make(&stack, &[plain(), plain()]);
    with_stores(&settings(&stack), async |stores| {
        bid(stores, 1, offer(9, 90)).await.unwrap_err();
        stack.sql("UPDATE auctions SET start_price = 150, version = 2 WHERE id = 1").unwrap();
        let low = bid(stores, 1, offer(2, 140)).await;
        let refusal = Refusal::TooLow { price: 0, minimum: 150 };
        assert_eq!(low, Err(BidError::Refused(refusal)), "decided again upon the new row");
        stack.sql("UPDATE auctions SET start_price = 160, version = 3 WHERE id = 1").unwrap();
        let early = bid(stores, 1, offer(2, 140)).await;
        assert_eq!(early, Err(BidError::Refused(refusal)), "nobody said that it changed");
        stores.auctions.forget(1, soon()).await.unwrap();
        let low = bid(stores, 1, offer(2, 150)).await;
        let refusal = Refusal::TooLow { price: 0, minimum: 160 };
        assert_eq!(low, Err(BidError::Refused(refusal)));
        assert_eq!(bid(stores, 1, offer(2, 160)).await.unwrap().bid.sequence, 1);

        bid(stores, 2, offer(2, 100)).await.unwrap();
        stack.sql("UPDATE auctions SET phase = 'ended', outcome = 'sold' WHERE id = 2").unwrap();
        let late = bid(stores, 2, named(3, 200, "late")).await;
        assert_eq!(late, Err(BidError::Refused(Refusal::Ended { ends_at_ms: END })));
        assert_eq!(bids(&stack, 2).len(), 1);
    });
    verified(&stack, 1, &Rules { start_price: 160, ..plain() });
}

#[test]
fn a_lost_commit_leaves_no_gap() {
    let stack = stack();
    make(&stack, &[plain(), plain()]);
    with_stores(&settings(&stack), async |stores| {
        for (id, forgets) in [(1, false), (2, true)] {
            for (bidder, amount) in [(2, 100), (3, 200)] {
                bid(stores, id, offer(bidder, amount)).await.unwrap();
            }
            // As if the second bid had never been committed.
            stack
                .sql(&format!(
                    "DELETE FROM bids WHERE auction_id = {id} AND sequence = 2; \
                     UPDATE auctions AS a JOIN bids AS b ON b.auction_id = a.id \
                     SET a.sequence = 1, a.price = 100, a.leader_id = 2, a.leader_max = 100, \
                       a.head = b.head WHERE a.id = {id}"
                ))
                .unwrap();
            if forgets {
                redis(&stack, &["DEL", &key(&stack, id, "log")]);
            }
            let third = bid(stores, id, named(4, 300, "third")).await.unwrap();
            assert_eq!(third.bid.sequence, if forgets { 2 } else { 3 });
            assert!(!third.repeated);
        }
    });
    let amounts =
        |id| -> Vec<i64> { verified(&stack, id, &plain()).iter().map(|bid| bid.amount).collect() };
    assert_eq!(amounts(1), [100, 200, 300], "the log knows the lost one");
    assert_eq!(amounts(2), [100, 300]);
}

#[test]
fn an_end_that_was_moved_meanwhile_stays_moved() {
    let stack = stack();
    make(&stack, &[plain()]);
    with_stores(&settings(&stack), async |stores| {
        bid(stores, 1, offer(2, 100)).await.unwrap();
        let moves = "UPDATE auctions SET ends_at_ms = ends_at_ms + 7, outage_ms = outage_ms + 7";
        stack.sql(moves).unwrap();
        bid(stores, 1, offer(3, 200)).await.unwrap();
        let row = stack.sql("SELECT ends_at_ms, outage_ms FROM auctions").unwrap();
        assert_eq!(row.trim(), format!("{}\t7", END + 7));
    });
}

/// Bids as fast as it can on some auctions, until told to stop; the bids that were acknowledged.
fn bidder(
    settings: &StoreSettings,
    began: Instant,
    auctions: u64,
    user: u64,
    stop: &AtomicBool,
) -> Vec<BidRow> {
    on_a_ring(async {
        let stores = Stores::open(settings).await.expect("opens");
        let (mut placed, mut price, mut round) = (Vec::new(), 100, 0u64);
        // A clock that goes on: what waits for long counts as of later.
        let now_ms = || NOW + i64::try_from(began.elapsed().as_millis()).unwrap();
        while !stop.load(Ordering::Relaxed) {
            round += 1;
            let id = 1 + round % auctions;
            let offers = (0..1 + round % 5).map(|n| Offer {
                bidder_id: user + n % 3,
                amount: price + 10 * i64::try_from(n).unwrap(),
                max_amount: price
                    + 10 * i64::try_from(n).unwrap()
                    + i64::try_from(round % 7).unwrap(),
                bid_id: Some(format!("{user}-{round}-{n}")),
            });
            for answer in stores.auctions.bid(id, offers.collect(), now_ms(), soon()).await {
                match answer {
                    Ok(it) => placed.push(it.bid),
                    Err(BidError::Refused(Refusal::TooLow { minimum, .. })) => {
                        price = price.max(minimum);
                    }
                    Err(BidError::Refused(_)) => price += 1,
                    Err(BidError::Store(_)) => {
                        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            if round % 31 == 0 {
                // It fails while Redis is away, and nothing needs it.
                let _ = stores.auctions.forget(id, soon()).await;
            }
        }
        stores.close().await;
        placed
    })
}

/// Two owners bid while something happens; afterwards everything that was acknowledged is there.
fn two_owners(stack: &mut Stack, mut happens: impl FnMut(&mut Stack)) {
    const AUCTIONS: u64 = 3;
    make(stack, &[plain(), plain(), plain()]);
    let stop = AtomicBool::new(false);
    let (settings, began) = (settings(stack), Instant::now());
    let placed: Vec<BidRow> = std::thread::scope(|scope| {
        let run = |user| {
            let (settings, stop) = (&settings, &stop);
            scope.spawn(move || bidder(settings, began, AUCTIONS, user, stop))
        };
        let threads = [run(10), run(20)];
        happens(stack);
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let committed: Vec<BidRow> =
        (1..=AUCTIONS).flat_map(|id| verified(stack, id, &plain())).collect();
    for bid in &placed {
        let found = committed.iter().filter(|it| it.bid_id == bid.bid_id).collect::<Vec<_>>();
        assert_eq!(found, [bid], "what was acknowledged is there, once");
    }
    assert!(!placed.is_empty());
}

/// Waits until so many more bids are committed.
fn more_bids(stack: &Stack, more: u64) {
    let count = || -> u64 {
        let sum = stack.sql("SELECT SUM(sequence) FROM auctions").unwrap();
        sum.trim().parse().unwrap()
    };
    let (began, until) = (Instant::now(), count() + more);
    while count() < until {
        assert!(began.elapsed() < PATIENCE, "bids go on");
    }
}

#[test]
fn owners_who_take_an_auction_from_each_other_lose_nothing() {
    two_owners(&mut stack(), |stack| more_bids(stack, 400));
}

#[test]
fn redis_that_forgets_or_dies_costs_no_acknowledged_bid() {
    two_owners(&mut stack(), |stack| {
        for _ in 0..3 {
            more_bids(stack, 50);
            redis(stack, &["FLUSHALL"]);
            more_bids(stack, 50);
            stack.redis().kill();
            stack.redis().restart().unwrap();
        }
        more_bids(stack, 50);
    });
}

#[test]
fn a_database_that_is_killed_costs_no_acknowledged_bid() {
    two_owners(&mut stack_of_its_own(), |stack| {
        for _ in 0..2 {
            more_bids(stack, 50);
            stack.mariadb().kill();
            stack.mariadb().restart().unwrap();
        }
        more_bids(stack, 50);
    });
}
