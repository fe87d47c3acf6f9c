//! Pages, neighbours, ranks and the distribution: one order, whoever asks.

use super::super::{code, field, soon};
use super::{ALL_TIME, Club, in_club, lines, to};
use souk_proto::leaderboard::{
    Distribution, GetDistributionRequest, GetNeighboursRequest, GetPageRequest, Page,
};
use souk_proto::{Code, Failure};
use soukd::services::leaderboard;

/// Nine players in the order of the board, with ties at the beginning, within and at the end.
const PLAYERS: [(&str, i32); 9] = [
    ("dora", 2_000),
    ("emil", 2_000),
    ("anna", 1_500),
    ("bert", 1_200),
    ("carl", 1_200),
    ("fred", 1_200),
    ("gina", 1_200),
    ("hans", 100),
    ("inge", 100),
];
const RANKS: [u64; 9] = [1, 1, 3, 4, 4, 4, 4, 8, 8];

fn expected() -> Vec<(u64, &'static str, i32)> {
    RANKS.into_iter().zip(PLAYERS).map(|(rank, (name, rating))| (rank, name, rating)).collect()
}

async fn around(club: &Club<'_>, user_id: u64, radius: u32) -> Result<Page, Failure> {
    let request = GetNeighboursRequest { caller: None, board: ALL_TIME, user_id, radius };
    leaderboard::get_neighbours(&club.shop.cx, request, soon()).await
}

async fn distribution(club: &Club<'_>, percentile: Option<f64>) -> Result<Distribution, Failure> {
    let request = GetDistributionRequest { caller: None, board: ALL_TIME, percentile };
    leaderboard::get_distribution(&club.shop.cx, request, soon()).await
}

#[test]
fn pages_of_any_size_in_both_directions_have_the_ranks_of_the_whole_board() {
    in_club(async |club| {
        club.enter(&PLAYERS).await;
        for limit in 1..=10 {
            let mut request = GetPageRequest { limit, ..GetPageRequest::default() };
            let mut pages = Vec::new();
            loop {
                let page = club.page(request.clone()).await.expect("page");
                assert_eq!((page.total, page.stale_ms), (9, 0));
                assert!(page.items.len() == limit as usize || page.next_cursor.is_empty());
                request.cursor.clone_from(&page.next_cursor);
                pages.push(page);
                if request.cursor.is_empty() {
                    break;
                }
            }
            let forward: Vec<_> = pages.iter().flat_map(lines).collect();
            assert_eq!(forward, expected(), "{limit} a page");
            assert!(pages[0].previous_cursor.is_empty());
            // Back again: each page is the one before, and the first is the beginning.
            let mut request = GetPageRequest { limit, backwards: true, ..request };
            let mut later = pages.pop().expect("a page");
            while let Some(before) = pages.pop() {
                request.cursor.clone_from(&later.previous_cursor);
                let page = club.page(request.clone()).await.expect("page");
                assert_eq!(lines(&page), lines(&before), "{limit} a page");
                assert_eq!(page.next_cursor, before.next_cursor);
                later = page;
            }
            assert!(later.previous_cursor.is_empty());
        }
    });
}

#[test]
fn a_page_that_is_known_is_named_and_not_sent() {
    in_club(async |club| {
        let ids = club.enter(&PLAYERS).await;
        let first = club.page(GetPageRequest::default()).await.expect("page");
        assert_ne!(first.tag, 0);
        let again = GetPageRequest { seen: first.tag, ..GetPageRequest::default() };
        let known = club.page(again.clone()).await.expect("page");
        assert!(known.unchanged && known.items.is_empty() && known.tag == first.tag);
        let other = club.shop.beside(|_| ()).await;
        let there = leaderboard::get_page(&other.cx, again.clone(), soon()).await.expect("page");
        assert!(there.unchanged, "all daemons name it alike");
        other.cx.close().await;
        club.set(to(ids[8], 3_000)).await.expect("set");
        let changed = club.page(again).await.expect("page");
        assert!(!changed.unchanged && changed.tag != first.tag);
        assert_eq!(lines(&changed)[0], (1, "inge", 3_000));
    });
}

