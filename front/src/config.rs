//! The front's settings: one struct per section of `souk-front.toml`, which documents every key.
//!
//! A key that is not set holds an empty string, 0 or an empty list. The link secret lives in a
//! file; a setting only names it. [`Settings::validate`] refuses what no front could run with,
//! naming the key, the value and the range.

use crate::limits::BODY_TURNS;
use serde::{Deserialize, Serialize};
use souk_meter::{AdminSettings, LatencySettings};
use souk_process::{LogSettings, SettingsError, in_range, invalid};
use souk_proto::limits::NODE_MAX;
use souk_trace::Endpoint;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::Path;
use std::time::Duration;

/// Everything that can be set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where and how HTTP is served.
    pub http: HttpSettings,
    /// Where bids are taken as frames.
    pub bids: BidSettings,
    /// How long slow clients and slow requests are waited for.
    pub timeouts: TimeoutSettings,
    /// How many connections are held.
    pub connections: ConnectionSettings,
    /// The way to the daemons.
    pub link: LinkSettings,
    /// Where the front shows what it measures.
    pub admin: AdminSettings,
    /// What it measures.
    pub latency: LatencySettings,
    /// Spans for a collector.
    pub tracing: TracingSettings,
    /// Log output.
    pub log: LogSettings,
}

/// `[http]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Address and port to serve; port 0 takes any free one.
    pub listen: String,
    /// Ring threads; 0 means half the cores, at least 1.
    pub threads: u32,
    /// `uring`, `epoll`, or `auto`: io_uring where the kernel allows it, else epoll.
    pub driver: String,
    /// Whether clients reach the front through TLS: cookies become `Secure`, HSTS is sent.
    pub behind_tls: bool,
    /// Addresses or networks (`10.0.0.0/8`) whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Origins of other sites that may call the API from a browser.
    pub cors_origins: Vec<String>,
}

/// `[bids]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BidSettings {
    /// Address and port of the binary port; port 0 takes any free one; empty means none.
    pub listen: String,
}

/// `[timeouts]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutSettings {
    /// For a whole request head, from its first byte (or from the connection's start), seconds.
    pub head_s: u64,
    /// Between two pieces of a request body, seconds.
    pub body_progress_s: u64,
    /// For a connection to stay open without a request, seconds.
    pub idle_s: u64,
    /// Between two pieces of an answer that the client takes, seconds.
    pub write_progress_s: u64,
    /// For the daemon to answer a request, seconds.
    pub request_s: u64,
    /// For requests in flight at shutdown, seconds.
    pub drain_s: u64,
}

/// `[connections]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionSettings {
    /// Client connections of this process.
    pub max: u32,
    /// Client connections of one address.
    pub per_address: u32,
}

/// `[link]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    /// Addresses and ports of the daemons.
    pub daemons: Vec<String>,
    /// File with the secret that fronts and daemons share.
    pub secret_file: String,
    /// Name of this front in the daemons' logs; empty means `front-` and its process number.
    pub node: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            http: HttpSettings::default(),
            bids: BidSettings::default(),
            timeouts: TimeoutSettings::default(),
            connections: ConnectionSettings::default(),
            link: LinkSettings::default(),
            admin: AdminSettings::at("127.0.0.1:9101"),
            latency: LatencySettings::default(),
            tracing: TracingSettings::default(),
            log: LogSettings::default(),
        }
    }
}

/// `[tracing]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracingSettings {
    /// Base URL of an OpenTelemetry collector that takes OTLP/HTTP; empty means none.
    pub otlp_endpoint: String,
    /// Share of the traces begun here that are sampled, 0 to 1.
    pub sample_ratio: f64,
}

impl Default for HttpSettings {
    fn default() -> HttpSettings {
        HttpSettings {
            listen: "127.0.0.1:8080".into(),
            threads: 0,
            driver: "auto".into(),
            behind_tls: false,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
        }
    }
}

impl Default for BidSettings {
    fn default() -> BidSettings {
        BidSettings { listen: "127.0.0.1:8090".into() }
    }
}

