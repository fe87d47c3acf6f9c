//! How often bids are taken, and when none are.

use super::super::{code, in_shop, on_own_stores, on_stores};
use super::{bid, offer, offers, put_up, why};
use souk_proto::Code;
use souk_proto::common::Caller;
use soukd::auctions::keep;
use std::time::Duration;

#[test]
fn each_offer_takes_a_token_and_those_without_one_are_refused_by_themselves() {
    on_stores(
        |settings| {
            settings.limits.enabled = true;
            (settings.limits.bid_per_s, settings.limits.bid_burst) = (1, 3);
        },
        async |shop, _| {
            let (seller, ann) = (shop.enter("sal").await, shop.enter("ann").await);
            let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
            let mut answers = offers(shop, &ann, id, vec![offer(1_000); 5]).await.expect("answers");
            let refused = answers.split_off(3);
            assert!(answers[0].is_ok());
            assert!(answers.into_iter().skip(1).all(|it| why(it) == Code::AlreadyLeading));
            assert!(refused.into_iter().all(|it| why(it) == Code::RateLimited));
            let again = offers(shop, &ann, id, vec![offer(1_000)]).await;
            assert_eq!(code(again), Code::RateLimited);
            shop.clock.pass(Duration::from_secs(1));
            assert!(offers(shop, &ann, id, vec![offer(1_000)]).await.is_ok());
        },
    );
}

#[test]
fn bids_are_limited_per_address_and_per_user() {
    on_stores(
        |settings| {
            settings.limits.enabled = true;
            (settings.limits.bid_per_s, settings.limits.bid_burst) = (1, 3);
        },
        async |shop, _| {
            let seller = shop.enter("sal").await;
            let (ann, bob) = (shop.enter("ann").await, shop.enter("bob").await);
            let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
            let at = |who: &Caller, last| Caller { address: vec![192, 0, 2, last], ..who.clone() };
            offers(shop, &at(&ann, 1), id, vec![offer(1_000); 3]).await.expect("all are admitted");
            let one = || vec![offer(9_000)];
            let same_address = offers(shop, &at(&bob, 1), id, one()).await;
            assert_eq!(code(same_address), Code::RateLimited);
            let same_user = offers(shop, &at(&ann, 2), id, one()).await;
            assert_eq!(code(same_user), Code::RateLimited);
            assert!(offers(shop, &at(&bob, 3), id, one()).await.is_ok(), "neither");
        },
    );
}

#[test]
fn while_the_clocks_are_apart_no_bid_is_taken() {
    in_shop(async |shop| {
        let (seller, ann) = (shop.enter("sal").await, shop.enter("ann").await);
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        // The shop's clock stands somewhere else than that of Redis.
        keep::look(&shop.cx).await;
        assert_eq!(code(offers(shop, &ann, id, vec![offer(1_000)]).await), Code::ClockSkew);
        let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let real = i64::try_from(real.expect("after 1970").as_millis()).expect("soon");
        shop.clock.set_back(super::now(shop) - real);
        keep::look(&shop.cx).await;
        let refused = bid(shop, &ann, id, offer(1_000)).await;
        assert_eq!(why(refused), Code::AuctionNotStarted, "bids are let through");
    });
}

#[test]
fn a_bid_that_meets_a_database_that_is_away_pauses_bidding() {
    on_own_stores(async |shop, stack| {
        let (seller, ann) = (shop.enter("sal").await, shop.enter("ann").await);
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        stack.mariadb().kill();
        let failed = bid(shop, &ann, id, offer(1_000)).await.expect_err("no database");
        let failed = super::refusal(&failed);
        assert_eq!(failed.code, Code::StoreUnavailable);
        assert!(failed.text().contains("bid_id"), "{failed}");
        let paused = offers(shop, &ann, id, vec![offer(1_000)]).await.expect_err("paused");
        assert_eq!(paused.code, Code::Busy);
        assert!(paused.retry_after_ms >= 100 && paused.text().contains("end later"));
        stack.mariadb().restart().expect("the database again");
    });
}
