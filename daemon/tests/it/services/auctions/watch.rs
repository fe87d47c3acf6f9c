//! News of an auction, as a service tells them.

use super::super::{Shop, code, in_shop, on_stores, soon, stranger};
use super::{HOUR, about, bid, offer, put_up, up_to};
use souk_proto::Code;
use souk_proto::auctions::{AuctionNews, EditAuctionRequest, Outcome, State};
use soukd::auctions::keep::settle_due;
use soukd::auctions::live;
use soukd::services::auctions;
use std::time::{Duration, Instant};

/// Runs a test beside what keeps watched auctions up to date.
fn followed(test: impl AsyncFnOnce(&Shop)) {
    in_shop(async |shop| {
        tokio::select! {
            () = live::follow(&shop.cx) => panic!("it goes on for ever"),
            () = test(shop) => {}
        }
    });
}

async fn watch(shop: &Shop, id: u64) -> auctions::Watch {
    auctions::watch_auction(&shop.cx, about(&stranger(5), id), soon()).await.expect("a watch")
}

async fn next(shop: &Shop, watch: &mut auctions::Watch) -> AuctionNews {
    watch.next(&shop.cx).await.expect("news").expect("the watch goes on")
}

/// News until some fulfil this; all of them.
async fn until(
    shop: &Shop,
    watch: &mut auctions::Watch,
    wanted: impl Fn(&AuctionNews) -> bool,
) -> Vec<AuctionNews> {
    let mut all = Vec::new();
    loop {
        all.push(next(shop, watch).await);
        if all.last().is_some_and(&wanted) {
            return all;
        }
    }
}

#[test]
fn watchers_are_told_of_each_bid_once_and_of_no_maximum() {
    followed(async |shop| {
        let (seller, ann, bob) =
            (shop.enter("sal").await, shop.enter("ann").await, shop.enter("bob").await);
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        bid(shop, &ann, id, up_to(1_000, 987_654_321)).await.expect("accepted");
        let mut early = watch(shop, id).await;
        let first = next(shop, &mut early).await;
        assert_eq!((first.sequence, first.price, first.minimum), (1, 1_000, 1_100));
        assert_eq!((first.state(), first.recent.len()), (State::Live, 1));
        assert_eq!(first.leader, first.recent[0].bidder);
        for amount in [1_100, 1_300, 1_500] {
            bid(shop, &bob, id, offer(amount)).await.expect("accepted");
        }
        let news = until(shop, &mut early, |it| it.sequence == 4).await;
        let told: Vec<u64> = news.iter().flat_map(|it| &it.recent).map(|it| it.sequence).collect();
        assert_eq!(told, [2, 3, 4]);
        let last = news.last().expect("news");
        assert_eq!((last.price, &last.leader), (1_600, &first.leader));
        assert!(!format!("{first:?} {news:?}").contains("987654321"));
        let late = next(shop, &mut watch(shop, id).await).await;
        assert_eq!(late.recent.len(), 4);
        assert_eq!((late.sequence, &late.head), (4, &last.head));
    });
}

#[test]
fn what_happens_on_another_daemon_is_told_too() {
    followed(async |shop| {
        let (seller, ann) = (shop.enter("sal").await, shop.enter("ann").await);
        let put = put_up(shop, &seller, |_| ()).await.expect("put up");
        let mut watch = watch(shop, put.id).await;
        assert_eq!(next(shop, &mut watch).await.sequence, 0);
        let other = shop.beside(|_| ()).await;
        let edit = EditAuctionRequest {
            caller: Some(seller.clone()),
            auction_id: put.id,
            start_price: Some(2_000),
            ..EditAuctionRequest::default()
        };
        auctions::edit_auction(&other.cx, edit, soon()).await.expect("edited");
        let news = until(shop, &mut watch, |it| it.version == 2).await;
        assert_eq!(news.last().map(|it| it.price), Some(2_000));
        bid(&other, &ann, put.id, offer(2_000)).await.expect("accepted");
        let news = until(shop, &mut watch, |it| it.sequence == 1).await;
        assert_eq!(news.last().map(|it| it.recent.len()), Some(1));
        other.cx.close().await;
    });
}

#[test]
fn a_change_that_nobody_told_of_is_seen_at_the_next_look() {
    on_stores(
        |_| (),
        async |shop, stack| {
            let test = async {
                let seller = shop.enter("sal").await;
                let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
                let mut watch = watch(shop, id).await;
                assert_eq!(next(shop, &mut watch).await.price, 1_000);
                // As long as it is read because of the first watcher, a word would not be missed.
                tokio::time::sleep(Duration::from_secs(1)).await;
                let edit = "UPDATE auctions SET start_price = 1500, version = version + 1";
                stack.sql(edit).expect("an edit");
                assert_eq!(next(shop, &mut watch).await.price, 1_500);
            };
            tokio::select! {
                () = live::follow(&shop.cx) => panic!("it goes on for ever"),
                () = test => {}
            }
        },
    );
}

#[test]
fn start_end_and_outcome_are_told() {
    followed(async |shop| {
        let seller = shop.enter("sal").await;
        let start = super::now(shop) + 100;
        let put = put_up(shop, &seller, |it| it.start_at_ms = start).await.expect("put up");
        let mut watch = watch(shop, put.id).await;
        assert_eq!(next(shop, &mut watch).await.state(), State::Scheduled);
        shop.clock.pass(Duration::from_millis(100));
        assert_eq!(next(shop, &mut watch).await.state(), State::Live);
        shop.clock.pass(Duration::from_millis(u64::try_from(HOUR).expect("short") - 150));
        let mut late = self::watch(shop, put.id).await;
        assert_eq!(next(shop, &mut late).await.state(), State::Live);
        shop.clock.pass(Duration::from_millis(50));
        let over = next(shop, &mut late).await;
        assert_eq!((over.state(), over.outcome()), (State::Ended, Outcome::None));
        let share = settle_due(&shop.cx, 64, |_| true).await.expect("the stores answer");
        assert_eq!(share.settled, 1);
        let settled = next(shop, &mut late).await;
        assert_eq!((settled.state(), settled.outcome()), (State::Ended, Outcome::NoBids));
    });
}

#[test]
fn a_watch_of_nothing_is_refused_and_one_of_something_ends_in_time() {
    followed(async |shop| {
        let missing = about(&stranger(5), 1);
        let refused = auctions::watch_auction(&shop.cx, missing, soon()).await;
        assert_eq!(code(refused), Code::AuctionNotFound);
        let seller = shop.enter("sal").await;
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        let deadline = Instant::now() + Duration::from_secs(1);
        let short = auctions::watch_auction(&shop.cx, about(&stranger(5), id), deadline).await;
        let mut short = short.expect("a watch");
        next(shop, &mut short).await;
        assert!(short.next(&shop.cx).await.expect("no failure").is_none());
        let mut stopped = watch(shop, id).await;
        next(shop, &mut stopped).await;
        shop.cx.live().stop();
        assert!(stopped.next(&shop.cx).await.expect("no failure").is_none());
    });
}