impl Default for TimeoutSettings {
    fn default() -> TimeoutSettings {
        TimeoutSettings {
            head_s: 10,
            body_progress_s: 10,
            idle_s: 75,
            write_progress_s: 30,
            request_s: 10,
            drain_s: 10,
        }
    }
}

impl Default for ConnectionSettings {
    fn default() -> ConnectionSettings {
        ConnectionSettings { max: 50_000, per_address: 16_384 }
    }
}

impl Default for LinkSettings {
    fn default() -> LinkSettings {
        LinkSettings {
            daemons: vec!["127.0.0.1:7400".into()],
            secret_file: String::new(),
            node: String::new(),
        }
    }
}

impl Default for TracingSettings {
    fn default() -> TracingSettings {
        TracingSettings { otlp_endpoint: String::new(), sample_ratio: 0.01 }
    }
}

impl souk_process::Settings for Settings {
    fn validate(&self) -> Result<(), SettingsError> {
        self.http.validate()?;
        self.bids.address()?;
        self.timeouts.validate()?;
        let connections = &self.connections;
        in_range("connections.max", connections.max, 1..=1_000_000)?;
        in_range("connections.per_address", connections.per_address, 1..=1_000_000)?;
        self.link.validate()?;
        self.admin.place()?;
        self.latency.validate()?;
        self.tracing.endpoint()?;
        in_range("tracing.sample_ratio", self.tracing.sample_ratio, 0.0..=1.0)?;
        self.log.validate()
    }
}

impl HttpSettings {
    fn validate(&self) -> Result<(), SettingsError> {
        self.address()?;
        in_range("http.threads", self.threads, 0..=256)?;
        if !["auto", "uring", "epoll"].contains(&self.driver.as_str()) {
            return Err(invalid("http.driver", &self.driver, "use auto, uring or epoll"));
        }
        for proxy in &self.trusted_proxies {
            let key = "http.trusted_proxies";
            let parts = proxy.split_once('/');
            let (address, bits) = parts.map_or((&**proxy, None), |(at, bits)| (at, Some(bits)));
            let why = "use an address or a network, like 10.0.0.1 or 10.0.0.0/8";
            let address: std::net::IpAddr =
                address.parse().map_err(|_| invalid(key, proxy, why))?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            if let Some(bits) = bits {
                let bits: u8 = bits.parse().map_err(|_| invalid(key, proxy, why))?;
                in_range(key, bits, 0..=most)?;
            }
        }
        for origin in &self.cors_origins {
            let host = origin.strip_prefix("https://").or(origin.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.contains(['/', '*', ' '])) {
                let why = "use scheme and host of a site, like https://shop.example";
                return Err(invalid("http.cors_origins", origin, why));
            }
        }
        Ok(())
    }

    /// The address to serve.
    ///
    /// # Errors
    /// If it is not an address and a port.
    pub fn address(&self) -> Result<SocketAddr, SettingsError> {
        let why = "use an address and a port, like 127.0.0.1:8080";
        self.listen.parse().map_err(|_| invalid("http.listen", &self.listen, why))
    }

    /// How many ring threads to start.
    pub fn thread_count(&self) -> usize {
        match self.threads {
            0 => (std::thread::available_parallelism().map_or(1, NonZero::get) / 2).max(1),
            threads => threads as usize,
        }
    }
}

impl BidSettings {
    /// The address of the binary port, if there is to be one.
    ///
    /// # Errors
    /// If it is not an address and a port.
    pub fn address(&self) -> Result<Option<SocketAddr>, SettingsError> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        let why = "use an address and a port, like 127.0.0.1:8090, or \"\" for none";
        self.listen.parse().map(Some).map_err(|_| invalid("bids.listen", &self.listen, why))
    }
}

impl TimeoutSettings {
    fn validate(&self) -> Result<(), SettingsError> {
        in_range("timeouts.head_s", self.head_s, 1..=300)?;
        in_range("timeouts.body_progress_s", self.body_progress_s, 1..=300)?;
        in_range("timeouts.idle_s", self.idle_s, 1..=3600)?;
        in_range("timeouts.write_progress_s", self.write_progress_s, 1..=300)?;
        in_range("timeouts.request_s", self.request_s, 1..=60)?;
        in_range("timeouts.drain_s", self.drain_s, 0..=300)
    }

