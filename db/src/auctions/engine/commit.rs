//! Accepted bids on their way into the database: those of many auctions in one transaction.
//!
//! An auction's row changes only if it is as it was when the bids were decided, so a commit that
//! stands proves that they follow the ones before. Who finds another row looks whether somebody
//! else has finished the same bids.

use super::look::bids;
use crate::auctions::BidRow;
use crate::error::StoreError;
use crate::limits::{COMMIT_ATTEMPTS, COMMITS_AT_ONCE, COMMITS_MAX, TRANSACTION_MAX};
use crate::mysql::{Kind, Line, Outcome, is_contention, json, meaning};
use data_encoding::HEXLOWER;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use souk_meter::{Batch, Queue};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

/// What writing to a string can say.
const MEMORY: &str = "memory takes any text";

/// A value in a unique index is there already: here, a bid whose auction's row does not count it.
const DUPLICATE: u16 = 1062;

/// Bids of one auction that follow each other.
pub struct Commit {
    pub auction_id: u64,
    /// The auction's when they were decided.
    pub version: u64,
    /// What of the end was added for outages when they were decided, milliseconds.
    pub outage_ms: i64,
    /// Never empty.
    pub bids: Vec<BidRow>,
    /// What else is so after each of them.
    pub after: Vec<After>,
}

/// What a bid leaves behind besides its row.
#[derive(Debug, Clone, Copy, Default)]
pub struct After {
    pub leader_max: i64,
    pub extended: u32,
}

/// What became of bids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// They are durable.
    Written,
    /// They are durable: somebody else had written them.
    Found,
    /// Something else came in between, and not all of them are there.
    Conflict,
}

/// How bids are committed.
pub struct Commits;

impl Commit {
    fn first(&self) -> u64 {
        self.bids.first().map_or(0, |bid| bid.sequence)
    }

    fn last(&self) -> &BidRow {
        self.bids.last().expect("never empty")
    }
}

impl Kind for Commits {
    type Job = Rc<Commit>;
    type Done = Committed;
    type Failure = StoreError;

    const GROUP_MAX: usize = COMMITS_AT_ONCE;
    const WAITING_MAX: usize = COMMITS_MAX;
    const TIME_MAX: Duration = TRANSACTION_MAX;
    const SPAN: &'static str = "mysql bids";
    const QUEUE: Queue = Queue::MysqlWrite;
    const BATCH: Batch = Batch::MysqlWrite;

    fn store_failure(failure: &StoreError) -> Option<&StoreError> {
        Some(failure)
    }

    async fn run(
        &self,
        line: &mut Line,
        jobs: &[Rc<Commit>],
        outcomes: &mut [Option<Outcome<Commits>>],
    ) -> Result<(), StoreError> {
        let conn = line.get_alive().await?;
        for _ in 0..COMMIT_ATTEMPTS {
            let open: Vec<usize> = (0..jobs.len()).filter(|&it| outcomes[it].is_none()).collect();
            let (together, more) = chains(jobs, &open);
            if together.is_empty() {
                return Ok(());
            }
            let stands = match write(conn, jobs, &together).await {
                Ok(stands) => stands,
                Err(Error::Server(said)) if is_contention(said.code) => None,
                Err(Error::Server(said)) if said.code == DUPLICATE => Some(false),
                Err(error) => return Err(meaning(&error)),
            };
            if stands == Some(true) {
                together.iter().for_each(|&it| outcomes[it] = Some(Ok(Committed::Written)));
                if more {
                    continue;
                }
                return Ok(());
            }
            conn.query_drop("ROLLBACK").await.map_err(|error| meaning(&error))?;
            if stands == Some(false) {
                let sorted = sort(conn, jobs, &together).await;
                for (place, committed) in sorted.map_err(|error| meaning(&error))? {
                    outcomes[place] = Some(Ok(committed));
                }
            }
        }
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
            *outcome = Some(Err(StoreError::database("the auction is locked by others")));
        }
        Ok(())
    }
}

/// The places of those that can be written together, each auction's following each other; and
/// whether others are left.
fn chains(jobs: &[Rc<Commit>], open: &[usize]) -> (Vec<usize>, bool) {
    let mut last: BTreeMap<u64, (u64, u64, i64)> = BTreeMap::new();
    let mut cut = BTreeSet::new();
    let mut together = Vec::with_capacity(open.len());
    for &place in open {
        let job = &jobs[place];
        let fits = last.get(&job.auction_id).is_none_or(|&(sequence, version, outage_ms)| {
            job.first() == sequence + 1 && job.version == version && job.outage_ms == outage_ms
        });
        if fits && !cut.contains(&job.auction_id) {
            let end = (job.last().sequence, job.version, job.outage_ms);
            last.insert(job.auction_id, end);
            together.push(place);
        } else {
            cut.insert(job.auction_id);
        }
    }
    let more = together.len() < open.len();
    (together, more)
}

/// One transaction. `Some(true)`: it stands; `Some(false)`: an auction was not as expected.
async fn write(
    conn: &mut Conn,
    jobs: &[Rc<Commit>],
    places: &[usize],
) -> Result<Option<bool>, Error> {
    // In the order of ids, so that two shards do not wait for each other.
    let mut rows: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for &place in places {
        let job = &jobs[place];
        let row = rows.entry(job.auction_id).or_insert((job.first() - 1, 0));
        row.1 = job.last().sequence;
    }
    // Those that move on by as many bids share a statement.
    let mut steps: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for (&id, &(expected, last)) in &rows {
        steps.entry(last - expected).or_default().push((id, expected));
    }
    conn.query_drop("START TRANSACTION").await?;
    conn.query_drop(insert(places.iter().map(|&place| &*jobs[place]))).await?;
    for (step, auctions) in steps {
        conn.query_drop(advance(step, &auctions)).await?;
        if conn.affected_rows() != auctions.len() as u64 {
            return Ok(Some(false));
        }
    }
    conn.query_drop("COMMIT").await?;
    Ok(Some(true))
}

