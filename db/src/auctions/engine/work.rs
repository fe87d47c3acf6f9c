//! The task of a room: has offers decided, and what is accepted committed.

use super::commit::{After, Commit, Committed};
use super::look::{Ask, Named, Said};
use super::room::{Held, Known, Room, Seat, Waiting, unknown};
use super::script::{self, NotDecided, Verdict};
use super::{Engine, far};
use crate::auctions::chain::next_head;
use crate::auctions::rules::Refusal;
use crate::auctions::{AuctionRow, BidError, BidRow, News, Offer, Phase, Placed};
use crate::error::StoreError;
use crate::limits::OFFERS_AT_ONCE;
use crate::slots::after_ready_tasks;
use std::rc::Rc;
use std::time::Instant;

/// An accepted bid on its way, and who offered it.
struct Guest {
    seat: Seat,
    now_ms: i64,
    since: Instant,
    deadline: Instant,
    attempts: u8,
}

/// A refused offer that may be a repetition.
struct Doubtful {
    waiting: Waiting,
    name: Named,
    refusal: Refusal,
}

/// A task at work in a room. Whatever becomes of it, who waits there is answered.
struct Working {
    engine: Rc<Engine>,
    room: Rc<Room>,
}

impl Drop for Working {
    fn drop(&mut self) {
        self.room.is_working.set(false);
        if std::thread::panicking() {
            let error = unknown("a defect on our side");
            self.room.fail(&error, &self.engine.closings);
        }
    }
}

/// Works in a room until nothing waits there.
pub async fn work(engine: Rc<Engine>, room: Rc<Room>) {
    let working = Working { engine: engine.clone(), room: room.clone() };
    loop {
        after_ready_tasks().await;
        let closing = room.closings.borrow_mut().pop_front();
        if let Some(closing) = closing {
            let closed = if closing.deadline <= Instant::now() {
                Err(StoreError::DeadlineExceeded)
            } else {
                engine.close_now(&room, closing.now_ms).await
            };
            engine.closings.fill(closing.number, closed);
            continue;
        }
        if room.waiting.borrow().is_empty() {
            break;
        }
        match engine.know(&room).await {
            Ok(Some(Known::Live(held))) => engine.decide(&room, &held).await,
            Ok(Some(Known::Over(row))) => engine.refuse_all(&room, &row).await,
            Ok(None) => {
                for waiting in room.take(usize::MAX) {
                    waiting.seat.answer(Err(BidError::Missing));
                }
            }
            Err(error) => room.fail(&error, &engine.closings),
        }
    }
    drop(working);
    engine.rooms.leave(&room);
}

impl Engine {
    /// Has what waits decided, as much as one call takes.
    async fn decide(self: &Rc<Self>, room: &Rc<Room>, held: &Rc<Held>) {
        let offers = self.fresh(room.take(OFFERS_AT_ONCE));
        let offers = self.resolve_doubts(room.id, offers).await;
        if offers.is_empty() {
            return;
        }
        match script::bid(&self.redis, held, &self.owner, &offers).await {
            Ok(verdicts) => self.deliver(room, held, offers, &verdicts),
            Err(NotDecided::Adopt) => {
                room.drop_held(held);
                room.put_back(offers.into_iter().filter_map(Waiting::again));
            }
            Err(NotDecided::Store(error @ StoreError::Busy(_))) => {
                offers.into_iter().for_each(|it| it.fail(error.clone()));
            }
            Err(NotDecided::Store(error)) => {
                // What Redis accepted all the same is not committed, and nobody may come to do it.
                room.drop_held(held);
                self.remember_unfinished(room.id);
                let why = error.to_string();
                offers.into_iter().for_each(|it| it.seat.answer(Err(unknown(&why).into())));
            }
        }
    }

    /// Those that somebody still waits for.
    fn fresh(&self, offers: Vec<Waiting>) -> Vec<Waiting> {
        let now = Instant::now();
        let (fresh, late): (Vec<_>, Vec<_>) = offers.into_iter().partition(|it| it.deadline > now);
        late.into_iter().for_each(|it| it.fail(StoreError::DeadlineExceeded));
        fresh
    }

