//! The bid engine's words with Redis: keys, scripts, and what they answer.

use super::room::{Held, Waiting};
use crate::auctions::rules::Refusal;
use crate::auctions::{AuctionRow, Offer};
use crate::error::{Server, StoreError};
use crate::keys::Key;
use crate::limits::{FENCE_STANDS, LOG_READ, LOG_TTL, STATE_TTL};
use crate::redis::{Redis, Reply, RunId};
use std::time::Duration;

/// What a script says of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accepted {
        price: i64,
        leader_id: u64,
        leader_max: i64,
        ends_at_ms: i64,
        extended: u32,
        at_ms: i64,
    },
    Refused(Refusal),
}

/// Why there are no verdicts.
#[derive(Debug)]
pub enum NotDecided {
    /// The state is somebody else's, gone, or none that the script understands.
    Adopt,
    /// Redis failed; it may have decided.
    Store(StoreError),
}

/// An accepted bid that may not be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    pub sequence: u64,
    pub at_ms: i64,
    pub offer: Offer,
}

/// The keys of an auction on one life of the server, all in one hash slot.
pub struct Keys {
    state: Key,
    log: Key,
    channel: Key,
}

impl Keys {
    pub fn of(id: u64, run: RunId) -> Keys {
        let id = Key::number(id);
        let key = |name: &[u8]| Key::of(&[b"souk:{a:", id.as_bytes(), b"}:", &run, name]);
        Keys { state: key(b":state"), log: key(b":log"), channel: channel(id.as_bytes()) }
    }
}

fn ms(time: Duration) -> u64 {
    time.as_secs() * 1000 + u64::from(time.subsec_millis())
}

/// Where an auction's changes are published: the same on all lives of the server.
fn channel(id: &[u8]) -> Key {
    Key::of(&[b"souk:{a:", id, b"}:news"])
}

/// Where an auction's changes are published.
pub fn channel_of(id: u64) -> Key {
    channel(Key::number(id).as_bytes())
}

/// Whose channel it is.
pub fn auction_of(channel: &[u8]) -> Option<u64> {
    let id = channel.strip_prefix(b"souk:{a:")?.strip_suffix(b"}:news")?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

/// Has offers decided in order; a verdict for each.
pub async fn bid(
    redis: &Redis,
    held: &Held,
    owner: &str,
    offers: &[Waiting],
) -> Result<Vec<Verdict>, NotDecided> {
    let (id, committed) = {
        let row = held.row.borrow();
        (row.id, row.sequence)
    };
    if redis.run() != held.run {
        return Err(NotDecided::Adopt);
    }
    let keys = Keys::of(id, held.run);
    let keys = [keys.state.as_bytes(), keys.log.as_bytes(), keys.channel.as_bytes()];
    let decided = redis.run_script(&redis.scripts.bid, &keys, |cmd| {
        cmd.arg(&*held.label).arg(held.sequence.get()).arg(committed);
        cmd.arg(ms(STATE_TTL)).arg(ms(LOG_TTL)).arg(owner);
        for waiting in offers {
            let Offer { bidder_id, amount, max_amount, bid_id } = &waiting.offer;
            cmd.arg(waiting.time_ms()).arg(*bidder_id).arg(*amount).arg(*max_amount);
            cmd.arg(bid_id.as_deref().unwrap_or_default());
        }
    });
    match decided.await {
        Ok(Reply::Array(items)) => verdicts(&items, offers.len()).ok_or(NotDecided::Adopt),
        Ok(_) => Err(NotDecided::Adopt),
        Err(error) if is_about_keys(&error) => Err(NotDecided::Adopt),
        Err(error) => Err(NotDecided::Store(error)),
    }
}

/// Whether Redis stumbled over what a key holds, rather than being away.
fn is_about_keys(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable { server: Server::Redis, why }
        if why.starts_with("ERR ") || why.starts_with("WRONGTYPE "))
}

fn verdicts(items: &[Reply], offers: usize) -> Option<Vec<Verdict>> {
    let mut numbers =
        items.iter().map(|item| if let Reply::Int(n) = item { Some(*n) } else { None });
    let mut next = || numbers.next().flatten();
    let mut verdicts = Vec::with_capacity(offers);
    for _ in 0..offers {
        verdicts.push(match next()? {
            0 => Verdict::Accepted {
                price: next()?,
                leader_id: u64::try_from(next()?).ok()?,
                leader_max: next()?,
                ends_at_ms: next()?,
                extended: u32::try_from(next()?).ok()?,
                at_ms: next()?,
            },
            1 => Verdict::Refused(Refusal::NotStarted),
            2 => Verdict::Refused(Refusal::Ended { ends_at_ms: next()? }),
            3 => Verdict::Refused(Refusal::OwnAuction),
            4 => Verdict::Refused(Refusal::AlreadyLeading { price: next()?, minimum: next()? }),
            5 => Verdict::Refused(Refusal::TooLow { price: next()?, minimum: next()? }),
            6 => Verdict::Refused(Refusal::ClockBehind),
            _ => return None,
        });
    }
    next().is_none().then_some(verdicts)
}

