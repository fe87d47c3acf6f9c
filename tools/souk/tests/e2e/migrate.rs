//! Migrations are applied once, however often and by however many they are started.

use souk_stack::Stack;

use crate::command::{souk, souk_command};

#[test]
fn migrating_a_second_time_changes_nothing() {
    let stack = Stack::stores().unwrap();
    let url = stack.mysql_url();
    let first = souk(&["migrate", "--mysql", &url]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.stdout.contains("applied "), "{first:?}");
    let tables = stack.sql("SHOW TABLES").unwrap();
    let second = souk(&["migrate", "--mysql", &url]);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert!(second.stdout.contains("the schema is current"), "{second:?}");
    assert_eq!(stack.sql("SHOW TABLES").unwrap(), tables);
}

#[test]
fn of_migrations_started_at_once_one_applies_everything_and_the_others_nothing() {
    let stack = Stack::stores().unwrap();
    let url = stack.mysql_url();
    let running: Vec<_> =
        (0..4).map(|_| souk_command(&["migrate", "--mysql", &url]).spawn().unwrap()).collect();
    let mut applied = 0;
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        applied += usize::from(String::from_utf8_lossy(&output.stdout).contains("applied "));
    }
    assert_eq!(applied, 1);
}

#[test]
fn a_database_that_does_not_exist_is_created() {
    let stack = Stack::stores().unwrap();
    let name = format!("{}_fresh", stack.database());
    let url = stack.mysql_url().replace(&format!("/{}?", stack.database()), &format!("/{name}?"));
    let outcome = souk(&["migrate", "--mysql", &url]);
    assert!(outcome.stdout.contains("created the database"), "{outcome:?}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let outcome = souk(&["migrate", "--mysql", "mysql://root@localhost/x?socket=/nowhere/sock"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.starts_with("souk: "), "{outcome:?}");
}

#[test]
fn without_any_database_the_ways_to_name_one_are_told() {
    let outcome = souk(&["migrate", "--dir", "/nowhere"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("--mysql URL"), "{outcome:?}");
}
