//! Boards as JSON: lines, pages, and what watchers are told.

use crate::routes::PicturePath;
use serde::{Serialize, Serializer};
use souk_proto::leaderboard::{BoardNews, Entry, Page, Rank};
use std::collections::HashMap;

/// Room for a line of usual length, in bytes.
const LINE_LEN: usize = 192;

/// A line of a board as clients see it.
struct EntryJson<'a>(&'a Entry);

impl Serialize for EntryJson<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            rank: u64,
            user_id: u64,
            username: &'a str,
            nickname: &'a str,
            picture: Option<PicturePath<'a>>,
            rating: i32,
        }
        let Entry { rank, user_id, username, nickname, picture, rating } = self.0;
        let picture = (!picture.is_empty()).then_some(PicturePath(picture));
        Line { rank: *rank, user_id: *user_id, username, nickname, picture, rating: *rating }
            .serialize(out)
    }
}

/// Lines, in order.
struct Entries<'a>(&'a [Entry]);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(self.0.iter().map(EntryJson))
    }
}

fn encode(lines: usize, body: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity((lines + 1) * LINE_LEN);
    serde_json::to_writer(&mut bytes, body).expect("our own types are JSON and memory takes it");
    bytes
}

fn cursor(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A page of a board.
pub fn page(page: &Page) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        items: Entries<'a>,
        next_cursor: Option<&'a str>,
        previous_cursor: Option<&'a str>,
        total: u64,
    }
    let body = Body {
        items: Entries(&page.items),
        next_cursor: cursor(&page.next_cursor),
        previous_cursor: cursor(&page.previous_cursor),
        total: page.total,
    };
    encode(page.items.len(), &body)
}

/// An encoded page with its age as one more member.
pub fn with_age(page: &[u8], stale_ms: u64) -> Vec<u8> {
    let mut bytes = page.strip_suffix(b"}").unwrap_or(page).to_vec();
    bytes.extend_from_slice(format!(",\"stale_ms\":{stale_ms}}}").as_bytes());
    bytes
}

/// Where a user stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RankJson {
    rank: u64,
    rating: i32,
    /// Other players with the same rating.
    ties: u64,
    total: u64,
    percentile: f64,
}

impl RankJson {
    /// Adds the percentile to a rank.
    pub fn new(rank: &Rank) -> RankJson {
        let Rank { rank, rating, ties, total } = *rank;
        RankJson { rank, rating, ties, total, percentile: percentile(rank, ties, total) }
    }
}

/// The share of the other players with a lower rating, in per cent with two decimals; 100 for a
/// player who is alone.
fn percentile(rank: u64, ties: u64, total: u64) -> f64 {
    let others = total.saturating_sub(1);
    if others == 0 {
        return 100.0;
    }
    let lower = others.saturating_sub(rank.saturating_sub(1)).saturating_sub(ties);
    // In whole hundredths, rounded down: 100 is for those whom nobody equals or beats.
    let hundredths = u128::from(lower) * 10_000 / u128::from(others);
    f64::from(u32::try_from(hundredths).unwrap_or(10_000)) / 100.0
}

/// What a watcher is told of the whole top of a board.
pub fn board(news: &BoardNews) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        r#type: &'static str,
        version: u64,
        total: u64,
        items: Entries<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        stale_ms: Option<u64>,
    }
    let body = Body {
        r#type: "board",
        version: news.version,
        total: news.total,
        items: Entries(&news.items),
        stale_ms: (news.stale_ms > 0).then_some(news.stale_ms),
    };
    encode(news.items.len(), &body)
}

/// What a watcher who knows `old` is told of `new`: lines that are new or differ, and who is gone
/// from the top. Nothing if it shows no difference.
pub fn delta(old: &BoardNews, new: &BoardNews) -> Option<Vec<u8>> {
    #[derive(Serialize)]
    struct Body<'a> {
        r#type: &'static str,
        version: u64,
        total: u64,
        items: Vec<EntryJson<'a>>,
        gone: Vec<u64>,
    }
    let mut before: HashMap<u64, &Entry> =
        old.items.iter().map(|entry| (entry.user_id, entry)).collect();
    let differs = |entry: &&Entry| before.remove(&entry.user_id) != Some(*entry);
    let items: Vec<_> = new.items.iter().filter(differs).map(EntryJson).collect();
    let gone: Vec<u64> =
        old.items.iter().map(|entry| entry.user_id).filter(|id| before.contains_key(id)).collect();
    if items.is_empty() && gone.is_empty() && old.total == new.total {
        return None;
    }
    let body = Body { r#type: "delta", version: new.version, total: new.total, items, gone };
    Some(encode(body.items.len(), &body))
}

/// What a watcher is told of their own rank; all null for who is on no such board.
pub fn rank(rank: Option<&RankJson>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body {
        r#type: &'static str,
        rank: Option<u64>,
        rating: Option<i32>,
        ties: Option<u64>,
        total: Option<u64>,
        percentile: Option<f64>,
    }
    let body = Body {
        r#type: "rank",
        rank: rank.map(|it| it.rank),
        rating: rank.map(|it| it.rating),
        ties: rank.map(|it| it.ties),
        total: rank.map(|it| it.total),
        percentile: rank.map(|it| it.percentile),
    };
    encode(0, &body)
}

