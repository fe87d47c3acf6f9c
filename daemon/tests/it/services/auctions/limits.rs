//! How often bids are taken.

use super::super::{code, on_stores};
use super::{offer, offers, put_up, why};
use souk_proto::Code;
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
