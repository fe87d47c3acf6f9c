//! The daemon's settings: one struct per section of `soukd.toml`, which documents every key.
//!
//! A key that is not set holds an empty string or 0. Secrets live in files; a setting only names
//! the file. [`Settings::validate`] refuses what no daemon could run with, naming the key, the
//! value and the range.

use serde::{Deserialize, Serialize};
use souk_meter::{AdminSettings, LatencySettings};
use souk_process::{LogSettings, SettingsError, in_range, invalid};
use souk_trace::Endpoint;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Everything that can be set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where fronts connect.
    pub link: LinkSettings,
    /// The process itself.
    pub daemon: DaemonSettings,
    /// The database.
    pub mysql: MysqlSettings,
    /// The session and cache store.
    pub redis: RedisSettings,
    /// What is cached, and for how long.
    pub cache: CacheSettings,
    /// Logins.
    pub sessions: SessionSettings,
    /// Password hashing.
    pub passwords: PasswordSettings,
    /// Rate limits.
    pub limits: LimitSettings,
    /// Budgets of failed logins.
    pub guessing: GuessingSettings,
    /// Picture uploads.
    pub pictures: PictureSettings,
    /// Ratings and their order.
    pub leaderboard: LeaderboardSettings,
    /// Where the daemon shows what it measures.
    pub admin: AdminSettings,
    /// What it measures.
    pub latency: LatencySettings,
    /// Spans for a collector.
    pub tracing: TracingSettings,
    /// Log output.
    pub log: LogSettings,
}

/// `[link]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    /// Address and port that fronts connect to; port 0 takes any free one.
    pub listen: String,
    /// File with the secret that fronts and daemons share.
    pub secret_file: String,
}

/// `[daemon]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DaemonSettings {
    /// Ring threads; 0 means half the cores, at least 1.
    pub shards: u32,
    /// Name of this daemon, unique among daemons; empty means `hostname:port`.
    pub node: String,
    /// Directory for what the daemon keeps on disk (pictures).
    pub state_dir: String,
    /// How long requests in flight may take at shutdown, seconds.
    pub drain_limit_s: u64,
}

/// `[mysql]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MysqlSettings {
    /// `mysql://user:password@host:port/database`, or `…@localhost/database?socket=/path`.
    pub url: String,
    /// File with the URL, for URLs that hold a password; set this or `url`.
    pub url_file: String,
    /// Connections per shard.
    pub connections: u32,
}

/// `[redis]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSettings {
    /// `redis://host:port` or `unix:///path`.
    pub url: String,
}

/// `[cache]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    /// Whether rows are cached at all. Sessions live in Redis either way.
    pub enabled: bool,
    /// How long a user row is cached, seconds.
    pub users_ttl_s: u64,
    /// How long the absence of a row is cached, seconds.
    pub negative_ttl_s: u64,
}

/// `[sessions]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSettings {
    /// How long a login lasts, seconds.
    pub ttl_s: u64,
    /// Newest logins of a user that are always kept; at about twice as many the oldest end.
    pub per_user_max: u32,
    /// File with the secret that session tokens are signed with; all daemons share it.
    pub token_secret_file: String,
}

/// `[passwords]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordSettings {
    /// Argon2id memory, KiB.
    pub memory_kib: u32,
    /// Argon2id passes over the memory.
    pub passes: u32,
    /// Argon2id lanes.
    pub lanes: u32,
    /// Hashing threads; 0 means one per core.
    pub threads: u32,
    /// Logins that may wait for a hashing thread; one more is answered "busy".
    pub queue: u32,
    /// How long a verified password is remembered in memory, seconds; 0 switches it off.
    pub memo_ttl_s: u64,
}

/// `[limits]`: token buckets per client address and per user, by class of route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Whether rates are limited at all.
    pub enabled: bool,
    /// Reads per second.
    pub read_per_s: u32,
    /// Reads at once after a pause.
    pub read_burst: u32,
    /// Writes per second.
    pub write_per_s: u32,
    /// Writes at once after a pause.
    pub write_burst: u32,
    /// Logins and registrations per second.
    pub login_per_s: u32,
    /// Logins and registrations at once after a pause.
    pub login_burst: u32,
    /// Bids per second.
    pub bid_per_s: u32,
    /// Bids at once after a pause.
    pub bid_burst: u32,
}

