//! Bids over HTTP: which are accepted, and what the others are told.

use super::port::{Port, bid64};
use super::{accepted, all_is_right, auction, bid, in_ms, open, verify};
use crate::accounts::person::{Person, client};
use crate::accounts::{refused, refused_field, stack, unlimited};
use crate::tracing::logged;
use serde_json::{Value, json};
use std::io::Write;
use ureq::http::Method;

#[test]
fn bids_raise_the_price_and_the_engine_bids_up_to_a_maximum() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({"reserve": 500}));
    let first = auction(&client, id);
    assert_eq!((&first["price"], &first["minimum"]), (&json!(100), &json!(100)), "{first}");
    assert_eq!((&first["bids"], &first["state"]), (&json!(0), &json!("live")), "{first}");
    assert_eq!(first["reserve_met"], false);
    assert_eq!(first.get("reserve"), None, "the amount is hidden: {first}");

    let low = refused(&bid(&ann, id, &json!({"amount": 99})), 409, "bid_too_low");
    assert_eq!((&low["price"], &low["minimum"]), (&json!(100), &json!(100)), "as it is shown");

    let done = accepted(&ann, id, &json!({"amount": 100, "max_amount": 300, "bid_id": "a1"}));
    assert_eq!(done["auction_id"], id);
    assert_eq!(done["bid_id"], "a1");
    assert_eq!((&done["sequence"], &done["price"]), (&json!(1), &json!(100)), "{done}");
    assert_eq!((&done["leading"], &done["durability"]), (&json!(true), &json!("committed")));

    let outbid = accepted(&bob, id, &json!({"amount": 150}));
    assert_eq!((&outbid["price"], &outbid["leading"]), (&json!(160), &json!(false)), "{outbid}");
    let won = accepted(&bob, id, &json!({"amount": 170, "max_amount": 400}));
    assert_eq!((&won["price"], &won["leading"]), (&json!(310), &json!(true)), "{won}");

    let low = refused(&bid(&ann, id, &json!({"amount": 315})), 409, "bid_too_low");
    assert_eq!((&low["price"], &low["minimum"]), (&json!(310), &json!(320)), "{low}");
    let leads = refused(&bid(&bob, id, &json!({"amount": 350})), 409, "already_leading");
    assert_eq!((&leads["price"], &leads["minimum"]), (&json!(310), &json!(320)), "{leads}");
    refused(&bid(&sam, id, &json!({"amount": 350})), 403, "own_auction");
    refused(&bid(&ann, 999_999, &json!({"amount": 350})), 404, "auction_not_found");

    let raised = accepted(&bob, id, &json!({"amount": 310, "max_amount": 987_654_321}));
    assert_eq!((&raised["price"], &raised["leading"]), (&json!(500), &json!(true)), "the reserve");
    let now = auction(&client, id);
    assert_eq!((&now["reserve_met"], &now["bids"]), (&json!(true), &json!(4)), "{now}");
    assert!(!now.to_string().contains("987654321"), "the maximum is hidden: {now}");
    all_is_right(&stack);
}

#[test]
fn no_program_logs_a_maximum_however_much_it_logs() {
    const MAX: i64 = 987_654_321;
    let all = unlimited().daemon_set("log.level", "trace").front_set("log.level", "trace");
    let (mut stack, lines) = logged(all.daemon_set("log.slow_ms", 1).front_set("log.slow_ms", 1));
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    let once = json!({"amount": 100, "max_amount": MAX, "bid_id": "once"});
    accepted(&ann, id, &once);
    assert_eq!(bid(&ann, id, &once).status, 200);
    accepted(&bob, id, &json!({"amount": 200}));
    refused(&bid(&bob, id, &json!({"amount": 150, "max_amount": 150})), 409, "bid_too_low");
    let mut port = Port::of(stack.bids_address(), &bob);
    let other = open(&sam, &json!({}));
    port.0.write_all(&bid64(other, bob.id, 300, MAX, 1)).expect("taken");
    let (kind, said) = port.hear();
    assert_eq!(kind, 2, "{said:?}");
    stack.redis().kill();
    let lost = bid(&ann, id, &json!({"amount": 400, "max_amount": MAX}));
    assert_eq!(lost.status, 503, "{lost:?}");
    let said = lines.all();
    assert!(said.iter().any(|line| line.contains("\"DEBUG\"") && line.contains("a store is away")));
    for line in said {
        assert!(!line.contains(&MAX.to_string()), "{line}");
    }
}

