//! Bids and their history.

use super::super::{Shop, asked_by, code, field, in_shop, soon, stranger};
use super::{HOUR, about, bid, get, offer, offers, put_up, refusal, up_to, why};
use souk_proto::auctions::{
    BidPage, EditAuctionRequest, ListBidsRequest, Offer, PlaceBidsRequest, SoftClose,
};
use souk_proto::common::Caller;
use souk_proto::{Code, Failure};
use soukd::services::{accounts, auctions};
use std::time::Duration;

async fn history(
    shop: &Shop,
    caller: &Caller,
    auction_id: u64,
    change: impl FnOnce(&mut ListBidsRequest),
) -> Result<BidPage, Failure> {
    let caller = Some(caller.clone());
    let mut request = ListBidsRequest { caller, auction_id, ..ListBidsRequest::default() };
    change(&mut request);
    auctions::list_bids(&shop.cx, request, soon()).await
}

#[test]
fn two_bid_with_maxima_and_the_higher_leads_at_the_least_price() {
    in_shop(async |shop| {
        let (seller, ann, bob) =
            (shop.enter("sal").await, shop.enter("ann").await, shop.enter("bob").await);
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        let first = bid(shop, &ann, id, up_to(1_000, 3_000)).await.expect("accepted");
        assert_eq!((first.sequence, first.price, first.leading), (1, 1_000, true));
        let second = bid(shop, &bob, id, up_to(1_100, 2_000)).await.expect("accepted");
        assert_eq!((second.sequence, second.price, second.leading), (2, 2_100, false));
        let third = bid(shop, &bob, id, up_to(2_200, 987_654_321)).await.expect("accepted");
        assert_eq!((third.sequence, third.price, third.leading), (3, 3_100, true));
        assert_eq!((third.auction_id, third.head.len()), (id, 32));
        let low = bid(shop, &ann, id, offer(3_199)).await.expect_err("too low");
        assert_eq!(refusal(&low).code, Code::BidTooLow);
        assert_eq!((low.price, low.minimum), (3_100, 3_200));
        let seen = get(shop, &ann, id).await.expect("it");
        assert_eq!((seen.price, seen.minimum, seen.bids), (3_100, 3_200, 3));
        assert_eq!(seen.head, data_encoding::HEXLOWER.encode(&third.head));
        // No maximum is anywhere in what others are told; this one is no part of a hash or a time.
        let text = format!("{seen:?} {:?}", history(shop, &ann, id, |_| ()).await);
        assert!(!text.contains("987654321"), "{text}");
    });
}

#[test]
fn bids_that_the_rules_refuse_say_why() {
    in_shop(async |shop| {
        let (seller, ann) = (shop.enter("sal").await, shop.enter("ann").await);
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        assert_eq!(why(bid(shop, &seller, id, offer(1_000)).await), Code::OwnAuction);
        let low = bid(shop, &ann, id, offer(999)).await.expect_err("too low");
        assert_eq!((refusal(&low).code, low.minimum), (Code::BidTooLow, 1_000));
        bid(shop, &ann, id, offer(1_000)).await.expect("accepted");
        assert_eq!(why(bid(shop, &ann, id, offer(2_000)).await), Code::AlreadyLeading);
        assert_eq!(why(bid(shop, &ann, id + 1, offer(1_000)).await), Code::AuctionNotFound);
        let start = super::now(shop) + 1_000;
        let later = put_up(shop, &seller, |it| it.start_at_ms = start).await.expect("put up").id;
        assert_eq!(why(bid(shop, &ann, later, offer(1_000)).await), Code::AuctionNotStarted);
        shop.clock.pass(Duration::from_secs(1));
        bid(shop, &ann, later, offer(1_000)).await.expect("accepted");
        let ends_at_ms = get(shop, &ann, id).await.expect("it").ends_at_ms;
        shop.clock.pass(Duration::from_millis(u64::try_from(HOUR).expect("short")));
        let late = bid(shop, &ann, id, offer(5_000)).await.expect_err("over");
        assert_eq!((refusal(&late).code, late.ends_at_ms), (Code::AuctionEnded, ends_at_ms));
        let gone = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        auctions::cancel_auction(&shop.cx, about(&seller, gone), soon()).await.expect("cancelled");
        assert_eq!(why(bid(shop, &ann, gone, offer(1_000)).await), Code::AuctionCancelled);
    });
}

