//! Auctions: what bids do, whoever takes them and whatever happens meanwhile.

mod bids;
mod outages;
mod owners;
mod twins;

use crate::harness::soon;
use data_encoding::HEXLOWER;
use souk_db::Stores;
use souk_db::auctions::chain::{first_head, next_head};
use souk_db::auctions::rules::{Bid, Rules, State, Step};
use souk_db::auctions::{BidError, BidRow, Offer, Placed};
use souk_stack::Stack;

/// A moment of all tests, Unix time in milliseconds.
pub const NOW: i64 = 1_800_000_000_000;

/// The clock of this machine, and so of its servers, Unix milliseconds.
pub fn clock() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    i64::try_from(since.as_millis()).expect("not yet")
}
/// An hour later.
pub const END: i64 = NOW + 3_600_000;
/// Who sells.
pub const SELLER: u64 = 1;

/// Rules without anything special: from 100, by 10.
pub fn plain() -> Rules {
    Rules {
        seller_id: SELLER,
        start_price: 100,
        increments: vec![Step { from: 0, step: 10 }],
        reserve: 0,
        buy_now: 0,
        start_at_ms: NOW - 1000,
        soft_window_ms: 0,
        extensions_max: 0,
    }
}

/// Makes auctions with these rules, numbered from 1 on.
pub fn make(stack: &Stack, all: &[Rules]) {
    // As much as a command line holds.
    const AT_ONCE: usize = 100;
    for (chunk, first) in all.chunks(AT_ONCE).zip((1..).step_by(AT_ONCE)) {
        stack.sql(&inserts(chunk, first)).unwrap();
    }
}

/// Statements that insert auctions, numbered from this one on.
fn inserts(all: &[Rules], first: u64) -> String {
    let mut sql = String::new();
    for (rules, id) in all.iter().zip(first..) {
        let steps: Vec<String> =
            rules.increments.iter().map(|row| format!("[{},{}]", row.from, row.step)).collect();
        let Rules { seller_id, start_price, reserve, buy_now, .. } = rules;
        let Rules { start_at_ms, soft_window_ms, extensions_max, .. } = rules;
        let (head, steps) = (HEXLOWER.encode(&first_head(id)), steps.join(","));
        sql += &format!(
            "INSERT INTO auctions (id, seller_id, start_at_ms, ends_at_ms, head, salt, currency, \
             start_price, reserve, buy_now, soft_window_ms, extensions_max, increments, \
             created_at_ms, title, description) VALUES ({id}, {seller_id}, {start_at_ms}, {END}, \
             x'{head}', REPEAT('s', 16), 'EUR', {start_price}, NULLIF({reserve}, 0), \
             NULLIF({buy_now}, 0), {soft_window_ms}, {extensions_max}, '[{steps}]', {NOW}, 't', \
             'd');"
        );
    }
    sql
}

/// An offer without a maximum and a name.
pub fn offer(bidder_id: u64, amount: i64) -> Offer {
    Offer { bidder_id, amount, max_amount: amount, bid_id: None }
}

/// An offer with a name.
pub fn named(bidder_id: u64, amount: i64, bid_id: &str) -> Offer {
    Offer { bid_id: Some(bid_id.to_owned()), ..offer(bidder_id, amount) }
}

/// Offers one bid.
pub async fn bid(stores: &Stores, id: u64, offer: Offer) -> Result<Placed, BidError> {
    bid_at(stores, id, offer, NOW).await
}

/// Offers one bid at a moment.
pub async fn bid_at(
    stores: &Stores,
    id: u64,
    offer: Offer,
    now_ms: i64,
) -> Result<Placed, BidError> {
    stores.auctions.bid(id, vec![offer], now_ms, soon()).await.remove(0)
}

/// All bids of an auction.
pub fn bids(stack: &Stack, id: u64) -> Vec<BidRow> {
    let rows = stack
        .sql(&format!(
            "SELECT sequence, bidder_id, amount, max_amount, price, leader_id, at_ms, ends_at_ms, \
             HEX(head), IFNULL(bid_id, '') FROM bids WHERE auction_id = {id} ORDER BY sequence"
        ))
        .unwrap();
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let number = |place: usize| columns[place].parse::<i64>().unwrap();
        let id_of = |place: usize| u64::try_from(number(place)).unwrap();
        let head = HEXLOWER.decode(columns[8].to_lowercase().as_bytes()).unwrap();
        BidRow {
            auction_id: id,
            sequence: id_of(0),
            bidder_id: id_of(1),
            amount: number(2),
            max_amount: number(3),
            price: number(4),
            leader_id: id_of(5),
            at_ms: number(6),
            ends_at_ms: number(7),
            head: head.try_into().unwrap(),
            bid_id: Some(columns[9].to_owned()).filter(|name| !name.is_empty()),
        }
    };
    rows.lines().map(row).collect()
}

/// Fails unless an auction's bids follow from the rules, and its row from its bids; the bids.
pub fn verified(stack: &Stack, id: u64, rules: &Rules) -> Vec<BidRow> {
    let bids = bids(stack, id);
    let mut state = State {
        sequence: 0,
        price: 0,
        leader_id: 0,
        leader_max: 0,
        ends_at_ms: END,
        extended: 0,
        last_at_ms: 0,
    };
    let mut head = first_head(id);
    for bid in &bids {
        let BidRow { bidder_id, amount, max_amount, .. } = *bid;
        let offered = Bid { bidder_id, amount, max_amount };
        assert_eq!(rules.decide(&mut state, offered, bid.at_ms), Ok(bid.at_ms), "{bid:?}");
        head = next_head(&head, b"ssssssssssssssss", bid);
        let after = (state.sequence, state.price, state.leader_id, head);
        assert_eq!((bid.sequence, bid.price, bid.leader_id, bid.head), after);
        assert_eq!(bid.ends_at_ms, state.ends_at_ms);
    }
    let row = stack
        .sql(&format!(
            "SELECT sequence, price, leader_id, leader_max, ends_at_ms, extended, last_at_ms, \
             LOWER(HEX(head)) FROM auctions WHERE id = {id}"
        ))
        .unwrap();
    let State { sequence, price, leader_id, leader_max, ends_at_ms, extended, last_at_ms } = state;
    let head = HEXLOWER.encode(&head);
    let expected = format!(
        "{sequence}\t{price}\t{leader_id}\t{leader_max}\t{ends_at_ms}\t{extended}\t{last_at_ms}\t\
         {head}"
    );
    assert_eq!(row.trim(), expected);
    bids
}