/// Stops bids for a moment, whoever takes them. False: somebody else has just done so.
pub async fn fence(
    redis: &Redis,
    keys: &Keys,
    owner: &str,
    fence: &str,
) -> Result<bool, StoreError> {
    let names = [keys.state.as_bytes(), keys.log.as_bytes()];
    let fenced = redis.run_script(&redis.scripts.fence, &names, |cmd| {
        // 'f', the owner, and a colon
        cmd.arg(fence).arg(owner.len() + 2).arg(ms(FENCE_STANDS));
    });
    Ok(fenced.await? == Reply::Int(1))
}

/// Puts the state that the row makes, if the fence still stands.
pub async fn adopt(
    redis: &Redis,
    keys: &Keys,
    fence: &str,
    label: &str,
    row: &AuctionRow,
) -> Result<bool, StoreError> {
    let (rules, state) = (row.rules(), row.state());
    let names = [keys.state.as_bytes(), keys.log.as_bytes()];
    let put = redis.run_script(&redis.scripts.adopt, &names, |cmd| {
        cmd.arg(fence).arg(ms(STATE_TTL)).arg(label);
        cmd.arg(rules.seller_id).arg(rules.start_price).arg(rules.reserve).arg(rules.buy_now);
        cmd.arg(rules.start_at_ms).arg(rules.soft_window_ms).arg(rules.extensions_max);
        cmd.arg(state.sequence).arg(state.price).arg(state.leader_id).arg(state.leader_max);
        cmd.arg(state.ends_at_ms).arg(state.extended).arg(state.last_at_ms);
        for row in &rules.increments {
            cmd.arg(row.from).arg(row.step);
        }
    });
    Ok(put.await? == Reply::Int(1))
}

/// The logged bids after a number, some of them if there are many. Ends where the log cannot be
/// understood.
pub async fn logged(redis: &Redis, keys: &Keys, after: u64) -> Result<Vec<Logged>, StoreError> {
    let from = format!("{}-0", after + 1);
    let log = keys.log.as_bytes();
    let range = |cmd: &mut redis::Cmd| {
        cmd.arg("XRANGE").arg(log).arg(&from).arg("+").arg("COUNT").arg(LOG_READ);
    };
    let reply = redis.call(|cmd| {
        range(cmd);
        cmd
    });
    let Reply::Array(items) = reply.await? else { return Ok(Vec::new()) };
    Ok(items.iter().map_while(entry).collect())
}

fn entry(item: &Reply) -> Option<Logged> {
    let Reply::Array(parts) = item else { return None };
    let [Reply::Bulk(id), Reply::Array(fields)] = &parts[..] else { return None };
    let [Reply::Bulk(_), Reply::Bulk(line)] = &fields[..] else { return None };
    let sequence = std::str::from_utf8(id).ok()?.strip_suffix("-0")?.parse().ok()?;
    let mut words = std::str::from_utf8(line).ok()?.splitn(5, ' ');
    let bidder_id = words.next()?.parse().ok()?;
    let amount = words.next()?.parse().ok()?;
    let max_amount = words.next()?.parse().ok()?;
    let at_ms = words.next()?.parse().ok()?;
    let bid_id = Some(words.next()?.to_owned()).filter(|name| !name.is_empty());
    Some(Logged { sequence, at_ms, offer: Offer { bidder_id, amount, max_amount, bid_id } })
}

/// Drops the state and the log, and publishes that something changed if somebody is to be told.
pub async fn drop_state(redis: &Redis, keys: &Keys, owner: Option<&str>) -> Result<(), StoreError> {
    let dropped =
        redis.issue(|cmd| cmd.arg("DEL").arg(keys.state.as_bytes()).arg(keys.log.as_bytes()))?;
    if let Some(owner) = owner {
        publish(redis, keys, owner).await?;
    }
    dropped.await.map(drop)
}

/// Publishes that something changed.
pub async fn publish(redis: &Redis, keys: &Keys, owner: &str) -> Result<(), StoreError> {
    let message = format!("{owner} 0");
    redis.call(|cmd| cmd.arg("PUBLISH").arg(keys.channel.as_bytes()).arg(&message)).await.map(drop)
}
