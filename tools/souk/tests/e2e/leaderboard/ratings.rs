//! Who may change ratings, and what a change does once, twice, and when it is wrong.

use super::{operate, people, program, rank, rate, rated};
use crate::accounts::person::{Person, client};
use crate::accounts::{refused, refused_field, stack};
use serde_json::{Value, json};
use ureq::http::Method;

#[test]
fn only_a_token_with_the_role_changes_ratings_and_a_revoked_one_does_not() {
    let stack = stack();
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    let change = json!({"rating": 1500});
    let nobody = Person { client: &client, id: 0, token: "souk_nonsense".into() };
    refused(&rate(&nobody, ada.id, &change), 401, "unauthenticated");
    refused(&rate(&ada, ada.id, &change), 403, "missing_role");
    let service = program(&stack, &client, "service");
    rated(&service, ada.id, 1500);
    let hide = format!("/api/v1/users/{}/hide", ada.id);
    refused(&service.json(Method::POST, &hide, &json!({"reason": "x"})), 403, "missing_role");

    let list = operate(&stack, &["token", "list"]);
    assert!(list.contains("service") && !list.contains(&service.token), "{list}");
    operate(&stack, &["token", "revoke", "1"]);
    super::eventually("it is revoked", || rate(&service, ada.id, &change).status == 401);
}

#[test]
fn a_change_is_seen_at_once_and_a_wrong_one_changes_nothing() {
    let stack = stack();
    let client = client(&stack);
    let ids = people(&client, &["ann", "bob"]);
    let service = program(&stack, &client, "service");
    for rating in [100, 5000, 1234] {
        rated(&service, ids[0], rating);
        assert_eq!(rank(&client, ids[0])["rating"], rating, "own change");
        let expected = if rating > 1000 { 1 } else { 2 };
        assert_eq!(rank(&client, ids[0])["rank"], expected);
    }
    let answer = rate(&service, ids[0], &json!({"delta": -34}));
    assert_eq!((&answer.json()["before"], &answer.json()["rating"]), (&json!(1234), &json!(1200)));
    refused_field(&rate(&service, ids[0], &json!({"rating": 99})), "rating");
    refused_field(&rate(&service, ids[0], &json!({"rating": 5001})), "rating");
    refused_field(&rate(&service, ids[0], &json!({"delta": -1101})), "delta");
    refused_field(&rate(&service, ids[0], &json!({"delta": i32::MAX})), "delta");
    refused(&rate(&service, 999_999, &json!({"rating": 1500})), 404, "user_not_found");
    for neither in [json!({}), json!({"rating": 1000, "delta": 1})] {
        assert_eq!(rate(&service, ids[0], &neither).status, 400, "{neither}");
    }
    assert_eq!(rank(&client, ids[0])["rating"], 1200);
    let shown = client.get("/api/v1/users/by-name/ann").json();
    assert_eq!(shown["rating"], 1200, "the profile is never behind");
}

#[test]
fn an_event_counts_once_and_another_change_of_its_name_is_a_conflict() {
    let stack = stack();
    let client = client(&stack);
    let ids = people(&client, &["ann", "bob"]);
    let service = program(&stack, &client, "service");
    let event = json!({"delta": 50, "event_id": "game-1"});
    let first = rate(&service, ids[0], &event).json();
    assert_eq!((&first["rating"], &first["repeated"]), (&json!(1050), &json!(false)));
    rated(&service, ids[0], 1300);
    let second = rate(&service, ids[0], &event).json();
    assert_eq!((&second["rating"], &second["repeated"]), (&json!(1050), &json!(true)));
    assert_eq!(rank(&client, ids[0])["rating"], 1300);
    let other = json!({"delta": 51, "event_id": "game-1"});
    refused(&rate(&service, ids[0], &other), 409, "event_conflict");
    refused(&rate(&service, ids[1], &event), 409, "event_conflict");
    refused_field(&rate(&service, ids[0], &json!({"delta": 1, "event_id": "a b"})), "event_id");
}

#[test]
fn each_item_of_a_batch_is_answered_alone() {
    let stack = stack();
    let client = client(&stack);
    let ids = people(&client, &["ann", "bob"]);
    let service = program(&stack, &client, "service");
    let batch =
        |items: Value| service.json(Method::POST, "/api/v1/ratings", &json!({ "items": items }));
    let answer = batch(json!([
        {"user_id": ids[0], "delta": 10, "event_id": "a"},
        {"user_id": 999_999, "rating": 1500},
        {"user_id": ids[1], "rating": 99},
        {"user_id": ids[0], "delta": 10, "event_id": "a"},
        {"user_id": ids[0], "delta": 5},
    ]));
    assert_eq!(answer.status, 200, "{answer:?}");
    let items = answer.json()["items"].as_array().expect("items").clone();
    assert_eq!((&items[0]["rating"], &items[3]["repeated"]), (&json!(1010), &json!(true)));
    assert_eq!(items[1]["error"]["code"], "user_not_found");
    assert_eq!(items[2]["error"]["code"], "invalid_field");
    assert_eq!(items[4]["rating"], 1015);
    assert_eq!(rank(&client, ids[0])["rating"], 1015);
    let many: Vec<Value> = (0..1001).map(|_| json!({"user_id": ids[0], "delta": 1})).collect();
    refused_field(&batch(json!(many)), "items");
    refused_field(&batch(json!([])), "items");
    let all = batch(json!(many[..1000]));
    assert_eq!(all.status, 200, "{:?}", all.body.len());
    assert_eq!(rank(&client, ids[0])["rating"], 2015);
}

#[test]
fn a_match_moves_both_players_by_elo_once() {
    let stack = stack();
    let client = client(&stack);
    let ids = people(&client, &["ann", "bob"]);
    let service = program(&stack, &client, "service");
    let played = |body: Value| service.json(Method::POST, "/api/v1/matches", &body);
    let game = json!({"event_id": "m1", "winner": ids[0], "loser": ids[1]});
    let answer = played(game.clone()).json();
    assert_eq!(answer["winner"]["rating"], 1016, "equals play for half of K = 32");
    assert_eq!(answer["loser"]["rating"], 984);
    assert_eq!(played(game).json()["winner"]["repeated"], true);
    let draw = json!({"event_id": "m2", "winner": ids[0], "loser": ids[1], "draw": true});
    let answer = played(draw).json();
    assert_eq!(answer["winner"]["rating"], 1015, "a draw helps the weaker");
    assert_eq!(answer["loser"]["rating"], 985);
    let alone = json!({"event_id": "m3", "winner": ids[0], "loser": ids[0]});
    refused_field(&played(alone), "loser");
    let nobody = json!({"event_id": "m4", "winner": ids[0], "loser": 999_999});
    refused(&played(nobody), 404, "user_not_found");
    assert_eq!(played(json!({"winner": ids[0], "loser": ids[1]})).status, 400, "no event_id");
    assert_eq!(rank(&client, ids[0])["rating"], 1015);
}