#[test]
fn offers_that_are_none_are_refused_with_the_field_and_the_others_count() {
    in_shop(async |shop| {
        let (seller, ann) = (shop.enter("sal").await, shop.enter("ann").await);
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        let named = |bid_id: &str| Offer { bid_id: bid_id.into(), ..offer(1_000) };
        let paid_in = |currency: &str| Offer { currency: currency.into(), ..offer(1_000) };
        let wrong = [
            ("amount", offer(0)),
            ("amount", offer(-1)),
            ("amount", offer(i64::MIN)),
            ("amount", offer(1_000_000_000_000_001)),
            ("amount", offer(i64::MAX)),
            ("max_amount", up_to(1_000, 999)),
            ("max_amount", up_to(1_000, -1)),
            ("max_amount", up_to(1_000, i64::MAX)),
            ("bid_id", named("with space")),
            ("bid_id", named("é")),
            ("bid_id", named(&"x".repeat(65))),
            ("currency", paid_in("USD")),
            ("currency", paid_in("eur")),
        ];
        let fields: Vec<&str> = wrong.iter().map(|(field, _)| *field).collect();
        let mut all: Vec<Offer> = wrong.into_iter().map(|(_, offer)| offer).collect();
        all.insert(0, paid_in("EUR"));
        all.push(Offer { currency: "EUR".into(), ..up_to(5_000, 9_000) });
        let mut answers = offers(shop, &ann, id, all).await.expect("answers");
        let last = answers.pop().expect("the last").expect("raises the maximum");
        assert_eq!((last.sequence, last.price), (2, 1_000));
        let first = answers.remove(0).expect("accepted");
        assert_eq!(first.sequence, 1);
        for (field, answer) in fields.into_iter().zip(answers) {
            let failure = refusal(&answer.expect_err(field));
            assert_eq!(failure.field, field);
            let expected = match field {
                "currency" => Code::CurrencyMismatch,
                _ => Code::InvalidField,
            };
            assert_eq!(failure.code, expected);
        }
        assert_eq!(field(offers(shop, &ann, id, Vec::new()).await), "offers");
        assert_eq!(field(offers(shop, &ann, id, vec![offer(1); 65]).await), "offers");
        assert_eq!(offers(shop, &ann, id, vec![offer(1); 64]).await.expect("64").len(), 64);
    });
}

#[test]
fn a_bid_names_its_user_who_must_have_the_session() {
    in_shop(async |shop| {
        let (seller, ann) = (shop.enter("sal").await, shop.enter("ann").await);
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        let me = shop.me(&ann).await.expect("me").id;
        let place = async |caller: &Caller, user_id| {
            let caller = Some(caller.clone());
            let offers = vec![offer(1_000)];
            let request = PlaceBidsRequest { caller, auction_id: id, offers, user_id };
            auctions::place_bids(&shop.cx, request, soon()).await
        };
        assert_eq!(code(place(&ann, me + 1).await), Code::WrongBidder);
        assert_eq!(code(place(&stranger(1), 0).await), Code::Unauthenticated);
        assert!(place(&ann, me).await.is_ok());
        accounts::logout(&shop.cx, asked_by(&ann), soon()).await.expect("logout");
        assert_eq!(code(place(&ann, me).await), Code::Unauthenticated);
    });
}

#[test]
fn the_same_bid_id_again_has_the_first_answer() {
    in_shop(async |shop| {
        let (seller, ann, bob) =
            (shop.enter("sal").await, shop.enter("ann").await, shop.enter("bob").await);
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        let named = || Offer { bid_id: "b-1".into(), ..offer(1_000) };
        let first = bid(shop, &ann, id, named()).await.expect("accepted");
        assert!(!first.repeated);
        assert_eq!(first.bid_id, "b-1");
        bid(shop, &bob, id, Offer { bid_id: "b-1".into(), ..offer(1_100) }).await.expect("bob's");
        let again = bid(shop, &ann, id, named()).await.expect("the first answer");
        assert!(again.repeated);
        let again = souk_proto::auctions::BidDone { repeated: false, ..again };
        assert_eq!(again, first);
        assert_eq!(get(shop, &ann, id).await.expect("it").bids, 2);
    });
}

#[test]
fn after_the_first_bid_nothing_is_edited_or_cancelled() {
    in_shop(async |shop| {
        let (seller, ann) = (shop.enter("sal").await, shop.enter("ann").await);
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        bid(shop, &ann, id, offer(1_000)).await.expect("accepted");
        let cancelled = auctions::cancel_auction(&shop.cx, about(&seller, id), soon()).await;
        assert_eq!(code(cancelled), Code::AuctionHasBids);
        let edit = EditAuctionRequest {
            caller: Some(seller.clone()),
            auction_id: id,
            title: Some("x".into()),
            ..EditAuctionRequest::default()
        };
        let edited = auctions::edit_auction(&shop.cx, edit, soon()).await;
        assert_eq!(code(edited), Code::AuctionHasBids);
        let dropped = auctions::drop_auction_picture(&shop.cx, about(&seller, id), soon()).await;
        assert_eq!(code(dropped), Code::AuctionHasBids);
    });
}

#[test]
fn a_bid_counts_by_the_terms_of_the_last_edit() {
    in_shop(async |shop| {
        let (seller, ann) = (shop.enter("sal").await, shop.enter("ann").await);
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        assert_eq!(why(bid(shop, &ann, id, offer(500)).await), Code::BidTooLow);
        let edit = EditAuctionRequest {
            caller: Some(seller.clone()),
            auction_id: id,
            start_price: Some(500),
            ..EditAuctionRequest::default()
        };
        auctions::edit_auction(&shop.cx, edit, soon()).await.expect("edited");
        let done = bid(shop, &ann, id, offer(500)).await.expect("accepted");
        assert_eq!(done.price, 500);
    });
}

