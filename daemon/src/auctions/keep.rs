//! What a shard looks after by itself: whether bids can be taken, and auctions that are over.

use super::breaker::{Breaker, Look, Position};
use crate::context::Context;
use crate::leaderboard::boards::in_time;
use crate::limits::{
    BACKGROUND_LIMIT, BEAT_MAX, CERTAIN_MAX, SETTLE_BATCH, SETTLE_BATCH_MAX, SETTLE_EVERY,
    SETTLE_MAX, SETTLING_MAX,
};
use futures_util::StreamExt;
use futures_util::stream;
use souk_db::StoreError;
use souk_db::auctions::{Beat, Settled};
use souk_meter::{Count, Level};
use souk_proto::Failure;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The shard's breaker, and what moves it.
#[derive(Debug)]
pub struct Gate {
    breaker: RefCell<Breaker>,
    /// Woken when the next look is due earlier than it was.
    sooner: Notify,
    /// Outages as of the last look that was well, and whether auctions were still to be extended.
    epoch: Cell<Option<(u64, bool)>>,
    /// When that look began.
    well: Cell<Option<Instant>>,
}

impl Default for Gate {
    fn default() -> Gate {
        let breaker = RefCell::new(Breaker::new(Instant::now()));
        Gate { breaker, sooner: Notify::new(), epoch: Cell::new(None), well: Cell::new(None) }
    }
}

impl Gate {
    /// Lets bids through, or says why not.
    ///
    /// # Errors
    /// See [`Breaker::admit`].
    pub fn admit(&self) -> Result<(), Failure> {
        self.breaker.borrow().admit(Instant::now())
    }

    /// A bid met a store that is away.
    pub fn failed(&self, cx: &Context) {
        let opened = self.breaker.borrow_mut().failed(Instant::now(), jitter(cx));
        if opened {
            tracing::warn!("a store is away: bidding is paused on this shard");
            self.sooner.notify_one();
        }
    }

    /// Whether no outage can be under way that nobody has found yet, and the clocks agree: what is
    /// over now is over.
    fn is_certain(&self) -> bool {
        let young = self.well.get().is_some_and(|began| began.elapsed() < CERTAIN_MAX);
        young && self.admit().is_ok()
    }

    /// Tells the meter of this thread how the breaker stands.
    pub fn tell(&self) {
        let level = match self.breaker.borrow().position() {
            Position::Closed => 0,
            Position::HalfOpen => 1,
            Position::Open => 2,
        };
        souk_meter::level(Level::BidBreaker, level);
    }
}

/// A number from 0 to 1.
fn jitter(cx: &Context) -> f64 {
    cx.random::<1>().map_or(0.5, |[byte]| f64::from(byte) / 255.0)
}

/// Looks at both stores now and then, and says that bids can be taken.
pub async fn beat(cx: &Context) {
    loop {
        let due = cx.gate.breaker.borrow().due();
        if due > Instant::now() {
            // Either way the loop looks when.
            drop(tokio::time::timeout_at(due.into(), cx.gate.sooner.notified()).await);
            continue;
        }
        look(cx).await;
    }
}

/// Looks at both stores once.
pub async fn look(cx: &Context) {
    cx.gate.breaker.borrow_mut().looks();
    let began = Instant::now();
    let deadline = began + BEAT_MAX;
    let beat = in_time(deadline, cx.stores.auctions.beat(cx.unix_ms(), deadline)).await;
    let look = match &beat {
        Ok(beat) => {
            beaten(cx, *beat);
            cx.gate.well.set(Some(began));
            Look::Well { skew_ms: beat.skew_ms }
        }
        Err(StoreError::Busy(_)) => Look::Busy,
        Err(_) => Look::Away,
    };
    let turned = cx.gate.breaker.borrow_mut().looked(look, Instant::now(), jitter(cx));
    match beat {
        // Once each way.
        Ok(_) if turned => tracing::info!("both stores answer: bids are taken again"),
        Err(error) if turned => tracing::warn!(%error, "bidding is paused on this shard"),
        _ => {}
    }
}

