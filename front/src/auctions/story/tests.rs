//! Watchers of any speed against a daemon that sends anything it may.

use super::{Seen, Story, Telling, Waiting};
use crate::limits::{BIDS_KEPT, ENDING_SOON_MS, SNAPSHOT_BIDS};
use proptest::prelude::*;
use serde_json::{Value, json};
use souk_proto::auctions::{AuctionNews, NewsBid, Outcome, State};

const END: i64 = 1_800_000_000_000;
const NOW: i64 = END - 600_000;

fn name(sequence: u64) -> String {
    format!("bidder-{}", sequence % 5)
}

fn bid(sequence: u64) -> NewsBid {
    let price = i64::try_from(sequence).expect("small") * 100;
    NewsBid {
        sequence,
        bidder: name(sequence),
        amount: price,
        price,
        leader: name(sequence),
        at_ms: NOW,
        ends_at_ms: END,
    }
}

/// The news after so many bids, with the last `recent` of them.
fn news(sequence: u64, recent: u64) -> AuctionNews {
    let price = i64::try_from(sequence).expect("small") * 100;
    AuctionNews {
        auction_id: 3,
        sequence,
        price,
        minimum: price + 100,
        leader: if sequence == 0 { String::new() } else { name(sequence) },
        reserve_met: true,
        state: State::Live.into(),
        start_at_ms: NOW - 1_000,
        ends_at_ms: END,
        head: format!("{sequence:064x}"),
        version: 1,
        now_ms: NOW,
        recent: (sequence.saturating_sub(recent) + 1..=sequence).map(bid).collect(),
        ..AuctionNews::default()
    }
}

fn take(story: &mut Story, news: AuctionNews) -> bool {
    let now = news.now_ms;
    story.take(Waiting::join(None, news), now)
}

fn body(telling: &Telling) -> Value {
    serde_json::from_slice(&telling.text).expect("JSON")
}

/// Somebody who watches, and what it could tell another.
#[derive(Default)]
struct Watcher {
    you: Option<String>,
    seen: Option<Seen>,
    number: u64,
    /// Bids known without a gap up to the last.
    bids: Vec<u64>,
    last: Option<Value>,
    outbid: u32,
}

impl Watcher {
    fn read(&mut self, story: &mut Story, now: i64) -> Option<Value> {
        if self.number == story.number() {
            return None;
        }
        let telling = story.tell(self.seen, self.you.as_deref(), now);
        (self.seen, self.number) = (Some(telling.seen), story.number());
        self.outbid += u32::from(telling.outbid.is_some());
        let message = body(&telling);
        assert_eq!(message["sequence"], telling.sequence);
        let told: Vec<u64> = message["bids"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|bid| bid["sequence"].as_u64().expect("a number"))
            .collect();
        match message["type"].as_str().expect("a type") {
            // A reader sees where these begin, and so what is missing before.
            "snapshot" => self.bids = told,
            "bids" => {
                assert!(!told.is_empty());
                self.bids.extend(told);
            }
            "state" => assert!(told.is_empty()),
            other => panic!("{other}"),
        }
        self.last = Some(message.clone());
        Some(message)
    }
}