#[test]
fn a_late_bid_moves_the_end_as_often_as_the_seller_allows() {
    in_shop(async |shop| {
        let (seller, ann, bob) =
            (shop.enter("sal").await, shop.enter("ann").await, shop.enter("bob").await);
        let soft_close = Some(SoftClose { window_s: 30, extensions: 1 });
        let put = put_up(shop, &seller, |it| it.soft_close = soft_close).await.expect("put up");
        shop.clock.pass(Duration::from_secs(3_590));
        let first = bid(shop, &ann, put.id, offer(1_000)).await.expect("accepted");
        assert_eq!(first.ends_at_ms, put.ends_at_ms + 20_000);
        shop.clock.pass(Duration::from_secs(20));
        let second = bid(shop, &bob, put.id, offer(1_100)).await.expect("accepted");
        assert_eq!(second.ends_at_ms, first.ends_at_ms, "once");
        let seen = get(shop, &ann, put.id).await.expect("it");
        assert_eq!((seen.extended, seen.ends_at_ms), (1, first.ends_at_ms));
    });
}

#[test]
fn names_in_the_history_are_for_the_seller_and_for_oneself() {
    in_shop(async |shop| {
        let (seller, ann, bob) =
            (shop.enter("sal").await, shop.enter("ann").await, shop.enter("bob").await);
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        bid(shop, &ann, id, offer(1_000)).await.expect("accepted");
        bid(shop, &bob, id, offer(1_100)).await.expect("accepted");
        let names = async |caller: &Caller| -> Vec<Option<String>> {
            let page = history(shop, caller, id, |it| it.after = Some(0)).await.expect("a page");
            let bidders = page.items.into_iter().map(|item| item.bidder.expect("a bidder"));
            bidders.map(|it| it.person.map(|person| person.username)).collect()
        };
        let (to_ann, to_bob) = (Some("ann".to_owned()), Some("bob".to_owned()));
        assert_eq!(names(&seller).await, [to_ann.clone(), to_bob.clone()]);
        assert_eq!(names(&ann).await, [to_ann, None]);
        assert_eq!(names(&bob).await, [None, to_bob]);
        assert_eq!(names(&stranger(3)).await, [None, None]);
        let me = auctions::get_bidder(&shop.cx, about(&ann, id), soon()).await.expect("me");
        assert!(me.you && me.person.is_some());
        let page = history(shop, &stranger(3), id, |it| it.after = Some(0)).await.expect("a page");
        let first = page.items[0].bidder.as_ref().expect("a bidder");
        assert_eq!((first.pseudonym.as_str(), first.you), (me.pseudonym.as_str(), false));
        assert!(me.pseudonym.starts_with("bidder-"));
        let second = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        let there = auctions::get_bidder(&shop.cx, about(&ann, second), soon()).await.expect("me");
        assert_ne!(there.pseudonym, me.pseudonym, "another in each auction");
        let nobody = auctions::get_bidder(&shop.cx, about(&stranger(1), id), soon()).await;
        assert_eq!(code(nobody), Code::Unauthenticated);
    });
}

#[test]
fn the_history_is_read_both_ways() {
    in_shop(async |shop| {
        let (seller, ann, bob) =
            (shop.enter("sal").await, shop.enter("ann").await, shop.enter("bob").await);
        let id = put_up(shop, &seller, |_| ()).await.expect("put up").id;
        for number in 0..7 {
            let who = if number % 2 == 0 { &ann } else { &bob };
            bid(shop, who, id, offer(1_000 + 100 * number)).await.expect("accepted");
        }
        let numbers = async |change: &dyn Fn(&mut ListBidsRequest)| {
            let page = history(shop, &ann, id, |it| change(it)).await.expect("a page");
            assert_eq!((page.bids, page.head.len()), (7, 64));
            page.items.iter().map(|item| item.sequence).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&|_| ()).await, [7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(numbers(&|it| (it.before, it.limit) = (5, 3)).await, [4, 3, 2]);
        assert_eq!(numbers(&|it| (it.after, it.limit) = (Some(2), 3)).await, [3, 4, 5]);
        assert!(numbers(&|it| it.after = Some(7)).await.is_empty());
        assert!(numbers(&|it| it.after = Some(u64::MAX)).await.is_empty());
        assert_eq!(numbers(&|it| it.before = u64::MAX).await.len(), 7);
        assert_eq!(field(history(shop, &ann, id, |it| it.limit = 501).await), "limit");
        let both = history(shop, &ann, id, |it| (it.after, it.before) = (Some(1), 5)).await;
        assert_eq!(field(both), "before");
        assert_eq!(code(history(shop, &ann, id + 1, |_| ()).await), Code::AuctionNotFound);
    });
}
