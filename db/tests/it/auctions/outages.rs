//! Outages: which auctions they extend, by how much, and when.

use super::owners::with_stores_too;
use super::{END, NOW, SELLER, bid, bid_at, clock, make, named, offer, plain};
use crate::harness::{settings, soon, stack, with_stores};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use souk_db::Stores;
use souk_db::auctions::rules::{Refusal, Rules};
use souk_db::auctions::{BidError, Settled};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Waits until all auctions are extended.
async fn extended(stores: &Stores) {
    while stores.auctions.beat(clock(), soon()).await.expect("well").extending {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn an_outage_extends_what_was_live_once_whoever_finds_it() {
    let stack = stack();
    let future = Rules { start_at_ms: END - 1, ..plain() };
    make(&stack, &[plain(), future, plain(), plain()]);
    stack.sql("UPDATE auctions SET phase = 'ended' WHERE id = 3").unwrap();
    stack.sql("UPDATE auctions SET ends_at_ms = start_at_ms + 1 WHERE id = 4").unwrap();
    with_stores(&settings(&stack), async |first| {
        with_stores_too(&stack, async |second| {
            let beat = first.auctions.beat(clock(), soon()).await.unwrap();
            assert_eq!((beat.epoch, beat.outage_ms), (0, None));
            bid(first, 1, offer(2, 100)).await.unwrap();
            // The server's clock is that of now: the test's auctions lie around it by this.
            let shift = "UPDATE auctions SET start_at_ms = start_at_ms - @by, \
                         ends_at_ms = ends_at_ms - @by, \
                         last_at_ms = GREATEST(0, last_at_ms - @by)";
            let by = "SET @by = 1800000000000 - CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";
            let gap = "UPDATE auction_clock SET alive_at_ms = alive_at_ms - 60000";
            let ends = "SELECT id, ends_at_ms, outage_ms FROM auctions ORDER BY id";
            let before = stack.sql(&format!("{by}; {shift}; {gap}; {ends}")).unwrap();
            let (one, two) = tokio::join!(
                first.auctions.beat(clock(), soon()),
                second.auctions.beat(clock(), soon())
            );
            let (one, two) = (one.unwrap(), two.unwrap());
            assert_eq!((one.epoch, two.epoch), (1, 1));
            let found: Vec<i64> = [one.outage_ms, two.outage_ms].into_iter().flatten().collect();
            let [outage_ms] = found[..] else { panic!("told {} times", found.len()) };
            assert!(outage_ms >= 60_000, "{outage_ms}");
            extended(first).await;
            let told = stack.sql("SELECT epoch, ended_at_ms - began_at_ms FROM outages");
            let rows = |text: &str| -> Vec<Vec<i64>> {
                let row = |line: &str| line.split('\t').map(|it| it.parse().unwrap()).collect();
                text.lines().map(row).collect()
            };
            let (before, after) = (rows(&before), rows(&stack.sql(ends).unwrap()));
            let moved: Vec<(i64, i64)> =
                before.iter().zip(&after).map(|(a, b)| (b[1] - a[1], b[2])).collect();
            // The first had begun a second before the clock that was set back stood still.
            assert!(moved[0].0 > 0 && moved[0].0 <= outage_ms && moved[0].0 == moved[0].1);
            assert_eq!(moved[1..3], [(0, 0), (0, 0)], "not begun, and over");
            let told = rows(&told.unwrap());
            assert_eq!(told, [[1, outage_ms]]);
            let again = first.auctions.beat(clock(), soon()).await.unwrap();
            assert_eq!((again.epoch, again.outage_ms), (1, None));
            // What was adopted before knows the new end.
            let end = after[0][1];
            let late = bid_at(first, 1, offer(3, 200), end).await;
            assert_eq!(late, Err(BidError::Refused(Refusal::Ended { ends_at_ms: end })));
        })
        .await;
    });
}

/// Two outages that nobody has added to any end: the first began with the auctions and took ten
/// seconds, the second hid their end.
fn two_outages() -> String {
    format!(
        "INSERT INTO outages (epoch, began_at_ms, ended_at_ms) VALUES (1, {NOW}, {NOW} + 10000), (2, {END} - 1000, {END} + 5000); \
         UPDATE auction_clock SET epoch = 2"
    )
}

#[test]
fn an_auction_is_extended_before_anybody_takes_it_over_changes_or_settles_it() {
    let stack = stack();
    let bought = Rules { buy_now: 500, ..plain() };
    make(&stack, &[plain(), plain(), plain(), bought, plain()]);
    with_stores(&settings(&stack), async |stores| {
        bid(stores, 4, offer(2, 500)).await.unwrap();
        stack.sql(&two_outages()).unwrap();
        // The second one is counted from its begin: the end had moved behind it already.
        let end = END + 16_000;
        let placed = bid_at(stores, 1, offer(2, 100), end - 1).await.unwrap();
        assert_eq!(placed.bid.ends_at_ms, end);
        let late = bid_at(stores, 1, offer(3, 200), end).await;
        assert_eq!(late, Err(BidError::Refused(Refusal::Ended { ends_at_ms: end })));
        let settled = stores.auctions.settle(2, end - 1, soon()).await.unwrap();
        assert_eq!(settled, Settled::Not);
        let edited = stores.auctions.set_picture(3, SELLER, "", end - 1, soon()).await.unwrap();
        assert_eq!((edited.terms.end_at_ms, edited.outage_ms, edited.outages), (end, 16_000, 2));
        // It was taken over before, and this shard has not heard of the outages.
        let late = bid_at(stores, 4, offer(3, 900), END).await;
        assert!(matches!(late, Err(BidError::Refused(Refusal::Ended { .. }))), "{late:?}");
        // Who comes after the outages has nothing of them in the end.
        let row = stores.auctions.create(SELLER, &edited.terms, NOW, soon()).await.unwrap();
        assert_eq!((row.terms.end_at_ms, row.outage_ms, row.outages), (end, 0, 2));
    });
    let rows = stack.sql("SELECT id, outage_ms, outages FROM auctions ORDER BY id").unwrap();
    let expected = ["1\t16000\t2", "2\t16000\t2", "3\t16000\t2", "4\t0\t0", "5\t0\t0", "6\t0\t2"];
    assert_eq!(rows.lines().collect::<Vec<_>>(), expected, "what nobody asked for is left alone");
}

#[test]
fn many_auctions_are_extended_while_bids_go_on() {
    const MANY: u64 = 2_500;
    let stack = stack();
    make(&stack, &vec![plain(); usize::try_from(MANY).unwrap()]);
    with_stores(&settings(&stack), async |stores| {
        stores.auctions.beat(clock(), soon()).await.unwrap();
        stack.sql(&two_outages()).unwrap();
        let first = stores.auctions.beat(clock(), soon()).await.unwrap();
        assert_eq!((first.epoch, first.extending), (2, true));
        let ids = [1, 700, 1_700, MANY];
        for id in ids {
            let placed = bid(stores, id, offer(2, 100)).await.unwrap();
            assert_eq!(placed.bid.ends_at_ms, END + 16_000, "{id}");
        }
        extended(stores).await;
    });
    let rows = "SELECT COUNT(*) FROM auctions WHERE outages = 2 AND outage_ms = 16000 \
                AND ends_at_ms = ";
    let extended = stack.sql(&format!("{rows}{END} + 16000")).unwrap();
    assert_eq!(extended.trim(), MANY.to_string(), "each by each outage, once");
}

#[test]
fn what_somebody_bought_stays_bought_through_an_outage() {
    let stack = stack();
    make(&stack, &[Rules { buy_now: 500, ..plain() }]);
    with_stores(&settings(&stack), async |stores| {
        stores.auctions.beat(clock(), soon()).await.unwrap();
        let bought = bid(stores, 1, named(2, 700, "buys")).await.unwrap().bid;
        assert_eq!((bought.price, bought.ends_at_ms), (500, bought.at_ms));
        // It is not settled yet, and its end lies in the gap.
        let gap = "UPDATE auction_clock SET alive_at_ms = alive_at_ms - 60000; \
                   UPDATE auctions SET start_at_ms = 0; \
                   UPDATE auctions SET ends_at_ms = CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";
        stack.sql(gap).unwrap();
        let beat = stores.auctions.beat(clock(), soon()).await.unwrap();
        assert!(beat.outage_ms.is_some(), "{beat:?}");
        extended(stores).await;
        assert_eq!(stack.sql("SELECT outage_ms FROM auctions").unwrap().trim(), "0");
        // Not even with an end that has not come.
        stack.sql(&format!("UPDATE auctions SET ends_at_ms = {END}")).unwrap();
        stores.auctions.forget(1, soon()).await.unwrap();
        for offered in [offer(3, 900), named(2, 800, "again")] {
            let late = bid(stores, 1, offered).await;
            assert_eq!(late, Err(BidError::Refused(Refusal::Ended { ends_at_ms: END })));
        }
        assert!(bid(stores, 1, named(2, 700, "buys")).await.unwrap().repeated);
    });
}

#[test]
fn an_auction_that_somebody_holds_delays_neither_looks_nor_other_auctions() {
    let stack = stack();
    make(&stack, &[plain(), plain(), plain()]);
    with_stores(&settings(&stack), async |stores| {
        stores.auctions.beat(clock(), soon()).await.unwrap();
        stack.sql(&two_outages()).unwrap();
        let (url, held, release) = (stack.mysql_url(), channel(), channel());
        let holder = std::thread::spawn(move || hold(&url, 2, &held.0, &release.1));
        held.1.recv().unwrap();
        // For longer than an outage takes to be noted, and than a lock is waited for.
        let until = Instant::now() + Duration::from_secs(4);
        while Instant::now() < until {
            let beat = stores.auctions.beat(clock(), soon()).await.unwrap();
            assert_eq!((beat.epoch, beat.outage_ms, beat.extending), (2, None, true));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(bid(stores, 1, offer(2, 100)).await.is_ok());
        release.0.send(()).unwrap();
        holder.join().unwrap();
        extended(stores).await;
        assert!(bid(stores, 2, offer(2, 100)).await.is_ok());
    });
    let outages = stack.sql("SELECT DISTINCT outages, outage_ms FROM auctions").unwrap();
    assert_eq!(outages.trim(), "2\t16000");
}

/// Holds an auction's row on a connection of its own: says when, and until told to release it.
fn hold(url: &str, id: u64, held: &Sender<()>, release: &Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut conn = runtime.block_on(Conn::from_url(url)).unwrap();
    let lock = format!("SELECT id FROM auctions WHERE id = {id} FOR UPDATE");
    runtime.block_on(conn.query_drop("START TRANSACTION")).unwrap();
    runtime.block_on(conn.query_drop(lock)).unwrap();
    held.send(()).unwrap();
    release.recv().unwrap();
    runtime.block_on(conn.query_drop("COMMIT")).unwrap();
}

#[test]
fn a_time_of_a_clock_that_was_wrong_hides_no_outage() {
    let stack = stack();
    make(&stack, &[plain()]);
    with_stores(&settings(&stack), async |stores| {
        stores.auctions.beat(clock(), soon()).await.unwrap();
        stack.sql("UPDATE auction_clock SET alive_at_ms = alive_at_ms + 3600000").unwrap();
        let beat = stores.auctions.beat(clock(), soon()).await.unwrap();
        assert_eq!((beat.epoch, beat.outage_ms), (0, None));
        let alive = stack.sql("SELECT alive_at_ms FROM auction_clock").unwrap();
        assert!(alive.trim().parse::<i64>().unwrap() <= clock() + 1_000, "{alive}");
    });
}
