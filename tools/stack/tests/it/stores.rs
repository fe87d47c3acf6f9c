//! The stores serve, keep their data over a restart and over a kill, and are private.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use souk_stack::{MariaDb, MariaDbOptions, PrivateDir, Redis, Stack};

fn redis_call(redis: &Redis, command: &str) -> String {
    let mut stream = UnixStream::connect(redis.socket()).unwrap();
    stream.write_all(command.as_bytes()).unwrap();
    stream.write_all(b"\r\nQUIT\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn mariadb_keeps_what_it_acknowledged_over_kill_and_restart() {
    let home = PrivateDir::new().unwrap();
    let mut server = MariaDb::start(MariaDbOptions::small(home.path().join("m"))).unwrap();
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (v INT); INSERT INTO d.t VALUES (7)").unwrap();
    server.kill();
    assert!(server.sql("SELECT 1").is_err());
    server.restart().unwrap();
    assert_eq!(server.sql("SELECT v FROM d.t").unwrap().trim(), "7");
    server.restart().unwrap();
    assert_eq!(server.sql("SELECT v FROM d.t").unwrap().trim(), "7");
    assert!(server.url().starts_with("mysql://root@localhost/souk?socket=/"));
}

#[test]
fn redis_keeps_its_data_over_a_clean_restart() {
    let home = PrivateDir::new().unwrap();
    let mut redis = Redis::start(home.path().join("r")).unwrap();
    assert_eq!(redis_call(&redis, "SET k 7"), "+OK\r\n+OK\r\n");
    redis.restart().unwrap();
    assert!(redis_call(&redis, "GET k").contains("$1\r\n7\r\n"));
    redis.kill();
    assert!(UnixStream::connect(redis.socket()).is_err());
    redis.restart().unwrap();
    assert!(redis_call(&redis, "GET k").contains("$1\r\n7\r\n"));
}

#[test]
fn two_stacks_share_neither_database_nor_redis() {
    let one = Stack::stores().unwrap();
    let two = Stack::stores().unwrap();
    assert_ne!(one.mysql_url(), two.mysql_url());
    assert_ne!(one.redis_url(), two.redis_url());
    one.sql("CREATE TABLE t (v INT)").unwrap();
    assert!(two.sql("SELECT * FROM t").is_err());
}

#[test]
fn a_directory_too_deep_for_a_socket_is_refused_with_the_remedy() {
    let home = PrivateDir::new().unwrap();
    let deep = home.path().join("d".repeat(120));
    let error = Redis::start(deep).err().unwrap().to_string();
    assert!(error.contains("shorter path"), "{error}");
}
