//! Private servers, and a ring runtime to use them from.

use souk_db::leaderboard::RatingEvent;
use souk_db::operator::recount;
use souk_db::{Change, NewUser, StoreSettings, Stores, UserRow, migrate};
use souk_stack::Stack;
use std::time::{Duration, Instant};

/// Long enough that only a hang passes it.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn soon() -> Instant {
    Instant::now() + PATIENCE
}

pub fn settings(stack: &Stack) -> StoreSettings {
    StoreSettings {
        mysql_url: stack.mysql_url(),
        mysql_connections: 2,
        redis_url: stack.redis_url(),
        cache_enabled: true,
        users_ttl: Duration::from_secs(300),
        negative_ttl: Duration::from_secs(5),
        sessions_per_user_max: 5,
    }
}

/// Servers with the schema in place.
pub fn stack() -> Stack {
    let stack = Stack::stores().expect("private servers");
    migrated(&stack);
    stack
}

/// The same, with a MariaDB that the test may stop and kill.
pub fn stack_of_its_own() -> Stack {
    let builder = Stack::builder().daemons(0).fronts(0).own_mariadb().unmigrated();
    let stack = builder.start().expect("private servers");
    migrated(&stack);
    stack
}

fn migrated(stack: &Stack) {
    let url = stack.mysql_url();
    on_a_ring(async move { migrate::migrate(&url).await.expect("migrates") });
}

/// Runs a test's body on a ring, as a shard does.
pub fn on_a_ring<T>(body: impl Future<Output = T>) -> T {
    tokio_uring::start(async {
        tokio::time::timeout(PATIENCE * 4, body).await.expect("the test hangs")
    })
}

/// Runs a body on open stores with these settings, and closes them.
pub fn with_stores<T>(settings: &StoreSettings, body: impl AsyncFnOnce(&Stores) -> T) -> T {
    on_a_ring(async {
        let stores = Stores::open(settings).await.expect("opens");
        let result = body(&stores).await;
        stores.close().await;
        result
    })
}

pub fn new_user(username: &str) -> NewUser {
    NewUser {
        username: username.to_owned(),
        nickname: format!("The {username} ☂"),
        password_hash: format!("$argon2id$hash of {username}"),
    }
}

pub async fn create(stores: &Stores, username: &str) -> UserRow {
    stores.accounts.create(new_user(username), soon()).await.expect("creates")
}

pub fn nickname(text: &str) -> Change {
    Change { nickname: Some(text.to_owned()), ..Change::default() }
}

pub fn username(text: &str) -> Change {
    Change { username: Some(text.to_owned()), ..Change::default() }
}

/// Gives one user a rating.
pub fn set(user: u64, rating: i32) -> RatingEvent {
    RatingEvent { users: vec![user], decide: Box::new(move |_| vec![rating]), once: None }
}

/// Moves so many points from the second user to the first.
pub fn game(winner: u64, loser: u64, points: i32) -> RatingEvent {
    let decide = move |now: &[i32]| vec![now[0] + points, now[1] - points];
    RatingEvent { users: vec![winner, loser], decide: Box::new(decide), once: None }
}

/// The event under a name, with a digest made of one byte.
pub fn named(event: RatingEvent, name: &str, digest: u8) -> RatingEvent {
    RatingEvent { once: Some((name.to_owned(), [digest; 16])), ..event }
}

/// Fails unless all counts are what a recount finds.
pub async fn verified(stack: &Stack) {
    let recount = recount::verify(&stack.mysql_url(), false).await.expect("recounts");
    assert_eq!(recount.differences, []);
}

/// Sends Redis a command past the program's own connection; its reply as text.
pub fn redis(stack: &Stack, command: &[&str]) -> String {
    use std::io::{Read, Write};
    let url = stack.redis_url();
    let path = url.strip_prefix("unix://").expect("a socket");
    let mut socket = std::os::unix::net::UnixStream::connect(path).expect("connects");
    let mut out = format!("*{}\r\n", command.len());
    for word in command {
        out += &format!("${}\r\n{word}\r\n", word.len());
    }
    socket.write_all(out.as_bytes()).expect("sends");
    socket.shutdown(std::net::Shutdown::Write).expect("ends");
    let mut reply = Vec::new();
    socket.read_to_end(&mut reply).expect("reads");
    String::from_utf8_lossy(&reply).into_owned()
}

/// How many SELECTs of users the server has run in this test's database, counted by the server.
/// The statements of one shared server are counted together, so only an own server is exact.
pub fn selects(stack: &Stack) -> u64 {
    let line = stack.sql("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'").expect("status");
    line.split_whitespace().last().and_then(|n| n.parse().ok()).expect("a number")
}

/// Runs all of them at once, in one task.
pub async fn join_all<F: Future>(futures: Vec<std::pin::Pin<Box<F>>>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.into_iter().map(|f| (Some(f), None)).collect();
    std::future::poll_fn(|cx| {
        let mut ready = true;
        for (future, output) in &mut pending {
            if let Some(running) = future {
                match running.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => (*future, *output) = (None, Some(value)),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().map(|(_, output)| output.unwrap()).collect()
}
