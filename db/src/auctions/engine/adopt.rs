//! Taking an auction over: bids are stopped, what is decided but not committed is finished, and the
//! state in Redis is made from the row.

use super::commit::{After, Commit, Committed};
use super::look::{Ask, Said, mistaken};
use super::room::{Held, Known, Room};
use super::script::{self, Keys, Logged};
use super::{Closed, Engine, far};
use crate::auctions::chain::next_head;
use crate::auctions::rules::Bid;
use crate::auctions::{AuctionRow, BidRow, Offer, Phase};
use crate::backoff::jitter;
use crate::error::{Server, StoreError};
use crate::limits::{ADOPT_ROUNDS, FENCE_LOOK_EVERY, FENCE_WAIT_MAX};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

/// An auction that takes no bids, and whose bids are all committed.
struct Fenced {
    keys: Keys,
    fence: String,
    /// See [`Held::label`].
    label: Rc<str>,
    row: Rc<AuctionRow>,
}

impl Engine {
    /// What is known of the auction, adopted now unless that is true still. `None`: there is none.
    pub async fn know(&self, room: &Room) -> Result<Option<Known>, StoreError> {
        let known = room.known.borrow().clone();
        match known {
            Some(Known::Live(held)) if !self.is_current(&held) => {}
            Some(known) => return Ok(Some(known)),
            None => {}
        }
        *room.known.borrow_mut() = None;
        room.all_committed().await;
        for _ in 0..ADOPT_ROUNDS {
            let run = self.redis.run();
            let Some(fenced) = self.fence(room.id).await? else { return Ok(None) };
            if fenced.row.phase != Phase::Open {
                script::drop_state(&self.redis, &fenced.keys, None).await?;
                return Ok(Some(self.note(room, Known::Over(fenced.row))));
            }
            let Fenced { keys, fence, label, row } = fenced;
            if script::adopt(&self.redis, &keys, &fence, &label, &row).await? {
                let (sequence, head) = (Cell::new(row.sequence), Cell::new(row.head));
                let row = RefCell::new(Rc::unwrap_or_clone(row));
                let held = Rc::new(Held { run, label, row, sequence, head });
                return Ok(Some(self.note(room, Known::Live(held))));
            }
        }
        Err(StoreError::Busy(Server::Redis))
    }

    fn note(&self, room: &Room, known: Known) -> Known {
        *room.known.borrow_mut() = Some(known.clone());
        known
    }

    fn is_current(&self, held: &Held) -> bool {
        held.run == self.redis.run() && held.label == *self.label.borrow()
    }

    /// Ends an auction if its time has come.
    pub async fn close_now(&self, room: &Room, now_ms: i64) -> Result<Closed, StoreError> {
        let missing = || StoreError::corrupt(Server::Database, "the auction is gone");
        room.all_committed().await;
        *room.known.borrow_mut() = None;
        let fenced = self.fence(room.id).await?.ok_or_else(missing)?;
        let ended = fenced.row.phase != Phase::Open || fenced.row.terms.end_at_ms <= now_ms;
        if !ended {
            // The next bid would make the state anew as well, after a while.
            script::drop_state(&self.redis, &fenced.keys, None).await?;
        }
        Ok(Closed { ended, row: fenced.row })
    }

    /// Stops bids, finishes what is decided, and reads the row; `None` if there is no auction.
    async fn fence(&self, id: u64) -> Result<Option<Fenced>, StoreError> {
        let keys = Keys::of(id, self.redis.run());
        let number = self.fences.get();
        self.fences.set(number + 1);
        let fence = format!("f{}:{number}", self.owner);
        // Before the row is read: an outage that is found later makes another label.
        let label = self.label.borrow().clone();
        let began = Instant::now();
        while !script::fence(&self.redis, &keys, &self.owner, &fence).await? {
            if began.elapsed() > FENCE_WAIT_MAX {
                return Err(StoreError::Busy(Server::Redis));
            }
            tokio::time::sleep(FENCE_LOOK_EVERY / 4 + jitter(FENCE_LOOK_EVERY)).await;
        }
        for _ in 0..ADOPT_ROUNDS {
            let Some(row) = self.row(id).await? else {
                script::drop_state(&self.redis, &keys, None).await?;
                return Ok(None);
            };
            if row.phase != Phase::Open {
                return Ok(Some(Fenced { keys, fence, label, row }));
            }
            let logged = script::logged(&self.redis, &keys, row.sequence).await?;
            let Some(commit) = replay(&row, logged) else {
                return Ok(Some(Fenced { keys, fence, label, row }));
            };
            let committed = self.write(Rc::new(commit)).await?;
            if committed == Committed::Written {
                tracing::debug!(auction = id, "finished bids that somebody else had begun");
                // Who does not hear it looks later.
                let _ = script::publish(&self.redis, &keys, &self.owner).await;
                self.tell_changed(id);
            }
        }
        Err(StoreError::Busy(Server::Database))
    }

    async fn row(&self, id: u64) -> Result<Option<Rc<AuctionRow>>, StoreError> {
        match self.looks.submit(Ask::Row(id), far()).await? {
            Said::Row(row) => Ok(row),
            _ => Err(mistaken()),
        }
    }
}

/// The logged bids that follow the row, as they are to be committed. The rules decide them once
/// more: what does not follow from the row was never acknowledged and does not count.
fn replay(row: &AuctionRow, logged: Vec<Logged>) -> Option<Commit> {
    let (rules, mut state, mut head) = (row.rules(), row.state(), row.head);
    let (mut bids, mut after) = (Vec::with_capacity(logged.len()), Vec::new());
    for Logged { sequence, at_ms, offer } in logged {
        let Offer { bidder_id, amount, max_amount, bid_id } = offer;
        let bid = Bid { bidder_id, amount, max_amount };
        if sequence != state.sequence + 1 || rules.decide(&mut state, bid, at_ms) != Ok(at_ms) {
            break;
        }
        let mut bid = BidRow {
            auction_id: row.id,
            sequence,
            bidder_id,
            amount,
            max_amount,
            price: state.price,
            leader_id: state.leader_id,
            at_ms,
            ends_at_ms: state.ends_at_ms,
            head,
            bid_id,
        };
        head = next_head(&head, &row.salt, &bid);
        bid.head = head;
        bids.push(bid);
        after.push(After { leader_max: state.leader_max, extended: state.extended });
    }
    (!bids.is_empty()).then_some(Commit {
        auction_id: row.id,
        version: row.version,
        outage_ms: row.outage_ms,
        bids,
        after,
    })
}
