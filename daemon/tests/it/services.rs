//! The services on real stores, without sockets: a context, a clock that the test sets, and calls.

mod auctions;
mod leaderboard;
mod login;
mod password;
mod picture;
mod profile;
mod search;
mod sessions;
mod stores;

use souk_db::{StoreSettings, Stores};
use souk_proto::accounts::{CallerRequest, CreateUserRequest, LoginAnswer, LoginRequest, User};
use souk_proto::common::Caller;
use souk_proto::{Code, Failure};
use souk_stack::Stack;
use soukd::config::Settings;
use soukd::context::{Clock, Context, Random, Shared};
use soukd::services::accounts;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A clock that stands still until it is moved.
#[derive(Debug)]
struct HandClock {
    monotonic_ns: AtomicU64,
    unix_ms: AtomicI64,
}

impl Clock for HandClock {
    fn monotonic_ns(&self) -> u64 {
        self.monotonic_ns.load(Ordering::SeqCst)
    }

    fn unix_ms(&self) -> i64 {
        self.unix_ms.load(Ordering::SeqCst)
    }
}

impl HandClock {
    /// Time passes.
    fn pass(&self, time: Duration) {
        let (ns, ms) = (time.as_nanos(), time.as_millis());
        self.monotonic_ns.fetch_add(u64::try_from(ns).expect("short"), Ordering::SeqCst);
        self.set_back(-i64::try_from(ms).expect("short"));
    }

    /// The system's clock is set back by this much, though time does not go back.
    fn set_back(&self, ms: i64) {
        self.unix_ms.fetch_sub(ms, Ordering::SeqCst);
    }
}

/// The system's randomness. Something else happens before it is first used: services take salts and
/// names of sessions in the middle of their work.
struct Interrupted<F>(RefCell<Option<F>>);

impl<F: FnOnce()> Random for Interrupted<F> {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Failure> {
        if let Some(happens) = self.0.take() {
            happens();
        }
        getrandom::fill(buffer).expect("random");
        Ok(())
    }
}

/// One shard of a daemon, as its services see it.
struct Shop {
    cx: Context,
    clock: Arc<HandClock>,
    shared: Arc<Shared>,
    settings: Settings,
}

/// Settings for tests: cheap hashes, no rate limits, everything in the stack's directory.
fn settings(stack: &Stack) -> Settings {
    let mut settings = Settings::default();
    let secret = stack.dir().join("token");
    settings.sessions.token_secret_file = secret.to_str().expect("a plain path").into();
    settings.daemon.state_dir = stack.dir().join("state").to_str().expect("a plain path").into();
    settings.mysql.url = stack.mysql_url();
    settings.redis.url = stack.redis_url();
    settings.passwords.memory_kib = 64;
    settings.passwords.passes = 1;
    settings.passwords.threads = 1;
    settings.limits.enabled = false;
    settings
}

impl Shop {
    async fn open(settings: Settings) -> Shop {
        let clock = Arc::new(HandClock {
            monotonic_ns: AtomicU64::new(0),
            unix_ms: AtomicI64::new(1_800_000_000_000),
        });
        Shop::with_clock(settings, clock).await
    }

    async fn with_clock(settings: Settings, clock: Arc<HandClock>) -> Shop {
        let shared = Shared::with_clock(&settings, Arc::clone(&clock) as _).expect("shared parts");
        let cx = Context::new(Arc::clone(&shared), stores(&settings).await, &settings);
        Shop { cx, clock, shared, settings }
    }

    /// Another daemon on the same stores, with settings of its own.
    async fn beside(&self, change: impl FnOnce(&mut Settings)) -> Shop {
        let mut settings = self.settings.clone();
        change(&mut settings);
        Shop::with_clock(settings, Arc::clone(&self.clock)).await
    }

    /// Another daemon on the same stores. In the middle of its first request something happens on
    /// yet another one, from beginning to end.
    async fn interrupted(&self, happens: impl AsyncFnOnce(&Shop) + Send + 'static) -> Shop {
        let mut shop = self.beside(|_| ()).await;
        let (settings, clock) = (self.settings.clone(), Arc::clone(&self.clock));
        let happens = move || {
            let thread = std::thread::spawn(move || {
                tokio_uring::start(async {
                    let other = Shop::with_clock(settings, clock).await;
                    happens(&other).await;
                    other.cx.close().await;
                });
            });
            thread.join().expect("it happens");
        };
        let random = Box::new(Interrupted(RefCell::new(Some(happens))));
        let (shared, settings) = (Arc::clone(&shop.shared), &shop.settings);
        let cx = Context::with_random(shared, stores(settings).await, settings, random);
        std::mem::replace(&mut shop.cx, cx).close().await;
        shop
    }

