//! What a seller does: puts up, changes, withdraws.

use super::super::{code, field, in_shop, soon, stranger};
use super::{HOUR, MINUTE, about, get, now, put_up};
use souk_proto::Code;
use souk_proto::auctions::{
    EditAuctionRequest, Outcome, SetAuctionPictureRequest, SoftClose, State,
};
use soukd::services::auctions;
use soukd::session::stream::BodyStream;
use std::time::Duration;

#[test]
fn an_auction_is_shown_as_it_was_put_up_and_its_reserve_to_the_seller_alone() {
    in_shop(async |shop| {
        let (seller, other) = (shop.enter("ann").await, shop.enter("bob").await);
        let put = put_up(shop, &seller, |it| {
            (it.reserve, it.buy_now) = (Some(2_000), Some(9_000));
            it.soft_close = Some(SoftClose { window_s: 30, extensions: 10 });
        });
        let put = put.await.expect("put up");
        assert_eq!(get(shop, &seller, put.id).await.expect("found"), put);
        let person = put.seller.as_ref().expect("a seller");
        assert_eq!(person.username, "ann");
        assert_eq!((put.title.as_str(), put.description.as_str()), ("A lamp", "Brass."));
        assert_eq!((put.price, put.minimum, put.bids), (1_000, 1_000, 0));
        assert_eq!((put.state(), put.outcome()), (State::Live, Outcome::None));
        assert_eq!((put.has_reserve, put.reserve, put.reserve_met), (true, Some(2_000), false));
        assert_eq!((put.start_at_ms, put.ends_at_ms), (now(shop), now(shop) + HOUR));
        assert_eq!(put.soft_close, Some(SoftClose { window_s: 30, extensions: 10 }));
        assert_eq!((put.increments.len(), put.head.len(), put.leader.is_none()), (2, 64, true));
        assert_eq!((put.version, put.watched, put.now_ms), (1, false, now(shop)));
        for viewer in [&other, &stranger(7)] {
            let seen = get(shop, viewer, put.id).await.expect("found");
            let expected = souk_proto::auctions::Auction { reserve: None, ..put.clone() };
            assert_eq!(seen, expected);
        }
    });
}

#[test]
fn an_auction_is_scheduled_until_its_start_and_over_from_its_end_on() {
    in_shop(async |shop| {
        let seller = shop.enter("ann").await;
        let start = now(shop) + MINUTE;
        let put = put_up(shop, &seller, |it| it.start_at_ms = start).await.expect("put up");
        assert_eq!(put.state(), State::Scheduled);
        shop.clock.pass(Duration::from_millis(59_999));
        assert_eq!(get(shop, &seller, put.id).await.expect("it").state(), State::Scheduled);
        shop.clock.pass(Duration::from_millis(1));
        assert_eq!(get(shop, &seller, put.id).await.expect("it").state(), State::Live);
        shop.clock.pass(Duration::from_secs(59 * 60));
        let over = get(shop, &seller, put.id).await.expect("it");
        assert_eq!((over.state(), over.outcome()), (State::Ended, Outcome::None));
    });
}

#[test]
fn nobody_sells_without_a_session_or_what_no_auction_can_be() {
    in_shop(async |shop| {
        let seller = shop.enter("ann").await;
        assert_eq!(code(put_up(shop, &stranger(1), |_| ()).await), Code::Unauthenticated);
        assert_eq!(field(put_up(shop, &seller, |it| it.start_price = -1).await), "start_price");
        assert_eq!(field(put_up(shop, &seller, |it| it.currency = "XTS".into()).await), "currency");
        assert_eq!(code(get(shop, &seller, 1).await), Code::AuctionNotFound);
        assert_eq!(code(get(shop, &seller, 0).await), Code::AuctionNotFound);
        assert_eq!(code(get(shop, &seller, u64::MAX).await), Code::AuctionNotFound);
    });
}

