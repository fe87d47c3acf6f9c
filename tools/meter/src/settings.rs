//! The sections `[admin]` and `[latency]` of both programs' settings.

use serde::{Deserialize, Serialize};
use souk_process::{SettingsError, in_range, invalid};
use std::net::SocketAddr;

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// Where `/metrics` and `/latency` are served: `address:port`, `unix:/path`, or empty for
    /// nowhere. Port 0 takes any free one.
    pub listen: String,
}

/// `[latency]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LatencySettings {
    /// Whether requests are timed and counted at all.
    pub enabled: bool,
    /// File that interval logs are added to; empty for none.
    pub log_file: String,
    /// Seconds between two interval logs; 0 writes one at the end only.
    pub log_every_s: u64,
}

impl Default for AdminSettings {
    /// Nowhere: each program has its own port.
    fn default() -> AdminSettings {
        AdminSettings { listen: String::new() }
    }
}

impl Default for LatencySettings {
    fn default() -> LatencySettings {
        LatencySettings { enabled: true, log_file: String::new(), log_every_s: 0 }
    }
}

/// Where the admin listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(std::path::PathBuf),
}

impl Place {
    /// Reads `address:port` or `unix:/path`.
    pub fn parse(text: &str) -> Option<Place> {
        match text.strip_prefix("unix:") {
            Some("") => None,
            Some(path) => Some(Place::Unix(path.into())),
            None => text.parse().ok().map(Place::Tcp),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Tcp(address) => address.fmt(f),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl AdminSettings {
    /// The same with another place.
    pub fn at(listen: &str) -> AdminSettings {
        AdminSettings { listen: listen.into() }
    }

    /// Where to listen; nothing if nowhere.
    ///
    /// # Errors
    /// If it is no place.
    pub fn place(&self) -> Result<Option<Place>, SettingsError> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        let why = "it must be ADDRESS:PORT, unix:/PATH, or empty to serve nothing";
        Place::parse(&self.listen)
            .map(Some)
            .ok_or_else(|| invalid("admin.listen", &self.listen, why))
    }
}

/// Longest pause between two interval logs: a day.
const LOG_EVERY_MAX_S: u64 = 86_400;

impl LatencySettings {
    /// Checks the keys.
    ///
    /// # Errors
    /// Names the key, its value and what it can be.
    pub fn validate(&self) -> Result<(), SettingsError> {
        in_range("latency.log_every_s", self.log_every_s, 0..=LOG_EVERY_MAX_S)?;
        if self.log_every_s > 0 && self.log_file.is_empty() {
            let why = "there is nowhere to write to: set latency.log_file too";
            return Err(invalid("latency.log_every_s", self.log_every_s, why));
        }
        if !self.log_file.is_empty() && !self.enabled {
            let why = "nothing is timed: set latency.enabled = true, or leave this empty";
            return Err(invalid("latency.log_file", &self.log_file, why));
        }
        Ok(())
    }
}
