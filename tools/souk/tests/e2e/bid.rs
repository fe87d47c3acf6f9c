//! `souk bid` against the binary port of a real front.

use crate::accounts::person::{PASSWORD, Person};
use crate::accounts::unlimited;
use crate::client::Client;
use crate::command::souk;
use std::net::TcpListener;

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
