//! While the database is away.

use super::super::{code, on_own_stores, soon};
use super::{Club, to};
use souk_proto::Code;
use souk_proto::leaderboard::{GetNeighboursRequest, GetPageRequest};
use soukd::services::leaderboard;

#[test]
fn without_the_database_first_pages_say_their_age_and_writes_are_refused() {
    on_own_stores(async |shop, stack| {
        let club = &mut Club::of(shop, stack);
        let ids = club.enter(&[("ann", 1_300), ("bob", 1_200)]).await;
        let ask = |limit| GetPageRequest { limit, ..GetPageRequest::default() };
        let first = club.page(ask(1)).await.expect("page");
        club.stack.mariadb().kill();
        let age = loop {
            let page = club.page(ask(1)).await.expect("from memory");
            assert_eq!((&page.items, page.tag), (&first.items, first.tag));
            if page.stale_ms > 0 {
                break page.stale_ms;
            }
        };
        let known = GetPageRequest { seen: first.tag, ..ask(1) };
        let known = club.page(known).await.expect("from memory");
        assert!(known.unchanged && known.stale_ms >= age);
        let away = Code::StoreUnavailable;
        assert_eq!(code(club.page(ask(2)).await), away, "nobody has read this one");
        let deeper = GetPageRequest { cursor: first.next_cursor, ..ask(1) };
        assert_eq!(code(club.page(deeper).await), away);
        assert_eq!(code(club.set(to(ids[0], 1_000)).await), away);
        assert_eq!(code(club.rank(ids[0]).await), away, "nothing would say how old it is");
        let request = GetNeighboursRequest { user_id: ids[0], ..GetNeighboursRequest::default() };
        assert_eq!(code(leaderboard::get_neighbours(&club.shop.cx, request, soon()).await), away);

        club.stack.mariadb().restart().expect("it comes back");
        let healed = loop {
            let page = club.page(ask(1)).await.expect("page");
            if page.stale_ms == 0 {
                break page;
            }
        };
        assert_eq!(healed.items, first.items);
    });
}