/// `[guessing]`: how many wrong passwords are taken before the next one must wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuessingSettings {
    /// Wrong passwords for one account from devices that never logged in to it.
    pub account_budget: u32,
    /// Seconds until one of them is forgiven.
    pub account_refill_s: u32,
    /// Wrong passwords from one address, over all accounts.
    pub address_budget: u32,
    /// Seconds until one of them is forgiven.
    pub address_refill_s: u32,
    /// Wrong passwords for one account from one device that logged in to it before.
    pub device_budget: u32,
    /// Seconds until one of them is forgiven.
    pub device_refill_s: u32,
}

/// `[pictures]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PictureSettings {
    /// Threads that decode and encode pictures.
    pub threads: u32,
    /// Pictures that may wait for one of them; one more is answered "busy".
    pub queue: u32,
}

/// `[leaderboard]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaderboardSettings {
    /// Most points that one match moves.
    pub k: u32,
    /// Rating below which no match brings a player.
    pub floor: u32,
    /// How old an answer from memory may be, milliseconds.
    pub staleness_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            link: LinkSettings::default(),
            daemon: DaemonSettings::default(),
            mysql: MysqlSettings::default(),
            redis: RedisSettings::default(),
            cache: CacheSettings::default(),
            sessions: SessionSettings::default(),
            passwords: PasswordSettings::default(),
            limits: LimitSettings::default(),
            guessing: GuessingSettings::default(),
            pictures: PictureSettings::default(),
            leaderboard: LeaderboardSettings::default(),
            admin: AdminSettings::at("127.0.0.1:9102"),
            latency: LatencySettings::default(),
            tracing: TracingSettings::default(),
            log: LogSettings::default(),
        }
    }
}

/// `[tracing]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracingSettings {
    /// Base URL of an OpenTelemetry collector that takes OTLP/HTTP; empty means none.
    pub otlp_endpoint: String,
}

impl TracingSettings {
    /// Where spans go.
    ///
    /// # Errors
    /// If it is set and no `http://` URL.
    pub fn endpoint(&self) -> Result<Option<Endpoint>, SettingsError> {
        Endpoint::parse(&self.otlp_endpoint)
    }
}

impl Default for LinkSettings {
    fn default() -> LinkSettings {
        LinkSettings { listen: "127.0.0.1:7400".into(), secret_file: String::new() }
    }
}

impl Default for DaemonSettings {
    fn default() -> DaemonSettings {
        DaemonSettings {
            shards: 0,
            node: String::new(),
            state_dir: "/var/lib/souk".into(),
            drain_limit_s: 10,
        }
    }
}

impl Default for MysqlSettings {
    fn default() -> MysqlSettings {
        MysqlSettings { url: String::new(), url_file: String::new(), connections: 3 }
    }
}

impl Default for RedisSettings {
    fn default() -> RedisSettings {
        RedisSettings { url: "redis://127.0.0.1:6379".into() }
    }
}

impl Default for CacheSettings {
    fn default() -> CacheSettings {
        CacheSettings { enabled: true, users_ttl_s: 300, negative_ttl_s: 5 }
    }
}

impl Default for SessionSettings {
    fn default() -> SessionSettings {
        SessionSettings { ttl_s: 2_592_000, per_user_max: 50, token_secret_file: String::new() }
    }
}

impl Default for PasswordSettings {
    fn default() -> PasswordSettings {
        PasswordSettings {
            memory_kib: 19_456,
            passes: 2,
            lanes: 1,
            threads: 0,
            queue: 256,
            memo_ttl_s: 300,
        }
    }
}

impl Default for LimitSettings {
    fn default() -> LimitSettings {
        LimitSettings {
            enabled: true,
            read_per_s: 100,
            read_burst: 200,
            write_per_s: 10,
            write_burst: 40,
            login_per_s: 5,
            login_burst: 20,
            bid_per_s: 50,
            bid_burst: 200,
        }
    }
}

impl Default for GuessingSettings {
    fn default() -> GuessingSettings {
        GuessingSettings {
            account_budget: 10,
            account_refill_s: 60,
            address_budget: 30,
            address_refill_s: 20,
            device_budget: 10,
            device_refill_s: 60,
        }
    }
}

impl Default for PictureSettings {
    fn default() -> PictureSettings {
        PictureSettings { threads: 1, queue: 16 }
    }
}

