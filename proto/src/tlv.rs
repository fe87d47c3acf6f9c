//! The frames of the binary port, which `front/TLV.md` describes byte by byte: `type:u8 length:u8
//! payload`, big-endian. Bytes go in, frames come out, and the other way round.
//!
//! What a client sends has exactly the length of its type: a server that skipped what it does not
//! know would do something else than was asked. What a server sends may be longer than it is here,
//! and of types that are not here: a client skips what it does not know.

use bytes::{Buf, BufMut};
use std::fmt;

/// Length of a frame's head: type and length.
pub const HEAD_LEN: usize = 2;

/// Longest frame.
pub const FRAME_MAX: usize = HEAD_LEN + u8::MAX as usize;

/// The version of the protocol that a server tells in its AUTH.
pub const VERSION: u8 = 1;

/// Bytes of a link of an auction's chain.
pub const HASH_LEN: usize = 32;

/// In place of the last known sequence number: ends the subscription.
pub const UNSUBSCRIBE: u64 = u64::MAX;

/// A frame's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Type {
    /// From a client: a bid with short ids.
    Bid = 1,
    /// From the server: a bid was accepted.
    Result = 2,
    /// From the server: something was refused.
    Error = 3,
    /// From a client: a session token. From the server: it is valid.
    Auth = 4,
    /// From a client: is somebody there?
    Ping = 5,
    /// From the server: the same bytes.
    Pong = 6,
    /// From a client: events of an auction are wanted, or no more.
    Subscribe = 7,
    /// From the server: how an auction stands.
    Event = 8,
    /// From a client: a bid with long ids, a maximum and a tag.
    Bid64 = 9,
    /// From the server: not now.
    Busy = 10,
}

impl Type {
    /// Every type, in order of number.
    pub const ALL: [Type; 10] = [
        Type::Bid,
        Type::Result,
        Type::Error,
        Type::Auth,
        Type::Ping,
        Type::Pong,
        Type::Subscribe,
        Type::Event,
        Type::Bid64,
        Type::Busy,
    ];

    /// The type with this number.
    pub fn from_number(number: u8) -> Option<Type> {
        Type::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The type's name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Type::Bid => "BID",
            Type::Result => "RESULT",
            Type::Error => "ERROR",
            Type::Auth => "AUTH",
            Type::Ping => "PING",
            Type::Pong => "PONG",
            Type::Subscribe => "SUBSCRIBE",
            Type::Event => "EVENT",
            Type::Bid64 => "BID64",
            Type::Busy => "BUSY",
        }
    }
}

/// Why bytes are no frame of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// No client sends frames of this type.
    #[error("no client sends frames of type {0}")]
    Unknown(u8),
    /// The payload has not the length that its type has.
    #[error("a frame of type {0} has not this length")]
    Length(u8),
}

/// A bid, of either form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bid {
    /// [`Type::Bid`] or [`Type::Bid64`].
    pub kind: Type,
    /// At which auction.
    pub auction: u64,
    /// Whose bid.
    pub user: u64,
    /// Minor units.
    pub amount: i64,
    /// Up to this the bidder goes along; 0 for no more than the amount.
    pub max: i64,
    /// Names the bid so that it can be repeated; 0 for no name.
    pub tag: u64,
}

impl fmt::Debug for Bid {
    /// Without the maximum, which no log may have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bid { kind, auction, user, amount, tag, .. } = self;
        write!(f, "{}({auction}, {user}, {amount}, tag {tag})", kind.name())
    }
}

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// A bid.
    Bid(Bid),
    /// The session token; what is no text is no token either.
    Auth(&'a [u8]),
    /// Any bytes, to be sent back.
    Ping(&'a [u8]),
    /// Events of this auction; the last sequence number that is known, or [`UNSUBSCRIBE`].
    Subscribe {
        /// Which one.
        auction: u64,
        /// What is known of it.
        after: u64,
    },
}

impl<'a> Asked<'a> {
    /// The first frame of `bytes` and its length; nothing if it is not all there.
    ///
    /// # Errors
    /// As soon as type and length say that it is no frame of a client.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Asked<'a>, usize)>, Broken> {
        let Some(&number) = bytes.first() else { return Ok(None) };
        let unknown = Broken::Unknown(number);
        let kind = Type::from_number(number).ok_or(unknown)?;
        let lengths = match kind {
            Type::Bid | Type::Subscribe => 16..=16,
            Type::Bid64 => 40..=40,
            Type::Auth => 1..=u8::MAX,
            Type::Ping => 0..=u8::MAX,
            Type::Result | Type::Error | Type::Pong | Type::Event | Type::Busy => {
                return Err(unknown);
            }
        };
        let Some(&length) = bytes.get(1) else { return Ok(None) };
        if !lengths.contains(&length) {
            return Err(Broken::Length(number));
        }
        let end = HEAD_LEN + usize::from(length);
        let Some(mut payload) = bytes.get(HEAD_LEN..end) else { return Ok(None) };
        let asked = match kind {
            Type::Auth => Asked::Auth(payload),
            Type::Bid => Asked::Bid(Bid {
                kind,
                auction: payload.get_u32().into(),
                user: payload.get_u32().into(),
                amount: payload.get_i64(),
                max: 0,
                tag: 0,
            }),
            Type::Bid64 => Asked::Bid(Bid {
                kind,
                auction: payload.get_u64(),
                user: payload.get_u64(),
                amount: payload.get_i64(),
                max: payload.get_i64(),
                tag: payload.get_u64(),
            }),
            Type::Subscribe => {
                Asked::Subscribe { auction: payload.get_u64(), after: payload.get_u64() }
            }
            _ => Asked::Ping(payload),
        };
        Ok(Some((asked, end)))
    }

    /// Appends the frame. Of a token or of a PING's bytes no more than 255 are taken, and of a
    /// short bid's ids the lower 32 bits.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Asked::Bid(bid) if bid.kind == Type::Bid => frame(out, Type::Bid, |out| {
                out.put_u32(low(bid.auction));
                out.put_u32(low(bid.user));
                out.put_i64(bid.amount);
            }),
            Asked::Bid(bid) => frame(out, Type::Bid64, |out| {
                out.put_u64(bid.auction);
                out.put_u64(bid.user);
                out.put_i64(bid.amount);
                out.put_i64(bid.max);
                out.put_u64(bid.tag);
            }),
            Asked::Auth(token) => frame(out, Type::Auth, |out| out.put_slice(short(token))),
            Asked::Ping(bytes) => frame(out, Type::Ping, |out| out.put_slice(short(bytes))),
            Asked::Subscribe { auction, after } => frame(out, Type::Subscribe, |out| {
                out.put_u64(*auction);
                out.put_u64(*after);
            }),
        }
    }
}

