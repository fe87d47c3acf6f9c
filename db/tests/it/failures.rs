//! What happens while a server is away, and after it is back.

use crate::harness::{
    create, join_all, new_user, nickname, on_a_ring, redis, settings, soon, stack,
    stack_of_its_own, with_stores,
};
use souk_db::{Health, Server, SessionRecord, StoreError, StoreSettings, Stores, WriteError};
use souk_stack::Stack;
use std::process::Command;

fn is_away<T>(result: &Result<T, StoreError>, of: Server) -> bool {
    matches!(result, Err(StoreError::Unavailable { server, .. }) if *server == of)
}

fn record() -> SessionRecord {
    SessionRecord {
        created_at_ms: 1000,
        last_seen_ms: 1000,
        expires_at_ms: 4_000_000_000_000,
        device: String::new(),
        address: String::new(),
    }
}

#[test]
fn without_redis_users_are_read_and_nothing_is_written() {
    let mut stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let ann = create(stores, "ann").await;
        stores.accounts.open_session(ann.id, &[1; 16], &record(), soon()).await.unwrap();
        stack.redis().stop().unwrap();
        for _ in 0..20 {
            assert!(stores.accounts.by_id(ann.id, soon()).await.unwrap().is_some());
            assert!(stores.accounts.by_name("ann", soon()).await.unwrap().is_some());
            assert!(stores.accounts.by_name("bob", soon()).await.unwrap().is_none());
        }
        assert_eq!(stores.health().await, Health { database: true, redis: false });
        let session = stores.accounts.session(ann.id, &[1; 16], soon()).await;
        assert!(is_away(&session, Server::Redis));
        for write in [
            stores.accounts.create(new_user("bob"), soon()).await.map(drop),
            stores.accounts.change(ann.id, None, nickname("x"), soon()).await.map(drop),
            stores.accounts.delete(ann.id, soon()).await,
        ] {
            let Err(WriteError::Store(error)) = write else { panic!("{write:?}") };
            assert!(is_away::<()>(&Err(error), Server::Redis));
        }
        assert_eq!(stack.sql("SELECT version FROM users").unwrap().trim(), "1");
        stack.redis().restart().unwrap();
        while !stores.health().await.redis {}
        let session = stores.accounts.session(ann.id, &[1; 16], soon()).await.unwrap();
        assert_eq!(session, Some(record().into()), "sessions survive a restart");
        stores.accounts.change(ann.id, None, nickname("x"), soon()).await.unwrap();
    });
}

#[test]
fn a_redis_that_hangs_costs_readers_a_moment_and_no_error() {
    let mut stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let ann = create(stores, "ann").await;
        signal(stack.redis().pid(), "-STOP");
        for _ in 0..5 {
            let read = stores.accounts.by_id(ann.id, soon()).await;
            assert!(read.unwrap().is_some());
        }
        assert!(!stores.health().await.redis);
        signal(stack.redis().pid(), "-CONT");
        while !stores.health().await.redis {}
        stores.accounts.change(ann.id, None, nickname("x"), soon()).await.unwrap();
        let found = stores.accounts.by_id(ann.id, soon()).await.unwrap().unwrap();
        assert_eq!(found.nickname, "x");
    });
}

fn signal(pid: Option<u32>, signal: &str) {
    let pid = pid.expect("it runs").to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

#[test]
fn scripts_that_redis_forgot_are_loaded_again() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let ann = create(stores, "ann").await;
        for n in 0..3 {
            redis(&stack, &["SCRIPT", "FLUSH"]);
            stores.accounts.open_session(ann.id, &[n; 16], &record(), soon()).await.unwrap();
            redis(&stack, &["SCRIPT", "FLUSH"]);
            stores.accounts.change(ann.id, None, nickname("x"), soon()).await.unwrap();
        }
        assert_eq!(stores.accounts.sessions(ann.id, soon()).await.unwrap().len(), 3);
    });
}

