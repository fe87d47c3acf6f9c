//! How auctions come out, and who is told.

use super::super::{Shop, code, field, in_shop, soon, stranger};
use super::{HOUR, about, bid, get, offer, put_up, why};
use souk_proto::auctions::{
    ListNotificationsRequest, NotificationKind, NotificationPage, Outcome,
    ReadNotificationsRequest, Settlement, State,
};
use souk_proto::common::Caller;
use souk_proto::{Code, Failure};
use soukd::auctions::keep::settle_due;
use soukd::services::auctions;
use std::time::{Duration, Instant};

fn hour_passes(shop: &Shop) {
    shop.clock.pass(Duration::from_millis(u64::try_from(HOUR).expect("short")));
}

async fn settlement(shop: &Shop, caller: &Caller, id: u64) -> Result<Settlement, Failure> {
    auctions::get_settlement(&shop.cx, about(caller, id), soon()).await
}

async fn notifications(
    shop: &Shop,
    caller: &Caller,
    limit: u32,
    before: u64,
) -> Result<NotificationPage, Failure> {
    let request = ListNotificationsRequest { caller: Some(caller.clone()), limit, before };
    auctions::list_notifications(&shop.cx, request, soon()).await
}

/// Settles what is over; how many were.
async fn settle(shop: &Shop) -> usize {
    settle_due(&shop.cx, 64, |_| true).await.expect("the stores answer").settled
}

#[test]
fn what_is_sold_is_settled_once_and_told_to_both() {
    in_shop(async |shop| {
        let (seller, ann, bob) =
            (shop.enter("sal").await, shop.enter("ann").await, shop.enter("bob").await);
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        bid(shop, &ann, id, offer(1_000)).await.expect("accepted");
        bid(shop, &bob, id, offer(1_100)).await.expect("accepted");
        assert_eq!(settle(shop).await, 0, "it goes on");
        assert_eq!(code(settlement(shop, &seller, id).await), Code::SettlementNotFound);
        assert_eq!(code(settlement(shop, &seller, id + 1).await), Code::AuctionNotFound);
        hour_passes(shop);
        // Two daemons at once.
        let other = shop.beside(|_| ()).await;
        let (one, two) = tokio::join!(settle(shop), settle(&other));
        assert_eq!(one + two, 1);
        assert_eq!((settle(shop).await, settle(&other).await), (0, 0));
        other.cx.close().await;
        let seen = get(shop, &ann, id).await.expect("it");
        assert_eq!((seen.state(), seen.outcome()), (State::Ended, Outcome::Sold));
        assert_eq!(why(bid(shop, &ann, id, offer(9_000)).await), Code::AuctionEnded);
        let settled = settlement(shop, &seller, id).await.expect("the seller's");
        assert_eq!(settlement(shop, &bob, id).await.expect("the winner's"), settled);
        assert_eq!((settled.outcome(), settled.price, settled.bids), (Outcome::Sold, 1_100, 2));
        let winner = settled.winner.as_ref().map(|it| it.username.as_str());
        assert_eq!((winner, &settled.head), (Some("bob"), &seen.head));
        assert_eq!(code(settlement(shop, &ann, id).await), Code::Forbidden);
        assert_eq!(code(settlement(shop, &stranger(1), id).await), Code::Unauthenticated);
        for (who, kind) in [(&seller, NotificationKind::SoldOut), (&bob, NotificationKind::Won)] {
            let page = notifications(shop, who, 0, 0).await.expect("a page");
            assert_eq!((page.items.len(), page.unread), (1, 1));
            let told = &page.items[0];
            assert_eq!((told.kind(), told.auction_id, told.price), (kind, id, 1_100));
            assert_eq!((told.title.as_str(), told.read), ("A lamp", false));
        }
        assert!(notifications(shop, &ann, 0, 0).await.expect("a page").items.is_empty());
    });
}

#[test]
fn without_bids_or_below_the_reserve_nothing_is_sold() {
    in_shop(async |shop| {
        let (seller, ann) = (shop.enter("sal").await, shop.enter("ann").await);
        let none = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        let low = put_up(shop, &seller, |it| it.reserve = Some(2_000)).await.expect("put up").id;
        bid(shop, &ann, low, offer(1_000)).await.expect("accepted");
        assert!(!get(shop, &ann, low).await.expect("it").reserve_met);
        hour_passes(shop);
        assert_eq!(settle(shop).await, 2);
        for (id, outcome, bids) in [(none, Outcome::NoBids, 0), (low, Outcome::ReserveNotMet, 1)] {
            let settled = settlement(shop, &seller, id).await.expect("settled");
            assert_eq!((settled.outcome(), settled.price, settled.bids), (outcome, 0, bids));
            assert!(settled.winner.is_none());
        }
        assert_eq!(code(settlement(shop, &ann, low).await), Code::Forbidden);
    });
}

#[test]
fn notifications_are_read_a_page_at_a_time() {
    in_shop(async |shop| {
        let seller = shop.enter("sal").await;
        for _ in 0..3 {
            put_up(shop, &seller, |_| ()).await.expect("put up");
        }
        hour_passes(shop);
        assert_eq!(settle(shop).await, 3);
        let first = notifications(shop, &seller, 2, 0).await.expect("a page");
        assert_eq!((first.items.len(), first.unread), (2, 3));
        assert!(first.items[0].id > first.items[1].id);
        let second = notifications(shop, &seller, 2, first.items[1].id).await.expect("a page");
        assert_eq!(second.items.len(), 1);
        assert_eq!(second.items[0].kind(), NotificationKind::NotSold);
        let read = async |caller: &Caller, up_to| {
            let request = ReadNotificationsRequest { caller: Some(caller.clone()), up_to };
            auctions::read_notifications(&shop.cx, request, soon()).await
        };
        read(&seller, first.items[1].id).await.expect("read");
        let after = notifications(shop, &seller, 0, 0).await.expect("a page");
        let flags: Vec<bool> = after.items.iter().map(|it| it.read).collect();
        assert_eq!((flags, after.unread), (vec![false, true, true], 1));
        assert_eq!(field(notifications(shop, &seller, 101, 0).await), "limit");
        assert_eq!(code(notifications(shop, &stranger(1), 0, 0).await), Code::Unauthenticated);
        assert_eq!(code(read(&stranger(1), 1).await), Code::Unauthenticated);
    });
}

#[test]
fn who_buys_now_ends_the_auction_which_is_settled_in_the_background() {
    in_shop(async |shop| {
        let (seller, ann) = (shop.enter("sal").await, shop.enter("ann").await);
        let put = put_up(shop, &seller, |it| it.buy_now = Some(5_000)).await.expect("put up");
        let done = bid(shop, &ann, put.id, offer(6_000)).await.expect("accepted");
        assert_eq!((done.price, done.leading, done.ends_at_ms), (5_000, true, super::now(shop)));
        let until = Instant::now() + Duration::from_secs(30);
        let settled = loop {
            match settlement(shop, &ann, put.id).await {
                Ok(settled) => break settled,
                Err(failure) if failure.code == Code::SettlementNotFound => {
                    assert!(Instant::now() < until, "it is not settled");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(failure) => panic!("{failure}"),
            }
        };
        assert_eq!((settled.outcome(), settled.price), (Outcome::Sold, 5_000));
    });
}