/// An accepted bid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Its sequence number.
    pub sequence: u64,
    /// The price after it.
    pub price: i64,
    /// Whether the bidder led after it.
    pub leading: bool,
    /// Whether this is the first answer, given again.
    pub repeated: bool,
    /// The auction's end after it, Unix ms.
    pub ends_at_ms: i64,
    /// At which auction.
    pub auction: u64,
    /// The bid's tag.
    pub tag: u64,
    /// The end of the auction's chain after it.
    pub head: [u8; HASH_LEN],
}

/// Something that was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Number of the error code.
    pub code: u16,
    /// Number of the type that this answers; 0 for what was no frame.
    pub of: u8,
    /// The price now; 0 where it does not matter.
    pub price: i64,
    /// The least that is accepted now; 0 where it does not matter.
    pub minimum: i64,
    /// At which auction; 0 for none.
    pub auction: u64,
    /// The bid's tag.
    pub tag: u64,
}

/// Something that is not done now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotNow {
    /// When it can be tried again, in milliseconds from now.
    pub retry_after_ms: u32,
    /// Number of the error code.
    pub code: u16,
    /// Number of the type that this answers; 0 for the connection.
    pub of: u8,
    /// At which auction; 0 for none.
    pub auction: u64,
    /// The bid's tag.
    pub tag: u64,
}

/// How an auction stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Which one.
    pub auction: u64,
    /// Sequence number of the last bid.
    pub sequence: u64,
    /// That of the event before, or what the subscriber said to know.
    pub since: u64,
    /// The price.
    pub price: i64,
    /// The least that is accepted next.
    pub minimum: i64,
    /// The start, Unix ms.
    pub start_at_ms: i64,
    /// The end as it is now, Unix ms.
    pub ends_at_ms: i64,
    /// The server's clock, Unix ms.
    pub now_ms: i64,
    /// Extensions by bids so far.
    pub extended: u32,
    /// 0 scheduled, 1 live, 2 ended, 3 cancelled.
    pub state: u8,
    /// 0 none yet, 1 sold, 2 reserve not met, 3 no bids.
    pub outcome: u8,
    /// A sum of the `EVENT_…` flags.
    pub flags: u16,
}

/// In an event: the subscriber leads.
pub const EVENT_LEADING: u16 = 1;
/// In an event: the reserve is met, or there is none.
pub const EVENT_RESERVE_MET: u16 = 2;
/// In an event: news do not arrive for now, so this may be old.
pub const EVENT_PAUSED: u16 = 4;
/// In an event: the subscriber led in the event before and does no more.
pub const EVENT_OUTBID: u16 = 8;

const LEADING: u8 = 1;
const REPEATED: u8 = 2;

/// What a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// A bid was accepted.
    Result(Placed),
    /// Something was refused.
    Error(Refused),
    /// The session is valid.
    Auth {
        /// [`VERSION`], or a later one.
        version: u8,
        /// Whose session.
        user: u64,
    },
    /// The bytes of a PING.
    Pong(&'a [u8]),
    /// How an auction stands.
    Event(Event),
    /// Not now.
    Busy(NotNow),
    /// Something of a later version.
    Other(u8),
}

