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

/// A user's neighbours.
pub fn neighbours(items: &[Entry], total: u64) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        items: Entries<'a>,
        total: u64,
    }
    encode(items.len(), &Body { items: Entries(items), total })
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

/// What a watcher is told while there is no news to be had.
pub const PAUSED: &[u8] = br#"{"type":"paused"}"#;

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
