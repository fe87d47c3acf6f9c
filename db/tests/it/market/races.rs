//! Sellers, bidders and the end of an auction at the same time, from several daemons.

use super::scene::{HOUR, SELLER, number, put_up, terms};
use crate::harness::{join_all, on_a_ring, settings, soon, stack, stack_of_its_own, with_stores};
use souk_db::auctions::rules::Refusal;
use souk_db::auctions::{
    AuctionError, BidError, BidRow, Offer, Placed, Settled, SettlementRow, Terms,
};
use souk_db::operator::auctions::{Which, verify};
use souk_db::{StoreError, StoreSettings, Stores};
use souk_stack::Stack;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// When these auctions begin: later than the server's clock, so that none is over by it.
const BEGIN: i64 = 1_900_000_000_000;
const END: i64 = BEGIN + HOUR;

/// Runs as many threads as there are numbers, each with stores of its own, all at once.
fn together<T: Send>(
    settings: &StoreSettings,
    threads: u64,
    body: impl AsyncFn(&Stores, u64) -> T + Sync,
) -> Vec<T> {
    let ready = Barrier::new(usize::try_from(threads).unwrap());
    let run = |number| {
        on_a_ring(async {
            let stores = Stores::open(settings).await.unwrap();
            ready.wait();
            let done = body(&stores, number).await;
            stores.close().await;
            done
        })
    };
    std::thread::scope(|scope| {
        let run = &run;
        let running: Vec<_> = (0..threads).map(|it| scope.spawn(move || run(it))).collect();
        running.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

async fn put_up_all(stores: &Stores, count: usize, terms: &Terms) -> Vec<u64> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(put_up(stores, terms).await.id);
    }
    ids
}

async fn bid(stores: &Stores, id: u64, bidder: u64, amount: i64, at: i64) -> Option<BidRow> {
    let bid_id = Some(format!("{bidder}.{amount}"));
    let offer = Offer { bidder_id: bidder, amount, max_amount: amount, bid_id };
    match stores.auctions.bid(id, vec![offer], at, soon()).await.remove(0) {
        Ok(Placed { bid, .. }) => Some(bid),
        Err(BidError::Refused(_)) => None,
        Err(other) => panic!("a bid on {id}: {other:?}"),
    }
}

/// Fails unless everything recorded is right, and all these bids are.
async fn audited(stack: &Stack, answered: &[BidRow]) {
    let acks: String = answered
        .iter()
        .map(|it| {
            format!(
                "{{\"auction_id\":{},\"sequence\":{},\"price\":{},\"user_id\":{},\
                 \"bid_id\":\"{}\"}}\n",
                it.auction_id,
                it.sequence,
                it.price,
                it.bidder_id,
                it.bid_id.as_deref().unwrap()
            )
        })
        .collect();
    let mut acks = acks.as_bytes();
    let report = verify(&stack.mysql_url(), Which::All, Some(&mut acks)).await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.acks, answered.len() as u64);
    assert_eq!(report.bids, answered.len() as u64, "every bid was answered");
}

#[test]
fn a_bid_stands_on_the_terms_before_an_edit_or_after_it() {
    let stack = stack();
    let settings = settings(&stack);
    let plain = Terms { reserve: None, start_at_ms: BEGIN, end_at_ms: END, ..terms() };
    let ids = with_stores(&settings, async |stores| put_up_all(stores, 30, &plain).await);
    let dearer = Terms { start_price: 1_500, ..plain.clone() };
    let done = together(&settings, 3, async |stores, number| {
        let (mut answered, mut edited) = (Vec::new(), Vec::new());
        for &id in &ids {
            if number == 0 {
                match stores.auctions.edit(id, SELLER, None, &dearer, BEGIN, soon()).await {
                    Ok(_) => edited.push(id),
                    Err(error) => assert_eq!(error, AuctionError::HasBids),
                }
            } else {
                answered.extend(bid(stores, id, number, 1_000, BEGIN + 1).await);
                answered.extend(bid(stores, id, number, 1_600, BEGIN + 1).await);
            }
        }
        (answered, edited)
    });
    let answered: Vec<BidRow> = done.iter().flat_map(|it| it.0.clone()).collect();
    for id in done.iter().flat_map(|it| &it.1) {
        let mut bids = answered.iter().filter(|it| it.auction_id == *id);
        assert!(bids.all(|it| it.amount == 1_600), "on the new terms");
    }
    on_a_ring(audited(&stack, &answered));
}