/// Moves the rows of auctions on by so many bids, each from the number that it must have: numbers
/// only. All else is taken from the row of the last bid, and the auctions come first: so the server
/// needs no table of its own for it, and takes two thirds of the time.
fn advance(step: u64, auctions: &[(u64, u64)]) -> String {
    let list = |one: &dyn Fn(&mut String, (u64, u64))| {
        let mut list = String::with_capacity(16 * auctions.len());
        for (place, auction) in auctions.iter().enumerate() {
            if place > 0 {
                list.push(',');
            }
            one(&mut list, *auction);
        }
        list
    };
    let ids = list(&|list, (id, _)| write!(list, "{id}").expect(MEMORY));
    // One number of both, which is found by bisection; the id alone is held against the index.
    let rows =
        list(&|list, (id, expected)| write!(list, "{}", (id << 32) ^ expected).expect(MEMORY));
    format!(
        "UPDATE auctions AS a FORCE INDEX (PRIMARY) \
         STRAIGHT_JOIN bids AS b FORCE INDEX (PRIMARY) \
           ON b.auction_id = a.id AND b.sequence = a.sequence + {step} \
         SET a.sequence = b.sequence, a.price = b.price, a.leader_id = b.leader_id, \
           a.leader_max = b.leader_max, a.last_at_ms = b.at_ms, \
           a.ends_at_ms = b.ends_at_ms + IF(a.buy_now IS NULL OR b.price < a.buy_now, \
             a.outage_ms - b.outage_ms, 0), \
           a.extended = b.extended, a.head = b.head \
         WHERE a.id IN ({ids}) AND ((a.id << 32) ^ a.sequence) IN ({rows}) \
           AND a.version = b.version AND a.phase = 'open'"
    )
}

/// The bids as one statement: numbers and hex digits only. It costs the server less than a JSON
/// document of as many rows.
fn insert<'a>(commits: impl Iterator<Item = &'a Commit>) -> String {
    let mut sql = String::with_capacity(64 * 1024);
    sql.push_str(
        "INSERT INTO bids (auction_id, sequence, bidder_id, amount, max_amount, price, leader_id, \
         at_ms, ends_at_ms, leader_max, extended, outage_ms, version, head, bid_id) VALUES ",
    );
    let mut comma = "";
    for commit in commits {
        let Commit { version, outage_ms, .. } = commit;
        for (bid, after) in commit.bids.iter().zip(&commit.after) {
            let BidRow { auction_id, sequence, bidder_id, amount, max_amount, .. } = bid;
            let BidRow { price, leader_id, at_ms, ends_at_ms, .. } = bid;
            let After { leader_max, extended } = after;
            write!(
                sql,
                "{comma}({auction_id},{sequence},{bidder_id},{amount},{max_amount},{price},\
                 {leader_id},{at_ms},{ends_at_ms},{leader_max},{extended},{outage_ms},{version},x'"
            )
            .expect(MEMORY);
            HEXLOWER.encode_append(&bid.head, &mut sql);
            match &bid.bid_id {
                Some(bid_id) => {
                    sql.push_str("',x'");
                    HEXLOWER.encode_append(bid_id.as_bytes(), &mut sql);
                    sql.push_str("')");
                }
                None => sql.push_str("',NULL)"),
            }
            comma = ",";
        }
    }
    sql
}

/// Tells apart why rows were not as expected: what is done already, and what cannot be done any
/// more. The others can be tried again.
async fn sort(
    conn: &mut Conn,
    jobs: &[Rc<Commit>],
    places: &[usize],
) -> Result<Vec<(usize, Committed)>, Error> {
    const SQL: &str = "SELECT a.id, a.sequence, a.version, a.phase = 'open' \
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT UNSIGNED PATH '$')) AS d \
         STRAIGHT_JOIN auctions AS a FORCE INDEX (PRIMARY) ON a.id = d.id";
    let ids: BTreeSet<u64> = places.iter().map(|&place| jobs[place].auction_id).collect();
    let rows: Vec<(u64, u64, u64, bool)> = conn.exec(SQL, (json(&ids),)).await?;
    let mut rows: BTreeMap<u64, (u64, u64, bool)> = rows
        .into_iter()
        .map(|(id, sequence, version, open)| (id, (sequence, version, open)))
        .collect();
    let mut sorted = Vec::new();
    let mut lost = BTreeSet::new();
    for &place in places {
        let job = &jobs[place];
        let end = job.last().sequence;
        let committed = match rows.get_mut(&job.auction_id) {
            _ if lost.contains(&job.auction_id) => Some(Committed::Conflict),
            Some((sequence, ..)) if end <= *sequence => {
                let there = are_there(conn, job).await?;
                Some(if there { Committed::Found } else { Committed::Conflict })
            }
            Some((sequence, version, true))
                if job.first() == *sequence + 1 && job.version == *version =>
            {
                *sequence = end;
                None
            }
            _ => Some(Committed::Conflict),
        };
        if committed == Some(Committed::Conflict) {
            lost.insert(job.auction_id);
        }
        sorted.extend(committed.map(|committed| (place, committed)));
    }
    Ok(sorted)
}

/// Whether exactly these bids are in the database.
async fn are_there(conn: &mut Conn, job: &Commit) -> Result<bool, Error> {
    Ok(bids(conn, job.auction_id, job.first(), job.last().sequence).await? == job.bids)
}