    async fn create(&self, username: &str, password: &str) -> Result<User, Failure> {
        let request = CreateUserRequest {
            caller: Some(stranger(1)),
            username: username.into(),
            password: password.into(),
            nickname: None,
        };
        accounts::create_user(&self.cx, request, soon()).await
    }

    async fn login(
        &self,
        caller: Caller,
        username: &str,
        password: &str,
    ) -> Result<LoginAnswer, Failure> {
        let (username, password) = (username.into(), password.into());
        let request = LoginRequest { caller: Some(caller), username, password };
        accounts::login(&self.cx, request, soon()).await
    }

    /// A new user who is logged in.
    async fn enter(&self, username: &str) -> Caller {
        self.create(username, "password").await.expect("create");
        self.again(username).await
    }

    /// Another login of a user made by [`Shop::enter`].
    async fn again(&self, username: &str) -> Caller {
        holder(&self.login(stranger(1), username, "password").await.expect("login"))
    }

    async fn me(&self, caller: &Caller) -> Result<User, Failure> {
        accounts::get_me(&self.cx, asked_by(caller), soon()).await
    }

    /// How many password hashes the process was asked for while `work` ran.
    async fn hashes<T>(&self, work: impl Future<Output = T>) -> (T, u64) {
        let before = self.shared.hashes();
        let result = work.await;
        (result, self.shared.hashes() - before)
    }
}

async fn stores(settings: &Settings) -> Stores {
    let stores = StoreSettings {
        mysql_url: settings.mysql.url.clone(),
        mysql_connections: 2,
        redis_url: settings.redis.url.clone(),
        cache_enabled: settings.cache.enabled,
        users_ttl: Duration::from_secs(settings.cache.users_ttl_s),
        negative_ttl: Duration::from_secs(settings.cache.negative_ttl_s),
        sessions_per_user_max: 50,
    };
    Stores::open(&stores).await.expect("stores")
}

/// Runs a test on migrated stores of its own, with settings that it may change.
fn on_stores(change: impl FnOnce(&mut Settings), test: impl AsyncFnOnce(&Shop, &mut Stack)) {
    on(Stack::stores().expect("stores"), change, test);
}

/// The same on a database that is the test's alone, to stop and to kill.
fn on_own_stores(test: impl AsyncFnOnce(&Shop, &mut Stack)) {
    let builder = Stack::builder().daemons(0).fronts(0).unmigrated().own_mariadb();
    on(builder.start().expect("stores"), |_| (), test);
}

fn on(
    mut stack: Stack,
    change: impl FnOnce(&mut Settings),
    test: impl AsyncFnOnce(&Shop, &mut Stack),
) {
    tokio_uring::start(async {
        souk_db::migrate::migrate(&stack.mysql_url()).await.expect("migrate");
        let mut settings = settings(&stack);
        change(&mut settings);
        let shop = Shop::open(settings).await;
        test(&shop, &mut stack).await;
        shop.cx.close().await;
    });
}

/// Runs a test on migrated stores of its own.
fn in_shop(test: impl AsyncFnOnce(&Shop)) {
    on_stores(|_| (), async |shop, _| test(shop).await);
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// Somebody at the address 192.0.2.`last` without any token.
fn stranger(last: u8) -> Caller {
    Caller { address: vec![192, 0, 2, last], agent: "curl/8.5.0".into(), ..Caller::default() }
}

/// Somebody who holds what a login gave.
fn holder(answer: &LoginAnswer) -> Caller {
    Caller { token: answer.token.clone(), device: answer.device.clone(), ..stranger(1) }
}

fn asked_by(caller: &Caller) -> CallerRequest {
    CallerRequest { caller: Some(caller.clone()) }
}

fn code<T: std::fmt::Debug>(result: Result<T, Failure>) -> Code {
    result.expect_err("refused").code
}

fn field<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
    let failure = result.expect_err("refused");
    assert_eq!(failure.code, Code::InvalidField, "{failure:?}");
    assert!(!failure.detail.is_empty());
    failure.field
}
