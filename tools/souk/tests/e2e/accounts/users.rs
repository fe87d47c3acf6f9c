//! Public profiles and the search.

use super::person::{Person, client, register};
use super::{refused, refused_field, stack};
use serde_json::json;
use ureq::http::Method;

#[test]
fn public_profiles_are_found_by_id_and_by_name() {
    let stack = stack();
    let client = client(&stack);
    let ada = register(&client, "ada");
    let by_id = client.get(&format!("/api/v1/users/{}", ada["id"]));
    let by_name = client.get("/api/v1/users/by-name/ADA");
    assert_eq!((by_id.status, by_name.status), (200, 200));
    assert_eq!(by_id.json(), by_name.json());
    let user = by_id.json();
    let keys: Vec<_> = user.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(keys, ["created_at", "id", "nickname", "picture", "rating", "username"]);
    let tag = by_id.header("etag");
    assert!(!tag.is_empty());
    let path = format!("/api/v1/users/{}", ada["id"]);
    let same = client.send(Method::GET, &path, &[("if-none-match", tag)], &[]);
    assert_eq!((same.status, same.body.len()), (304, 0));
    let head = client.send(Method::HEAD, &path, &[], &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), by_id.body.len().to_string());

    refused(&client.get("/api/v1/users/999999"), 404, "user_not_found");
    refused(&client.get("/api/v1/users/by-name/nobody"), 404, "user_not_found");
    for bad in ["0x1", "-1", "1e3", "99999999999999999999", "me"] {
        assert!([400, 404].contains(&client.get(&format!("/api/v1/users/{bad}")).status), "{bad}");
    }
    let registered = register(&client, "nobody");
    assert_eq!(client.get("/api/v1/users/by-name/nobody").json()["id"], registered["id"]);
}

#[test]
fn an_edit_is_seen_at_once_by_every_reader() {
    let stack = stack();
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    for round in 0..50 {
        let nickname = format!("Ada {round}");
        let edit = ada.json(Method::PATCH, "/api/v1/me", &json!({"nickname": nickname}));
        assert_eq!(edit.status, 200, "{edit:?}");
        for path in ["/api/v1/users/by-name/ada", &format!("/api/v1/users/{}", ada.id)] {
            assert_eq!(client.get(path).json()["nickname"], json!(nickname));
        }
    }
}

#[test]
fn the_search_walks_a_prefix_page_by_page() {
    let stack = stack();
    let client = client(&stack);
    let mut expected: Vec<String> = (0..25).map(|n| format!("ann_{n}")).collect();
    expected.sort();
    for name in expected.iter().map(String::as_str).chain(["annx", "bob", "ann"]) {
        register(&client, name);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page =
            client.get(&format!("/api/v1/users/search?username=ANN_&limit=10{cursor}")).json();
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 10);
        seen.extend(items.iter().map(|user| user["username"].as_str().expect("name").to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, expected, "an underscore is a letter here, not a wildcard");
    let none = client.get("/api/v1/users/search?username=zz").json();
    assert_eq!(none, json!({"items": [], "next_cursor": null}));
    let search = |query: &str| client.get(&format!("/api/v1/users/search?{query}"));
    refused_field(&search("username=ann&limit=0"), "limit");
    refused_field(&search("username=ann&limit=101"), "limit");
    refused_field(&search("username=ann&limit=ten"), "limit");
    refused_field(&search("username=ann&cursor=nonsense!"), "cursor");
    refused_field(&search("username=a%20b"), "username");
    refused_field(&search("limit=5"), "username");
}