#[test]
fn an_edited_or_cancelled_auction_takes_bids_as_it_is_now() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let other = Stores::open(&settings(&stack)).await.unwrap();
        let plain = Terms { reserve: None, start_at_ms: BEGIN, end_at_ms: END, ..terms() };
        let id = put_up(stores, &plain).await.id;
        // The other one knows the auction from now on.
        assert_eq!(bid(&other, id, 1, 10, BEGIN).await, None);
        let cheaper = Terms { start_price: 10, ..plain.clone() };
        stores.auctions.edit(id, SELLER, Some(1), &cheaper, BEGIN, soon()).await.unwrap();
        let placed = bid(&other, id, 1, 10, BEGIN).await.expect("on the new terms");
        assert_eq!((placed.sequence, placed.price), (1, 10));
        let late = stores.auctions.cancel(id, SELLER, BEGIN, soon()).await;
        assert_eq!(late, Err(AuctionError::HasBids));

        let id = put_up(stores, &plain).await.id;
        assert_eq!(bid(&other, id, 1, 10, BEGIN).await, None);
        stores.auctions.cancel(id, SELLER, BEGIN, soon()).await.unwrap();
        let offer = Offer { bidder_id: 1, amount: 5_000, max_amount: 5_000, bid_id: None };
        let refused = other.auctions.bid(id, vec![offer], BEGIN, soon()).await;
        assert_eq!(refused, [Err(BidError::Cancelled)]);
        audited(&stack, &[placed]).await;
        other.close().await;
    });
}

/// Two threads bid in the last moments, two settle, until all auctions are.
fn end_together(soft_window_ms: i64) {
    let stack = stack();
    let settings = settings(&stack);
    let terms = Terms {
        start_at_ms: BEGIN,
        end_at_ms: END,
        soft_window_ms,
        extensions_max: 2,
        reserve: Some(1_200),
        ..terms()
    };
    let (ids, early) = with_stores(&settings, async |stores| {
        let ids = put_up_all(stores, 16, &terms).await;
        let bids = ids.iter().map(|&id| Box::pin(bid(stores, id, 3, 1_000, BEGIN)));
        let early = join_all(bids.collect()).await;
        (ids, early.into_iter().map(|bid| bid.expect("long before the end")).collect::<Vec<_>>())
    });
    let done = together(&settings, 4, async |stores, number| {
        let (mut answered, mut settled) = (Vec::new(), 0);
        if number < 2 {
            for step in 0..12 {
                let at = END - 4 + step;
                let amount = 1_100 + 100 * step + 50 * i64::try_from(number).unwrap();
                let bids = ids.iter().map(|&id| Box::pin(bid(stores, id, number + 1, amount, at)));
                answered.extend(join_all(bids.collect()).await.into_iter().flatten());
            }
        } else {
            // The clock goes on until every end has come, however often bids move it.
            let mut left = ids.clone();
            let mut now = END - 2;
            while !left.is_empty() {
                let all = left.iter().map(|&id| Box::pin(stores.auctions.settle(id, now, soon())));
                let done = join_all(all.collect()).await;
                let mut is_settled = done.iter().map(|it| match it.as_ref().unwrap() {
                    Settled::Not => false,
                    Settled::Now(_) => {
                        settled += 1;
                        true
                    }
                    Settled::Before(_) => true,
                    Settled::Gone => panic!("it was never cancelled"),
                });
                left.retain(|_| !is_settled.next().unwrap());
                now += 1 + soft_window_ms / 4;
            }
        }
        (answered, settled)
    });
    let settled: u64 = done.iter().map(|it| it.1).sum();
    assert_eq!(settled, 16, "each once");
    assert_eq!(number(&stack, "SELECT COUNT(*) FROM settlements"), 16);
    let late = done.into_iter().flat_map(|it| it.0);
    let answered: Vec<BidRow> = early.into_iter().chain(late).collect();
    on_a_ring(audited(&stack, &answered));
    with_stores(&settings, async |stores| {
        let late = Offer { bidder_id: 9, amount: 9_000, max_amount: 9_000, bid_id: None };
        let refused = stores.auctions.bid(ids[0], vec![late], END - 1, soon()).await.remove(0);
        let ended = matches!(refused, Err(BidError::Refused(Refusal::Ended { .. })));
        assert!(ended, "{refused:?}");
    });
}

