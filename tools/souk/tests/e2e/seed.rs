//! Seeding makes exactly the users it names, keeps those who exist, and goes on after a kill.

use std::thread;
use std::time::{Duration, Instant};

use souk_stack::Stack;

use crate::command::{Outcome, souk, souk_command};

fn migrated() -> Stack {
    Stack::builder().daemons(0).fronts(0).start().unwrap()
}

fn seed(stack: &Stack, users: &str) -> Outcome {
    souk(&["seed", "--users", users, "--mysql", &stack.mysql_url()])
}

#[test]
fn seeded_users_have_the_promised_names_ratings_and_hashes_and_others_are_kept() {
    let stack = migrated();
    stack
        .sql(
            "INSERT INTO users (username, nickname, password_hash, created_at, updated_at) \
             VALUES ('user3', 'Leyla', 'x', NOW(3), NOW(3))",
        )
        .unwrap();
    let outcome = seed(&stack, "200");
    assert!(outcome.stdout.contains("added 199 of 200"), "{outcome:?}");
    let named = "SELECT COUNT(*) FROM users WHERE username REGEXP '^user[0-9]+$' \
        AND SUBSTRING(username, 5) BETWEEN 1 AND 200 AND rating BETWEEN 100 AND 5000";
    assert_eq!(stack.sql(named).unwrap().trim(), "200");
    let kept = "SELECT nickname, password_hash FROM users WHERE username = 'user3'";
    assert_eq!(stack.sql(kept).unwrap().trim(), "Leyla\tx");
    let hashed = "SELECT COUNT(*) FROM users WHERE password_hash LIKE '$argon2id$v=19$%'";
    assert_eq!(stack.sql(hashed).unwrap().trim(), "199");

    let again = seed(&stack, "200");
    assert!(again.stdout.contains("added 0 of 200"), "{again:?}");
    let more = seed(&stack, "300");
    assert!(more.stdout.contains("added 100 of 300"), "{more:?}");
}

#[test]
fn seeded_auctions_are_live_right_and_of_demo_users() {
    let stack = migrated();
    let url = stack.mysql_url();
    let auctions = |n| souk(&["seed", "--auctions", n, "--mysql", &url]);
    let nobody = auctions("5");
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("--users"), "{nobody:?}");
    seed(&stack, "30");
    let first = auctions("1500");
    assert!(first.stdout.contains("added 1500 auctions"), "{first:?}");
    // Those that come after an outage were not live in it.
    stack.sql("UPDATE auction_clock SET epoch = 1").unwrap();
    let again = auctions("1600");
    assert!(again.stdout.contains("added 100 auctions"), "{again:?}");
    let live = "SELECT COUNT(*), COUNT(DISTINCT title), COUNT(DISTINCT seller_id) \
        FROM auctions AS a JOIN users AS u ON u.id = a.seller_id \
        WHERE a.phase = 'open' AND a.start_at_ms < UNIX_TIMESTAMP() * 1000 \
        AND a.ends_at_ms > UNIX_TIMESTAMP() * 1000";
    assert_eq!(stack.sql(live).unwrap().trim(), "1600\t1600\t30");
    let outages = "SELECT outages, COUNT(*) FROM auctions GROUP BY outages ORDER BY outages";
    assert_eq!(stack.sql(outages).unwrap().trim(), "0\t1500\n1\t100");
    let verified = souk(&["auction", "verify", "--all", "--mysql", &url]);
    assert!(verified.stdout.contains("checked 1600 auctions"), "{verified:?}");
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn a_seed_that_was_killed_goes_on_and_ends_complete() {
    let stack = migrated();
    let url = stack.mysql_url();
    let mut first = souk_command(&["seed", "--users", "150000", "--mysql", &url]).spawn().unwrap();
    let began = Instant::now();
    while stack.sql("SELECT COUNT(*) FROM users").unwrap().trim() == "0" {
        assert!(began.elapsed() < Duration::from_secs(120), "no chunk was committed");
        thread::sleep(Duration::from_millis(20));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let second = seed(&stack, "150000");
    assert_eq!(second.code, Some(0), "{second:?}");
    let count = "SELECT COUNT(*), COUNT(DISTINCT username) FROM users";
    assert_eq!(stack.sql(count).unwrap().trim(), "150000\t150000");
}

#[test]
fn a_database_without_tables_is_refused_with_the_remedy() {
    let stack = Stack::stores().unwrap();
    let outcome = seed(&stack, "10");
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("souk migrate"), "{outcome:?}");
}
