//! Bids on one shard.

use super::{END, NOW, SELLER, bid, bid_at, make, named, offer, plain, verified};
use crate::harness::{join_all, redis, settings, soon, stack, with_stores};
use souk_db::auctions::rules::{Refusal, Rules};
use souk_db::auctions::{BidError, News, Offer};
use souk_db::{Server, StoreError};
use std::cell::RefCell;
use std::rc::Rc;

#[test]
fn bids_are_decided_in_order_and_are_durable_when_they_are_answered() {
    let stack = stack();
    make(&stack, &[plain()]);
    with_stores(&settings(&stack), async |stores| {
        let offers =
            vec![offer(2, 100), offer(3, 105), offer(3, 110), offer(3, 150), offer(2, 200)];
        let answers = stores.auctions.bid(1, offers, NOW, soon()).await;
        let sequences: Vec<Option<u64>> =
            answers.iter().map(|it| it.as_ref().ok().map(|it| it.bid.sequence)).collect();
        assert_eq!(sequences, [Some(1), None, Some(2), None, Some(3)]);
        let minimum = Refusal::TooLow { price: 100, minimum: 110 };
        assert_eq!(answers[1], Err(BidError::Refused(minimum)));
        let leads = Refusal::AlreadyLeading { price: 110, minimum: 120 };
        assert_eq!(answers[3], Err(BidError::Refused(leads)));
        let bids = verified(&stack, 1, &plain());
        let answered: Vec<_> = answers.into_iter().flatten().map(|it| it.bid).collect();
        assert_eq!(bids, answered);
    });
}

#[test]
fn each_of_the_offers_that_are_decided_together_counts_when_it_came() {
    let stack = stack();
    make(&stack, &[plain()]);
    with_stores(&settings(&stack), async |stores| {
        let (first, second, late) = tokio::join!(
            bid_at(stores, 1, offer(2, 100), END - 2),
            bid_at(stores, 1, offer(3, 200), END - 1),
            bid_at(stores, 1, offer(2, 300), END),
        );
        let at = [first, second].map(|placed| placed.expect("it came in time").bid.at_ms);
        assert_eq!(at, [END - 2, END - 1]);
        assert_eq!(late, Err(BidError::Refused(Refusal::Ended { ends_at_ms: END })));
        verified(&stack, 1, &plain());
    });
}

#[test]
fn what_cannot_be_bid_on_says_why() {
    let stack = stack();
    let later = Rules { start_at_ms: NOW + 1, ..plain() };
    make(&stack, &[plain(), later, plain(), plain()]);
    stack.sql("UPDATE auctions SET phase = 'cancelled' WHERE id = 3").unwrap();
    stack.sql("UPDATE auctions SET phase = 'ended', outcome = 'no_bids' WHERE id = 4").unwrap();
    with_stores(&settings(&stack), async |stores| {
        let ended = Refusal::Ended { ends_at_ms: END };
        let cases = [
            (1, offer(SELLER, 100), NOW, BidError::Refused(Refusal::OwnAuction)),
            (1, offer(2, 100), END, BidError::Refused(ended)),
            (2, offer(2, 100), NOW, BidError::Refused(Refusal::NotStarted)),
            (3, named(2, 100, "a"), NOW, BidError::Cancelled),
            (4, named(2, 100, "a"), NOW, BidError::Refused(ended)),
            (5, named(2, 100, "a"), NOW, BidError::Missing),
        ];
        for _ in 0..2 {
            for (id, offer, now_ms, why) in &cases {
                let answer = bid_at(stores, *id, offer.clone(), *now_ms).await;
                assert_eq!(answer.as_ref(), Err(why), "{id} {offer:?}");
            }
        }
        bid_at(stores, 1, offer(2, 100), NOW + 5_000).await.unwrap();
        let behind = bid_at(stores, 1, offer(3, 200), NOW + 3_999).await;
        assert_eq!(behind, Err(BidError::Refused(Refusal::ClockBehind)));
        let placed = bid_at(stores, 1, offer(3, 200), NOW + 4_000).await.unwrap();
        assert_eq!(placed.bid.at_ms, NOW + 5_000, "never before the bid before");
    });
    verified(&stack, 1, &plain());
}

#[test]
fn a_repeated_bid_has_the_first_answer_also_at_once_and_after_the_end() {
    let stack = stack();
    make(&stack, &[plain()]);
    with_stores(&settings(&stack), async |stores| {
        let twice = vec![named(2, 100, "it's \\ \"x\""), named(2, 100, "it's \\ \"x\"")];
        let answers = stores.auctions.bid(1, twice.clone(), NOW, soon()).await;
        let first = answers[0].as_ref().unwrap();
        let second = answers[1].as_ref().unwrap();
        assert_eq!((first.repeated, second.repeated), (false, true));
        assert_eq!(first.bid, second.bid);
        bid(stores, 1, named(3, 300, "it's \\ \"x\"")).await.unwrap();
        for now_ms in [NOW, END] {
            let again = bid_at(stores, 1, twice[0].clone(), now_ms).await.unwrap();
            assert_eq!((again.repeated, &again.bid), (true, &first.bid));
        }
        let other = bid(stores, 1, named(2, 100, "other")).await;
        assert!(matches!(other, Err(BidError::Refused(Refusal::TooLow { .. }))), "{other:?}");
    });
    assert_eq!(verified(&stack, 1, &plain()).len(), 2);
}