    /// Answers offers that were accepted once and turn out to be committed; gives back the others.
    async fn resolve_doubts(&self, id: u64, offers: Vec<Waiting>) -> Vec<Waiting> {
        let sequences = || offers.iter().filter_map(|it| it.doubt.as_ref()).map(|bid| bid.sequence);
        let (Some(from), Some(to)) = (sequences().min(), sequences().max()) else { return offers };
        let bids = match self.looks.submit(Ask::Bids(id, from, to), far()).await {
            Ok(Said::Bids(bids)) => bids,
            Ok(_) => Vec::new(),
            Err(error) => {
                let (doubtful, rest): (Vec<_>, Vec<_>) =
                    offers.into_iter().partition(|it| it.doubt.is_some());
                doubtful.into_iter().for_each(|it| it.fail(error.clone()));
                return rest;
            }
        };
        let mut rest = Vec::with_capacity(offers.len());
        for mut waiting in offers {
            let Some(doubt) = waiting.doubt.take() else {
                rest.push(waiting);
                continue;
            };
            match bids.iter().find(|bid| is_same(bid, &doubt)) {
                Some(bid) => {
                    let placed = Placed { bid: bid.clone(), repeated: false };
                    waiting.seat.answer(Ok(placed));
                }
                None => rest.push(waiting),
            }
        }
        rest
    }

    /// Nothing is accepted any more.
    async fn refuse_all(self: &Rc<Self>, room: &Rc<Room>, row: &AuctionRow) {
        let offers = self.resolve_doubts(room.id, room.take(OFFERS_AT_ONCE)).await;
        let refusal = Refusal::Ended { ends_at_ms: row.terms.end_at_ms };
        let mut doubtful = Vec::new();
        for waiting in offers {
            if row.phase == Phase::Cancelled {
                waiting.seat.answer(Err(BidError::Cancelled));
            } else {
                doubtful.extend(refuse(room.id, waiting, refusal));
            }
        }
        self.look_for_repetitions(room, None, doubtful);
    }

    /// Sends what was accepted to be committed, and answers what was refused.
    fn deliver(
        self: &Rc<Self>,
        room: &Rc<Room>,
        held: &Rc<Held>,
        offers: Vec<Waiting>,
        verdicts: &[Verdict],
    ) {
        let (mut guests, mut doubtful) = (Vec::new(), Vec::new());
        let (auction_id, version, outage_ms, salt) = {
            let row = held.row.borrow();
            (row.id, row.version, row.outage_ms, row.salt)
        };
        let (bids, after) = (Vec::with_capacity(offers.len()), Vec::with_capacity(offers.len()));
        let mut commit = Commit { auction_id, version, outage_ms, bids, after };
        let (mut sequence, mut head) = (held.sequence.get(), held.head.get());
        for (waiting, verdict) in offers.into_iter().zip(verdicts) {
            match *verdict {
                Verdict::Refused(refusal) => doubtful.extend(refuse(auction_id, waiting, refusal)),
                Verdict::Accepted { price, leader_id, leader_max, ends_at_ms, extended, at_ms } => {
                    let Waiting { offer, now_ms, since, deadline, seat, attempts, .. } = waiting;
                    let Offer { bidder_id, amount, max_amount, bid_id } = offer;
                    sequence += 1;
                    let mut bid = BidRow {
                        auction_id,
                        sequence,
                        bidder_id,
                        amount,
                        max_amount,
                        price,
                        leader_id,
                        at_ms,
                        ends_at_ms,
                        head,
                        bid_id,
                    };
                    head = next_head(&head, &salt, &bid);
                    bid.head = head;
                    commit.after.push(After { leader_max, extended });
                    commit.bids.push(bid);
                    guests.push(Guest { seat, now_ms, since, deadline, attempts });
                }
            }
        }
        held.sequence.set(sequence);
        held.head.set(head);
        if !guests.is_empty() {
            let begun = room.begin_commit();
            let (engine, room, held) = (self.clone(), room.clone(), held.clone());
            tokio_uring::spawn(async move {
                engine.commit(&room, &held, commit, guests).await;
                drop(begun);
            });
        }
        self.look_for_repetitions(room, Some((held, sequence)), doubtful);
    }

    /// Commits bids; their answers and news follow.
    async fn commit(
        self: &Rc<Self>,
        room: &Rc<Room>,
        held: &Rc<Held>,
        commit: Commit,
        guests: Vec<Guest>,
    ) {
        let commit = Rc::new(commit);
        let decided = Instant::now();
        let committed = self.write(commit.clone()).await;
        match committed {
            Ok(Committed::Written | Committed::Found) => self.tell_bids(held, &commit),
            Ok(Committed::Conflict) => room.drop_held(held),
            Err(_) => {
                room.drop_held(held);
                self.remember_unfinished(room.id);
            }
        }
        let bids = match Rc::try_unwrap(commit) {
            Ok(commit) => commit.bids,
            Err(shared) => shared.bids.clone(),
        };
        let guests = bids.into_iter().zip(guests);
        self.answers.asked(Some(decided));
        match committed {
            Ok(Committed::Written | Committed::Found) => {
                for (bid, guest) in guests {
                    guest.seat.answer(Ok(Placed { bid, repeated: false }));
                }
            }
            Ok(Committed::Conflict) => {
                room.put_back(guests.filter_map(|(bid, guest)| guest.doubted(bid).again()));
                self.start(room);
            }
            Err(error) => {
                let why = error.to_string();
                guests.for_each(|(_, guest)| guest.seat.answer(Err(unknown(&why).into())));
            }
        }
        self.answers.asked(None);
    }