#[cfg(test)]
mod tests {
    use super::{RankJson, board, delta, page, percentile, rank, with_age};
    use proptest::collection::btree_map;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use souk_proto::leaderboard::{BoardNews, Entry, Page, Rank};
    use std::collections::BTreeMap;

    fn line(rank: u64, user_id: u64, rating: i32) -> Entry {
        let name = format!("user{user_id}");
        let picture = if user_id == 7 { "ab".repeat(32) } else { String::new() };
        Entry { rank, user_id, username: name.clone(), nickname: name, picture, rating }
    }

    fn parsed(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).expect("JSON")
    }

    #[test]
    fn a_page_has_exactly_these_members() {
        let items = vec![line(1, 7, 1500), line(2, 8, 1400)];
        let whole = Page { items, previous_cursor: "back".into(), total: 9, ..Page::default() };
        let first = json!({"rank": 1, "user_id": 7, "username": "user7", "nickname": "user7",
            "picture": format!("/pictures/{}", "ab".repeat(32)), "rating": 1500});
        let second = json!({"rank": 2, "user_id": 8, "username": "user8", "nickname": "user8",
            "picture": null, "rating": 1400});
        let expected = json!({"items": [first, second], "next_cursor": null,
            "previous_cursor": "back", "total": 9});
        let bytes = page(&whole);
        assert_eq!(parsed(&bytes), expected);
        let mut aged = expected.clone();
        aged["stale_ms"] = json!(250);
        assert_eq!(parsed(&with_age(&bytes, 250)), aged);
    }

    #[test]
    fn a_percentile_is_the_share_of_the_others_who_are_worse() {
        #[rustfmt::skip]
        let table: &[(u64, u64, u64, f64)] = &[
            // (rank, ties, total, percentile)
            (1, 0, 1, 100.0),
            (1, 0, 2, 100.0),
            (2, 0, 2, 0.0),
            (1, 1, 2, 0.0),
            (2, 1, 5, 50.0),
            (1, 0, 4, 100.0),
            (3, 0, 4, 33.33),
            (2, 0, 4, 66.66),
            (2, 0, 10_000_000, 99.99),
            (u64::MAX, 0, 3, 0.0),
            (1, u64::MAX, 3, 0.0),
            (0, 0, 0, 100.0),
        ];
        for (rank, ties, total, expected) in table {
            let found = percentile(*rank, *ties, *total);
            assert!((found - expected).abs() < 1e-9, "{rank} {ties} {total}: {found}");
        }
    }

    #[test]
    fn the_own_rank_is_told_or_that_there_is_none() {
        let known = RankJson::new(&Rank { rank: 2, rating: 1200, ties: 1, total: 5 });
        let expected = json!({"type": "rank", "rank": 2, "rating": 1200, "ties": 1, "total": 5,
            "percentile": 50.0});
        assert_eq!(parsed(&rank(Some(&known))), expected);
        let none = json!({"type": "rank", "rank": null, "rating": null, "ties": null,
            "total": null, "percentile": null});
        assert_eq!(parsed(&rank(None)), none);
    }

    fn news(version: u64, players: &BTreeMap<u64, i32>) -> BoardNews {
        let mut lines: Vec<(i32, u64)> =
            players.iter().map(|(id, rating)| (-rating, *id)).collect();
        lines.sort_unstable();
        let above = |rating| 1 + lines.iter().filter(|(other, _)| *other < rating).count() as u64;
        let items = lines.iter().map(|(rating, id)| line(above(*rating), *id, -rating)).collect();
        BoardNews { version, total: players.len() as u64, items, stale_ms: 0 }
    }

    proptest! {
        #[test]
        fn a_delta_makes_the_new_top_of_the_old_one(
            old in btree_map(0..20u64, 100..110i32, 0..15),
            new in btree_map(0..20u64, 100..110i32, 0..15),
        ) {
            let (before, after) = (news(1, &old), news(2, &new));
            let mut lines: BTreeMap<u64, Value> = BTreeMap::new();
            for item in parsed(&board(&before))["items"].as_array().expect("items") {
                lines.insert(item["user_id"].as_u64().expect("an id"), item.clone());
            }
            let Some(told) = delta(&before, &after) else {
                prop_assert_eq!(before.items, after.items);
                return Ok(());
            };
            let told = parsed(&told);
            prop_assert_eq!(&told["type"], "delta");
            for id in told["gone"].as_array().expect("gone") {
                prop_assert!(lines.remove(&id.as_u64().expect("an id")).is_some());
            }
            for item in told["items"].as_array().expect("items") {
                let known = lines.insert(item["user_id"].as_u64().expect("an id"), item.clone());
                prop_assert_ne!(known.as_ref(), Some(item), "nothing is told twice");
            }
            let whole = parsed(&board(&after));
            let mut expected: Vec<&Value> =
                whole["items"].as_array().expect("items").iter().collect();
            expected.sort_by_key(|item| item["user_id"].as_u64());
            prop_assert_eq!(lines.values().collect::<Vec<_>>(), expected);
        }
    }
}