#[test]
fn more_offers_than_the_bound_are_refused_at_once_and_the_others_answered() {
    let stack = stack();
    make(&stack, &[plain()]);
    with_stores(&settings(&stack), async |stores| {
        let offers = |from: u64, count: u64| -> Vec<Offer> {
            (from..from + count).map(|n| offer(2 + n, 100 + 10 * n as i64)).collect()
        };
        let calls = [(0, 4_000), (4_000, 1_000), (5_000, 1)];
        let calls = calls.map(|(from, count)| {
            Box::pin(stores.auctions.bid(1, offers(from, count), NOW, soon()))
        });
        let answers = join_all(calls.into()).await;
        assert!(answers[0].iter().chain(&answers[1]).all(Result::is_ok));
        let busy = BidError::Store(StoreError::Busy(Server::Database));
        assert_eq!(answers[2], [Err(busy)]);
        assert!(stores.auctions.bid(1, offers(5_000, 1), NOW, soon()).await[0].is_ok());
    });
    assert_eq!(verified(&stack, 1, &plain()).len(), 5_001);
}

#[test]
fn garbage_in_redis_is_replaced_and_no_bid_is_lost() {
    let stack = stack();
    make(&stack, &[plain()]);
    with_stores(&settings(&stack), async |stores| {
        let mut amount = 100;
        bid(stores, 1, offer(4, amount)).await.unwrap();
        let key = |end: &str| {
            let keys = redis(&stack, &["KEYS", &format!("souk:{{a:1}}:*:{end}")]);
            keys.lines().find(|line| line.starts_with("souk")).unwrap().to_owned()
        };
        let (state, log) = (key("state"), key("log"));
        let text = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let damages = [
            vec![text(&["SET", &state, "garbage"])],
            vec![text(&["SET", &state, "\u{1}"])],
            vec![text(&["SET", &state, "fence of nobody"])],
            vec![text(&["DEL", &state]), text(&["LPUSH", &state, "x"])],
            vec![text(&["DEL", &log]), text(&["SET", &log, "x"])],
            vec![text(&["DEL", &state]), text(&["XADD", &log, "99-0", "b", "x"])],
            vec![text(&["XADD", &log, "999-0", "b", "1 2 3"])],
            vec![text(&["FLUSHALL"])],
            vec![text(&["SCRIPT", "FLUSH"])],
        ];
        for damage in damages {
            for command in &damage {
                redis(&stack, &command.iter().map(String::as_str).collect::<Vec<_>>());
            }
            amount += 10;
            let placed = bid(stores, 1, offer(2 + u64::from(amount % 20 == 0), amount)).await;
            placed.unwrap_or_else(|error| panic!("{damage:?}: {error}"));
        }
    });
    assert_eq!(verified(&stack, 1, &plain()).len(), 10);
}

#[test]
fn listeners_are_told_what_was_committed_and_what_others_did() {
    let stack = stack();
    make(&stack, &[plain(), plain()]);
    with_stores(&settings(&stack), async |stores| {
        let told = Rc::new(RefCell::new(Vec::new()));
        let tells = told.clone();
        stores.auctions.on_news(Box::new(move |news| {
            tells.borrow_mut().push(match news {
                News::Bids(row, bids) => {
                    assert_eq!(row.sequence, bids.last().unwrap().sequence);
                    (row.id, bids.iter().map(|bid| bid.sequence).collect())
                }
                News::Changed(id) => (id, Vec::new()),
            });
        }));
        stores.auctions.listen(1);
        stores.auctions.listen(1);
        stores.auctions.unlisten(1);
        stores.auctions.bid(1, vec![offer(2, 100), offer(3, 200)], NOW, soon()).await;
        bid(stores, 2, offer(2, 100)).await.unwrap();
        assert_eq!(told.take(), [(1, vec![1, 2])]);
        redis(&stack, &["PUBLISH", "souk:{a:1}:news", "somebody 3"]);
        while told.borrow().is_empty() {
            stores.health().await;
        }
        assert_eq!(told.take(), [(1, vec![])]);
        redis(&stack, &["CLIENT", "KILL", "TYPE", "pubsub"]);
        while told.borrow().is_empty() {
            stores.health().await;
        }
        assert_eq!(told.take(), [(1, vec![])], "something may have been missed");
        while !redis(&stack, &["PUBLISH", "souk:{a:1}:news", "somebody 4"]).contains(":1") {
            stores.health().await;
        }
        while told.borrow().is_empty() {
            stores.health().await;
        }
        stores.auctions.unlisten(1);
        told.take();
        bid(stores, 1, offer(2, 300)).await.unwrap();
        assert_eq!(told.take(), []);
    });
}
