//! The script that decides, held against the rules over random histories.

use super::{END, NOW, SELLER, bid_at, make, offer, verified};
use crate::harness::{redis, settings, soon, stack, with_stores};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use souk_db::auctions::rules::{Bid, Rules, State, Step};
use souk_db::auctions::{BidError, Offer};
use std::cell::{Cell, RefCell};

/// A call: after how many milliseconds, and who offers how much more than the price, with how much
/// more at most.
type Call = (i64, Vec<(u64, i64, i64)>);

fn rules() -> impl Strategy<Value = Rules> {
    let steps = prop_oneof![
        Just(vec![Step { from: 0, step: 10 }]),
        Just(vec![Step { from: 0, step: 1 }]),
        Just(vec![
            Step { from: 0, step: 5 },
            Step { from: 150, step: 20 },
            Step { from: 400, step: 75 },
        ]),
    ];
    let reserve = prop_oneof![Just(0), 100..500i64];
    let buy_now = prop_oneof![2 => Just(0), 1 => 300..900i64];
    let soft = prop_oneof![Just((0, 0)), (1..2_000_000i64, 1..4u32)];
    let start = prop_oneof![3 => Just(NOW - 1000), 1 => Just(NOW + 500_000)];
    (steps, reserve, buy_now, soft, start, 1..200i64).prop_map(
        |(increments, reserve, buy_now, soft, start_at_ms, start_price)| Rules {
            seller_id: SELLER,
            start_price,
            increments,
            reserve,
            buy_now,
            start_at_ms,
            soft_window_ms: soft.0,
            extensions_max: soft.1,
        },
    )
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    // Few different ones, so that there are ties of every kind.
    let large = prop_oneof![
        4 => prop::sample::select(vec![-20, 0, 1, 5, 10, 20, 50]),
        1 => -20..120i64,
        1 => 100..1000i64,
    ];
    let most = prop_oneof![
        2 => Just(0),
        4 => prop::sample::select(vec![5, 10, 20, 40, 100]),
        1 => 1..400i64,
    ];
    let offer = (1..5u64, large, most);
    // Clocks go back now and then, by little or by much.
    let step = prop_oneof![5 => 0..400_000i64, 2 => -900..0i64, 1 => -5_000..-1_000i64];
    prop::collection::vec((step, prop::collection::vec(offer, 1..12)), 1..14)
}

#[test]
fn the_script_decides_as_the_rules_do() {
    let stack = stack();
    let id = Cell::new(0);
    with_stores(&settings(&stack), async |stores| {
        let mut runner = TestRunner::new(Config { cases: 160, ..Config::default() });
        // The runner is not asynchronous: it makes the histories, and they are played afterwards.
        let histories = RefCell::new(Vec::new());
        runner
            .run(&(rules(), calls()), |history| {
                histories.borrow_mut().push(history);
                Ok(())
            })
            .unwrap();
        let histories = histories.into_inner();
        make(&stack, &histories.iter().map(|(rules, _)| rules.clone()).collect::<Vec<_>>());
        for (rules, calls) in &histories {
            id.set(id.get() + 1);
            play(stores, id.get(), rules, calls, &stack).await;
            verified(&stack, id.get(), rules);
        }
    });
}

async fn play(
    stores: &souk_db::Stores,
    id: u64,
    rules: &Rules,
    calls: &[Call],
    stack: &souk_stack::Stack,
) {
    let mut state = State {
        sequence: 0,
        price: 0,
        leader_id: 0,
        leader_max: 0,
        ends_at_ms: END,
        extended: 0,
        last_at_ms: 0,
    };
    let mut now = NOW;
    for (place, (step, offers)) in calls.iter().enumerate() {
        now += step;
        let offers: Vec<Offer> = offers
            .iter()
            .map(|(bidder_id, more, most)| {
                let amount = (state.price.max(rules.start_price) + more).max(1);
                let max_amount = amount + most;
                Offer { bidder_id: *bidder_id, amount, max_amount, bid_id: None }
            })
            .collect();
        if place % 5 == 4 {
            // What is made from the row is the same state.
            redis(stack, &["FLUSHALL"]);
        }
        let answers = stores.auctions.bid(id, offers.clone(), now, soon()).await;
        for (offer, answer) in offers.iter().zip(answers) {
            let Offer { bidder_id, amount, max_amount, .. } = *offer;
            let expected = rules.decide(&mut state, Bid { bidder_id, amount, max_amount }, now);
            let context = format!("{rules:?} {calls:?} {place} {offer:?}");
            match (answer, expected) {
                (Ok(placed), Ok(at_ms)) => {
                    let bid = placed.bid;
                    let found = (bid.sequence, bid.price, bid.leader_id, bid.ends_at_ms, bid.at_ms);
                    let State { sequence, price, leader_id, ends_at_ms, .. } = state;
                    assert_eq!(found, (sequence, price, leader_id, ends_at_ms, at_ms), "{context}");
                }
                (Err(BidError::Refused(found)), Err(expected)) => {
                    assert_eq!(found, expected, "{context}");
                }
                (found, expected) => panic!("{found:?} instead of {expected:?}: {context}"),
            }
        }
    }
}

#[test]
fn the_largest_amounts_are_exact() {
    let stack = stack();
    let most = souk_db::auctions::MONEY_MAX;
    let rules = Rules { increments: vec![Step { from: 0, step: most }], ..super::plain() };
    make(&stack, std::slice::from_ref(&rules));
    with_stores(&settings(&stack), async |stores| {
        let first = Offer { max_amount: most - 1, ..offer(2, 100) };
        bid_at(stores, 1, first, NOW).await.unwrap();
        let second = bid_at(stores, 1, Offer { max_amount: most, ..offer(3, most) }, NOW).await;
        let refusal = second.unwrap_err();
        assert!(format!("{refusal:?}").contains("1000000000000100"), "{refusal:?}");
        let third = bid_at(stores, 1, offer(3, most + 100), NOW).await.unwrap();
        assert_eq!(third.bid.price, most + 100);
    });
    verified(&stack, 1, &rules);
}
