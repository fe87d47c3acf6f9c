//! Auctions, bids and settlements as clients see them.

use crate::auctions::json::{outcome, state};
use crate::routes::{PicturePath, Time};
use serde::{Serialize, Serializer};
use souk_proto::auctions::{self as wire, Auction, Bid, Bidder, Person, Settlement, Step};

/// A user who sells or bids. Names are null for one who is gone.
#[derive(Serialize)]
pub struct PersonJson<'a> {
    id: u64,
    username: Option<&'a str>,
    nickname: Option<&'a str>,
    picture: Option<PicturePath<'a>>,
}

impl PersonJson<'_> {
    pub fn new(person: &Person) -> PersonJson<'_> {
        let Person { user_id, username, nickname, picture } = person;
        let there = !username.is_empty();
        PersonJson {
            id: *user_id,
            username: there.then_some(username),
            nickname: there.then_some(nickname),
            picture: (!picture.is_empty()).then_some(PicturePath(picture)),
        }
    }
}

#[derive(Serialize)]
pub struct BidderJson<'a> {
    pseudonym: &'a str,
    you: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<PersonJson<'a>>,
}

impl BidderJson<'_> {
    pub fn new(bidder: &Bidder) -> BidderJson<'_> {
        let user = bidder.person.as_ref().map(PersonJson::new);
        BidderJson { pseudonym: &bidder.pseudonym, you: bidder.you, user }
    }
}

/// A number if it is the same for all prices, else the table.
struct Increment<'a>(&'a [Step]);

impl Serialize for Increment<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row {
            from: i64,
            step: i64,
        }
        match self.0 {
            [Step { from: 0, step }] => out.serialize_i64(*step),
            rows => out.collect_seq(rows.iter().map(|&Step { from, step }| Row { from, step })),
        }
    }
}

#[derive(Serialize)]
struct SoftClose {
    window_s: u32,
    extensions: u32,
}

#[derive(Serialize)]
pub struct AuctionJson<'a> {
    id: u64,
    seller: Option<PersonJson<'a>>,
    title: &'a str,
    /// Left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    picture: Option<PicturePath<'a>>,
    currency: &'a str,
    start_price: i64,
    increment: Increment<'a>,
    has_reserve: bool,
    /// For the seller alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve: Option<i64>,
    reserve_met: bool,
    buy_now: Option<i64>,
    price: i64,
    minimum: i64,
    bids: u64,
    state: &'static str,
    outcome: Option<&'static str>,
    start_at: Time,
    ends_at: Time,
    soft_close: Option<SoftClose>,
    extended: u32,
    outage_ms: i64,
    leader: Option<BidderJson<'a>>,
    head: &'a str,
    version: u64,
    created_at: Time,
    watched: bool,
    now: Time,
}

impl AuctionJson<'_> {
    /// The whole of it.
    pub fn new(auction: &Auction) -> AuctionJson<'_> {
        let soft = |soft: &wire::SoftClose| SoftClose {
            window_s: soft.window_s,
            extensions: soft.extensions,
        };
        AuctionJson {
            id: auction.id,
            seller: auction.seller.as_ref().map(PersonJson::new),
            title: &auction.title,
            description: Some(&auction.description),
            picture: (!auction.picture.is_empty()).then_some(PicturePath(&auction.picture)),
            currency: &auction.currency,
            start_price: auction.start_price,
            increment: Increment(&auction.increments),
            has_reserve: auction.has_reserve,
            reserve: auction.reserve,
            reserve_met: auction.reserve_met,
            buy_now: auction.buy_now,
            price: auction.price,
            minimum: auction.minimum,
            bids: auction.bids,
            state: state(auction.state),
            outcome: outcome(auction.outcome),
            start_at: Time(auction.start_at_ms),
            ends_at: Time(auction.ends_at_ms),
            soft_close: auction.soft_close.as_ref().map(soft),
            extended: auction.extended,
            outage_ms: auction.outage_ms,
            leader: auction.leader.as_ref().map(BidderJson::new),
            head: &auction.head,
            version: auction.version,
            created_at: Time(auction.created_at_ms),
            watched: auction.watched,
            now: Time(auction.now_ms),
        }
    }

    /// A line of a list.
    pub fn line(auction: &Auction) -> AuctionJson<'_> {
        AuctionJson { description: None, ..AuctionJson::new(auction) }
    }
}

#[derive(Serialize)]
pub struct BidJson<'a> {
    sequence: u64,
    bidder: Option<BidderJson<'a>>,
    amount: i64,
    price: i64,
    leader: Option<BidderJson<'a>>,
    at: Time,
    ends_at: Time,
}

impl BidJson<'_> {
    pub fn new(bid: &Bid) -> BidJson<'_> {
        BidJson {
            sequence: bid.sequence,
            bidder: bid.bidder.as_ref().map(BidderJson::new),
            amount: bid.amount,
            price: bid.price,
            leader: bid.leader.as_ref().map(BidderJson::new),
            at: Time(bid.at_ms),
            ends_at: Time(bid.ends_at_ms),
        }
    }
}

#[derive(Serialize)]
pub struct SettlementJson<'a> {
    auction_id: u64,
    outcome: Option<&'static str>,
    currency: &'a str,
    /// Null when nothing was sold.
    price: Option<i64>,
    seller: Option<PersonJson<'a>>,
    winner: Option<PersonJson<'a>>,
    settled_at: Time,
    bids: u64,
    head: &'a str,
}

impl SettlementJson<'_> {
    pub fn new(settlement: &Settlement) -> SettlementJson<'_> {
        SettlementJson {
            auction_id: settlement.auction_id,
            outcome: outcome(settlement.outcome),
            currency: &settlement.currency,
            price: (settlement.price != 0).then_some(settlement.price),
            seller: settlement.seller.as_ref().map(PersonJson::new),
            winner: settlement.winner.as_ref().map(PersonJson::new),
            settled_at: Time(settlement.settled_at_ms),
            bids: settlement.bids,
            head: &settlement.head,
        }
    }
}
