//! Lists, page by page, against a naive model.

use super::scene::{HOUR, T0};
use crate::harness::{on_a_ring, settings, soon, stack};
use proptest::prelude::*;
use souk_db::Stores;
use souk_db::auctions::{After, AuctionRow, Listing};
use souk_stack::Stack;
use std::cmp::Reverse;
use std::fmt::Write;

/// An auction of the model: start and end in minutes, and what it is.
#[derive(Debug, Clone)]
struct Lot {
    seller: u64,
    start: i64,
    length: i64,
    phase: usize,
    /// Who bids, in order.
    bidders: Vec<u64>,
    watchers: Vec<u64>,
}

fn lot() -> impl Strategy<Value = Lot> {
    let people = || prop::collection::vec(1u64..4, 0..4);
    // Few moments, so that many auctions share one.
    (1u64..4, 0i64..6, 1i64..6, 0usize..6, people(), people()).prop_map(
        |(seller, start, length, phase, bidders, watchers)| Lot {
            seller,
            start,
            length,
            phase,
            bidders,
            watchers,
        },
    )
}

const MINUTE: i64 = HOUR / 60;

impl Lot {
    fn start_ms(&self) -> i64 {
        T0 + self.start * MINUTE
    }

    fn end_ms(&self) -> i64 {
        self.start_ms() + self.length * MINUTE
    }

    fn is_live(&self, now_ms: i64) -> bool {
        self.phase > 1 && self.start_ms() <= now_ms && now_ms < self.end_ms()
    }
}

/// Writes the lots, the first as auction 1.
fn fill(stack: &Stack, lots: &[Lot]) {
    let mut sql =
        String::from("DELETE FROM auctions; DELETE FROM bids; DELETE FROM auction_watches;");
    let mut bids = Vec::new();
    for (id, lot) in (1..).zip(lots) {
        let phase = ["ended", "cancelled", "open"][lot.phase.min(2)];
        let (start, end, seller) = (lot.start_ms(), lot.end_ms(), lot.seller);
        write!(
            sql,
            "INSERT INTO auctions SET id = {id}, seller_id = {seller}, phase = '{phase}', \
             start_at_ms = {start}, ends_at_ms = {end}, head = REPEAT('h', 32), \
             salt = REPEAT('s', 16), currency = 'EUR', start_price = 1, increments = '[[0,1]]', \
             created_at_ms = 0, title = 't', description = 'd';"
        )
        .unwrap();
        // The first bidder bids more often than one look at the index shows.
        let often = lot.bidders.first().map_or(0, |_| 70);
        let bidders = lot.bidders.iter().chain(lot.bidders.first().into_iter().cycle().take(often));
        let numbered = (1..).zip(bidders);
        bids.extend(numbered.map(|(sequence, bidder)| format!("[{id},{sequence},{bidder}]")));
        for user in &lot.watchers {
            write!(sql, "INSERT IGNORE INTO auction_watches VALUES ({user}, {id});").unwrap();
        }
    }
    write!(
        sql,
        "INSERT INTO bids SELECT d.id, d.n, d.bidder, 1, 1, 1, 1, 1, 1, REPEAT('h', 32), NULL, 1, 0, 0, 1 \
         FROM JSON_TABLE('[{}]', '$[*]' COLUMNS (id INT PATH '$[0]', n INT PATH '$[1]', \
           bidder INT PATH '$[2]')) AS d;",
        bids.join(",")
    )
    .unwrap();
    stack.sql(&sql).expect("fills");
}

/// What a list must hold, in order.
fn expected(lots: &[Lot], listing: Listing, now_ms: i64) -> Vec<u64> {
    let mut found: Vec<(u64, &Lot)> = (1..).zip(lots).collect();
    found.retain(|(_, lot)| match listing {
        Listing::Live | Listing::EndingSoon => lot.is_live(now_ms),
        Listing::Selling(user) => lot.seller == user,
        Listing::Bidding(user) => lot.bidders.contains(&user),
        Listing::Watched(user) => lot.watchers.contains(&user),
    });
    match listing {
        Listing::Live => found.sort_by_key(|(id, lot)| Reverse((lot.start, *id))),
        Listing::EndingSoon => found.sort_by_key(|(id, lot)| (lot.end_ms(), *id)),
        _ => found.reverse(),
    }
    found.into_iter().map(|(id, _)| id).collect()
}

fn place(listing: Listing, row: &AuctionRow) -> After {
    let time_ms = match listing {
        Listing::Live => row.terms.start_at_ms,
        Listing::EndingSoon => row.terms.end_at_ms,
        _ => 0,
    };
    After { time_ms, id: row.id }
}

/// Reads a list to its end.
async fn read(stores: &Stores, listing: Listing, limit: u32, now_ms: i64) -> Vec<u64> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page =
            stores.auctions.list(listing, after, limit, now_ms, soon()).await.expect("lists");
        assert!(page.len() <= limit as usize);
        assert!(page.iter().all(|row| row.terms.description.is_empty()));
        let Some(last) = page.last() else { return ids };
        after = Some(place(listing, last));
        ids.extend(page.iter().map(|row| row.id));
    }
}

#[test]
fn pages_follow_each_other_without_a_gap_whatever_they_hold() {
    let stack = stack();
    let settings = settings(&stack);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let cases = (prop::collection::vec(lot(), 0..40), 1u32..8, 0i64..12);
    let done = runner.run(&cases, |(lots, limit, minute)| {
        fill(&stack, &lots);
        let now_ms = T0 + minute * MINUTE;
        on_a_ring(async {
            let stores = Stores::open(&settings).await.expect("opens");
            let mut listings = vec![Listing::Live, Listing::EndingSoon];
            for user in 1..5 {
                let of = [Listing::Selling(user), Listing::Bidding(user), Listing::Watched(user)];
                listings.extend(of);
            }
            for listing in listings {
                let found = read(&stores, listing, limit, now_ms).await;
                prop_assert_eq!(found, expected(&lots, listing, now_ms), "{:?}", listing);
            }
            stores.close().await;
            Ok(())
        })
    });
    if let Err(error) = done {
        panic!("{error}");
    }
}

#[test]
fn no_page_is_larger_than_the_bound() {
    let stack = stack();
    let lot =
        Lot { seller: 1, start: 0, length: 5, phase: 2, bidders: Vec::new(), watchers: Vec::new() };
    fill(&stack, &vec![lot; 120]);
    on_a_ring(async {
        let stores = Stores::open(&settings(&stack)).await.expect("opens");
        let page = stores.auctions.list(Listing::Live, None, u32::MAX, T0, soon()).await.unwrap();
        assert_eq!(page.len(), 101);
        stores.close().await;
    });
}