#[test]
fn the_same_bid_id_has_the_first_answer() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    let body = json!({"amount": 200, "bid_id": "once"});
    let first = accepted(&ann, id, &body);
    accepted(&bob, id, &json!({"amount": 300, "bid_id": "once"}));
    let again = bid(&ann, id, &body);
    assert_eq!(again.status, 200, "{again:?}");
    let again = again.json();
    for key in ["auction_id", "bid_id", "sequence", "price", "leading", "ends_at", "head"] {
        assert_eq!(again[key], first[key], "{key}");
    }
    assert_eq!(auction(&client, id)["bids"], 2);
}

#[test]
fn what_cannot_be_a_bid_is_refused_with_the_field() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann] = ["sam", "ann"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    for (body, field) in [
        (json!({}), "amount"),
        (json!({"amount": 0}), "amount"),
        (json!({"amount": -5}), "amount"),
        (json!({"amount": 1.5}), "amount"),
        (json!({"amount": "200"}), "amount"),
        (json!({"amount": 1_000_000_000_000_001_i64}), "amount"),
        (json!({"amount": u64::MAX}), "amount"),
        (json!({"amount": 200, "max_amount": 199}), "max_amount"),
        (json!({"amount": 200, "max_amount": -1}), "max_amount"),
        (json!({"amount": 200, "bid_id": ""}), "bid_id"),
        (json!({"amount": 200, "bid_id": "x".repeat(65)}), "bid_id"),
        (json!({"amount": 200, "bid_id": "a b"}), "bid_id"),
        (json!({"amount": 200, "max": 300}), "max"),
    ] {
        refused_field(&bid(&ann, id, &body), field);
    }
    let foreign = bid(&ann, id, &json!({"amount": 200, "currency": "USD"}));
    refused(&foreign, 409, "currency_mismatch");
    let nobody = client.post(&format!("/api/v1/auctions/{id}/bids"), &json!({"amount": 200}));
    refused(&nobody, 401, "unauthenticated");
    assert_eq!(auction(&client, id)["bids"], 0);
}

#[test]
fn what_a_seller_cannot_mean_is_refused_with_the_field() {
    let stack = stack();
    let client = client(&stack);
    let sam = Person::new(&client, "sam");
    for (changes, field) in [
        (json!({"title": ""}), "title"),
        (json!({"title": "x".repeat(121)}), "title"),
        (json!({"description": "x".repeat(4001)}), "description"),
        (json!({"currency": "eur"}), "currency"),
        (json!({"currency": "XQZ"}), "currency"),
        (json!({"start_price": 0}), "start_price"),
        (json!({"start_price": -1}), "start_price"),
        (json!({"increment": 0}), "increment"),
        (json!({"increment": []}), "increment"),
        (json!({"increment": [{"from": 5, "step": 1}]}), "increment"),
        (json!({"increment": [{"from": 0, "step": 1}, {"from": 0, "step": 2}]}), "increment"),
        (json!({"reserve": 99}), "reserve"),
        (json!({"buy_now": 100}), "buy_now"),
        (json!({"reserve": 300, "buy_now": 200}), "buy_now"),
        (json!({"end_at": in_ms(-1000)}), "end_at"),
        (json!({"end_at": in_ms(200 * 86_400_000)}), "end_at"),
        (json!({"end_at": "tomorrow"}), "end_at"),
        (json!({"start_at": in_ms(-2 * 3_600_000)}), "start_at"),
        (json!({"soft_close": {"window_s": 0, "extensions": 1}}), "window_s"),
        (json!({"soft_close": {"window_s": 30, "extensions": 0}}), "extensions"),
        (json!({"colour": "green"}), "colour"),
    ] {
        let answer = sam.json(Method::POST, "/api/v1/auctions", &super::terms(&changes));
        let body = answer.json();
        let shown = body["field"].as_str().unwrap_or_default();
        assert!(answer.status == 400 && shown.starts_with(field), "{changes}: {body}");
    }
}

