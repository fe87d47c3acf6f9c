//! The audit of auctions, as operators run it.

use souk_db::auctions::chain::first_head;
use souk_stack::Stack;

use crate::command::{Outcome, souk};

fn verify(stack: &Stack, args: &[&str]) -> Outcome {
    let url = stack.mysql_url();
    souk(&[&["auction", "verify", "--mysql", &url], args].concat())
}

/// An auction without bids that is over; settled or not.
fn put_up(stack: &Stack, id: u64, phase: &str) {
    let sql = format!(
        "INSERT INTO auctions SET id = {id}, seller_id = 1, phase = '{phase}', \
         start_at_ms = 1, ends_at_ms = 2, head = UNHEX('{}'), salt = REPEAT('s', 16), \
         currency = 'EUR', start_price = 1, increments = '[[0,1]]', created_at_ms = 1, \
         title = 't', description = ''",
        data_encoding::HEXLOWER.encode(&first_head(id)),
    );
    stack.sql(&sql).unwrap();
}

#[test]
fn an_audit_says_what_it_checked_and_fails_when_something_is_wrong() {
    let stack = Stack::builder().daemons(0).fronts(0).start().unwrap();
    put_up(&stack, 1, "cancelled");
    let right = verify(&stack, &["--all"]);
    assert_eq!(right.code, Some(0), "{right:?}");
    let said = "checked 1 auctions, 0 bids, 0 settlements and 0 acknowledged bids: \
         everything is right";
    assert_eq!(right.stdout.trim(), said);

    put_up(&stack, 2, "open");
    let wrong = verify(&stack, &["2"]);
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.stdout.starts_with("auction 2: it is over for "), "{wrong:?}");
    assert!(wrong.stdout.ends_with(": 1 findings\n"), "{wrong:?}");
    assert_eq!(verify(&stack, &["1"]).code, Some(0), "the other one is right");

    let dir = tempfile::tempdir().unwrap();
    let acks = dir.path().join("acks.jsonl");
    std::fs::write(&acks, "{\"auction_id\":1,\"sequence\":1,\"price\":5}\n").unwrap();
    let lost = verify(&stack, &["1", "--acks", acks.to_str().unwrap()]);
    assert_eq!(lost.code, Some(1), "{lost:?}");
    let said = "auction 1, bid 1: an acknowledged bid is not there\n";
    assert!(lost.stdout.starts_with(said), "{lost:?}");
}

#[test]
fn what_cannot_be_audited_is_refused_with_the_reason() {
    let stack = Stack::builder().daemons(0).fronts(0).start().unwrap();
    for (args, says) in [
        (&["9"][..], "there is no auction 9"),
        (&["--all", "--acks", "/nowhere/acks"], "/nowhere/acks"),
    ] {
        let outcome = verify(&stack, args);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(says), "{outcome:?}");
    }
    for args in [&[][..], &["1", "--all"]] {
        assert_eq!(verify(&stack, args).code, Some(2), "{args:?}");
    }
}
