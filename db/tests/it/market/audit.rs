//! The audit finds each kind of damage, and nothing else.

use super::scene::{HOUR, SELLER, T0, bid, put_up, terms};
use crate::harness::{settings, soon, stack, with_stores};
use souk_db::Stores;
use souk_db::auctions::{AuctionRow, BidRow, Terms};
use souk_db::operator::OperatorError;
use souk_db::operator::auctions::{Finding, Report, Which, verify};
use souk_stack::Stack;

/// Three auctions: sold after a fight of proxies, not sold, and cancelled.
struct Market {
    sold: AuctionRow,
    bids: Vec<BidRow>,
    unsold: AuctionRow,
    cancelled: AuctionRow,
}

async fn market(stack: &Stack, stores: &Stores) -> Market {
    let mut sold = put_up(stores, &terms()).await;
    let unsold = put_up(stores, &terms()).await;
    let cancelled = put_up(stores, &terms()).await;
    let fight = [
        (1, 1_000, 1_500, 10),
        (2, 1_100, 1_100, 20),
        (2, 1_600, 3_000, 20),
        (2, 1_600, 4_000, 30),
        (1, 3_900, 4_000, 40),
        (3, 4_100, 6_000, HOUR - 10_000),
    ];
    let bids = bid(stack, &mut sold, &fight);
    for id in [sold.id, unsold.id] {
        stores.auctions.settle(id, T0 + 2 * HOUR, soon()).await.expect("settles");
    }
    stores.auctions.cancel(cancelled.id, SELLER, T0, soon()).await.expect("cancels");
    Market { sold, bids, unsold, cancelled }
}

async fn audit(stack: &Stack, which: Which, acks: Option<&str>) -> Report {
    let mut acks = acks.map(str::as_bytes);
    let acks = acks.as_mut().map(|it| it as &mut dyn std::io::BufRead);
    verify(&stack.mysql_url(), which, acks).await.expect("audits")
}

/// An acknowledgement as a client keeps it.
fn ack(bid: &BidRow) -> String {
    let head: String = bid.head.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{{\"auction_id\":{},\"bid_id\":\"{}\",\"sequence\":{},\"price\":{},\"leading\":true,\
         \"ends_at\":\"2026-01-01T00:00:00Z\",\"durability\":\"mysql\",\"head\":\"{head}\",\
         \"user_id\":\"{}\"}}\n",
        bid.auction_id,
        bid.bid_id.as_deref().unwrap(),
        bid.sequence,
        bid.price,
        bid.bidder_id
    )
}

#[test]
fn what_is_right_passes_and_is_counted() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let market = market(&stack, stores).await;
        let mut live = put_up(stores, &Terms { end_at_ms: i64::MAX / 2, ..terms() }).await;
        bid(&stack, &mut live, &[(1, 1_000, 1_000, 5)]);
        let bought = Terms { buy_now: Some(5_000), reserve: None, ..terms() };
        let mut bought = put_up(stores, &bought).await;
        bid(
            &stack,
            &mut bought,
            &[(1, 1_000, 9_000, 5), (2, 1_100, 1_200, 6), (3, 5_000, 5_000, 9)],
        );
        stores.auctions.settle(bought.id, T0 + HOUR, soon()).await.unwrap();
        let acks: String = market.bids.iter().chain(&market.bids[..1]).map(ack).collect();
        let all = audit(&stack, Which::All, Some(&format!("{acks}\n"))).await;
        assert_eq!(all.findings, []);
        assert_eq!((all.auctions, all.bids, all.settlements, all.acks), (5, 10, 3, 7));
        let one = audit(&stack, Which::One(live.id), Some(&acks)).await;
        assert_eq!((one.auctions, one.bids, one.settlements, one.acks), (1, 1, 0, 0));
        let none = verify(&stack.mysql_url(), Which::One(99), None).await;
        assert!(matches!(none, Err(OperatorError::Refused(why)) if why.contains("99")));
    });
}

