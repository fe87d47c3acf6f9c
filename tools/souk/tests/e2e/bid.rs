//! `souk bid` against the binary port of a real front.

use crate::accounts::person::{PASSWORD, Person};
use crate::accounts::unlimited;
use crate::auctions;
use crate::client::Client;
use crate::command::{souk, souk_command};
use serde_json::json;
use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;

#[test]
fn souk_bid_logs_in_shows_each_frame_and_says_what_is_wrong() {
    let stack = unlimited().start().expect("the stack starts");
    let client = Client::new(stack.address());
    let ada = Person::new(&client, "ada");
    let file = stack.dir().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("written");
    let (port, url) = (stack.bids_address(), stack.http());
    let password =
        ["--user", "ada", "--password-file", file.to_str().expect("text"), "--url", &url];

    let bid = souk(&[&["bid", "999", "100", "--connect", port, "-v"][..], &password].concat());
    assert_eq!(bid.code, Some(1), "{bid:?}");
    let user = ada.id;
    let lines = [
        "> 04 42 …".to_owned(),
        format!("  AUTH version=1 user={user}"),
        format!("> 01 10 000003e7{user:08x}0000000000000064"),
        format!("  BID auction=999 user={user} amount=100"),
    ];
    for line in lines {
        assert!(bid.stdout.lines().any(|said| said == line), "{line}: {}", bid.stdout);
    }
    assert!(!bid.stdout.contains(&ada.token), "no token is shown");
    assert!(bid.stderr.contains(" of BID auction=999: "), "{bid:?}");
    let token = ["bid", "999", "100", "--max", "200", "--connect", port, "-v", "--token"];
    let bid = souk(&[&token[..], &[&*ada.token]].concat());
    assert!(bid.stdout.contains("BID64 auction=999"), "{bid:?}");

    let wrong = souk(&[&token[..], &["not a token"]].concat());
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.stderr.contains("not logged in: ERROR unauthenticated (33)"), "{wrong:?}");
    std::fs::write(&file, "another password").expect("written");
    let wrong = souk(&[&["bid", "9", "1", "--connect", port][..], &password].concat());
    assert!(wrong.stderr.contains("cannot log in at http://"), "{wrong:?}");
    assert!(wrong.stderr.contains("password is wrong"), "{wrong:?}");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let free = taken.local_addr().expect("bound").to_string();
    drop(taken);
    let nobody = souk(&["bid", "9", "1", "--connect", &free, "--token", &ada.token]);
    assert!(nobody.stderr.contains(&format!("cannot connect to {free}")), "{nobody:?}");
    assert!(nobody.stderr.contains("[bids] listen"), "{nobody:?}");
}

#[test]
fn souk_bid_watches_an_auction_to_its_end() {
    let stack = unlimited().start().expect("the stack starts");
    let client = Client::new(stack.address());
    let [sam, ann] = ["sam", "ann"].map(|name| Person::new(&client, name));
    let id = auctions::open(&sam, &json!({"end_at": auctions::in_ms(3_000)}));
    let (auction, url) = (id.to_string(), stack.http());
    let args = ["bid", &auction, "--watch", "--connect", stack.bids_address()];
    let mut watching = souk_command(&[&args[..], &["--user", "ann", "--url", &url]].concat())
        .stdin(Stdio::piped())
        .spawn()
        .expect("starts");
    // Who is no terminal gives the password as a line.
    let mut input = watching.stdin.take().expect("piped");
    writeln!(input, "{PASSWORD}").expect("taken");
    auctions::accepted(&ann, id, &json!({"amount": 200}));
    let seen = watching.wait_with_output().expect("ends with the auction");
    let text = String::from_utf8_lossy(&seen.stdout);
    assert!(seen.status.success(), "{seen:?}");
    let has = |words: &[&str]| text.lines().any(|line| words.iter().all(|it| line.contains(it)));
    assert!(has(&["sequence=1", "price=200", "live"]), "{text}");
    assert!(has(&["sequence=1", "price=200", "ended", "sold"]), "{text}");
    assert!(!text.contains(PASSWORD), "{text}");
}
