//! Auctions with histories, made by the rules and written past the engine.

use souk_db::Stores;
use souk_db::auctions::chain::next_head;
use souk_db::auctions::rules::{Bid, State, Step};
use souk_db::auctions::{AuctionRow, BidRow, Terms};
use souk_stack::Stack;

use crate::harness::soon;

/// When these tests begin, Unix ms: long ago, so that all of it is over by the server's clock.
pub const T0: i64 = 1_700_000_000_000;
/// An auction's length.
pub const HOUR: i64 = 3_600_000;
/// Who sells.
pub const SELLER: u64 = 7;

pub fn terms() -> Terms {
    Terms {
        title: "A lamp ☂".to_owned(),
        description: "It burns.".to_owned(),
        currency: "EUR".to_owned(),
        start_price: 1_000,
        increments: vec![Step { from: 0, step: 50 }, Step { from: 5_000, step: 100 }],
        reserve: Some(2_000),
        buy_now: None,
        start_at_ms: T0,
        end_at_ms: T0 + HOUR,
        soft_window_ms: 60_000,
        extensions_max: 3,
    }
}

pub async fn put_up(stores: &Stores, terms: &Terms) -> AuctionRow {
    stores.auctions.create(SELLER, terms, T0, soon()).await.expect("puts up")
}

/// A bid of somebody: amount and maximum, so many ms after [`T0`].
pub type Offered = (u64, i64, i64, i64);

/// Has the rules decide, and writes bids and row as a commit does. All must be accepted.
pub fn bid(stack: &Stack, row: &mut AuctionRow, offers: &[Offered]) -> Vec<BidRow> {
    let rules = row.rules();
    let mut bids = Vec::new();
    for &(bidder_id, amount, max_amount, after) in offers {
        let mut state: State = row.state();
        let at_ms = rules
            .decide(&mut state, Bid { bidder_id, amount, max_amount }, T0 + after)
            .expect("accepted");
        let mut bid = BidRow {
            auction_id: row.id,
            sequence: state.sequence,
            bidder_id,
            amount,
            max_amount,
            price: state.price,
            leader_id: state.leader_id,
            at_ms,
            ends_at_ms: state.ends_at_ms,
            head: [0; 32],
            bid_id: Some(format!("bid-{}", state.sequence)),
        };
        bid.head = next_head(&row.head, &row.salt, &bid);
        (row.sequence, row.price, row.leader_id) = (state.sequence, state.price, state.leader_id);
        (row.leader_max, row.last_at_ms, row.head) = (state.leader_max, at_ms, bid.head);
        (row.terms.end_at_ms, row.extended) = (state.ends_at_ms, state.extended);
        bids.push(bid);
    }
    write(stack, row, &bids);
    bids
}

fn write(stack: &Stack, row: &AuctionRow, bids: &[BidRow]) {
    let hex = |head: &[u8; 32]| head.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for it in bids {
        let bid_id = it.bid_id.as_deref().expect("named");
        let sql = format!(
            "INSERT INTO bids VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, UNHEX('{}'), '{bid_id}', \
             0, 0, 0, 1)",
            it.auction_id,
            it.sequence,
            it.bidder_id,
            it.amount,
            it.max_amount,
            it.price,
            it.leader_id,
            it.at_ms,
            it.ends_at_ms,
            hex(&it.head),
        );
        stack.sql(&sql).expect("writes a bid");
    }
    let sql = format!(
        "UPDATE auctions SET sequence = {}, price = {}, leader_id = {}, leader_max = {}, \
         last_at_ms = {}, ends_at_ms = {}, extended = {}, head = UNHEX('{}') WHERE id = {}",
        row.sequence,
        row.price,
        row.leader_id,
        row.leader_max,
        row.last_at_ms,
        row.terms.end_at_ms,
        row.extended,
        hex(&row.head),
        row.id
    );
    stack.sql(&sql).expect("writes the row");
}

/// One number from the database.
pub fn number(stack: &Stack, sql: &str) -> u64 {
    stack.sql(sql).expect("asks").trim().parse().expect("a number")
}