/// A statement that does damage; the auction and maybe the bid where it must be found, and a part
/// of what must be said.
type Damage = (String, u64, Option<u64>, &'static str);

fn to_bids(sold: u64) -> Vec<Damage> {
    let cases: [(u64, &str, u64, &'static str); 16] = [
        (2, "sequence = 9", 3, "the bids from 2 on are missing"),
        (3, "amount = amount + 1", 3, "the chain is broken"),
        (3, "head = REPEAT('x', 32)", 3, "the chain is broken"),
        (3, "at_ms = at_ms - 11", 3, "before that of the bid before"),
        (1, "at_ms = 5", 1, "before the start"),
        (5, "ends_at_ms = ends_at_ms - 1", 5, "moves the end back"),
        (6, "ends_at_ms = at_ms", 6, "is not before the end"),
        (6, "at_ms = at_ms + 11000", 6, "is after the end"),
        (5, "price = 1000", 5, "the price falls"),
        (2, "price = 1000", 2, "the price stays"),
        (2, "price = price + 1", 2, "by the rules it is 1150 and 1"),
        (2, "leader_id = 2", 2, "by the rules it is 1150 and 1"),
        (4, "max_amount = 3000", 4, "the rules refuse it: AlreadyLeading"),
        (2, "amount = 1049", 2, "the rules refuse it: TooLow"),
        (1, "bidder_id = 7", 1, "the seller bid"),
        (5, "max_amount = 9000", 5, "1 offered the highest maximum"),
    ];
    let damage = |(sequence, set, at, says)| {
        let sql =
            format!("UPDATE bids SET {set} WHERE auction_id = {sold} AND sequence = {sequence}");
        (sql, sold, Some(at), says)
    };
    let mut all: Vec<Damage> = cases.into_iter().map(damage).collect();
    let delete = |sequence: u64| {
        format!("DELETE FROM bids WHERE auction_id = {sold} AND sequence = {sequence}")
    };
    all.push((delete(3), sold, Some(4), "the bids from 3 on are missing"));
    all.push((delete(6), sold, None, "counts 6 bids, the last one is 5"));
    let orphan = format!(
        "INSERT INTO bids SELECT 999, sequence, bidder_id, amount, max_amount, price, leader_id, \
           at_ms, ends_at_ms, head, bid_id, leader_max, extended, outage_ms, version FROM bids WHERE auction_id = {sold} AND sequence = 1"
    );
    all.push((orphan, 999, Some(1), "a bid on no auction"));
    all
}

fn to_rows(sold: u64, unsold: u64) -> Vec<Damage> {
    let cases: [(u64, &str, &'static str); 13] = [
        (sold, "sequence = 7", "counts 7 bids, the last one is 6"),
        (sold, "head = REPEAT('x', 32)", "its head is not that of the last bid"),
        (sold, "price = price + 1", "it has price 4101"),
        (sold, "leader_id = 2", "leader 2, the last bid"),
        (sold, "leader_max = leader_max + 1", "maximum is not the one"),
        (sold, "last_at_ms = 5", "time is not that of the last bid"),
        (sold, "ends_at_ms = ends_at_ms - 1", "ends before the last bid says"),
        (sold, "phase = 'cancelled'", "it was cancelled and has bids"),
        (sold, "extended = 4", "extended 4 times"),
        (sold, "phase = 'open'", "it has a settlement and is Open"),
        (unsold, "phase = 'open', outcome = NULL", "it has a settlement and is Open"),
        (sold, "outcome = 'no_bids'", "its outcome is Some(NoBids)"),
        (sold, "outcome = NULL", "its outcome is None"),
    ];
    let damage =
        |(id, set, says)| (format!("UPDATE auctions SET {set} WHERE id = {id}"), id, None, says);
    cases.into_iter().map(damage).collect()
}

fn to_ends(sold: u64, unsold: u64, cancelled: u64) -> Vec<Damage> {
    let moved = format!("auction_id = {cancelled}");
    let cases: [(&str, u64, &'static str); 10] = [
        ("winner_id = 2", sold, "winner Some(2)"),
        ("outcome = 'reserve_not_met'", sold, "settled as ReserveNotMet"),
        ("price = price - 1", sold, "price 4099"),
        ("bids = 5", sold, "5 bids"),
        ("currency = 'USD'", sold, "currency"),
        ("seller_id = 1", sold, "its seller"),
        ("head = REPEAT('x', 32)", sold, "and head"),
        ("settled_at_ms = 5", sold, "settled before its end"),
        ("auction_id = 999", 999, "a settlement of no auction"),
        (&moved, cancelled, "and is Cancelled"),
    ];
    let damage = |(set, id, says)| {
        (format!("UPDATE settlements SET {set} WHERE auction_id = {sold}"), id, None, says)
    };
    let mut all: Vec<Damage> = cases.into_iter().map(damage).collect();
    let unsettled = format!("DELETE FROM settlements WHERE auction_id = {unsold}");
    all.push((unsettled, unsold, None, "it has ended and has no settlement"));
    let untold = |kind: &str| {
        format!("DELETE FROM notifications WHERE auction_id = {sold} AND kind = '{kind}'")
    };
    all.push((untold("won"), sold, None, "told were [(7, SoldOut)]"));
    all.push((untold("sold_out"), sold, None, "told were [(3, Won)]"));
    let told = |id: u64| {
        format!(
            "INSERT INTO notifications (user_id, kind, auction_id, at_ms) \
             VALUES (9, 'won', {id}, 1)"
        )
    };
    all.push((told(unsold), unsold, None, "(9, Won)"));
    all.push((told(cancelled), cancelled, None, "told were [(9, Won)]"));
    all.push((told(999), 999, None, "a notification about no auction"));
    all
}

#[test]
fn each_damage_is_found_where_it_is() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let market = market(&stack, stores).await;
        let (sold, unsold, cancelled) = (market.sold.id, market.unsold.id, market.cancelled.id);
        let tables = ["auctions", "bids", "settlements", "notifications"];
        for it in tables {
            stack.sql(&format!("CREATE TABLE saved_{it} AS SELECT * FROM {it}")).unwrap();
        }
        let all = [to_bids(sold), to_rows(sold, unsold), to_ends(sold, unsold, cancelled)];
        for (sql, id, sequence, says) in all.concat() {
            stack.sql(&sql).unwrap();
            let found = audit(&stack, Which::All, None).await.findings;
            let is_it = |it: &Finding| {
                it.auction_id == id && it.sequence == sequence && it.what.contains(says)
            };
            assert!(found.iter().any(is_it), "{sql}: {says:?} is not in {found:#?}");
            for it in tables {
                let restore =
                    format!("DELETE FROM {it}; INSERT INTO {it} SELECT * FROM saved_{it}");
                stack.sql(&restore).unwrap();
            }
        }
        assert_eq!(audit(&stack, Which::All, None).await.findings, [], "all was restored");
    });
}

#[test]
fn an_auction_that_is_over_for_long_must_be_settled() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let id = put_up(stores, &terms()).await.id;
        let report = audit(&stack, Which::All, None).await;
        let what = &report.findings[0].what;
        assert!(report.findings.len() == 1 && what.contains("and not settled"), "{report:#?}");
        let now = "FLOOR(UNIX_TIMESTAMP(NOW(3)) * 1000)";
        let sql = format!("UPDATE auctions SET ends_at_ms = {now} - 1000 WHERE id = {id}");
        stack.sql(&sql).unwrap();
        assert!(audit(&stack, Which::All, None).await.is_clean(), "it has a minute");
    });
}