#[test]
fn a_strange_cursor_size_or_board_is_refused() {
    in_club(async |club| {
        club.enter(&PLAYERS).await;
        let ask = |limit, cursor: &str| GetPageRequest {
            limit,
            cursor: cursor.into(),
            ..GetPageRequest::default()
        };
        let cursor = club.page(ask(2, "")).await.expect("page").next_cursor;
        let mut forged = cursor.clone().into_bytes();
        forged[8] ^= 1;
        let forged = String::from_utf8(forged).expect("ASCII");
        for cursor in ["x", "ÿ", &forged, &cursor[1..]] {
            assert_eq!(field(club.page(ask(2, cursor)).await), "cursor", "{cursor}");
        }
        assert_eq!(field(club.page(ask(501, "")).await), "limit");
        let before_all = GetPageRequest { backwards: true, ..ask(2, "") };
        assert_eq!(field(club.page(before_all).await), "cursor");
        let nowhere = |cursor| GetPageRequest { board: 77, ..ask(2, cursor) };
        assert_eq!(code(club.page(nowhere("")).await), Code::BoardNotFound);
        assert_eq!(code(club.page(nowhere(&cursor)).await), Code::BoardNotFound);
        club.stack
            .sql(
                "INSERT INTO boards (id, name, starts_at, ends_at) VALUES \
            (77, 'past', '2020-01-01', '2020-02-01')",
            )
            .expect("a season");
        club.shop.cx.boards().refresh(club.shop.cx.stores()).await.expect("look");
        assert_eq!(field(club.page(nowhere(&cursor)).await), "cursor");
    });
}

#[test]
fn ranks_are_those_of_the_pages() {
    in_club(async |club| {
        let ids = club.enter(&PLAYERS).await;
        for (place, id) in ids.iter().enumerate() {
            let rank = club.rank(*id).await.expect("rank");
            let ties = RANKS.iter().filter(|rank| **rank == RANKS[place]).count() as u64 - 1;
            assert_eq!((rank.rank, rank.rating), (RANKS[place], PLAYERS[place].1));
            assert_eq!((rank.ties, rank.total), (ties, 9));
        }
        assert_eq!(code(club.rank(999).await), Code::UserNotFound);
    });
}

#[test]
fn neighbours_are_clamped_at_both_ends() {
    in_club(async |club| {
        let ids = club.enter(&PLAYERS).await;
        for radius in [1, 2, 3, 100] {
            for (place, id) in ids.iter().enumerate() {
                let found = around(club, *id, radius).await.expect("neighbours");
                let from = place.saturating_sub(radius as usize);
                let to = (place + radius as usize + 1).min(PLAYERS.len());
                let shown: Vec<_> = found
                    .items
                    .iter()
                    .map(|it| (it.rank, it.username.as_str(), it.rating))
                    .collect();
                assert_eq!(shown, expected()[from..to], "{radius} around {place}");
                assert_eq!(found.total, 9);
            }
        }
        assert_eq!(around(club, ids[0], 0).await.expect("neighbours").items.len(), 9);
        assert_eq!(field(around(club, ids[0], 101).await), "radius");
        assert_eq!(code(around(club, 999, 1).await), Code::UserNotFound);
    });
}

#[test]
fn the_distribution_counts_everybody_once() {
    in_club(async |club| {
        assert_eq!(distribution(club, Some(50.0)).await.expect("of nobody").rating, None);
        club.enter(&PLAYERS).await;
        club.shop.cx.boards().refresh(club.shop.cx.stores()).await.expect("look");
        let found = distribution(club, Some(50.0)).await.expect("distribution");
        assert_eq!((found.total, found.rating), (9, Some(1_200)));
        let players = |from| {
            let bucket = found.buckets.iter().find(|it| it.from == from).expect("a bucket");
            bucket.players
        };
        assert_eq!([100, 1_200, 1_500, 2_000].map(players), [2, 4, 1, 2]);
        assert_eq!(found.buckets.iter().map(|it| it.players).sum::<u64>(), 9);
        assert_eq!(distribution(club, None).await.expect("distribution").rating, None);
        for wrong in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(field(distribution(club, Some(wrong)).await), "percentile");
        }
    });
}
