//! Pages, ranks, neighbours, the distribution: what they give and how they say no.

use super::{line, lines, page, people, program, rank, rated};
use crate::accounts::person::client;
use crate::accounts::{refused, refused_field, stack};
use serde_json::json;

#[test]
fn pages_and_ranks_agree_and_ties_share_a_rank() {
    let stack = stack();
    let client = client(&stack);
    let ids = people(&client, &["ann", "bob", "cid", "dot", "eve"]);
    let service = program(&stack, &client, "service");
    for (id, rating) in ids.iter().zip([1500, 2000, 1500, 1200, 2000]) {
        rated(&service, *id, rating);
    }
    let whole = [
        line(1, "bob", 2000),
        line(1, "eve", 2000),
        line(3, "ann", 1500),
        line(3, "cid", 1500),
        line(5, "dot", 1200),
    ];
    super::eventually("all is seen", || lines(&page(&client, "")) == whole);
    assert_eq!(page(&client, "")["total"], 5);
    let expected = json!({
        "rank": 3, "rating": 1500, "ties": 1, "total": 5, "percentile": 25.0
    });
    assert_eq!(rank(&client, ids[0]), expected, "one of four others is below");

    let first = page(&client, "?limit=2");
    assert_eq!(lines(&first), whole[..2]);
    assert!(first["previous_cursor"].is_null(), "{first}");
    let next = first["next_cursor"].as_str().expect("there is more");
    let second = page(&client, &format!("?limit=2&cursor={next}"));
    assert_eq!(lines(&second), whole[2..4]);
    let next = second["next_cursor"].as_str().expect("there is more");
    let third = page(&client, &format!("?limit=2&cursor={next}"));
    assert_eq!(lines(&third), whole[4..]);
    assert!(third["next_cursor"].is_null(), "{third}");
    let back = third["previous_cursor"].as_str().expect("there is something before");
    let again = page(&client, &format!("?limit=2&direction=previous&cursor={back}"));
    assert_eq!(lines(&again), whole[2..4]);

    let around = |id: u64, radius| page(&client, &format!("/around/{id}?radius={radius}"));
    let near = around(ids[0], 1);
    assert_eq!(lines(&near), whole[1..4]);
    let next = near["next_cursor"].as_str().expect("dot is behind");
    assert_eq!(lines(&page(&client, &format!("?cursor={next}"))), whole[4..]);
    let back = near["previous_cursor"].as_str().expect("bob is before");
    let before = page(&client, &format!("?direction=previous&cursor={back}"));
    assert_eq!(lines(&before), whole[..1]);
    assert_eq!(lines(&around(ids[1], 1)), whole[..2], "clamped at the top");
    assert_eq!(lines(&around(ids[3], 2)), whole[2..], "and at the bottom");

    let distribution = page(&client, "/distribution?percentile=50");
    assert_eq!((&distribution["total"], &distribution["rating"]), (&json!(5), &json!(1500)));
    let buckets = distribution["buckets"].as_array().expect("buckets");
    let players = |from: i64| {
        let holds = |b: &&serde_json::Value| {
            b["from"].as_i64() <= Some(from) && b["to"].as_i64() >= Some(from)
        };
        buckets.iter().find(holds).map_or(0, |bucket| bucket["players"].as_u64().expect("one"))
    };
    assert_eq!([players(1200), players(1500), players(2000), players(700)], [1, 2, 2, 0]);
}

#[test]
fn a_first_page_that_is_known_already_is_not_sent_again() {
    let stack = stack();
    let client = client(&stack);
    people(&client, &["ann"]);
    super::eventually("she is seen", || lines(&page(&client, "")).len() == 1);
    let first = client.get("/api/v1/leaderboard");
    let tag = first.header("etag").to_owned();
    let known = [("if-none-match", tag.as_str())];
    let again = client.send(ureq::http::Method::GET, "/api/v1/leaderboard", &known, &[]);
    assert_eq!((again.status, again.body.len()), (304, 0), "{first:?}");
    people(&client, &["bob"]);
    super::eventually("bob makes another page", || {
        client.send(ureq::http::Method::GET, "/api/v1/leaderboard", &known, &[]).status == 200
    });
}

#[test]
fn bad_questions_are_refused_with_the_field() {
    let stack = stack();
    let client = client(&stack);
    let ids = people(&client, &["ann", "bob", "cid"]);
    super::eventually("they are seen", || lines(&page(&client, "")).len() == 3);
    let get = |path: &str| client.get(&format!("/api/v1{path}"));
    refused_field(&get("/leaderboard?limit=0"), "limit");
    refused_field(&get("/leaderboard?limit=501"), "limit");
    refused_field(&get("/leaderboard?cursor=nonsense"), "cursor");
    refused_field(&get("/leaderboard?direction=up"), "direction");
    refused_field(&get("/leaderboard/distribution?percentile=101"), "percentile");
    refused_field(&get(&format!("/leaderboard/around/{}?radius=0", ids[0])), "radius");
    refused(&get("/leaderboard/around/999999"), 404, "user_not_found");
    refused(&get("/users/999999/rank"), 404, "user_not_found");
    refused(&get("/leaderboard?season=77"), 404, "board_not_found");

    let next = page(&client, "?limit=1")["next_cursor"].as_str().expect("more").to_owned();
    let last = if next.ends_with('A') { "B" } else { "A" };
    let forged = format!("{}{last}", &next[..next.len() - 1]);
    refused_field(&get(&format!("/leaderboard?cursor={forged}")), "cursor");
    super::operate(&stack, &["season", "start", "Winter"]);
    super::eventually("the season is known", || get("/leaderboard?season=1").status == 200);
    refused_field(&get(&format!("/leaderboard?season=1&cursor={next}")), "cursor");
}
