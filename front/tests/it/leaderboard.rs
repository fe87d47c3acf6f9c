//! Boards and ratings: what is asked of the daemon, and what clients see of its answers.

use crate::client::{Client, token};
use crate::daemon::Daemon;
use crate::{Front, drivers};
use serde_json::{Value, json};
use souk_proto::leaderboard::rating_outcome::Outcome;
use souk_proto::leaderboard::{
    Entry, GetPageRequest, Page, Rank, RatingDone, RatingOutcome, RatingOutcomes, SetRatingsRequest,
};
use souk_proto::{Code, Failure, Kind, Method};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

pub fn line(rank: u64, user_id: u64, rating: i32) -> Entry {
    let name = format!("user{user_id}");
    let picture = String::new();
    Entry { rank, user_id, username: name.clone(), nickname: name, picture, rating }
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

#[test]
fn a_first_page_is_sent_from_memory_as_long_as_the_daemon_says_it_is_the_same() {
    for driver in drivers() {
        let tag = Arc::new(AtomicU64::new(1));
        let (sender, received) = channel();
        let daemon = Daemon::start("one", 2, {
            let tag = tag.clone();
            move |event| {
                if event.kind != Kind::Request {
                    return;
                }
                let request: GetPageRequest = event.decode();
                let tag = tag.load(Ordering::SeqCst);
                let unchanged = request.seen == tag;
                sender.send((request.limit, unchanged)).expect("the test waits");
                let items = vec![line(1, 7, 1000 + i32::try_from(tag).expect("small"))];
                let page = Page { items, total: 1, tag, ..Page::default() };
                event.answer(&if unchanged {
                    Page { tag, unchanged, ..Page::default() }
                } else {
                    page
                });
            }
        });
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        let mut rating = |path: &str| {
            let answer = client.get(path);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let etag = answer.header("etag").map(str::to_owned).expect("a tag");
            (parsed(&answer.body)["items"][0]["rating"].clone(), etag)
        };
        let (first, etag) = rating("/api/v1/leaderboard");
        assert_eq!(first, 1001);
        assert_eq!(rating("/api/v1/leaderboard"), (json!(1001), etag.clone()));
        assert_eq!(rating("/api/v1/leaderboard?limit=5").0, 1001);
        tag.store(2, Ordering::SeqCst);
        assert_eq!(rating("/api/v1/leaderboard?limit=100").0, 1002);
        let asked: Vec<_> = received.try_iter().collect();
        assert_eq!(asked, [(100, false), (100, true), (5, false), (100, false)]);
        let known = |etag: &str| {
            format!("GET /api/v1/leaderboard HTTP/1.1\r\nhost: a\r\nif-none-match: {etag}\r\n\r\n")
        };
        client.send(known(&etag));
        assert_eq!(client.answer().status, 200);
        client.send(known("\"0000000000000002\""));
        assert_eq!(client.answer().status, 304);
    }
}

#[test]
fn a_stale_page_says_so_and_how_old_it_is() {
    for driver in drivers() {
        let daemon = Daemon::start("one", 1, |event| {
            let request: GetPageRequest = event.decode();
            let unchanged = request.seen == 3;
            let stale_ms = if unchanged { 61_200 } else { 0 };
            event.answer(&Page { total: 4, tag: 3, unchanged, stale_ms, ..Page::default() });
        });
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        let fresh = client.get("/api/v1/leaderboard");
        assert_eq!((fresh.header("age"), fresh.header("warning")), (None, None));
        let stale = client.get("/api/v1/leaderboard");
        assert_eq!(stale.header("age"), Some("62"));
        assert_eq!(stale.header("warning"), Some("110 - \"Response is Stale\""));
        let body = parsed(&stale.body);
        assert_eq!((&body["total"], &body["stale_ms"]), (&json!(4), &json!(61_200)));
    }
}

#[test]
fn a_batch_is_answered_item_by_item_and_a_service_token_goes_along() {
    for driver in drivers() {
        let service = format!("souk_{}", "a".repeat(43));
        let expected = service.clone();
        let daemon = Daemon::start("one", 1, move |event| {
            let request: SetRatingsRequest = event.decode();
            let caller = request.caller.expect("a caller");
            if caller.token != expected {
                return event.fail(&Failure::new(Code::MissingRole));
            }
            let outcome = |id| match id {
                404 => Outcome::Failed((&Failure::new(Code::UserNotFound)).into()),
                user_id => {
                    Outcome::Done(RatingDone { user_id, before: 1000, ..RatingDone::default() })
                }
            };
            let outcomes = request.items.iter().map(|item| outcome(item.user_id));
            let items = outcomes.map(|it| RatingOutcome { outcome: Some(it) }).collect();
            event.answer(&RatingOutcomes { items });
        });
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        let mut post = |token: &str, body: &Value| {
            let body = body.to_string();
            client.send(format!(
                "POST /api/v1/ratings HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ));
            let answer = client.answer();
            (answer.status, parsed(&answer.body))
        };
        let item = |id: u64| json!({"user_id": id, "delta": 1});
        let mixed = json!({"items": [item(1), {"user_id": 2}, item(404), item(3)]});
        let (status, body) = post(&service, &mixed);
        assert_eq!(status, 200);
        let shown: Vec<_> = body["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| (item["user_id"].as_u64(), item["error"]["status"].as_u64()))
            .collect();
        assert_eq!(shown, [(Some(1), None), (None, Some(400)), (None, Some(404)), (Some(3), None)]);
        let full: Vec<_> = (0..1000).map(item).collect();
        assert_eq!(post(&service, &json!({"items": full})).0, 200);
        let over: Vec<_> = (0..1001).map(item).collect();
        let (status, body) = post(&service, &json!({"items": over}));
        assert_eq!((status, &body["field"]), (400, &json!("items")));
        assert_eq!(post(&service, &json!({"items": []})).0, 400);
        assert_eq!(post(&token(7), &json!({"items": [item(1)]})).0, 403);
    }
}

#[test]
fn a_rank_is_asked_of_the_shard_of_the_user_whoever_changed_it() {
    for driver in drivers() {
        let (sender, received) = channel();
        let daemon = Daemon::start("one", 4, move |event| {
            sender.send((event.method, event.shard)).expect("the test waits");
            match event.method {
                Some(Method::GetRank) => {
                    event.answer(&Rank { rank: 2, rating: 1200, ties: 1, total: 5 });
                }
                _ => event.answer(&RatingDone { user_id: 77, ..RatingDone::default() }),
            }
        });
        let front = Front::start(driver, &[&daemon]);
        let mut client = Client::connect(front.address());
        client.send(
            "PUT /api/v1/users/77/rating HTTP/1.1\r\nhost: a\r\ncontent-length: 14\r\n\
             content-type: application/json\r\n\r\n{\"rating\":900}",
        );
        assert_eq!(client.answer().status, 200);
        let answer = client.get("/api/v1/users/77/rank");
        let body = parsed(&answer.body);
        assert_eq!(body, json!({"rank":2,"rating":1200,"ties":1,"total":5,"percentile":50.0}));
        let asked: Vec<_> = received.try_iter().collect();
        let [(Some(Method::SetRating), one), (Some(Method::GetRank), two)] = asked[..] else {
            panic!("{asked:?}")
        };
        assert_eq!(one, two);
    }
}