    /// What was committed, for whoever listens.
    fn tell_bids(&self, held: &Held, commit: &Commit) {
        let mut row = held.row.borrow_mut();
        let (Some(last), Some(after)) = (commit.bids.last(), commit.after.last()) else { return };
        if last.sequence > row.sequence {
            (row.sequence, row.head) = (last.sequence, last.head);
            (row.price, row.leader_id) = (last.price, last.leader_id);
            (row.leader_max, row.extended) = (after.leader_max, after.extended);
            (row.terms.end_at_ms, row.last_at_ms) = (last.ends_at_ms, last.at_ms);
        }
        drop(row);
        if self.is_heard(commit.auction_id) {
            self.tell(News::Bids(&held.row.borrow(), &commit.bids));
        }
    }

    /// Gives the first answer again to those that were accepted before; the others are refused. If
    /// they were refused upon bids, up to the number given, that lost their commit, they are
    /// decided again: the bid that stood in their way may be their own, and be committed later.
    fn look_for_repetitions(
        self: &Rc<Self>,
        room: &Rc<Room>,
        upon: Option<(&Rc<Held>, u64)>,
        doubtful: Vec<Doubtful>,
    ) {
        if doubtful.is_empty() {
            return;
        }
        let (engine, room) = (self.clone(), room.clone());
        let upon = upon.map(|(held, sequence)| (held.clone(), sequence));
        tokio_uring::spawn(async move {
            room.all_committed().await;
            let decided = Instant::now();
            let names = doubtful.iter().map(|it| it.name.clone()).collect();
            let bids = match engine.looks.submit(Ask::Named(names), far()).await {
                Ok(Said::Bids(bids)) => bids,
                Ok(_) => Vec::new(),
                Err(error) => {
                    doubtful.into_iter().for_each(|it| it.waiting.fail(error.clone()));
                    return;
                }
            };
            let committed = |held: &Held| held.row.borrow().sequence;
            let stands = upon.is_none_or(|(held, sequence)| committed(&held) >= sequence);
            let mut again = Vec::new();
            engine.answers.asked(Some(decided));
            for Doubtful { waiting, name, refusal } in doubtful {
                let first = bids.iter().find(|bid| {
                    bid.bidder_id == name.bidder_id && bid.bid_id.as_ref() == Some(&name.bid_id)
                });
                match first {
                    Some(bid) => {
                        waiting.seat.answer(Ok(Placed { bid: bid.clone(), repeated: true }));
                    }
                    None if stands => waiting.seat.answer(Err(BidError::Refused(refusal))),
                    None => again.extend(waiting.again()),
                }
            }
            engine.answers.asked(None);
            if !again.is_empty() {
                room.put_back(again);
                engine.start(&room);
            }
        });
    }
}

impl Guest {
    /// The offer once more: its bid was not committed, or not by us.
    fn doubted(self, bid: BidRow) -> Waiting {
        let BidRow { bidder_id, amount, max_amount, .. } = bid;
        Waiting {
            offer: Offer { bidder_id, amount, max_amount, bid_id: bid.bid_id.clone() },
            now_ms: self.now_ms,
            since: self.since,
            deadline: self.deadline,
            seat: self.seat,
            attempts: self.attempts,
            doubt: Some(Box::new(bid)),
        }
    }
}

/// Answers a refused offer, unless it may be a repetition: an accepted bid that is offered again is
/// always refused.
fn refuse(auction_id: u64, waiting: Waiting, refusal: Refusal) -> Option<Doubtful> {
    match (&waiting.offer.bid_id, refusal) {
        (None, _) | (_, Refusal::NotStarted | Refusal::OwnAuction) => {
            waiting.seat.answer(Err(BidError::Refused(refusal)));
            None
        }
        (Some(bid_id), _) => {
            let (bidder_id, bid_id) = (waiting.offer.bidder_id, bid_id.clone());
            Some(Doubtful { name: Named { auction_id, bidder_id, bid_id }, waiting, refusal })
        }
    }
}

/// Whether a committed bid is the one that was accepted: price and end may have been decided again,
/// upon another row.
fn is_same(bid: &BidRow, accepted: &BidRow) -> bool {
    let offer = |bid: &BidRow| (bid.bidder_id, bid.amount, bid.max_amount);
    bid.sequence == accepted.sequence
        && bid.at_ms == accepted.at_ms
        && offer(bid) == offer(accepted)
        && bid.bid_id == accepted.bid_id
}