proptest! {
    #[test]
    fn any_reader_ends_with_the_latest_and_sees_every_gap(
        steps in proptest::collection::vec((0..120u64, 0..200u64, 0..4usize, any::<bool>()), 1..30),
    ) {
        let mut story = Story::default();
        let mut watchers: [Watcher; 4] = Default::default();
        let (mut sequence, mut waiting) = (0, None);
        for (bids, recent, reader, joins) in steps {
            sequence += bids;
            // All since the item before, or the last ones, as from a stream that begins anew.
            let item = news(sequence, if recent < 100 { recent } else { bids });
            waiting = Some(Waiting::join(waiting, item));
            if joins {
                continue;
            }
            story.take(waiting.take().expect("some"), NOW);
            watchers[reader].read(&mut story, NOW);
        }
        story.take(Waiting::join(waiting, news(sequence, 50)), NOW);
        for watcher in &mut watchers {
            watcher.read(&mut story, NOW);
            let last = watcher.last.as_ref().expect("told something");
            prop_assert_eq!(&last["sequence"], &json!(sequence));
            prop_assert_eq!(&last["price"], &json!(sequence * 100));
            prop_assert_eq!(&last["head"], &json!(format!("{sequence:064x}")));
            // Without a gap, and up to the last bid.
            prop_assert!(watcher.bids.windows(2).all(|pair| pair[0] + 1 == pair[1]));
            prop_assert_eq!(watcher.bids.last().copied().unwrap_or(sequence), sequence);
        }
    }

    #[test]
    fn who_comes_back_is_told_exactly_what_is_missing_or_a_snapshot(
        sequence in 1..600u64, known in 0..700u64,
    ) {
        let mut story = Story::default();
        take(&mut story, news(sequence, sequence));
        let message = body(&story.tell(Some(Seen::after(known)), None, NOW));
        let told: Vec<u64> = message["bids"].as_array().into_iter().flatten()
            .map(|bid| bid["sequence"].as_u64().expect("a number")).collect();
        if known > sequence || sequence - known > BIDS_KEPT as u64 {
            prop_assert_eq!(&message["type"], "snapshot");
            let first = sequence.saturating_sub(SNAPSHOT_BIDS as u64) + 1;
            prop_assert_eq!(told, (first..=sequence).collect::<Vec<_>>());
        } else {
            prop_assert_eq!(&message["type"], if known == sequence { "state" } else { "bids" });
            prop_assert_eq!(told, (known + 1..=sequence).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_message_is_made_once_for_all_who_know_the_same() {
    let mut story = Story::default();
    take(&mut story, news(5, 5));
    let seen = story.tell(None, None, NOW).seen;
    let led = story.tell(None, Some(&name(5)), NOW).seen;
    take(&mut story, news(6, 1));
    let one = story.tell(Some(seen), None, NOW);
    let other = story.tell(Some(led), Some(&name(5)), NOW + 1);
    assert_eq!(one.text.as_ptr(), other.text.as_ptr());
    assert_eq!((one.outbid.is_some(), other.outbid.is_some()), (false, true));
    // Later it is another time.
    let late = body(&story.tell(Some(seen), None, NOW + 10_000));
    assert_eq!((&late["type"], &late["now"]), (&json!("bids"), &json!("2027-01-15T07:50:10.000Z")));
}

#[test]
fn only_who_led_is_told_of_being_outbid_and_only_once() {
    let mut story = Story::default();
    let watcher = |you: Option<String>| Watcher { you, ..Watcher::default() };
    take(&mut story, news(1, 1));
    let mut all = [watcher(None), watcher(Some(name(1))), watcher(Some(name(2)))];
    all.iter_mut().for_each(|each| drop(each.read(&mut story, NOW)));
    let counts = |all: &[Watcher]| all.iter().map(|each| each.outbid).collect::<Vec<_>>();
    assert_eq!(counts(&all), [0, 0, 0], "a snapshot says who leads");
    take(&mut story, news(2, 1));
    all.iter_mut().for_each(|each| drop(each.read(&mut story, NOW)));
    assert_eq!(counts(&all), [0, 1, 0]);
    take(&mut story, news(3, 1));
    all.iter_mut().for_each(|each| drop(each.read(&mut story, NOW)));
    assert_eq!(counts(&all), [0, 1, 1]);
    // Led and lost between two looks.
    take(&mut story, news(8, 5));
    all.iter_mut().for_each(|each| drop(each.read(&mut story, NOW)));
    assert_eq!(counts(&all), [0, 2, 2]);
}

#[test]
fn notices_say_what_happened_besides_since_the_last_look() {
    let mut story = Story::default();
    let mut quick = Watcher::default();
    let mut slow = Watcher::default();
    let scheduled = AuctionNews { state: State::Scheduled.into(), ..news(0, 0) };
    take(&mut story, scheduled.clone());
    quick.read(&mut story, NOW);
    slow.read(&mut story, NOW);
    let changed = AuctionNews { version: 2, ..scheduled };
    let live = AuctionNews { version: 2, ..news(0, 0) };
    let extended = AuctionNews { version: 2, extended: 1, ends_at_ms: END + 30_000, ..news(1, 1) };
    let outage = AuctionNews { outage_ms: 5_000, ..extended.clone() };
    let over = END + 40_000;
    let ended = AuctionNews { state: State::Ended.into(), now_ms: over, ..outage.clone() };
    let settled = AuctionNews { outcome: Outcome::Sold.into(), ..ended.clone() };
    #[rustfmt::skip]
    let table = [
        (changed, json!(["changed"])),
        (live, json!(["started"])),
        (extended, json!(["extended"])),
        (outage, json!(["outage"])),
        (ended, json!(["ended"])),
        (settled, json!(null)),
    ];
    for (item, expected) in table {
        assert!(take(&mut story, item));
        let told = quick.read(&mut story, NOW).expect("something");
        assert_eq!(told.get("notices").cloned().unwrap_or_default(), expected);
    }
    let told = slow.read(&mut story, NOW).expect("something");
    assert_eq!(told["notices"], json!(["extended", "outage", "changed", "ended"]));
    assert_eq!((&told["state"], &told["outcome"]), (&json!("ended"), &json!("sold")));
    let cancelled = AuctionNews { state: State::Cancelled.into(), ..news(0, 0) };
    let mut story = Story::default();
    let mut watcher = Watcher::default();
    take(&mut story, news(0, 0));
    watcher.read(&mut story, NOW);
    take(&mut story, cancelled);
    assert_eq!(watcher.read(&mut story, NOW).expect("told")["notices"], json!(["changed"]));
}

#[test]
fn the_near_end_is_told_once_and_again_if_the_end_moves_away() {
    let mut story = Story::default();
    let mut watcher = Watcher::default();
    take(&mut story, news(1, 1));
    watcher.read(&mut story, NOW);
    let near = END - ENDING_SOON_MS;
    assert_eq!(story.soon_at_ms(), Some(near));
    assert!(!story.look(near - 1));
    assert!(story.look(near));
    assert!(!story.look(near + 1), "it was told");
    assert_eq!(story.soon_at_ms(), None);
    assert_eq!(watcher.read(&mut story, near).expect("told")["notices"], json!(["ending_soon"]));
    let moved =
        AuctionNews { ends_at_ms: END + 90_000, outage_ms: 90_000, now_ms: near, ..news(1, 1) };
    assert!(take(&mut story, moved));
    assert_eq!(watcher.read(&mut story, near).expect("told")["notices"], json!(["outage"]));
    assert_eq!(story.soon_at_ms(), Some(near + 90_000));
}

#[test]
fn the_same_news_again_and_older_ones_are_no_news() {
    let mut story = Story::default();
    assert!(take(&mut story, news(5, 5)));
    assert!(!take(&mut story, AuctionNews { now_ms: NOW + 1_000, ..news(5, 3) }));
    assert!(!take(&mut story, news(4, 4)), "a slower daemon's");
    assert_eq!(story.news().sequence, 5);
    let joined = Waiting::join(Some(Waiting::join(None, news(7, 2))), news(6, 1));
    assert!(story.take(joined, NOW));
    assert_eq!(story.news().sequence, 7);
}

#[test]
fn who_led_when_it_left_is_told_of_being_outbid_when_it_comes_back() {
    let mut story = Story::default();
    take(&mut story, news(6, 6));
    let back = |story: &mut Story, you: u64, after: u64| {
        story.tell(Some(Seen::after(after)), Some(&name(you)), NOW).outbid.is_some()
    };
    assert!(back(&mut story, 5, 5), "it led after bid 5");
    assert!(back(&mut story, 5, 4), "and if it has not heard of its own bid");
    assert!(!back(&mut story, 5, 6), "it was told of bid 6");
    assert!(!back(&mut story, 6, 5), "it leads");
    assert!(!back(&mut story, 9, 5), "that was another's lead");
}