fn beaten(cx: &Context, beat: Beat) {
    if let Some(outage_ms) = beat.outage_ms {
        souk_meter::count(Count::Outage);
        let epoch = beat.epoch;
        tracing::warn!(outage_ms, epoch, "no bid could be taken; live auctions end later by it");
    }
    let outages = Some((beat.epoch, beat.extending));
    if cx.gate.epoch.replace(outages) != outages {
        cx.live.hear_all();
    }
}

/// Settles auctions that are over: those of this shard's share, as soon as watched ones end and now
/// and then for all others.
pub async fn settle(cx: &Context, shard: u32, shards: u32) {
    let mut limit = SETTLE_BATCH;
    let mut away = false;
    loop {
        let mine = |id: u64| id % u64::from(shards.max(1)) == u64::from(shard);
        // An auction that ended in an outage is to be extended, not settled.
        let share = match cx.gate.is_certain() {
            true => settle_due(cx, limit, mine).await,
            false => Ok(Share::default()),
        };
        match share {
            Ok(share) => {
                away = false;
                let full = share.found >= limit as usize;
                // Those that cannot be settled must not be all that is ever seen.
                limit = match (full, share.settled) {
                    (true, 0) => (limit * 2).min(SETTLE_BATCH_MAX),
                    (true, _) => limit,
                    (false, _) => SETTLE_BATCH,
                };
                if full && share.settled * 2 * shards as usize >= share.found {
                    // Many end at once: more of them wait.
                    continue;
                }
            }
            // Once: what follows says the same until it is over.
            Err(error) if !away => {
                tracing::warn!(%error, "auctions that are over cannot be looked for");
                away = true;
            }
            Err(_) => {}
        }
        let now_ms = cx.unix_ms();
        let end = cx.live.next_end(now_ms).and_then(|end| u64::try_from(end - now_ms).ok());
        let pause = end.map_or(SETTLE_EVERY, |ms| SETTLE_EVERY.min(Duration::from_millis(ms)));
        tokio::time::sleep(pause).await;
    }
}

/// What came of a look for auctions that are over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Auctions that are over and not settled.
    pub found: usize,
    /// Those of them that are now.
    pub settled: usize,
}

/// Settles at most so many auctions that are over, of those that are ours.
///
/// # Errors
/// A store's, if it cannot even be told which are over.
pub async fn settle_due(
    cx: &Context,
    limit: u32,
    mine: impl Fn(u64) -> bool,
) -> Result<Share, StoreError> {
    let deadline = Instant::now() + SETTLE_MAX;
    let ids = in_time(deadline, cx.stores.auctions.due(cx.unix_ms(), limit, deadline)).await?;
    let found = ids.len();
    let settling = stream::iter(ids.into_iter().filter(|id| mine(*id)))
        .map(|id| settle_one(cx, id))
        .buffer_unordered(SETTLING_MAX);
    let settled = settling.filter(|done| std::future::ready(*done)).count().await;
    Ok(Share { found, settled })
}

async fn settle_one(cx: &Context, id: u64) -> bool {
    let deadline = Instant::now() + SETTLE_MAX;
    let settled = in_time(deadline, cx.stores.auctions.settle(id, cx.unix_ms(), deadline)).await;
    match settled {
        Ok(settled) => count(&settled),
        Err(error) => {
            // The next look finds it again.
            tracing::debug!(%error, id, "an auction could not be settled");
            false
        }
    }
}

/// Settles an auction that somebody bought, off the answer's path.
pub fn settle_bought(cx: &Context, id: u64, at_ms: i64) {
    let now_ms = cx.unix_ms().max(at_ms);
    cx.in_background(|stores| async move {
        let deadline = Instant::now() + BACKGROUND_LIMIT;
        match stores.auctions.settle(id, now_ms, deadline).await {
            Ok(settled) => drop(count(&settled)),
            Err(error) => tracing::debug!(%error, id, "an auction could not be settled at once"),
        }
    });
}

/// Whether the auction is settled by this.
fn count(settled: &Settled) -> bool {
    let now = matches!(settled, Settled::Now(_));
    if now {
        souk_meter::count(Count::AuctionSettled);
    }
    now
}