#[test]
fn an_edit_before_the_first_bid_changes_what_it_names() {
    in_shop(async |shop| {
        let (seller, other) = (shop.enter("ann").await, shop.enter("bob").await);
        let put = put_up(shop, &seller, |it| it.reserve = Some(3_000)).await.expect("put up");
        let request = EditAuctionRequest {
            caller: Some(seller.clone()),
            auction_id: put.id,
            title: Some("Two lamps".into()),
            reserve: Some(0),
            ..EditAuctionRequest::default()
        };
        let edit = async |change: &dyn Fn(&mut EditAuctionRequest)| {
            let mut request = request.clone();
            change(&mut request);
            auctions::edit_auction(&shop.cx, request, soon()).await
        };
        let edited = edit(&|_| ()).await.expect("edited");
        assert_eq!((edited.title.as_str(), edited.has_reserve), ("Two lamps", false));
        assert_eq!((edited.version, edited.start_price), (2, put.start_price));
        assert_eq!(get(shop, &seller, put.id).await.expect("it"), edited);
        let stale = edit(&|it| it.if_version = Some(1)).await;
        assert_eq!(code(stale), Code::VersionConflict);
        let right = edit(&|it| it.if_version = Some(2)).await.expect("edited");
        assert_eq!(right.version, 3);
        assert_eq!(field(edit(&|it| it.buy_now = Some(5)).await), "buy_now");
        assert_eq!(code(edit(&|it| it.caller = Some(other.clone())).await), Code::NotSeller);
        assert_eq!(code(edit(&|it| it.caller = None).await), Code::Unauthenticated);
        assert_eq!(code(edit(&|it| it.auction_id += 1).await), Code::AuctionNotFound);
        shop.clock.pass(Duration::from_secs(3_600));
        assert_eq!(code(edit(&|_| ()).await), Code::AuctionEnded);
    });
}

#[test]
fn an_auction_is_cancelled_before_the_first_bid_by_its_seller() {
    in_shop(async |shop| {
        let (seller, other) = (shop.enter("ann").await, shop.enter("bob").await);
        let put = put_up(shop, &seller, |_| ()).await.expect("put up");
        let cancel = async |caller: &_, id| {
            auctions::cancel_auction(&shop.cx, about(caller, id), soon()).await
        };
        assert_eq!(code(cancel(&other, put.id).await), Code::NotSeller);
        assert_eq!(code(cancel(&stranger(1), put.id).await), Code::Unauthenticated);
        assert_eq!(code(cancel(&seller, put.id + 1).await), Code::AuctionNotFound);
        let cancelled = cancel(&seller, put.id).await.expect("cancelled");
        assert_eq!((cancelled.state(), cancelled.outcome()), (State::Cancelled, Outcome::None));
        let again = cancel(&seller, put.id).await.expect("no mistake");
        assert_eq!(again, cancelled);
        let edit = EditAuctionRequest {
            caller: Some(seller),
            auction_id: put.id,
            title: Some("x".into()),
            ..EditAuctionRequest::default()
        };
        let edited = auctions::edit_auction(&shop.cx, edit, soon()).await;
        assert_eq!(code(edited), Code::AuctionCancelled);
    });
}

fn png() -> Vec<u8> {
    let picture = image::RgbImage::from_pixel(90, 70, image::Rgb([200, 0, 0]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).expect("encode");
    bytes.into_inner()
}

#[test]
fn a_picture_is_taken_in_from_the_seller_and_taken_away() {
    in_shop(async |shop| {
        let (seller, other) = (shop.enter("ann").await, shop.enter("bob").await);
        let put = put_up(shop, &seller, |_| ()).await.expect("put up");
        let set = async |caller: &_, auction_id, length, bytes: &[u8]| {
            let caller = Some(Clone::clone(caller));
            let request = SetAuctionPictureRequest { caller, auction_id, length };
            let body = BodyStream::of(bytes.chunks(100).map(<[u8]>::to_vec));
            auctions::set_auction_picture(&shop.cx, request, body, soon()).await
        };
        let shown = set(&seller, put.id, 0, &png()).await.expect("set");
        assert_eq!(shown.picture.len(), 64);
        assert_eq!(get(shop, &other, put.id).await.expect("it").picture, shown.picture);
        assert_eq!(code(set(&other, put.id, 0, &png()).await), Code::NotSeller);
        assert_eq!(code(set(&seller, put.id, 6 << 20, &[]).await), Code::PictureTooLarge);
        assert_eq!(code(set(&seller, put.id, 0, b"no picture").await), Code::PictureUnsupported);
        assert_eq!(code(set(&seller, put.id + 1, 0, &png()).await), Code::AuctionNotFound);
        let drop = async |caller: &_| {
            auctions::drop_auction_picture(&shop.cx, about(caller, put.id), soon()).await
        };
        assert_eq!(code(drop(&other).await), Code::NotSeller);
        assert_eq!(drop(&seller).await.expect("dropped").picture, "");
    });
}
