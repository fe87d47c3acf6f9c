//! The schema.

use crate::harness::on_a_ring;
use souk_db::migrate::{MigrateError, SchemaState, check, migrate};
use souk_stack::Stack;

#[test]
fn an_absent_database_is_created_and_a_second_run_changes_nothing() {
    let stack = Stack::stores().unwrap();
    stack.sql(&format!("DROP DATABASE {}", stack.database())).unwrap();
    let url = stack.mysql_url();
    on_a_ring(async {
        assert_eq!(check(&url).await.unwrap(), SchemaState::Missing);
        let first = migrate(&url).await.unwrap();
        assert!(first.created_database);
        assert_eq!(first.applied.first().map(String::as_str), Some("0001_users"));
        assert_eq!(first.applied.len(), usize::try_from(first.version).unwrap());
        assert_eq!(check(&url).await.unwrap(), SchemaState::Current);
        let second = migrate(&url).await.unwrap();
        assert!(!second.created_database && second.applied.is_empty());
    });
}

#[test]
fn an_empty_database_is_missing_its_schema_and_runs_on_plain_tokio_too() {
    let stack = Stack::stores().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        assert_eq!(check(&stack.mysql_url()).await.unwrap(), SchemaState::Missing);
        migrate(&stack.mysql_url()).await.unwrap();
        assert_eq!(check(&stack.mysql_url()).await.unwrap(), SchemaState::Current);
    });
}

#[test]
fn users_of_an_older_schema_are_counted_when_it_is_migrated() {
    let stack = Stack::stores().unwrap();
    stack.sql(include_str!("../../migrations/0001_users.sql")).unwrap();
    let user = |name, rating| format!("('{name}', '', '', {rating}, NOW(), NOW())");
    let users = [user("a", 1000), user("b", 1000), user("c", 1200)].join(", ");
    let columns = "username, nickname, password_hash, rating, created_at, updated_at";
    stack.sql(&format!("INSERT INTO users ({columns}) VALUES {users}")).unwrap();
    on_a_ring(async { migrate(&stack.mysql_url()).await.unwrap() });
    let counts = stack.sql("SELECT board, rating, players FROM rating_counts ORDER BY rating");
    assert_eq!(counts.unwrap(), "0\t1000\t2\n0\t1200\t1\n");
}

#[test]
fn programs_that_migrate_at_once_apply_each_file_once() {
    let stack = Stack::stores().unwrap();
    let urls: Vec<String> = (0..4).map(|_| stack.mysql_url()).collect();
    let threads: Vec<_> = urls
        .into_iter()
        .map(|url| std::thread::spawn(move || on_a_ring(async { migrate(&url).await.unwrap() })))
        .collect();
    let applied: usize = threads.into_iter().map(|t| t.join().unwrap().applied.len()).sum();
    let files = stack.sql("SELECT COUNT(*) FROM schema_migrations").unwrap();
    assert_eq!(applied.to_string(), files.trim());
}

#[test]
fn a_newer_schema_and_a_changed_migration_are_refused() {
    let stack = Stack::stores().unwrap();
    let url = stack.mysql_url();
    on_a_ring(async {
        let ours = migrate(&url).await.unwrap().version;
        stack.sql("INSERT INTO schema_migrations VALUES (9999, '9999_x', '', NOW())").unwrap();
        assert_eq!(check(&url).await.unwrap(), SchemaState::Newer { have: 9999, want: ours });
        let error = migrate(&url).await.unwrap_err();
        let newer = matches!(error, MigrateError::Newer { have: 9999, want } if want == ours);
        assert!(newer, "{error}");
        stack.sql("DELETE FROM schema_migrations WHERE version = 9999").unwrap();
        stack.sql("UPDATE schema_migrations SET checksum = REPEAT('0', 64)").unwrap();
        assert!(matches!(check(&url).await, Err(MigrateError::Changed { .. })));
        assert!(matches!(migrate(&url).await, Err(MigrateError::Changed { .. })));
    });
}

#[test]
fn what_cannot_be_reached_or_read_says_how_to_fix_it() {
    on_a_ring(async {
        for (url, says) in [
            ("mysql://root@127.0.0.1:1/souk", "Check that it runs"),
            ("mysql://root@127.0.0.1:3306", "names no database"),
            ("postgres://x/y", "must look like"),
        ] {
            let error = check(url).await.unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    });
}