impl Default for LeaderboardSettings {
    fn default() -> LeaderboardSettings {
        LeaderboardSettings { k: 32, floor: 100, staleness_ms: 250 }
    }
}

impl Settings {
    /// How many shards to start.
    pub fn shards(&self) -> u32 {
        if self.daemon.shards > 0 {
            return self.daemon.shards;
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        u32::try_from(cores / 2).unwrap_or(1).clamp(1, SHARDS_MAX)
    }

    /// The address to listen on.
    ///
    /// # Errors
    /// If it is not an address and port.
    pub fn listen(&self) -> Result<SocketAddr, SettingsError> {
        let listen = &self.link.listen;
        listen.parse().map_err(|_| {
            invalid("link.listen", listen, "write an IP address and a port: \"127.0.0.1:7400\"")
        })
    }

    /// The database URL, from the setting or the file that it names.
    ///
    /// # Errors
    /// If the file cannot be read or is empty.
    pub fn mysql_url(&self) -> Result<String, SettingsError> {
        if !self.mysql.url.is_empty() {
            return Ok(self.mysql.url.clone());
        }
        let file = &self.mysql.url_file;
        let text = std::fs::read_to_string(Path::new(file)).map_err(|error| {
            invalid("mysql.url_file", file, &format!("the file cannot be read: {error}"))
        })?;
        match text.trim() {
            "" => Err(invalid("mysql.url_file", file, "the file is empty")),
            url => Ok(url.to_owned()),
        }
    }

    /// How long requests in flight may take at shutdown.
    pub fn drain_limit(&self) -> Duration {
        Duration::from_secs(self.daemon.drain_limit_s)
    }
}

/// Most shards of one daemon: as many as the largest machine has cores for.
const SHARDS_MAX: u32 = 256;

impl souk_process::Settings for Settings {
    fn validate(&self) -> Result<(), SettingsError> {
        self.listen()?;
        self.validate_required()?;
        in_range("daemon.shards", self.daemon.shards, 0..=SHARDS_MAX)?;
        in_range("daemon.drain_limit_s", self.daemon.drain_limit_s, 0..=600)?;
        in_range("mysql.connections", self.mysql.connections, 1..=64)?;
        in_range("cache.users_ttl_s", self.cache.users_ttl_s, 1..=86_400)?;
        in_range("cache.negative_ttl_s", self.cache.negative_ttl_s, 1..=300)?;
        in_range("sessions.ttl_s", self.sessions.ttl_s, 60..=31_536_000)?;
        in_range("sessions.per_user_max", self.sessions.per_user_max, 1..=1_000)?;
        self.validate_passwords()?;
        self.validate_limits()?;
        in_range("pictures.threads", self.pictures.threads, 1..=64)?;
        in_range("pictures.queue", self.pictures.queue, 1..=1_024)?;
        in_range("leaderboard.k", self.leaderboard.k, 1..=400)?;
        in_range("leaderboard.floor", self.leaderboard.floor, 100..=1_000)?;
        in_range("leaderboard.staleness_ms", self.leaderboard.staleness_ms, 50..=5_000)?;
        self.admin.place()?;
        self.latency.validate()?;
        self.tracing.endpoint()?;
        self.log.validate()
    }
}

impl Settings {
    fn validate_required(&self) -> Result<(), SettingsError> {
        let missing = [
            ("link.secret_file", &self.link.secret_file, "name the file with the link secret"),
            ("daemon.state_dir", &self.daemon.state_dir, "name a directory for pictures"),
            ("redis.url", &self.redis.url, "write redis://host:port or unix:///path"),
            (
                "sessions.token_secret_file",
                &self.sessions.token_secret_file,
                "name the file with the token secret",
            ),
        ];
        for (key, value, why) in missing {
            if value.is_empty() {
                return Err(invalid(key, value, why));
            }
        }
        if self.mysql.url.is_empty() == self.mysql.url_file.is_empty() {
            return Err(invalid("mysql.url", "", "set either mysql.url or mysql.url_file"));
        }
        let node = &self.daemon.node;
        if node.len() > souk_proto::limits::NODE_MAX {
            return Err(invalid("daemon.node", node, "a node name has at most 64 bytes"));
        }
        Ok(())
    }

