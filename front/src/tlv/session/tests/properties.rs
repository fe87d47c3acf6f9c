//! What holds whatever comes, and however it is cut.

use super::super::super::times::Timed;
use super::super::{Ask, Known, Lane, Session, Slot};
use super::{USER, asked, auth, bid, done, end, feed, opened, said, sequences, told, wide};
use crate::limits::{TLV_BIDS_MAX, TLV_OFFERS_MAX, TLV_READ, TLV_WRITE_HIGH};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use souk_proto::Code;
use souk_proto::tlv::{Asked, FRAME_MAX, Told};

/// What a session holds, in bytes, beside itself.
fn held(session: &Session) -> usize {
    // A map's table has up to 8/7 of its places and a byte of control each.
    let lanes = session.lanes.capacity() * 8 / 7 * (8 + size_of::<Lane>() + 1);
    let lists = session
        .lanes
        .values()
        .map(|lane| (lane.asked.capacity() + lane.waiting.capacity()) * size_of::<u64>());
    let known = session.known.capacity() * 8 / 7 * (8 + size_of::<Known>() + 1);
    session.input.capacity()
        + session.output.capacity()
        + session.slots.capacity() * size_of::<Slot>()
        + lanes
        + lists.sum::<usize>()
        + known
        + session.due.capacity() * size_of::<u64>()
        + session.asks.capacity() * size_of::<Ask>()
}

#[test]
fn a_connection_holds_no_more_than_its_bounds_whatever_comes() {
    let mut session = opened();
    assert!(held(&session) <= TLV_READ + 2048, "idle: {}", held(&session));
    // Each bid on another auction, with pings between, and nobody reads the answers.
    let mut bytes = Vec::new();
    for number in 0..20_000_u64 {
        wide(number, 5, 9, number).encode(&mut bytes);
        Asked::Ping(&[7; 200]).encode(&mut bytes);
    }
    let all = bytes.len();
    feed(&mut session, &mut bytes);
    assert!(session.lend().is_none() && bytes.len() > all / 2, "the rest stays in the socket");
    let mut asks = Vec::new();
    while let Some((auction, _)) = asked(&mut session) {
        asks.push(auction);
    }
    for auction in asks.drain(..) {
        session.answered(auction, Ok(vec![done(5)]));
    }
    assert!(session.output.len() < TLV_WRITE_HIGH + FRAME_MAX + 64);
    // The same when the pings do not fill the output before the bids fill their places.
    let mut session = opened();
    let mut bytes = Vec::new();
    (0..20_000_u64).for_each(|number| wide(number, 5, 9, number).encode(&mut bytes));
    feed(&mut session, &mut bytes);
    assert_eq!(session.slots.len(), TLV_BIDS_MAX);
    while asked(&mut session).is_some() {}
    let held = held(&session);
    assert!(held <= 128 * 1024, "{held} bytes");
    // Without a meter no times are kept: an answer to a bid has 25 bytes at least, mostly 76.
    let times = 2 * (TLV_WRITE_HIGH / 25 + 1) * size_of::<Timed>();
    assert!(times <= 60 * 1024, "{times} bytes");
    assert!(!bytes.is_empty());
}

/// A daemon and a client for a session: each bid is answered by a bid with its amount.
fn converse(session: &mut Session, frames: &[u8], cuts: &[Index], order: &[Index]) -> Vec<u8> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(frames.len() + 1)).collect();
    cuts.extend([0, frames.len()]);
    cuts.sort_unstable();
    let mut under_way = Vec::new();
    let mut order = order.iter().cycle();
    let mut output = Vec::new();
    let mut waiting = Vec::new();
    for cut in cuts.windows(2) {
        waiting.extend_from_slice(&frames[cut[0]..cut[1]]);
        loop {
            feed(session, &mut waiting);
            while let Some(ask) = session.next_ask(1) {
                match ask {
                    Ask::Who { token } => session.authenticated(Ok((USER, token))),
                    Ask::Bids { auction, offers } => {
                        assert!(offers.len() <= TLV_OFFERS_MAX);
                        assert!(under_way.iter().all(|(other, _)| *other != auction));
                        under_way.push((auction, offers));
                    }
                    Ask::Subscribe { .. } | Ask::Unsubscribe { .. } => {}
                }
            }
            assert!(session.slots.len() <= TLV_BIDS_MAX);
            output.extend(said(session));
            if under_way.is_empty() || cut[1] < frames.len() && waiting.is_empty() {
                break;
            }
            let next = order.next().map_or(0, |index| index.index(under_way.len()));
            let (auction, offers) = under_way.swap_remove(next);
            session.answered(auction, Ok(offers.iter().map(|offer| done(offer.amount)).collect()));
            output.extend(said(session));
        }
    }
    output
}

proptest! {
    #[test]
    fn in_any_pieces_and_however_daemons_take_turns_all_bids_are_answered_in_order(
        auctions in vec(1..6_u64, 0..400),
        cuts in vec(any::<Index>(), 0..20),
        order in vec(any::<Index>(), 1..20),
    ) {
        let mut frames = auth();
        let amounts = 1..=auctions.len() as i64;
        for (auction, amount) in auctions.iter().zip(amounts.clone()) {
            bid(*auction, amount).encode(&mut frames);
        }
        let mut session = Session::new();
        let output = converse(&mut session, &frames, &cuts, &order);
        let expected: Vec<u64> = amounts.map(|amount| amount as u64).collect();
        // Two bytes and nine: the answer to AUTH.
        prop_assert_eq!(sequences(&output[11..]), expected);
        prop_assert!(session.lanes.is_empty() && session.slots.is_empty());
    }

    #[test]
    fn garbage_is_answered_by_one_error_at_most_and_ends(
        valid in vec(0..5_u8, 0..20),
        garbage in vec(any::<u8>(), 0..600),
        known in any::<bool>(),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let mut frames = if known { auth() } else { Vec::new() };
        for kind in valid {
            match kind {
                0 => bid(7, 1).encode(&mut frames),
                1 => wide(8, 0, 3, 9).encode(&mut frames),
                2 => Asked::Ping(b"?").encode(&mut frames),
                3 => Asked::Subscribe { auction: 7, after: 0 }.encode(&mut frames),
                _ => Asked::Auth(b"again").encode(&mut frames),
            }
        }
        frames.extend(garbage);
        let mut session = Session::new();
        let mut output = converse(&mut session, &frames, &cuts, &[]);
        if !session.has_ended() {
            end(&mut session, false);
            while let Some(ask) = session.next_ask(1) {
                if let Ask::Bids { auction, offers } = ask {
                    let outcomes = offers.iter().map(|offer| done(offer.amount)).collect();
                    session.answered(auction, Ok(outcomes));
                }
            }
            output.extend(said(&mut session));
        }
        prop_assert!(session.is_over() || session.lingers());
        // The last one alone may be of what ends a connection.
        let frames = told(&output);
        let last = |told: &Told| matches!(told, Told::Error(error)
            if [Code::MalformedFrame as u16, Code::UnknownFrame as u16].contains(&error.code));
        prop_assert!(frames.iter().rev().skip(1).all(|told| !last(told)));
    }
}
