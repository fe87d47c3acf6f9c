//! What a seller may change, and where auctions are found.

use super::{accepted, auction, bid, in_ms, open};
use crate::accounts::person::{Person, client};
use crate::accounts::picture::png;
use crate::accounts::{refused, stack};
use crate::client::Answer;
use serde_json::{Value, json};
use ureq::http::Method;

fn ids(answer: &Answer) -> Vec<u64> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let page = answer.json();
    let items = page["items"].as_array().expect("items");
    items.iter().map(|item| item["id"].as_u64().expect("an id")).collect()
}

#[test]
fn a_seller_may_change_and_cancel_until_somebody_bids() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann] = ["sam", "ann"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    let path = format!("/api/v1/auctions/{id}");
    let edit = |who: &Person<'_>, change: &Value| who.json(Method::PATCH, &path, change);
    let edited = edit(&sam, &json!({"title": "A better lamp", "start_price": 500}));
    assert_eq!(edited.status, 200, "{edited:?}");
    assert_eq!(auction(&client, id)["title"], "A better lamp");
    refused(&bid(&ann, id, &json!({"amount": 400})), 409, "bid_too_low");
    refused(&edit(&ann, &json!({"title": "Mine"})), 403, "not_seller");
    let stale = sam.send(
        Method::PATCH,
        &path,
        &[("if-match", "\"1\""), ("content-type", "application/json")],
        br#"{"title":"Too late"}"#,
    );
    refused(&stale, 412, "version_conflict");
    accepted(&ann, id, &json!({"amount": 500}));
    refused(&edit(&sam, &json!({"title": "Another"})), 409, "auction_has_bids");
    refused(
        &sam.json(Method::POST, &format!("{path}/cancel"), &json!({})),
        409,
        "auction_has_bids",
    );

    let other = open(&sam, &json!({}));
    let cancel = format!("/api/v1/auctions/{other}/cancel");
    refused(&ann.json(Method::POST, &cancel, &json!({})), 403, "not_seller");
    assert_eq!(sam.json(Method::POST, &cancel, &json!({})).status, 200);
    assert_eq!(auction(&client, other)["state"], "cancelled");
    refused(&bid(&ann, other, &json!({"amount": 500})), 409, "auction_cancelled");
}

#[test]
fn the_seller_alone_gives_an_auction_its_picture() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann] = ["sam", "ann"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    let path = format!("/api/v1/auctions/{id}/picture");
    let kind = [("content-type", "image/png")];
    let put = |who: &Person<'_>, bytes: &[u8]| who.send(Method::PUT, &path, &kind, bytes);
    refused(&put(&ann, &png(300)), 403, "not_seller");
    refused(&client.send(Method::PUT, &path, &kind, &png(300)), 401, "unauthenticated");
    refused(&put(&sam, b"<html>"), 415, "picture_unsupported");
    assert!(auction(&client, id)["picture"].is_null());

    let answer = put(&sam, &png(300));
    assert_eq!(answer.status, 200, "{answer:?}");
    let shown = auction(&client, id)["picture"].as_str().expect("a picture").to_owned();
    assert_eq!(answer.json()["picture"], shown);
    let (large, small) = (client.get(&shown), client.get(&format!("{shown}?size=64")));
    assert_eq!((large.status, small.status), (200, 200));
    assert!(large.header("content-type").starts_with("image/"));
    assert!(small.body.len() < large.body.len());

    // What was bid on keeps its picture.
    accepted(&ann, id, &json!({"amount": 100}));
    refused(&put(&sam, &png(200)), 409, "auction_has_bids");
    refused(&sam.delete(&path), 409, "auction_has_bids");
    let other = open(&sam, &json!({}));
    let path = format!("/api/v1/auctions/{other}/picture");
    assert_eq!(sam.send(Method::PUT, &path, &kind, &png(300)).status, 200);
    refused(&ann.delete(&path), 403, "not_seller");
    let dropped = sam.delete(&path);
    assert_eq!(dropped.status, 200, "{dropped:?}");
    assert!(auction(&client, other)["picture"].is_null());
}

#[test]
fn lists_hold_what_they_say_page_by_page() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann] = ["sam", "ann"].map(|name| Person::new(&client, name));
    let live: Vec<u64> =
        (1..=5).map(|hours| open(&sam, &json!({"end_at": in_ms(hours * 3_600_000)}))).collect();
    let later = json!({"start_at": in_ms(3_600_000), "end_at": in_ms(7_200_000)});
    let scheduled = open(&sam, &later);
    assert_eq!(auction(&client, scheduled)["state"], "scheduled");
    refused(&bid(&ann, scheduled, &json!({"amount": 200})), 409, "auction_not_started");
    accepted(&ann, live[1], &json!({"amount": 200}));

    let mut soon = Vec::new();
    let mut query = "?list=ending_soon&limit=2".to_owned();
    loop {
        let answer = client.get(&format!("/api/v1/auctions{query}"));
        soon.extend(ids(&answer));
        let Some(next) = answer.json()["next_cursor"].as_str().map(str::to_owned) else { break };
        query = format!("?list=ending_soon&limit=2&cursor={next}");
    }
    assert_eq!(soon, live);
    let mut all = ids(&client.get("/api/v1/auctions"));
    all.sort_unstable();
    assert_eq!(all, live);
    assert_eq!(ids(&sam.get("/api/v1/auctions?list=selling")).len(), 6);
    assert_eq!(ids(&ann.get("/api/v1/auctions?list=bidding")), [live[1]]);
    assert_eq!(ids(&ann.get("/api/v1/auctions?list=selling")), [0; 0]);

    let watch = format!("/api/v1/auctions/{}/watch", live[3]);
    assert_eq!(ann.send(Method::PUT, &watch, &[], &[]).status / 100, 2);
    assert_eq!(ids(&ann.get("/api/v1/auctions?list=watched")), [live[3]]);
    assert_eq!(ann.get(&format!("/api/v1/auctions/{}", live[3])).json()["watched"], true);
    assert_eq!(ann.delete(&watch).status / 100, 2);
    assert_eq!(ids(&ann.get("/api/v1/auctions?list=watched")), [0; 0]);

    for (query, field) in [("?list=mine", "list"), ("?limit=0", "limit"), ("?limit=101", "limit")] {
        let answer = client.get(&format!("/api/v1/auctions{query}")).json();
        assert_eq!((&answer["status"], &answer["field"]), (&json!(400), &json!(field)), "{answer}");
    }
    let forged = client.get("/api/v1/auctions?cursor=AAAA").json();
    assert_eq!((&forged["status"], &forged["field"]), (&json!(400), &json!("cursor")));
    refused(&client.get("/api/v1/auctions?list=selling"), 401, "unauthenticated");
}
