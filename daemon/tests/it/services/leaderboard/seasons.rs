//! Seasons: boards of their own while they run, archives afterwards.

use super::super::{code, soon};
use super::{Club, by, in_club, lines, rank_at, to};
use souk_proto::Code;
use souk_proto::leaderboard::{GetNeighboursRequest, GetPageRequest, ListSeasonsRequest};
use soukd::services::leaderboard;

async fn look(club: &Club<'_>) {
    club.shop.cx.boards().refresh(club.shop.cx.stores()).await.expect("look");
}

#[test]
fn a_season_has_ratings_of_its_own_and_an_end() {
    in_club(async |club| {
        let ids = club.enter(&[("ann", 2_000), ("bob", 1_500), ("cid", 1_200)]).await;
        let start = "INSERT INTO boards (id, name, starts_at) \
                     VALUES (3, 'spring', UTC_TIMESTAMP(3) - INTERVAL 1 SECOND)";
        club.stack.sql(start).expect("a season");
        look(club).await;
        let page = || GetPageRequest { board: 3, ..GetPageRequest::default() };
        assert!(club.page(page()).await.expect("page").items.is_empty());
        assert_eq!(code(rank_at(club.shop, 3, ids[0]).await), Code::NotRanked);
        assert_eq!(code(rank_at(club.shop, 3, 999).await), Code::UserNotFound);

        club.set(by(ids[0], 10)).await.expect("set");
        club.set(by(ids[1], 30)).await.expect("set");
        let expected = [(1, "bob", 1_030), (2, "ann", 1_010)];
        assert_eq!(lines(&club.page(page()).await.expect("page")), expected);
        let rank = rank_at(club.shop, 3, ids[0]).await.expect("rank");
        assert_eq!((rank.rank, rank.rating, rank.total), (2, 1_010, 2));
        let request = GetNeighboursRequest {
            board: 3,
            user_id: ids[0],
            radius: 1,
            ..GetNeighboursRequest::default()
        };
        let around = leaderboard::get_neighbours(&club.shop.cx, request, soon()).await;
        assert_eq!(around.expect("neighbours").items.len(), 2);

        club.stack.sql("UPDATE boards SET ends_at = UTC_TIMESTAMP(3) WHERE id = 3").expect("end");
        look(club).await;
        club.set(to(ids[0], 3_000)).await.expect("set");
        assert_eq!(lines(&club.page(page()).await.expect("page")), expected);
        assert_eq!(rank_at(club.shop, 3, ids[1]).await.expect("rank").rank, 1);
    });
}

#[test]
fn seasons_are_listed_the_newest_first() {
    in_club(async |club| {
        club.stack
            .sql(
                "INSERT INTO boards (id, name, starts_at, ends_at) VALUES \
                 (1, 'one', '2020-01-01', '2020-02-01'), (2, 'two', '2021-01-01', NULL)",
            )
            .expect("seasons");
        look(club).await;
        let request = ListSeasonsRequest::default();
        let found = leaderboard::list_seasons(&club.shop.cx, request, soon()).await;
        let found = found.expect("seasons").items;
        let shown: Vec<_> =
            found.iter().map(|it| (it.id, it.name.as_str(), it.ends_at_ms)).collect();
        assert_eq!(shown, [(2, "two", 0), (1, "one", 1_580_515_200_000)]);
        assert_eq!(found[1].starts_at_ms, 1_577_836_800_000);
    });
}
