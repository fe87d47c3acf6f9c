//! Log output: structured events to standard error, for people or as JSON lines.

use crate::settings::{SettingsError, invalid};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// The section `[log]` of every program's settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `human`, `json`, or `auto`: human on a terminal, JSON elsewhere.
    pub format: String,
    /// Least severe level shown, or a filter such as `info,soukd::session=debug`.
    pub level: String,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings { format: "auto".into(), level: "info".into() }
    }
}

impl LogSettings {
    /// Checks both keys.
    ///
    /// # Errors
    /// Names the key, its value and what it can be.
    pub fn validate(&self) -> Result<(), SettingsError> {
        if !["auto", "human", "json"].contains(&self.format.as_str()) {
            return Err(invalid("log.format", &self.format, "use auto, human or json"));
        }
        self.filter().map(|_| ())
    }

    fn filter(&self) -> Result<EnvFilter, SettingsError> {
        EnvFilter::try_new(&self.level).map_err(|error| {
            let why = format!("use error, warn, info, debug, trace or a filter ({error})");
            invalid("log.level", &self.level, &why)
        })
    }
}

/// Starts logging to standard error. Call it once, before the first event.
///
/// # Errors
/// If the settings are not valid.
pub fn init(settings: &LogSettings) -> Result<(), SettingsError> {
    let filter = settings.filter()?;
    let terminal = std::io::stderr().is_terminal();
    let json = settings.format == "json" || settings.format == "auto" && !terminal;
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Reporting a line that cannot be written, to a terminal that has gone, would panic.
        .log_internal_errors(false);
    if json {
        base.json().flatten_event(true).init();
    } else {
        base.with_ansi(terminal).init();
    }
    Ok(())
}
