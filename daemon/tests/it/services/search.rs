//! Search by the beginning of a name.

use super::{Shop, code, field, in_shop, soon};
use souk_proto::accounts::{SearchUsersRequest, UserPage};
use souk_proto::{Code, Failure};
use soukd::services::accounts;

async fn search(shop: &Shop, prefix: &str, limit: u32, cursor: &str) -> Result<UserPage, Failure> {
    let (prefix, cursor) = (prefix.into(), cursor.into());
    let request = SearchUsersRequest { caller: None, prefix, limit, cursor };
    accounts::search_users(&shop.cx, request, soon()).await
}

fn names(page: &UserPage) -> Vec<&str> {
    page.items.iter().map(|user| user.username.as_str()).collect()
}

#[test]
fn pages_follow_each_other_in_order_without_gap_or_repetition() {
    in_shop(async |shop| {
        let mut all: Vec<_> = (0..25).map(|number| format!("user{number}")).collect();
        for name in all.iter().chain(&["use_r".into(), "other".into(), "zuser".into()]) {
            shop.create(name, "password").await.expect("create");
        }
        all.sort();
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = search(shop, "USER", 2, &cursor).await.expect("page");
            assert!(page.items.len() == 2 || page.next_cursor.is_empty());
            found.extend(names(&page).into_iter().map(str::to_owned));
            if page.next_cursor.is_empty() {
                break;
            }
            cursor = page.next_cursor;
        }
        assert_eq!(found, all);
        assert_eq!(search(shop, "user", 0, "").await.expect("page").items.len(), 20);
        let exact = search(shop, "user", 25, "").await.expect("page");
        assert_eq!((exact.items.len(), exact.next_cursor.as_str()), (25, ""));
        assert_eq!(search(shop, "", 100, "").await.expect("page").items.len(), 28);
        assert!(search(shop, "nobody", 10, "").await.expect("page").items.is_empty());
    });
}

#[test]
fn signs_with_a_meaning_in_sql_have_none_here() {
    in_shop(async |shop| {
        for name in ["a_c", "abc", "a.c"] {
            shop.create(name, "password").await.expect("create");
        }
        assert_eq!(names(&search(shop, "a_", 10, "").await.expect("page")), ["a_c"]);
        for prefix in ["%", "a%", "'", "a\\"] {
            assert_eq!(field(search(shop, prefix, 10, "").await), "username");
        }
    });
}

#[test]
fn a_strange_cursor_or_page_size_is_refused() {
    in_shop(async |shop| {
        for cursor in ["x", "AQ", "AWFubg==", "AUFOTg", "ÿ"] {
            assert_eq!(field(search(shop, "a", 10, cursor).await), "cursor", "{cursor}");
        }
        assert_eq!(field(search(shop, "a", 101, "").await), "limit");
        assert_eq!(code(search(shop, &"a".repeat(33), 1, "").await), Code::InvalidField);
    });
}