#[test]
fn bids_in_the_last_moment_count_in_the_settlement_or_are_refused() {
    end_together(0);
}

#[test]
fn an_end_that_bids_move_is_settled_when_it_has_come() {
    end_together(60_000);
}

#[test]
fn while_redis_is_away_sellers_go_on_and_ends_wait_for_it() {
    let mut stack = stack();
    let settings = settings(&stack);
    on_a_ring(async {
        let stores = Stores::open(&settings).await.unwrap();
        let plain = Terms { start_at_ms: BEGIN, end_at_ms: END, ..terms() };
        let ids = put_up_all(&stores, 2, &plain).await;
        let placed = bid(&stores, ids[0], 1, 2_500, BEGIN).await.expect("placed");
        stack.redis().kill();
        let new = Terms { title: "A vase".to_owned(), ..plain };
        let edited = stores.auctions.edit(ids[1], SELLER, None, &new, BEGIN, soon()).await;
        assert_eq!(edited.map(|it| it.version), Ok(2));
        let failed = stores.auctions.settle(ids[0], END, soon()).await;
        assert!(matches!(failed, Err(StoreError::Unavailable { .. })), "{failed:?}");
        assert_eq!(number(&stack, "SELECT COUNT(*) FROM settlements"), 0);
        stack.redis().restart().unwrap();
        let settled = until_settled(&stores, ids[0]).await;
        assert_eq!((settled.winner_id, settled.price), (Some(1), 2_500));
        until_settled(&stores, ids[1]).await;
        audited(&stack, &[placed]).await;
        stores.close().await;
    });
}

#[test]
fn a_settlement_whose_caller_or_database_went_away_happens_once() {
    let mut stack = stack_of_its_own();
    let settings = settings(&stack);
    on_a_ring(async {
        let stores = Stores::open(&settings).await.unwrap();
        let plain = Terms { start_at_ms: BEGIN, end_at_ms: END, ..terms() };
        let ids = put_up_all(&stores, 24, &plain).await;
        for &id in &ids {
            let settling = stores.auctions.settle(id, END, soon());
            if id % 8 == 0 {
                stack.mariadb().kill();
                let lost = settling.await;
                assert!(matches!(lost, Err(StoreError::Unavailable { .. })), "{lost:?}");
                stack.mariadb().restart().unwrap();
            } else {
                drop(tokio::time::timeout(Duration::from_millis(id % 4), settling).await);
            }
        }
        for &id in &ids {
            until_settled(&stores, id).await;
        }
        assert_eq!(number(&stack, "SELECT COUNT(*) FROM settlements"), 24);
        audited(&stack, &[]).await;
        stores.close().await;
    });
}

/// Settles an auction as a daemon does: again, until the stores are there.
async fn until_settled(stores: &Stores, id: u64) -> SettlementRow {
    let until = soon();
    loop {
        match stores.auctions.settle(id, END, soon()).await {
            Ok(Settled::Now(row) | Settled::Before(row)) => return row,
            Ok(other) => panic!("auction {id}: {other:?}"),
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
