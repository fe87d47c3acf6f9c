//! What an auction's watchers are told, as JSON.

use crate::routes::Time;
use serde::Serialize;
use souk_proto::auctions::{AuctionNews, NewsBid, Outcome, State};

/// Room for the state, and for one bid, of usual length, in bytes.
const STATE_LEN: usize = 640;
const BID_LEN: usize = 256;

/// The name of a state.
pub fn state(number: i32) -> &'static str {
    match State::try_from(number).unwrap_or_default() {
        State::Scheduled => "scheduled",
        State::Live => "live",
        State::Ended => "ended",
        State::Cancelled => "cancelled",
    }
}

/// The name of an outcome; nothing while there is none.
pub fn outcome(number: i32) -> Option<&'static str> {
    match Outcome::try_from(number).unwrap_or_default() {
        Outcome::None => None,
        Outcome::Sold => Some("sold"),
        Outcome::ReserveNotMet => Some("reserve_not_met"),
        Outcome::NoBids => Some("no_bids"),
    }
}

#[derive(Serialize)]
struct BidJson<'a> {
    sequence: u64,
    bidder: &'a str,
    amount: i64,
    price: i64,
    leader: &'a str,
    at: Time,
    ends_at: Time,
}

impl BidJson<'_> {
    fn new(bid: &NewsBid) -> BidJson<'_> {
        let NewsBid { sequence, bidder, amount, price, leader, at_ms, ends_at_ms } = bid;
        BidJson {
            sequence: *sequence,
            bidder,
            amount: *amount,
            price: *price,
            leader,
            at: Time(*at_ms),
            ends_at: Time(*ends_at_ms),
        }
    }
}

#[derive(Serialize)]
struct Message<'a> {
    r#type: &'static str,
    auction_id: u64,
    sequence: u64,
    price: i64,
    minimum: i64,
    leader: Option<&'a str>,
    reserve_met: bool,
    state: &'static str,
    outcome: Option<&'static str>,
    start_at: Time,
    ends_at: Time,
    extended: u32,
    outage_ms: i64,
    head: &'a str,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bids: Option<Vec<BidJson<'a>>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notices: &'a [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Time>,
}

impl<'a> Message<'a> {
    fn new(r#type: &'static str, news: &'a AuctionNews) -> Message<'a> {
        Message {
            r#type,
            auction_id: news.auction_id,
            sequence: news.sequence,
            price: news.price,
            minimum: news.minimum,
            leader: (!news.leader.is_empty()).then_some(&news.leader),
            reserve_met: news.reserve_met,
            state: state(news.state),
            outcome: outcome(news.outcome),
            start_at: Time(news.start_at_ms),
            ends_at: Time(news.ends_at_ms),
            extended: news.extended,
            outage_ms: news.outage_ms,
            head: &news.head,
            version: news.version,
            bids: None,
            notices: &[],
            now: None,
        }
    }

    fn encode(&self) -> Vec<u8> {
        encode(self, STATE_LEN + BID_LEN * self.bids.as_ref().map_or(0, Vec::len))
    }
}

fn encode(body: &impl Serialize, room: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(room);
    serde_json::to_writer(&mut bytes, body).expect("our own types are JSON and memory takes it");
    bytes
}

/// How things are, with these last bids, but for what [`with_viewer`] adds.
pub fn snapshot<'a>(news: &'a AuctionNews, bids: impl Iterator<Item = &'a NewsBid>) -> Vec<u8> {
    let bids = Some(bids.map(BidJson::new).collect());
    Message { bids, ..Message::new("snapshot", news) }.encode()
}

/// A snapshot for somebody in particular, at this moment of the daemon's clock.
pub fn with_viewer(snapshot: &[u8], you: Option<&str>, now_ms: i64) -> Vec<u8> {
    #[derive(Serialize)]
    struct Rest<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        you: Option<&'a str>,
        now: Time,
    }
    let rest = encode(&Rest { you, now: Time(now_ms) }, BID_LEN);
    let mut bytes = Vec::with_capacity(snapshot.len() + rest.len());
    bytes.extend_from_slice(snapshot.strip_suffix(b"}").unwrap_or(snapshot));
    bytes.push(b',');
    bytes.extend_from_slice(rest.strip_prefix(b"{").unwrap_or(&rest));
    bytes
}

/// How things are after these bids; without any, what changed else.
pub fn piece<'a>(
    news: &'a AuctionNews,
    bids: impl Iterator<Item = &'a NewsBid>,
    notices: &'a [&'static str],
    now_ms: i64,
) -> Vec<u8> {
    let bids: Vec<_> = bids.map(BidJson::new).collect();
    let (kind, bids) = if bids.is_empty() { ("state", None) } else { ("bids", Some(bids)) };
    Message { bids, notices, now: Some(Time(now_ms)), ..Message::new(kind, news) }.encode()
}

/// What somebody is told who does not lead any more.
pub fn outbid(news: &AuctionNews) -> Vec<u8> {
    #[derive(Serialize)]
    struct Outbid<'a> {
        r#type: &'static str,
        by: &'a str,
        price: i64,
        minimum: i64,
    }
    let AuctionNews { leader, price, minimum, .. } = news;
    encode(&Outbid { r#type: "outbid", by: leader, price: *price, minimum: *minimum }, BID_LEN)
}
