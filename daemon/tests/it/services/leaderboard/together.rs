//! Several daemons on the same boards.

use super::{ALL_TIME, in_club, rank_at, to};
use futures_util::future::join_all;
use souk_proto::leaderboard::GetPageRequest;

#[test]
fn another_daemon_knows_of_a_change_after_its_next_look() {
    in_club(async |club| {
        let ids = club.enter(&[("ann", 1_300), ("bob", 1_200)]).await;
        let other = club.shop.beside(|_| ()).await;
        assert_eq!(rank_at(&other, ALL_TIME, ids[1]).await.expect("rank").rank, 2);
        club.set(to(ids[1], 1_400)).await.expect("set");
        other.cx.boards().refresh(other.cx.stores()).await.expect("look");
        let rank = rank_at(&other, ALL_TIME, ids[1]).await.expect("rank");
        assert_eq!((rank.rank, rank.rating, rank.ties), (1, 1_400, 0));
        assert_eq!(rank_at(&other, ALL_TIME, ids[0]).await.expect("rank").rank, 2);
        other.cx.close().await;
    });
}

#[test]
fn two_daemons_that_write_at_the_same_time_agree_with_the_tables_and_with_each_other() {
    in_club(async |club| {
        let names: Vec<String> = (0..12).map(|number| format!("user{number}")).collect();
        let users: Vec<(&str, i32)> = names.iter().map(|name| (name.as_str(), 1_000)).collect();
        let ids = club.enter(&users).await;
        let other = club.shop.beside(|_| ()).await;
        // Few ratings, so that ties come and go; both daemons change the same users.
        let mut state = 42_u64;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..20 {
            let writes: Vec<_> = (0..30)
                .map(|number| {
                    let shop = if number % 2 == 0 { club.shop } else { &other };
                    let id = ids[usize::try_from(random(12)).expect("small")];
                    let rating = 1_000 + i32::try_from(random(8)).expect("small");
                    club.set_at(shop, to(id, rating))
                })
                .collect();
            for done in join_all(writes).await {
                done.expect("set");
            }
        }
        let (counted, recounted) = club.tables();
        assert_eq!(counted, recounted);
        for shop in [club.shop, &other] {
            shop.cx.boards().refresh(shop.cx.stores()).await.expect("look");
        }
        let page = club.page(GetPageRequest::default()).await.expect("page");
        for line in &page.items {
            for shop in [club.shop, &other] {
                let rank = rank_at(shop, ALL_TIME, line.user_id).await.expect("rank");
                assert_eq!((rank.rank, rank.rating), (line.rank, line.rating));
            }
        }
        assert_eq!(page.items.len(), 12);
        other.cx.close().await;
    });
}