#[test]
fn a_cut_connection_is_replaced() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let ann = create(stores, "ann").await;
        for _ in 0..5 {
            redis(&stack, &["CLIENT", "KILL", "TYPE", "normal"]);
            assert!(stores.accounts.by_id(ann.id, soon()).await.unwrap().is_some());
            while !stores.health().await.redis {}
        }
    });
}

#[test]
fn after_a_database_restart_reads_and_writes_go_on_and_nothing_is_lost() {
    let mut stack = stack_of_its_own();
    for cache_enabled in [false, true] {
        let settings = StoreSettings { cache_enabled, ..settings(&stack) };
        with_stores(&settings, async |stores| {
            let name = format!("ann{cache_enabled}");
            let ann = create(stores, &name).await;
            stack.mariadb().kill();
            let read = stores.accounts.with_hash_by_id(ann.id, soon()).await;
            assert!(is_away(&read, Server::Database), "{read:?}");
            let write = stores.accounts.create(new_user("bob"), soon()).await;
            let Err(WriteError::Store(error)) = write else { panic!("{write:?}") };
            assert!(is_away::<()>(&Err(error), Server::Database));
            assert!(!stores.health().await.database);
            stack.mariadb().restart().unwrap();
            while !stores.health().await.database {}
            let found = stores.accounts.with_hash_by_name(&name, soon()).await.unwrap();
            assert_eq!(found, Some(ann.clone()), "what was acknowledged is durable");
            stores.accounts.change(ann.id, None, nickname("x"), soon()).await.unwrap();
        });
    }
}

#[test]
fn connections_that_died_unnoticed_cost_no_error() {
    let stack = stack_of_its_own();
    let settings = StoreSettings { cache_enabled: false, ..settings(&stack) };
    with_stores(&settings, async |stores| {
        let ann = create(stores, "ann").await;
        for _ in 0..6 {
            stack
                .sql(
                    "SELECT GROUP_CONCAT('KILL ', id SEPARATOR '; ') INTO @all \
                     FROM information_schema.processlist \
                     WHERE command = 'Sleep' AND id <> CONNECTION_ID(); \
                     EXECUTE IMMEDIATE IFNULL(CONCAT('BEGIN NOT ATOMIC ', @all, '; END'), 'DO 0')",
                )
                .unwrap();
            assert!(stores.accounts.by_id(ann.id, soon()).await.unwrap().is_some());
        }
    });
}

#[test]
fn opening_without_a_server_says_which_and_how_to_fix_it() {
    let stack = Stack::stores().unwrap();
    let good = settings(&stack);
    let gone = "mysql://root@localhost/souk?socket=/nonexistent/socket".to_owned();
    let cases = [
        (StoreSettings { mysql_url: gone, ..good.clone() }, "[mysql] url"),
        (StoreSettings { mysql_url: "mysql://h".into(), ..good.clone() }, "names no database"),
        (good.clone(), "souk migrate"),
        (StoreSettings { redis_url: "http://x".into(), ..good.clone() }, "must look like"),
    ];
    on_a_ring(async {
        for (settings, says) in &cases {
            let error = Stores::open(settings).await.err().expect("refused").to_string();
            assert!(error.contains(says), "{error}");
        }
    });
}

#[test]
fn stores_open_without_redis_and_use_it_once_it_is_there() {
    let mut stack = stack();
    stack.redis().stop().unwrap();
    with_stores(&settings(&stack), async |stores| {
        assert_eq!(stores.health().await, Health { database: true, redis: false });
        assert_eq!(stores.accounts.by_name("ann", soon()).await.unwrap(), None);
        let session = stores.accounts.session(1, &[1; 16], soon()).await;
        assert!(is_away(&session, Server::Redis), "{session:?}");
        stack.redis().restart().unwrap();
        while !stores.health().await.redis {}
        let ann = create(stores, "ann").await;
        stores.accounts.open_session(ann.id, &[1; 16], &record(), soon()).await.unwrap();
    });
}

