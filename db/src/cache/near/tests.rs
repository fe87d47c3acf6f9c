//! The lease against a model of Redis, and the bookkeeping of copies.

use super::*;
use crate::limits::NEAR_SETTLE;
use proptest::prelude::*;
use std::time::Duration;

const FIELD: Field = [0; 16];

fn key(n: u64) -> Key {
    Key::number(n)
}

/// Makes a key known enough that its copy is wanted.
fn want(near: &mut Near<u64>, key: &Key) -> Ticket {
    for _ in 0..3 {
        if let Look::Wanted(ticket) = near.look(key, &FIELD) {
            return ticket;
        }
    }
    panic!("a key that is asked for again and again is worth a copy")
}

#[test]
fn a_value_is_copied_when_it_is_asked_for_again_and_dropped_when_it_changes() {
    let mut near = Near::new();
    assert_eq!(near.look(&key(1), &FIELD), Look::Nothing, "asked for once");
    let Look::Wanted(ticket) = near.look(&key(1), &FIELD) else { panic!("asked for twice") };
    near.keep(&key(1), &FIELD, ticket, 7);
    assert_eq!(near.look(&key(1), &FIELD), Look::Copy(7));
    near.drop_key(key(1).as_bytes());
    assert!(!matches!(near.look(&key(1), &FIELD), Look::Copy(_)));
}

#[test]
fn a_change_between_a_read_and_its_reply_keeps_the_copy_out() {
    for forget in [|near: &mut Near<u64>| near.drop_key(key(1).as_bytes()), Near::clear] {
        let mut near = Near::new();
        let ticket = want(&mut near, &key(1));
        forget(&mut near);
        near.keep(&key(1), &FIELD, ticket, 7);
        assert!(!matches!(near.look(&key(1), &FIELD), Look::Copy(_)));
    }
}

#[test]
fn only_the_latest_read_of_a_value_becomes_its_copy() {
    let mut near = Near::new();
    let early = want(&mut near, &key(1));
    let late = want(&mut near, &key(1));
    near.keep(&key(1), &FIELD, early, 1);
    assert!(!matches!(near.look(&key(1), &FIELD), Look::Copy(_)));
    let latest = want(&mut near, &key(1));
    near.keep(&key(1), &FIELD, late, 2);
    near.keep(&key(1), &FIELD, latest, 3);
    assert_eq!(near.look(&key(1), &FIELD), Look::Copy(3));
}

#[test]
fn keys_and_fields_are_bounded() {
    let mut near = Near::new();
    for n in 0..2 * NEAR_MAX as u64 {
        let ticket = want(&mut near, &key(n));
        near.keep(&key(n), &FIELD, ticket, n);
    }
    assert_eq!(near.held.len(), NEAR_MAX);
    for n in 0..100 {
        near.look(&key(1), &[n; 16]);
        near.look(&key(1), &[n; 16]);
    }
    let slots = near.held.get(key(1).as_bytes()).unwrap();
    assert_eq!(slots.len(), NEAR_FIELDS_MAX);
}

#[test]
fn a_lease_is_renewed_in_time_by_whoever_asks() {
    let now = Instant::now();
    let heard = |ago| Some(now - ago);
    let ms = Duration::from_millis(1);
    assert_eq!(Lease::at(now, None, true), Lease::Lapsed);
    assert_eq!(Lease::at(now, heard(ms), false), Lease::Held);
    assert_eq!(Lease::at(now, heard(NEAR_LEASE - ms), true), Lease::Held);
    assert_eq!(Lease::at(now, heard(NEAR_LEASE - ms), false), Lease::Due);
    assert_eq!(Lease::at(now, heard(NEAR_LEASE), true), Lease::Lapsed);
}

/// One value in Redis, a reader with a copy, and a writer elsewhere. Every message takes as long
/// as the case says; the stream to the reader keeps its order.
#[derive(Debug, Clone)]
struct Case {
    /// Gap before each command of the reader, and its time to Redis and back, in ms.
    reads: Vec<(u64, u64, u64)>,
    /// When Redis drops the old value, and how long its word of that takes to reach the reader.
    dropped_ms: u64,
    word_ms: u64,
    /// How long Redis' answer to the writer takes.
    answer_ms: u64,
}

proptest! {
    #[test]
    fn no_copy_is_served_after_a_change_is_acknowledged_whatever_the_delays(
        reads in prop::collection::vec((0u64..30, 0u64..40, 0u64..40), 1..30),
        dropped_ms in 0u64..600,
        word_ms in 0u64..5_000,
        answer_ms in 0u64..40,
    ) {
        let case = Case { reads, dropped_ms, word_ms, answer_ms };
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let acknowledged = at(case.dropped_ms + case.answer_ms) + NEAR_SETTLE;
        // What reaches the reader, in the order in which Redis sends it: replies, and the word.
        let (mut sent, mut reached) = (0, 0);
        let mut stream = Vec::new();
        for (gap, there, back) in &case.reads {
            sent += gap;
            reached = (sent + there).max(reached);
            stream.push((reached, *back, Some(sent)));
        }
        stream.push((case.dropped_ms, case.word_ms, None));
        stream.sort_by_key(|(done, ..)| *done);
        // The copy dates from before the change: it is served until the word of it is here, or
        // until the lease that the last reply before the word gives has lapsed.
        let (mut heard, mut arrived) = (Some(at(0)), 0);
        let mut last_served = at(0) + NEAR_LEASE - Duration::from_millis(1);
        for (done, way, command) in stream {
            arrived = (done + way).max(arrived);
            let Some(sent) = command else { break };
            heard = heard.max(Some(at(sent)));
            let lease_ends = heard.unwrap() + NEAR_LEASE;
            let moment = lease_ends - Duration::from_millis(1);
            prop_assert_ne!(Lease::at(moment, heard, true), Lease::Lapsed);
            prop_assert_eq!(Lease::at(lease_ends, heard, true), Lease::Lapsed);
            last_served = last_served.max(moment);
        }
        prop_assert!(
            last_served < acknowledged,
            "served {:?} after the acknowledgement", last_served - acknowledged
        );
    }
}