impl<'a> Told<'a> {
    /// The first frame of `bytes` and its length; nothing if it is not all there.
    ///
    /// # Errors
    /// If the payload is shorter than its type is known to have.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Told<'a>, usize)>, Broken> {
        let [number, length, ..] = *bytes else { return Ok(None) };
        let end = HEAD_LEN + usize::from(length);
        let Some(payload) = bytes.get(HEAD_LEN..end) else { return Ok(None) };
        let told = Told::payload(number, payload).map_err(|_| Broken::Length(number))?;
        Ok(Some((told, end)))
    }

    fn payload(number: u8, mut payload: &'a [u8]) -> Result<Told<'a>, bytes::TryGetError> {
        let from = &mut payload;
        Ok(match Type::from_number(number) {
            Some(Type::Result) => {
                let (_accepted, sequence) = (from.try_get_u8()?, from.try_get_u64()?);
                let (price, flags) = (from.try_get_i64()?, from.try_get_u8()?);
                Told::Result(Placed {
                    sequence,
                    price,
                    leading: flags & LEADING != 0,
                    repeated: flags & REPEATED != 0,
                    ends_at_ms: from.try_get_i64()?,
                    auction: from.try_get_u64()?,
                    tag: from.try_get_u64()?,
                    head: {
                        let mut head = [0; HASH_LEN];
                        from.try_copy_to_slice(&mut head)?;
                        head
                    },
                })
            }
            Some(Type::Error) => Told::Error(Refused {
                code: from.try_get_u16()?,
                of: from.try_get_u8()?,
                price: from.try_get_i64()?,
                minimum: from.try_get_i64()?,
                auction: from.try_get_u64()?,
                tag: from.try_get_u64()?,
            }),
            Some(Type::Auth) => {
                Told::Auth { version: from.try_get_u8()?, user: from.try_get_u64()? }
            }
            Some(Type::Pong) => Told::Pong(payload),
            Some(Type::Event) => Told::Event(Event {
                auction: from.try_get_u64()?,
                sequence: from.try_get_u64()?,
                since: from.try_get_u64()?,
                price: from.try_get_i64()?,
                minimum: from.try_get_i64()?,
                start_at_ms: from.try_get_i64()?,
                ends_at_ms: from.try_get_i64()?,
                now_ms: from.try_get_i64()?,
                extended: from.try_get_u32()?,
                state: from.try_get_u8()?,
                outcome: from.try_get_u8()?,
                flags: from.try_get_u16()?,
            }),
            Some(Type::Busy) => Told::Busy(NotNow {
                retry_after_ms: from.try_get_u32()?,
                code: from.try_get_u16()?,
                of: from.try_get_u8()?,
                auction: from.try_get_u64()?,
                tag: from.try_get_u64()?,
            }),
            _ => Told::Other(number),
        })
    }

    /// Appends the frame. Of a PONG's bytes no more than 255 are taken.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Told::Result(placed) => frame(out, Type::Result, |out| {
                out.put_u8(1);
                out.put_u64(placed.sequence);
                out.put_i64(placed.price);
                let leading = if placed.leading { LEADING } else { 0 };
                out.put_u8(leading | if placed.repeated { REPEATED } else { 0 });
                out.put_i64(placed.ends_at_ms);
                out.put_u64(placed.auction);
                out.put_u64(placed.tag);
                out.put_slice(&placed.head);
            }),
            Told::Error(refused) => frame(out, Type::Error, |out| {
                out.put_u16(refused.code);
                out.put_u8(refused.of);
                out.put_i64(refused.price);
                out.put_i64(refused.minimum);
                out.put_u64(refused.auction);
                out.put_u64(refused.tag);
            }),
            Told::Auth { version, user } => frame(out, Type::Auth, |out| {
                out.put_u8(*version);
                out.put_u64(*user);
            }),
            Told::Pong(bytes) => frame(out, Type::Pong, |out| out.put_slice(short(bytes))),
            Told::Event(event) => frame(out, Type::Event, |out| {
                out.put_u64(event.auction);
                out.put_u64(event.sequence);
                out.put_u64(event.since);
                out.put_i64(event.price);
                out.put_i64(event.minimum);
                out.put_i64(event.start_at_ms);
                out.put_i64(event.ends_at_ms);
                out.put_i64(event.now_ms);
                out.put_u32(event.extended);
                out.put_u8(event.state);
                out.put_u8(event.outcome);
                out.put_u16(event.flags);
            }),
            Told::Busy(busy) => frame(out, Type::Busy, |out| {
                out.put_u32(busy.retry_after_ms);
                out.put_u16(busy.code);
                out.put_u8(busy.of);
                out.put_u64(busy.auction);
                out.put_u64(busy.tag);
            }),
            // What is not known cannot be said.
            Told::Other(_) => {}
        }
    }
}

/// Appends a frame with the payload that `fill` appends, which is short enough.
fn frame(out: &mut Vec<u8>, kind: Type, fill: impl FnOnce(&mut Vec<u8>)) {
    out.extend([kind as u8, 0]);
    let start = out.len();
    fill(out);
    // Every payload above is a few fixed fields, or cut by `short`.
    out[start - 1] = u8::try_from(out.len() - start).unwrap_or(u8::MAX);
}

/// The lower 32 bits: longer ids go with the long form.
fn low(id: u64) -> u32 {
    u32::try_from(id & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

fn short(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(usize::from(u8::MAX))]
}

#[cfg(test)]
mod tests;
