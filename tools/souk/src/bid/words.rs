//! Frames in words.

use std::fmt::Write;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use souk_proto::Code;
use souk_proto::tlv::{
    Asked, Bid, EVENT_LEADING, EVENT_OUTBID, EVENT_PAUSED, EVENT_RESERVE_MET, Event, NotNow,
    Placed, Refused, Told, Type, UNSUBSCRIBE,
};

/// Bytes in hex: head and payload apart.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (place, byte) in bytes.iter().enumerate() {
        let space = if place == 1 || place == 2 { " " } else { "" };
        // Writing to a text cannot fail.
        let _ = write!(text, "{space}{byte:02x}");
    }
    text
}

/// What is sent.
pub fn asked(frame: &Asked) -> String {
    match frame {
        Asked::Bid(bid) => {
            let Bid { kind, auction, user, amount, max, tag } = bid;
            let long =
                if *kind == Type::Bid { String::new() } else { format!(" max={max} tag={tag}") };
            format!("{} auction={auction} user={user} amount={amount}{long}", kind.name())
        }
        Asked::Auth(token) => format!("AUTH token of {} bytes", token.len()),
        Asked::Ping(bytes) => format!("PING {} bytes", bytes.len()),
        Asked::Subscribe { auction, after: UNSUBSCRIBE } => {
            format!("SUBSCRIBE auction={auction} no more")
        }
        Asked::Subscribe { auction, after } => format!("SUBSCRIBE auction={auction} after={after}"),
    }
}

/// What is said.
pub fn told(frame: &Told) -> String {
    match frame {
        Told::Result(placed) => result(placed),
        Told::Error(refused) => error(refused),
        Told::Auth { version, user } => format!("AUTH version={version} user={user}"),
        Told::Pong(bytes) => format!("PONG {} bytes", bytes.len()),
        Told::Event(at) => event(at),
        Told::Busy(not_now) => busy(not_now),
        Told::Other(number) => format!("a frame of type {number}, which this souk does not know"),
    }
}

fn result(placed: &Placed) -> String {
    let Placed { sequence, price, leading, repeated, ends_at_ms, auction, tag, head } = placed;
    let leads = if *leading { "you lead" } else { "somebody has a higher maximum" };
    let again = if *repeated { ", the first answer again" } else { "" };
    let ends = time(*ends_at_ms);
    let (tag, head) = (tagged(*tag), HEXLOWER.encode(head));
    format!(
        "RESULT auction={auction}{tag} sequence={sequence} price={price} ends {ends} head={head}: \
         accepted, {leads}{again}"
    )
}

fn error(refused: &Refused) -> String {
    let Refused { code, of, price, minimum, auction, tag } = *refused;
    let prices = match (price, minimum) {
        (0, 0) => String::new(),
        _ => format!(" price={price} minimum={minimum}"),
    };
    format!("ERROR {}{prices}", about(code, of, auction, tag))
}

fn busy(not_now: &NotNow) -> String {
    let NotNow { retry_after_ms, code, of, auction, tag } = *not_now;
    format!("BUSY {} retry after {retry_after_ms} ms", about(code, of, auction, tag))
}

/// What it is about, and why.
fn about(code: u16, of: u8, auction: u64, tag: u64) -> String {
    let why = Code::from_number(code.into());
    let of = Type::from_number(of).map_or("the connection", Type::name);
    let auction = if auction == 0 { String::new() } else { format!(" auction={auction}") };
    format!("{} ({code}) of {of}{auction}{}: {}", why.name(), tagged(tag), why.text())
}

fn event(at: &Event) -> String {
    let named = |names: [&'static str; 4], number: u8| {
        names.get(usize::from(number)).copied().unwrap_or(", unknown")
    };
    let state = named([", scheduled", ", live", ", ended", ", cancelled"], at.state);
    let state = state.trim_start_matches(", ");
    let outcome = named(["", ", sold", ", reserve not met", ", no bids"], at.outcome);
    let mut notes = String::new();
    for (flag, note) in [
        (EVENT_LEADING, ", you lead"),
        (EVENT_OUTBID, ", you are outbid"),
        (EVENT_RESERVE_MET, ", reserve met"),
        (EVENT_PAUSED, ", news are paused"),
    ] {
        if at.flags & flag != 0 {
            notes.push_str(note);
        }
    }
    format!(
        "EVENT auction={} sequence={} since={} price={} minimum={} extended={} ends {}: \
         {state}{outcome}{notes}",
        at.auction,
        at.sequence,
        at.since,
        at.price,
        at.minimum,
        at.extended,
        time(at.ends_at_ms),
    )
}

fn tagged(tag: u64) -> String {
    if tag == 0 { String::new() } else { format!(" tag={tag}") }
}

fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_in_words_with_the_name_of_their_code() {
        let refused = Refused { code: 55, of: 9, price: 100, minimum: 110, auction: 7, tag: 3 };
        assert_eq!(
            told(&Told::Error(refused)),
            "ERROR bid_too_low (55) of BID64 auction=7 tag=3: The bid is below the minimum. \
             price=100 minimum=110"
        );
        let (leading, head) = (true, [0xab; 32]);
        let placed =
            Placed { sequence: 6, price: 9, auction: 7, leading, head, ..Placed::default() };
        let expected = format!(
            "RESULT auction=7 sequence=6 price=9 ends 1970-01-01T00:00:00Z head={}: accepted, you \
             lead",
            "ab".repeat(32)
        );
        assert_eq!(told(&Told::Result(placed)), expected);
        let at = Event { state: 2, outcome: 1, flags: EVENT_OUTBID, ..Event::default() };
        assert!(told(&Told::Event(at)).ends_with("ended, sold, you are outbid"));
        let strange = Event { state: 9, outcome: 77, ..Event::default() };
        assert!(told(&Told::Event(strange)).ends_with(": unknown, unknown"));
        assert_eq!(hex(&[4, 2, 0xab, 0xcd]), "04 02 abcd");
    }
}
