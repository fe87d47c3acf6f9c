//! Whether auctions that are over were settled, once and rightly.

use super::{OperatorError, Report};
use crate::auctions::read::{SETTLEMENT, settlement_row};
use crate::auctions::rows::notification;
use crate::auctions::{AuctionRow, NotificationKind, Phase, SettlementRow};
use crate::limits::SETTLED_WITHIN_MS;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::collections::BTreeMap;

/// What is recorded of the ends of some auctions.
pub struct Ends {
    settlements: BTreeMap<u64, SettlementRow>,
    notices: BTreeMap<u64, Vec<(u64, NotificationKind)>>,
}

impl Ends {
    /// Those of auctions above `after` and up to `until`.
    pub async fn read(conn: &mut Conn, after: u64, until: u64) -> Result<Ends, OperatorError> {
        let sql = format!(
            "SELECT {SETTLEMENT} FROM settlements FORCE INDEX (PRIMARY) \
             WHERE auction_id > ? AND auction_id <= ?"
        );
        let mut settlements = BTreeMap::new();
        for row in conn.exec(sql, (after, until)).await? {
            let row = settlement_row(row)?;
            settlements.insert(row.auction_id, row);
        }
        let sql = "SELECT auction_id, user_id, kind FROM notifications \
             FORCE INDEX (notifications_once) WHERE auction_id > ? AND auction_id <= ?";
        let mut notices = BTreeMap::<u64, Vec<_>>::new();
        for (auction, user, kind) in
            conn.exec::<(u64, u64, String), _, _>(sql, (after, until)).await?
        {
            notices.entry(auction).or_default().push((user, notification(&kind)?));
        }
        Ok(Ends { settlements, notices })
    }

    /// Compares them with the auctions.
    pub fn check(mut self, auctions: &[AuctionRow], now_ms: i64, report: &mut Report) {
        report.settlements += self.settlements.len() as u64;
        for row in auctions {
            let settled = self.settlements.remove(&row.id);
            let notices = self.notices.remove(&row.id).unwrap_or_default();
            let mut find = |what: String| report.find(row.id, None, what);
            match (row.phase, settled) {
                (Phase::Ended, Some(settled)) => check_one(row, &settled, notices, &mut find),
                (Phase::Ended, None) => find("it has ended and has no settlement".to_owned()),
                (Phase::Open, None) => {
                    if row.terms.end_at_ms + SETTLED_WITHIN_MS < now_ms {
                        let late = (now_ms - row.terms.end_at_ms) / 1_000;
                        find(format!("it is over for {late} s and not settled"));
                    }
                    check_notices(notices, Vec::new(), &mut find);
                }
                (Phase::Cancelled, None) => check_notices(notices, Vec::new(), &mut find),
                (phase, Some(_)) => find(format!("it has a settlement and is {phase:?}")),
            }
        }
        for id in self.settlements.into_keys() {
            report.find(id, None, "a settlement of no auction");
        }
        for id in self.notices.into_keys() {
            report.find(id, None, "a notification about no auction");
        }
    }
}

fn check_one(
    row: &AuctionRow,
    settled: &SettlementRow,
    notices: Vec<(u64, NotificationKind)>,
    find: &mut impl FnMut(String),
) {
    let right = row.settled(settled.settled_at_ms);
    if *settled != right {
        let SettlementRow { outcome, winner_id, price, bids, .. } = settled;
        find(format!(
            "it was settled as {outcome:?}, winner {winner_id:?}, price {price}, {bids} bids; \
             right is {:?}, winner {:?}, price {}, {} bids, its seller, currency and head",
            right.outcome, right.winner_id, right.price, right.bids
        ));
    }
    if row.outcome != Some(right.outcome) {
        find(format!("its outcome is {:?}, right is {:?}", row.outcome, right.outcome));
    }
    if settled.settled_at_ms < row.terms.end_at_ms {
        find("it was settled before its end".to_owned());
    }
    check_notices(notices, right.notices().collect(), find);
}

fn check_notices(
    mut have: Vec<(u64, NotificationKind)>,
    mut want: Vec<(u64, NotificationKind)>,
    find: &mut impl FnMut(String),
) {
    have.sort_unstable();
    want.sort_unstable();
    if have != want {
        find(format!("told were {have:?}, right is {want:?}"));
    }
}
