//! Seasons and moderation.

use super::{eventually, line, lines, operate, page, people, program, rank, rate, rated};
use crate::accounts::person::client;
use crate::accounts::{refused, stack};
use serde_json::json;
use ureq::http::Method;

#[test]
fn a_season_begins_at_1000_and_its_end_freezes_it() {
    let stack = stack();
    let client = client(&stack);
    let ids = people(&client, &["ann", "bob"]);
    let service = program(&stack, &client, "service");
    rated(&service, ids[0], 3000);
    let said = operate(&stack, &["season", "start", "Winter"]);
    assert!(said.contains("season 1 \"Winter\" starts"), "{said}");
    eventually("it is known", || client.get("/api/v1/leaderboard?season=1").status == 200);
    assert!(lines(&page(&client, "?season=1")).is_empty(), "nobody has played in it");
    refused(&client.get(&format!("/api/v1/users/{}/rank?season=1", ids[0])), 404, "not_ranked");
    assert_eq!(rate(&service, ids[0], &json!({"delta": 25})).json()["rating"], 3025);
    eventually("she is on it", || lines(&page(&client, "?season=1")) == [line(1, "ann", 1025)]);
    let seasons = client.get("/api/v1/seasons").json();
    assert_eq!(seasons["items"][0]["name"], "Winter");

    operate(&stack, &["season", "end"]);
    assert_eq!(rate(&service, ids[0], &json!({"delta": 25})).json()["rating"], 3050);
    rated(&service, ids[1], 2000);
    assert_eq!(lines(&page(&client, "?season=1")), [line(1, "ann", 1025)], "frozen");
    assert_eq!(operate(&stack, &["leaderboard", "verify"]), "every count is right");
}

#[test]
fn a_hidden_user_is_on_no_board_and_comes_back_with_the_rating() {
    let stack = stack();
    let client = client(&stack);
    let ids = people(&client, &["ann", "bob"]);
    let admin = program(&stack, &client, "admin");
    rated(&admin, ids[0], 2000);
    eventually("both are seen", || lines(&page(&client, "")).len() == 2);
    let moderate = |what: &str| {
        let path = format!("/api/v1/users/{}/{what}", ids[0]);
        let answer = admin.json(Method::POST, &path, &json!({"reason": "cheated"}));
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    moderate("hide");
    assert_eq!(lines(&page(&client, "")), [line(1, "bob", 1000)], "right at once");
    assert_eq!(rank(&client, ids[1])["total"], 1);
    refused(&client.get(&format!("/api/v1/users/{}/rank", ids[0])), 404, "not_ranked");
    rated(&admin, ids[0], 2100);
    moderate("hide");
    moderate("unhide");
    assert_eq!(lines(&page(&client, "")), [line(1, "ann", 2100), line(2, "bob", 1000)]);
    let log = stack.sql("SELECT action, user_id, reason FROM moderation ORDER BY id").expect("it");
    assert_eq!(log.lines().count(), 2, "what changes nothing is not written down: {log}");
    assert!(log.contains("cheated"), "{log}");
    assert_eq!(operate(&stack, &["leaderboard", "verify"]), "every count is right");
}

#[test]
fn verify_finds_and_mends_what_is_wrong() {
    let stack = stack();
    let client = client(&stack);
    people(&client, &["ann", "bob"]);
    assert_eq!(operate(&stack, &["leaderboard", "verify"]), "every count is right");
    stack.sql("UPDATE rating_counts SET players = 7 WHERE board = 0").expect("broken");
    let url = stack.mysql_url();
    let outcome = crate::command::souk(&["leaderboard", "verify", "--mysql", &url]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("rating 1000: counted 7, found 2"), "{outcome:?}");
    let mended = operate(&stack, &["leaderboard", "verify", "--fix"]);
    assert!(mended.contains("are mended"), "{mended}");
    assert_eq!(operate(&stack, &["leaderboard", "verify"]), "every count is right");
    eventually("the ranks too", || page(&client, "")["total"] == 2);
}
