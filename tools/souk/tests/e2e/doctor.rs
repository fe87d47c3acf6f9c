//! The doctor finds what is wrong and says how to fix it.

use std::net::TcpListener;

use souk_stack::{PrivateDir, Redis, Stack};

use crate::command::souk;

fn doctor(mysql: &str, redis: &str) -> (Option<i32>, String) {
    let outcome = souk(&["doctor", "--http", "127.0.0.1:0", "--mysql", mysql, "--redis", redis]);
    (outcome.code, outcome.stdout)
}

#[test]
fn stores_that_answer_with_a_current_schema_are_fine() {
    let stack = Stack::builder().daemons(0).fronts(0).start().unwrap();
    let (_, table) = doctor(&stack.mysql_url(), &stack.redis_url());
    for subject in ["kernel", "mariadbd", "redis-server", "soukd", "souk-front", "Redis"] {
        assert!(table.contains(&format!("ok    {subject}")), "{subject}:\n{table}");
    }
    assert!(table.contains("the schema is current"), "{table}");
}

#[test]
fn a_database_that_does_not_flush_its_commits_is_told_of_by_doctor_and_daemon() {
    let mut stack = Stack::builder().own_mariadb().fronts(0).start().unwrap();
    for flushes in [1, 3] {
        stack.sql(&format!("SET GLOBAL innodb_flush_log_at_trx_commit = {flushes}")).unwrap();
        let fine = doctor(&stack.mysql_url(), &stack.redis_url()).1;
        assert!(fine.contains("ok    durability"), "{fine}");
    }
    stack.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2").unwrap();
    let table = doctor(&stack.mysql_url(), &stack.redis_url()).1;
    assert!(table.contains("warn  durability") && table.contains("_commit is 2"), "{table}");
    assert!(table.contains("fix: SET GLOBAL innodb_flush_log_at_trx_commit = 1"), "{table}");
    stack.daemons()[0].kill();
    stack.restart_daemon(0).unwrap();
    let log = stack.daemons()[0].log();
    assert!(log.contains("innodb_flush_log_at_trx_commit"), "{log}");
}

#[test]
fn a_database_without_tables_fails_with_the_remedy() {
    let stack = Stack::stores().unwrap();
    let (code, table) = doctor(&stack.mysql_url(), &stack.redis_url());
    assert_eq!(code, Some(1), "{table}");
    assert!(table.contains("FAIL  database"), "{table}");
    assert!(table.contains("fix: souk migrate"), "{table}");
}

#[test]
fn stores_that_do_not_answer_fail() {
    let (code, table) =
        doctor("mysql://root@localhost/x?socket=/nowhere/sock", "unix:///nowhere/sock");
    assert_eq!(code, Some(1), "{table}");
    assert!(table.contains("FAIL  database") && table.contains("FAIL  Redis"), "{table}");
}

#[test]
fn the_login_and_the_database_of_a_redis_url_are_used() {
    let home = PrivateDir::new().unwrap();
    let redis = Redis::start(home.path().join("redis")).unwrap();
    let mut root = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let mut acl = redis::cmd("ACL");
    acl.arg("SETUSER").arg("ada").arg("on").arg(">secret").arg("~*").arg("+@all");
    acl.exec(&mut root).unwrap();
    let mysql = "mysql://root@localhost/x?socket=/nowhere/sock";
    let table = |query: &str| doctor(mysql, &format!("{}?{query}", redis.url())).1;
    let fine = table("user=ada&pass=secret&db=3");
    assert!(fine.contains("ok    Redis"), "{fine}");
    for wrong in ["user=ada&pass=guess", "user=ada&pass=secret&db=999"] {
        let table = table(wrong);
        assert!(table.contains("FAIL  Redis") && table.contains("login and database"), "{table}");
    }
    let (_, table) = doctor(mysql, "localhost:6379");
    assert!(table.contains("fix: write redis://"), "{table}");
}

#[test]
fn an_address_in_use_fails() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, other) in [("--http", "--bids"), ("--bids", "--http")] {
        let flags = ["doctor", flag, &address, other, "127.0.0.1:0", "--dir", "/nowhere"];
        let outcome = souk(&flags);
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stdout.contains(&format!("FAIL  address {address}")), "{outcome:?}");
        assert!(outcome.stdout.contains(&format!("choose another with {flag}")), "{outcome:?}");
    }
}

#[test]
fn all_programs_of_a_build_have_one_version() {
    let outcome = souk(&["version"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let versions: Vec<_> =
        outcome.stdout.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(versions, [env!("CARGO_PKG_VERSION"); 3]);
}
