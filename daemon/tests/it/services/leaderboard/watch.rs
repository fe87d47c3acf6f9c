//! News of a board.

use super::super::{code, soon};
use super::{Club, in_club, to};
use souk_proto::Code;
use souk_proto::leaderboard::WatchBoardRequest;
use soukd::limits::WATCH_MARGIN;
use soukd::services::leaderboard::{Watch, watch_board};
use std::time::{Duration, Instant};

async fn watch(club: &Club<'_>, board: u64, deadline: Instant) -> Watch {
    let request = WatchBoardRequest { caller: None, board };
    watch_board(&club.shop.cx, request, deadline).await.expect("a watch")
}

#[test]
fn news_come_at_once_after_a_change_and_until_the_daemon_stops() {
    in_club(async |club| {
        let ids = club.enter(&[("ann", 1_300), ("bob", 1_200)]).await;
        let cx = &club.shop.cx;
        let mut watch = watch(club, 0, soon()).await;
        let first = watch.next(cx).await.expect("news").expect("the first");
        assert_eq!((first.total, first.items[0].user_id, first.stale_ms), (2, ids[0], 0));
        club.set(to(ids[1], 1_400)).await.expect("set");
        let second = watch.next(cx).await.expect("news").expect("the second");
        assert!(second.version > first.version);
        assert_eq!((second.items[0].user_id, second.items[0].rank), (ids[1], 1));

        // What others changed is heard of with the next look.
        let other = club.shop.beside(|_| ()).await;
        club.set_at(&other, to(ids[0], 1_500)).await.expect("set");
        cx.boards().refresh(cx.stores()).await.expect("look");
        let third = watch.next(cx).await.expect("news").expect("the third");
        assert_eq!(third.items[0].user_id, ids[0]);
        other.cx.close().await;
        cx.boards().stop();
        assert_eq!(watch.next(cx).await.expect("the end"), None);
    });
}

#[test]
fn a_watch_ends_well_before_its_deadline_and_needs_a_board() {
    in_club(async |club| {
        let short = Instant::now() + WATCH_MARGIN + Duration::from_millis(50);
        let mut watch = watch(club, 0, short).await;
        let cx = &club.shop.cx;
        assert!(watch.next(cx).await.expect("news").is_some());
        assert_eq!(watch.next(cx).await.expect("the end"), None);
        let request = WatchBoardRequest { caller: None, board: 5 };
        assert_eq!(code(watch_board(cx, request, soon()).await), Code::BoardNotFound);
    });
}
