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
        assert_eq!((first.applied.as_slice(), first.version), (&["0001_users".to_owned()][..], 1));
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
fn programs_that_migrate_at_once_apply_each_file_once() {
    let stack = Stack::stores().unwrap();
    let urls: Vec<String> = (0..4).map(|_| stack.mysql_url()).collect();
    let threads: Vec<_> = urls
        .into_iter()
        .map(|url| std::thread::spawn(move || on_a_ring(async { migrate(&url).await.unwrap() })))
        .collect();
    let applied: usize = threads.into_iter().map(|t| t.join().unwrap().applied.len()).sum();
    assert_eq!(applied, 1);
}

#[test]
fn a_newer_schema_and_a_changed_migration_are_refused() {
    let stack = Stack::stores().unwrap();
    let url = stack.mysql_url();
    on_a_ring(async {
        migrate(&url).await.unwrap();
        stack.sql("INSERT INTO schema_migrations VALUES (9, '0009_x', '', NOW())").unwrap();
        assert_eq!(check(&url).await.unwrap(), SchemaState::Newer { have: 9, want: 1 });
        let error = migrate(&url).await.unwrap_err();
        assert!(matches!(error, MigrateError::Newer { have: 9, want: 1 }), "{error}");
        stack.sql("DELETE FROM schema_migrations WHERE version = 9").unwrap();
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