    fn validate_passwords(&self) -> Result<(), SettingsError> {
        let passwords = &self.passwords;
        in_range("passwords.memory_kib", passwords.memory_kib, 8..=1_048_576)?;
        in_range("passwords.passes", passwords.passes, 1..=64)?;
        in_range("passwords.lanes", passwords.lanes, 1..=16)?;
        if passwords.memory_kib < 8 * passwords.lanes {
            let why = "Argon2 needs at least 8 KiB per lane (RFC 9106, section 3.1)";
            return Err(invalid("passwords.memory_kib", passwords.memory_kib, why));
        }
        in_range("passwords.threads", passwords.threads, 0..=256)?;
        in_range("passwords.queue", passwords.queue, 1..=65_536)?;
        in_range("passwords.memo_ttl_s", passwords.memo_ttl_s, 0..=3_600)
    }

    fn validate_limits(&self) -> Result<(), SettingsError> {
        let (limits, guessing) = (&self.limits, &self.guessing);
        for (key, value) in [
            ("limits.read_per_s", limits.read_per_s),
            ("limits.read_burst", limits.read_burst),
            ("limits.write_per_s", limits.write_per_s),
            ("limits.write_burst", limits.write_burst),
            ("limits.login_per_s", limits.login_per_s),
            ("limits.login_burst", limits.login_burst),
            ("limits.bid_per_s", limits.bid_per_s),
            ("limits.bid_burst", limits.bid_burst),
        ] {
            in_range(key, value, 1..=1_000_000)?;
        }
        for (key, value) in [
            ("guessing.account_budget", guessing.account_budget),
            ("guessing.address_budget", guessing.address_budget),
            ("guessing.device_budget", guessing.device_budget),
        ] {
            in_range(key, value, 1..=10_000)?;
        }
        for (key, value) in [
            ("guessing.account_refill_s", guessing.account_refill_s),
            ("guessing.address_refill_s", guessing.address_refill_s),
            ("guessing.device_refill_s", guessing.device_refill_s),
        ] {
            in_range(key, value, 1..=86_400)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use souk_process::{Settings as _, Sources, load, to_toml};
    use std::path::Path;

    fn required() -> Sources {
        Sources::default()
            .flag("link.secret_file", Some("/s"))
            .flag("sessions.token_secret_file", Some("/t"))
            .flag("mysql.url", Some("mysql://root@localhost/souk"))
    }

    /// Lines without comments, and the keys that they set.
    fn shipped() -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("soukd.toml");
        std::fs::read_to_string(path).expect("shipped")
    }

    #[test]
    fn the_shipped_file_documents_every_key_with_its_default() {
        let keys = |text: &str| -> Vec<String> {
            let lines = text.lines().map(str::trim);
            lines
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(Into::into)
                .collect()
        };
        assert_eq!(keys(&shipped()), keys(&to_toml(&Settings::default())));
    }

    #[test]
    fn what_no_daemon_could_run_with_is_refused_with_its_key() {
        load::<Settings>(&required()).expect("enough to run with");
        for (key, value) in [
            ("link.listen", "here"),
            ("link.secret_file", ""),
            ("daemon.shards", "257"),
            ("daemon.drain_limit_s", "601"),
            ("mysql.url", ""),
            ("mysql.url_file", "/both/are/set"),
            ("mysql.connections", "0"),
            ("cache.users_ttl_s", "0"),
            ("sessions.ttl_s", "59"),
            ("passwords.memory_kib", "7"),
            ("passwords.lanes", "17"),
            ("limits.read_burst", "0"),
            ("limits.bid_per_s", "0"),
            ("guessing.device_budget", "0"),
            ("pictures.queue", "0"),
            ("leaderboard.k", "0"),
            ("leaderboard.floor", "99"),
            ("leaderboard.staleness_ms", "49"),
            ("tracing.otlp_endpoint", "collector"),
            ("log.format", "xml"),
        ] {
            let error = load::<Settings>(&required().flag(key, Some(value)));
            let text = error.expect_err(key).to_string();
            assert!(text.contains(key.split('_').next().expect("a part")), "{key}: {text}");
        }
        let memory = required().flag("passwords.memory_kib", Some(16));
        assert!(load::<Settings>(&memory.flag("passwords.lanes", Some(4))).is_err());
        assert!(Settings::default().validate().is_err());
    }
}