#[test]
fn forgotten_scripts_are_loaded_once_however_many_commands_miss_them() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let before = loads(&stack);
        redis(&stack, &["SCRIPT", "FLUSH"]);
        let (accounts, record) = (&stores.accounts, &record());
        let touch = async |n| accounts.touch_session(1, &[n; 16], record, soon()).await;
        let touches = (0..100).map(|n| Box::pin(touch(n))).collect();
        for touched in join_all(touches).await {
            touched.unwrap();
        }
        let scripts = 7;
        assert_eq!(loads(&stack) - before, scripts);
        redis(&stack, &["SCRIPT", "FLUSH"]);
        stores.accounts.touch_session(1, &[1; 16], record, soon()).await.unwrap();
        assert!(stores.health().await.redis); // its reply comes after those of the loading
        assert_eq!(loads(&stack) - before, 2 * scripts, "and again after another flush");
    });
}

/// How many scripts Redis was given so far.
fn loads(stack: &Stack) -> u64 {
    let stats = redis(stack, &["INFO", "commandstats"]);
    let (_, rest) = stats.split_once("cmdstat_script|load:calls=").expect("some were");
    rest.split(',').next().unwrap().parse().unwrap()
}

/// Holds the lock of a user's row until dropped.
struct RowLock<'a> {
    stack: &'a Stack,
    holder: u64,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn lock_row<'a>(stack: &'a Stack, url: &str, id: u64) -> RowLock<'a> {
    let socket = url.split_once("socket=").unwrap().1.replace("%2E", ".");
    let sql = format!("BEGIN; UPDATE users SET rating = 7 WHERE id = {id}; DO SLEEP(60)");
    let (socket, database) = (socket, stack.database().to_owned());
    let thread = std::thread::spawn(move || {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--user=root", "--socket", &socket, &database]);
        // It ends with an error when the lock is taken from it.
        drop(client.args(["--execute", &sql]).output());
    });
    let holder = loop {
        let found = stack
            .sql(
                "SELECT id FROM information_schema.processlist \
                 WHERE info LIKE 'DO SLEEP(60)%' AND db = DATABASE()",
            )
            .unwrap();
        match found.trim().parse() {
            Ok(holder) => break holder,
            Err(_) => std::thread::yield_now(),
        }
    };
    RowLock { stack, holder, thread: Some(thread) }
}

impl Drop for RowLock<'_> {
    fn drop(&mut self) {
        drop(self.stack.sql(&format!("KILL {}", self.holder)));
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

#[test]
fn a_write_that_waits_for_a_lock_in_vain_fails_alone_and_its_neighbours_are_committed() {
    let stack = stack_of_its_own();
    with_stores(&settings(&stack), async |stores| {
        let mut users = Vec::new();
        for n in 0..6 {
            users.push(create(stores, &format!("user{n}")).await.id);
        }
        let lock = lock_row(&stack, &stack.mysql_url(), users[2]);
        let changes = users
            .iter()
            .map(|id| Box::pin(stores.accounts.change(*id, None, nickname("new"), soon())))
            .collect();
        for (id, changed) in users.iter().zip(join_all(changes).await) {
            match changed {
                Ok(_) => assert_ne!(*id, users[2]),
                Err(error) => {
                    assert_eq!(*id, users[2], "{error}");
                    assert!(error.to_string().contains("nothing was changed"), "{error}");
                }
            }
        }
        drop(lock);
        let held = stack.sql("SELECT nickname = 'new', version FROM users ORDER BY id").unwrap();
        assert_eq!(held, "1\t2\n1\t2\n0\t1\n1\t2\n1\t2\n1\t2\n");
        stores.accounts.change(users[2], None, nickname("new"), soon()).await.unwrap();
    });
}

#[test]
fn a_server_without_autocommit_keeps_what_was_acknowledged() {
    let stack = stack_of_its_own();
    stack.sql("SET GLOBAL autocommit = 0").unwrap();
    with_stores(&settings(&stack), async |stores| create(stores, "ann").await);
    assert_eq!(stack.sql("SELECT username FROM users").unwrap().trim(), "ann");
}
