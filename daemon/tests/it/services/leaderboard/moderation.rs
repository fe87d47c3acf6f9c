//! Hidden users are on no board.

use super::super::{code, field, soon};
use super::{ALL_TIME, Club, in_club, lines, to};
use souk_proto::common::Caller;
use souk_proto::leaderboard::{
    GetDistributionRequest, GetNeighboursRequest, GetPageRequest, HideUserAnswer, HideUserRequest,
};
use souk_proto::{Code, Failure};
use soukd::services::leaderboard;

async fn hide(
    club: &Club<'_>,
    caller: &Caller,
    user_id: u64,
    hidden: bool,
) -> Result<HideUserAnswer, Failure> {
    let (caller, reason) = (Some(caller.clone()), "cheats".into());
    let request = HideUserRequest { caller, user_id, hidden, reason };
    leaderboard::hide_user(&club.shop.cx, request, soon()).await
}

#[test]
fn a_hidden_user_is_gone_from_pages_and_ranks_at_once_and_comes_back() {
    in_club(async |club| {
        let ids = club.enter(&[("ann", 1_300), ("bob", 1_200), ("cid", 1_100)]).await;
        let first = club.page(GetPageRequest::default()).await.expect("page");
        assert_eq!(first.items.len(), 3);
        let admin = club.moderator.clone();
        let done = hide(club, &admin, ids[0], true).await.expect("hidden");
        assert_eq!((done.user_id, done.hidden), (ids[0], true));

        let page = club.page(GetPageRequest::default()).await.expect("page");
        assert_eq!(lines(&page), [(1, "bob", 1_200), (2, "cid", 1_100)]);
        assert_eq!(page.total, 2);
        assert_eq!(club.rank(ids[1]).await.expect("rank").rank, 1);
        assert_eq!(code(club.rank(ids[0]).await), Code::NotRanked);
        let request = GetNeighboursRequest {
            user_id: ids[0],
            board: ALL_TIME,
            ..GetNeighboursRequest::default()
        };
        let around = leaderboard::get_neighbours(&club.shop.cx, request, soon()).await;
        assert_eq!(code(around), Code::NotRanked);
        let request = GetDistributionRequest::default();
        let spread = leaderboard::get_distribution(&club.shop.cx, request, soon()).await;
        assert_eq!(spread.expect("distribution").total, 2);

        // Ratings go on while nobody sees them.
        club.set(to(ids[0], 1_150)).await.expect("set");
        assert_eq!(club.rank(ids[2]).await.expect("rank").rank, 2);
        hide(club, &admin, ids[0], false).await.expect("shown");
        let page = club.page(GetPageRequest::default()).await.expect("page");
        assert_eq!(lines(&page), [(1, "bob", 1_200), (2, "ann", 1_150), (3, "cid", 1_100)]);
        assert_eq!(club.rank(ids[2]).await.expect("rank").rank, 3);
        let (counted, recounted) = club.tables();
        assert_eq!(counted, recounted);
    });
}

#[test]
fn only_moderators_hide_and_it_is_written_down() {
    in_club(async |club| {
        let ids = club.enter(&[("ann", 1_300)]).await;
        let session = club.shop.again("ann").await;
        for (caller, refused) in [
            (club.program.clone(), Code::MissingRole),
            (session, Code::MissingRole),
            (Caller::default(), Code::Unauthenticated),
        ] {
            assert_eq!(code(hide(club, &caller, ids[0], true).await), refused);
        }
        let admin = club.moderator.clone();
        assert_eq!(code(hide(club, &admin, 999, true).await), Code::UserNotFound);
        let long = HideUserRequest {
            caller: Some(admin.clone()),
            user_id: ids[0],
            hidden: true,
            reason: "é".repeat(201),
        };
        assert_eq!(field(leaderboard::hide_user(&club.shop.cx, long, soon()).await), "reason");
        hide(club, &admin, ids[0], true).await.expect("hidden");
        let record = club.stack.sql("SELECT actor, user_id, reason FROM moderation");
        assert_eq!(record.expect("the record"), format!("token 2 test\t{}\tcheats\n", ids[0]));
    });
}
