//! Lists of auctions, a page at a time.

use super::super::{Shop, code, field, in_shop, soon, stranger};
use super::{HOUR, MINUTE, bid, offer, put_up};
use souk_proto::auctions::{
    AuctionList, AuctionPage, ListAuctionsRequest, SetWatchedRequest, State,
};
use souk_proto::common::Caller;
use souk_proto::{Code, Failure};
use soukd::services::auctions;
use std::time::Duration;

async fn page(
    shop: &Shop,
    caller: &Caller,
    list: AuctionList,
    limit: u32,
    cursor: &str,
) -> Result<AuctionPage, Failure> {
    let caller = Some(caller.clone());
    let request = ListAuctionsRequest { caller, list: list.into(), limit, cursor: cursor.into() };
    auctions::list_auctions(&shop.cx, request, soon()).await
}

/// The numbers of all auctions of a list, read two at a time.
async fn walk(shop: &Shop, caller: &Caller, list: AuctionList) -> Vec<u64> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = page(shop, caller, list, 2, &cursor).await.expect("a page");
        assert!(page.items.len() <= 2);
        assert!(page.items.iter().all(|item| item.description.is_empty()));
        ids.extend(page.items.iter().map(|item| item.id));
        if page.next_cursor.is_empty() {
            return ids;
        }
        cursor = page.next_cursor;
    }
}

async fn watch(
    shop: &Shop,
    caller: &Caller,
    auction_id: u64,
    watched: bool,
) -> Result<(), Failure> {
    let caller = Some(caller.clone());
    let request = SetWatchedRequest { caller, auction_id, watched };
    auctions::set_watched(&shop.cx, request, soon()).await.map(drop)
}

#[test]
fn live_auctions_are_listed_by_start_and_by_end() {
    in_shop(async |shop| {
        let (seller, visitor) = (shop.enter("ann").await, stranger(9));
        let mut ids = Vec::new();
        for minutes in [50, 20, 40, 30, 10] {
            let put = put_up(shop, &seller, |it| it.end_at_ms += (minutes - 60) * MINUTE);
            ids.push(put.await.expect("put up").id);
            shop.clock.pass(Duration::from_secs(1));
        }
        let later = put_up(shop, &seller, |it| it.start_at_ms = it.end_at_ms - MINUTE).await;
        let later = later.expect("put up").id;
        let newest: Vec<u64> = ids.iter().rev().copied().collect();
        assert_eq!(walk(shop, &visitor, AuctionList::AllLive).await, newest);
        let by_end = [4, 1, 3, 2, 0].map(|place| ids[place]);
        assert_eq!(walk(shop, &visitor, AuctionList::EndingSoon).await, by_end);
        let own = walk(shop, &seller, AuctionList::Selling).await;
        assert_eq!(own.len(), 6);
        assert_eq!(own[0], later);
        // One ends, the last one starts.
        shop.clock.pass(Duration::from_millis(u64::try_from(HOUR).expect("short")));
        let live = page(shop, &visitor, AuctionList::AllLive, 0, "").await.expect("a page");
        assert!(live.items.iter().all(|item| item.state() == State::Live));
    });
}

#[test]
fn watched_ones_and_those_with_own_bids_are_listed_for_their_user_alone() {
    in_shop(async |shop| {
        let (seller, ann, bob) =
            (shop.enter("sal").await, shop.enter("ann").await, shop.enter("bob").await);
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(put_up(shop, &seller, |_| ()).await.expect("put up").id);
        }
        for place in [0, 2, 4] {
            watch(shop, &ann, ids[place], true).await.expect("watched");
            bid(shop, &ann, ids[place], offer(1_000)).await.expect("accepted");
        }
        watch(shop, &ann, ids[2], true).await.expect("again is no mistake");
        let expected = vec![ids[4], ids[2], ids[0]];
        assert_eq!(walk(shop, &ann, AuctionList::Watched).await, expected);
        assert_eq!(walk(shop, &ann, AuctionList::Bidding).await, expected);
        assert!(walk(shop, &bob, AuctionList::Watched).await.is_empty());
        assert!(walk(shop, &bob, AuctionList::Bidding).await.is_empty());
        watch(shop, &ann, ids[2], false).await.expect("no more");
        assert_eq!(walk(shop, &ann, AuctionList::Watched).await, [ids[4], ids[0]]);
        let live = page(shop, &ann, AuctionList::AllLive, 100, "").await.expect("a page");
        let watched: Vec<u64> =
            live.items.iter().filter(|item| item.watched).map(|item| item.id).collect();
        assert_eq!(watched, [ids[4], ids[0]]);
        assert!(live.items.iter().filter_map(|item| item.leader.as_ref()).all(|it| it.you));
        assert_eq!(code(watch(shop, &ann, 999, true).await), Code::AuctionNotFound);
        assert_eq!(code(watch(shop, &stranger(1), ids[0], true).await), Code::Unauthenticated);
    });
}

#[test]
fn pages_that_cannot_be_are_refused_with_the_field() {
    in_shop(async |shop| {
        let (ann, bob) = (shop.enter("ann").await, shop.enter("bob").await);
        for _ in 0..3 {
            put_up(shop, &ann, |_| ()).await.expect("put up");
        }
        let listed = page(shop, &ann, AuctionList::AllLive, 101, "").await;
        assert_eq!(field(listed), "limit");
        let first = page(shop, &ann, AuctionList::Selling, 2, "").await.expect("a page");
        let cursor = first.next_cursor;
        for (caller, list) in [
            (&ann, AuctionList::AllLive),
            (&ann, AuctionList::Watched),
            (&bob, AuctionList::Selling),
        ] {
            assert_eq!(field(page(shop, caller, list, 2, &cursor).await), "cursor");
        }
        assert_eq!(field(page(shop, &ann, AuctionList::Selling, 2, "x").await), "cursor");
        for list in [AuctionList::Selling, AuctionList::Bidding, AuctionList::Watched] {
            assert_eq!(code(page(shop, &stranger(1), list, 2, "").await), Code::Unauthenticated);
        }
        let caller = Some(ann.clone());
        let request = ListAuctionsRequest { caller, list: 99, ..Default::default() };
        let listed = auctions::list_auctions(&shop.cx, request, soon()).await;
        assert_eq!(field(listed), "list");
    });
}