#[test]
fn an_acknowledged_bid_that_is_not_there_or_differs_is_found() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let mut row = put_up(stores, &Terms { end_at_ms: i64::MAX / 2, ..terms() }).await;
        let first = bid(&stack, &mut row, &[(1, 1_000, 1_000, 10)]);
        let before = row.clone();
        let last = bid(&stack, &mut row, &[(2, 1_100, 1_100, 20)]);
        let acks = ack(&first[0]) + &ack(&last[0]);
        let found = async |acks: &str| {
            let report = audit(&stack, Which::All, Some(acks)).await;
            report.findings.into_iter().map(|it| (it.sequence, it.what)).collect::<Vec<_>>()
        };
        assert_eq!(found(&acks).await, []);
        let id = row.id;
        let plain = |sequence, price| {
            format!("{{\"auction_id\":{id},\"sequence\":{sequence},\"price\":{price}}}\n")
        };
        for (line, says) in [
            (acks.replace("\"price\":1100", "\"price\":1101"), "price 1101, recorded is 1100"),
            (acks.replace("bid-2", "bid-3"), "bid_id Some(\"bid-3\")"),
            (acks.replace("\"head\":\"", "\"head\":\"00"), "another head"),
            (acks.replace("\"user_id\":\"2\"", "\"user_id\":3"), "acknowledged to user 3"),
            (plain(2, 1_099), "price 1099"),
            (plain(3, 1_100), "an acknowledged bid is not there"),
        ] {
            let found = found(&line).await;
            assert!(found.iter().any(|it| it.1.contains(says)), "{line}: {found:?}");
        }
        let unnamed = plain(1, 1_000) + &plain(2, 1_100);
        assert_eq!(found(&(plain(1, 1_000) + &unnamed)).await, [], "a name is answered again");
        stack.sql("UPDATE bids SET bid_id = NULL").unwrap();
        assert_eq!(found(&unnamed).await, []);
        let twice = found(&(unnamed + &plain(1, 1_000))).await;
        assert!(twice.len() == 1 && twice[0].1.contains("two bids were acknowledged"), "{twice:?}");
        stack.sql("UPDATE bids SET bid_id = CONCAT('bid-', sequence)").unwrap();

        // The last bid is dropped, and everything looks as if it had never been.
        stack.sql(&format!("DELETE FROM bids WHERE auction_id = {id} AND sequence = 2")).unwrap();
        let head: String = before.head.iter().map(|byte| format!("{byte:02x}")).collect();
        stack
            .sql(&format!(
                "UPDATE auctions SET sequence = 1, price = {}, leader_id = 1, leader_max = {}, \
                 last_at_ms = {}, head = UNHEX('{head}') WHERE id = {id}",
                before.price, before.leader_max, before.last_at_ms
            ))
            .unwrap();
        assert!(audit(&stack, Which::All, None).await.is_clean());
        let lost = found(&acks).await;
        assert_eq!(lost, [(Some(2), "an acknowledged bid is not there".to_owned())]);
    });
}

#[test]
fn lines_that_are_no_acknowledgements_are_named() {
    let stack = stack();
    with_stores(&settings(&stack), async |_| {
        for bad in ["{", "{}", "[1]", "{\"auction_id\":\"x\",\"sequence\":1,\"price\":1}"] {
            let lines = format!("\n{bad}\n");
            let mut lines = lines.as_bytes();
            let done = verify(&stack.mysql_url(), Which::All, Some(&mut lines)).await;
            let says = matches!(&done, Err(OperatorError::Refused(why)) if why.contains("line 2"));
            assert!(says, "{bad}: {done:?}");
        }
    });
}