#[test]
fn increments_follow_the_price() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let table = json!([{"from": 0, "step": 10}, {"from": 1000, "step": 100}]);
    let id = open(&sam, &json!({"increment": table}));
    accepted(&ann, id, &json!({"amount": 990}));
    assert_eq!(auction(&client, id)["minimum"], 1000);
    accepted(&bob, id, &json!({"amount": 1000}));
    assert_eq!(auction(&client, id)["minimum"], 1100);
    refused(&bid(&ann, id, &json!({"amount": 1050})), 409, "bid_too_low");
}

#[test]
fn the_history_hides_who_bids_and_its_chain_can_be_checked_by_anybody() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let id = open(&sam, &json!({}));
    for round in 0..5 {
        accepted(&ann, id, &json!({"amount": 200 + 100 * round}));
        accepted(&bob, id, &json!({"amount": 250 + 100 * round}));
    }
    let path = format!("/api/v1/auctions/{id}/bids?after=0");
    let page = client.get(&path).json();
    let items = page["items"].as_array().expect("items");
    assert_eq!(items.len(), 10);
    assert!(!page.to_string().contains("\"ann\""), "{page}");
    let seen = sam.get(&path).json();
    assert_eq!(seen["items"][0]["bidder"]["user"]["username"], "ann", "the seller knows: {seen}");
    let own = ann.get(&path).json();
    assert_eq!(
        (&own["items"][0]["bidder"]["you"], &own["items"][1]["bidder"]["you"]),
        (&json!(true), &json!(false))
    );

    let ms = |value: &Value| {
        let time: jiff::Timestamp = value.as_str().expect("a time").parse().expect("RFC 3339");
        time.as_millisecond()
    };
    let mut head = blake3::hash(format!("souk auction {id}\n").as_bytes()).to_hex();
    for (bid, sequence) in items.iter().zip(1..) {
        assert_eq!(bid["sequence"], sequence);
        let name = |who: &Value| who["pseudonym"].as_str().expect("a name").to_owned();
        let line = format!(
            "{head} {id} {sequence} {} {} {} {} {} {}\n",
            name(&bid["bidder"]),
            bid["amount"],
            bid["price"],
            name(&bid["leader"]),
            ms(&bid["at"]),
            ms(&bid["ends_at"]),
        );
        head = blake3::hash(line.as_bytes()).to_hex();
    }
    assert_eq!(page["head"], head.as_str());
    assert_eq!(auction(&client, id)["head"], head.as_str());
    let said = verify(&stack, &[&id.to_string()]);
    assert_eq!(said.code, Some(0), "{said:?}");

    let latest = client.get(&format!("/api/v1/auctions/{id}/bids?limit=3")).json();
    assert_eq!(latest["items"][0]["sequence"], 10);
    let before = client.get(&format!("/api/v1/auctions/{id}/bids?limit=3&before=8")).json();
    assert_eq!(before["items"][0]["sequence"], 7);
    stack
        .sql(&format!(
            "UPDATE bids SET amount = amount + 1 WHERE sequence = 4 AND auction_id = {id}"
        ))
        .expect("damaged");
    let said = verify(&stack, &[&id.to_string()]);
    assert_eq!(said.code, Some(1), "damage is found: {said:?}");
}

#[test]
fn a_late_bid_moves_the_end_as_often_as_it_may() {
    let stack = stack();
    let client = client(&stack);
    let [sam, ann, bob] = ["sam", "ann", "bob"].map(|name| Person::new(&client, name));
    let soft = json!({"window_s": 3600, "extensions": 2});
    let id = open(&sam, &json!({"end_at": in_ms(600_000), "soft_close": soft}));
    let ends = |answer: &Value| answer["ends_at"].as_str().expect("a time").to_owned();
    let before = ends(&auction(&client, id));
    let first = ends(&accepted(&ann, id, &json!({"amount": 200})));
    refused(&bid(&bob, id, &json!({"amount": 205})), 409, "bid_too_low");
    assert_eq!(ends(&auction(&client, id)), first, "what is refused moves nothing");
    let second = ends(&accepted(&bob, id, &json!({"amount": 300})));
    let third = ends(&accepted(&ann, id, &json!({"amount": 400})));
    assert!(before < first && first <= second, "{before} {first} {second}");
    assert_eq!(second, third, "two extensions are all");
    assert_eq!(auction(&client, id)["extended"], 2);
}