    /// How long a body may take that is gathered before it is used, however steadily it comes.
    pub fn body_total(&self) -> Duration {
        Duration::from_secs(self.body_progress_s) * BODY_TURNS
    }

    /// How long the daemon may take for a request.
    pub fn request(&self) -> Duration {
        Duration::from_secs(self.request_s)
    }
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

impl LinkSettings {
    fn validate(&self) -> Result<(), SettingsError> {
        if self.daemons.is_empty() || self.daemons.len() > 64 {
            return Err(invalid("link.daemons", self.daemons.len(), "name 1 to 64 daemons"));
        }
        for daemon in &self.daemons {
            let port = daemon.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(1..))) {
                let why = "use a host and a port, like 127.0.0.1:7400";
                return Err(invalid("link.daemons", daemon, why));
            }
        }
        if self.node.len() > NODE_MAX {
            let why = format!("it can have up to {NODE_MAX} bytes");
            return Err(invalid("link.node", &self.node, &why));
        }
        Ok(())
    }

    /// The name to give in HELLO.
    pub fn node_name(&self) -> String {
        if self.node.is_empty() {
            return format!("front-{}", std::process::id());
        }
        self.node.clone()
    }

    /// The link secret.
    ///
    /// # Errors
    /// If its file cannot be used.
    pub fn secret(&self) -> Result<Vec<u8>, SettingsError> {
        souk_process::read_secret("link.secret_file", Path::new(&self.secret_file))
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use souk_process::Sources;

    fn read(text: &str) -> Result<Settings, String> {
        let file = std::env::temp_dir().join(format!(
            "souk-front-{}-{:?}.toml",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::write(&file, text).expect("the temporary directory takes files");
        let sources = Sources { file: Some(file.clone()), ..Sources::default() };
        let read = souk_process::load(&sources).map_err(|error| error.to_string());
        std::fs::remove_file(file).expect("written above");
        read
    }

    #[test]
    fn the_shipped_file_names_every_key_and_its_default() {
        let shipped: toml::Table =
            include_str!("../souk-front.toml").parse().expect("the shipped file is TOML");
        let defaults: toml::Table =
            souk_process::to_toml(&Settings::default()).parse().expect("what we write is TOML");
        assert_eq!(shipped, defaults);
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (text, named) in [
            ("[http]\nlisten = \"here\"", "http.listen"),
            ("[http]\nthreads = 1000", "http.threads"),
            ("[http]\ndriver = \"kqueue\"", "http.driver"),
            ("[http]\ntrusted_proxies = [\"10.0.0.0/33\"]", "http.trusted_proxies"),
            ("[http]\ntrusted_proxies = [\"proxy\"]", "http.trusted_proxies"),
            ("[http]\ncors_origins = [\"*\"]", "http.cors_origins"),
            ("[bids]\nlisten = \"8090\"", "bids.listen"),
            ("[timeouts]\nhead_s = 0", "timeouts.head_s"),
            ("[connections]\nmax = 0", "connections.max"),
            ("[link]\ndaemons = []", "link.daemons"),
            ("[link]\ndaemons = [\"localhost\"]", "link.daemons"),
            (
                "[link]\nnode = \"0123456789012345678901234567890123456789012345678901234567890123456789\"",
                "link.node",
            ),
            ("[tracing]\notlp_endpoint = \"collector:4318\"", "tracing.otlp_endpoint"),
            ("[tracing]\nsample_ratio = 1.5", "tracing.sample_ratio"),
            ("[log]\nslow_ms = 60001", "log.slow_ms"),
            ("[http]\ncolour = 1", "colour"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(named), "{text}: {error}");
        }
        let settings = read("[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]");
        assert_eq!(settings.expect("valid").http.trusted_proxies.len(), 2);
    }
}
