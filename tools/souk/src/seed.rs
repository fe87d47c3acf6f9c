//! `souk seed`: demo users in bulk, and auctions of theirs.
//!
//! Users are numbered; a chunk of numbers is one transaction, made by the server itself from a
//! cross join of digits, so that no row travels. A chunk that is there already is skipped, which
//! makes an interrupted seed go on where it stopped. Users who exist are kept as they are.

mod auctions;
mod hashes;
mod statement;

use souk_process::say;
use std::cell::Cell;
use std::ops::Range;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use souk_db::migrate::SchemaState;

use crate::database::DatabaseArgs;
use crate::{Failed, block_on, limits};

/// Flags of `souk seed`.
#[derive(clap::Args)]
pub struct SeedArgs {
    /// Make user1…userN
    #[arg(long, value_name = "N", required_unless_present = "auctions",
          value_parser = clap::value_parser!(u64).range(1..=limits::SEED_USERS_MAX))]
    users: Option<u64>,
    /// Make auctions of these users until so many are live
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=limits::SEED_AUCTIONS_MAX))]
    auctions: Option<u64>,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Makes users and auctions, and says how many were added.
pub fn run(args: &SeedArgs) -> Result<ExitCode, Failed> {
    let url = args.database.url()?;
    if block_on(souk_db::migrate::check(&url))?? != SchemaState::Current {
        return Err(Failed("the schema is not current: run `souk migrate` first".into()));
    }
    // Ctrl-C ends this command where it stands: the next run goes on from there.
    let never = Arc::new(AtomicBool::new(false));
    if let Some(users) = args.users {
        let added = seed(&url, users, &never)?;
        say(format_args!("added {added} of {users} users; the others were there"));
    }
    if let Some(auctions) = args.auctions {
        let added = block_on(auctions::seed(&Opts::from_url(&url)?, auctions))??;
        say(format_args!("added {added} auctions: {auctions} or more are live"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the users 1 to `users` that are missing, and says how many it added. `stop`, once true,
/// ends it before the next chunk; it is only read.
pub fn seed(url: &str, users: u64, stop: &Arc<AtomicBool>) -> Result<u64, Failed> {
    let opts = Opts::from_url(url)?;
    block_on(async {
        let missing = missing_chunks(&opts, users).await?;
        if missing.is_empty() {
            return Ok(0);
        }
        let hashes = hashes::make(limits::SEED_HASHES)?;
        let bar = progress(users, &missing);
        let work = Work {
            opts,
            hashes,
            missing,
            next: Cell::new(0),
            added: Cell::new(0),
            stop: stop.clone(),
            failed: Cell::new(false),
            bar,
        };
        let added = work.run().await?;
        // A chunk says how many users it added and not which: the leaderboard is counted anew.
        souk_db::operator::recount::verify(url, true).await?;
        Ok(added)
    })?
}

/// A seed at work: several connections, on one thread, take chunks from one list.
struct Work {
    opts: Opts,
    hashes: Vec<String>,
    missing: Vec<Range<u64>>,
    /// Index into `missing` of the first chunk that nobody has taken.
    next: Cell<usize>,
    added: Cell<u64>,
    /// Someone outside asks to stop.
    stop: Arc<AtomicBool>,
    /// A worker failed: the others stop at their next chunk.
    failed: Cell<bool>,
    bar: ProgressBar,
}

impl Work {
    async fn run(self) -> Result<u64, Failed> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let connections = cores.clamp(1, limits::SEED_CONNECTIONS_MAX).min(self.missing.len());
        let work = Rc::new(self);
        let local = tokio::task::LocalSet::new();
        let workers: Vec<_> = (0..connections)
            .map(|_| {
                let work = work.clone();
                local.spawn_local(async move {
                    work.take_chunks().await.inspect_err(|_| work.failed.set(true))
                })
            })
            .collect();
        let first_error = local
            .run_until(async {
                let mut first_error = None;
                for worker in workers {
                    let done = worker.await.map_err(Failed::from).and_then(|done| done);
                    if let Err(error) = done {
                        first_error.get_or_insert(error);
                    }
                }
                first_error
            })
            .await;
        work.bar.finish_and_clear();
        first_error.map_or(Ok(work.added.get()), Err)
    }

    async fn take_chunks(&self) -> Result<(), Failed> {
        let mut conn = Conn::new(self.opts.clone()).await?;
        // Two chunks never touch the same user: gap locks would only make them wait.
        conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
        while !self.failed.get() && !self.stop.load(Ordering::Relaxed) {
            let Some(chunk) = self.missing.get(self.next.get()) else { break };
            self.next.set(self.next.get() + 1);
            let added = self.insert(&mut conn, chunk).await?;
            self.added.set(self.added.get() + added);
            self.bar.inc(chunk.end - chunk.start);
        }
        conn.disconnect().await?;
        Ok(())
    }

    async fn insert(&self, conn: &mut Conn, chunk: &Range<u64>) -> Result<u64, Failed> {
        let statement = statement::insert(chunk, &self.hashes);
        let mut tries = 0;
        loop {
            tries += 1;
            match conn.query_drop(&statement).await {
                Ok(()) => return Ok(conn.affected_rows()),
                Err(mysql_async::Error::Server(error))
                    if is_lock_conflict(error.code) && tries < limits::SEED_TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Deadlock, or a lock that was not free in time: the transaction was undone and can run again.
fn is_lock_conflict(code: u16) -> bool {
    matches!(code, 1213 | 1205)
}

/// The chunks of 1..=`users` of which at least one probed user is missing.
async fn missing_chunks(opts: &Opts, users: u64) -> Result<Vec<Range<u64>>, Failed> {
    let mut conn = Conn::new(opts.clone()).await?;
    let mut missing = Vec::new();
    for chunk in chunks(users) {
        let probes = probes(&chunk);
        let found: Option<u64> = conn.query_first(statement::count(&probes)).await?;
        if found.unwrap_or(0) < probes.len() as u64 {
            missing.push(chunk);
        }
    }
    conn.disconnect().await?;
    Ok(missing)
}

/// Numbers 1..=`users` in chunks whose bounds do not depend on `users`.
fn chunks(users: u64) -> impl Iterator<Item = Range<u64>> {
    let count = users.div_ceil(limits::SEED_CHUNK);
    (0..count).map(move |index| {
        let start = index * limits::SEED_CHUNK + 1;
        start..(start + limits::SEED_CHUNK).min(users + 1)
    })
}

/// Numbers of a chunk that stand for all of it: its ends and some between.
fn probes(chunk: &Range<u64>) -> Vec<u64> {
    let last = chunk.end - chunk.start - 1;
    let count = limits::SEED_PROBES.min(last + 1);
    let mut probes: Vec<u64> =
        (0..count).map(|i| chunk.start + last * i / (count - 1).max(1)).collect();
    probes.dedup();
    probes
}

fn progress(users: u64, missing: &[Range<u64>]) -> ProgressBar {
    let left: u64 = missing.iter().map(|chunk| chunk.end - chunk.start).sum();
    let bar = ProgressBar::new(users).with_position(users - left);
    // The rate counts from here, not from the users that were there already.
    bar.reset_eta();
    let style = "seeding users {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta} left";
    bar.set_style(ProgressStyle::with_template(style).expect("a fixed template"));
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_number_once_and_keep_their_bounds_as_users_grow() {
        for users in [1, 2, limits::SEED_CHUNK, limits::SEED_CHUNK + 1, 10_000_000] {
            let all: Vec<_> = chunks(users).collect();
            assert_eq!(all[0].start, 1);
            assert_eq!(all[all.len() - 1].end, users + 1);
            assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
        let few: Vec<_> = chunks(limits::SEED_CHUNK * 2).collect();
        let many: Vec<_> = chunks(limits::SEED_CHUNK * 20).collect();
        assert_eq!(few, many[..2]);
    }

    #[test]
    fn a_failure_ends_the_seed_and_leaves_the_request_to_stop_to_its_owner() {
        let opts = Opts::from_url("mysql://root@localhost/x?socket=/nowhere/sock").expect("a URL");
        let stop = Arc::new(AtomicBool::new(false));
        let work = Work {
            opts,
            hashes: Vec::new(),
            missing: chunks(1).collect(),
            next: Cell::new(0),
            added: Cell::new(0),
            stop: stop.clone(),
            failed: Cell::new(false),
            bar: ProgressBar::hidden(),
        };
        block_on(work.run()).expect("a runtime").expect_err("no server is there");
        assert!(!stop.load(Ordering::Relaxed));
    }

    #[test]
    fn probes_are_distinct_numbers_of_the_chunk_and_include_both_ends() {
        for chunk in [1..2, 1..3, 5..17, 1..limits::SEED_CHUNK + 1] {
            let probes = probes(&chunk);
            assert_eq!(probes.first(), Some(&chunk.start));
            assert_eq!(probes.last(), Some(&(chunk.end - 1)));
            assert!(probes.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
