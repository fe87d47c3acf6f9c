//! Settings: sections of keys, from defaults, a TOML file, the environment and flags.
//!
//! A later source wins: flags over the environment over the file over the defaults. A key is always
//! `section.key`; its environment variable is `SOUK_SECTION_KEY`. Unknown keys and values out of
//! range are refused with the key, the value and what it can be.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Shortest secret: 128 bits in base64url.
const SECRET_MIN: usize = 22;
/// Longest secret.
const SECRET_MAX: usize = 256;

/// A program's settings: a struct of sections, each a struct of keys. Derive `Serialize` and
/// `Deserialize` with `#[serde(default, deny_unknown_fields)]`; "not set" is an empty string or 0,
/// so that every key has a default and is known to all sources.
pub trait Settings: Default + Serialize + DeserializeOwned {
    /// Checks ranges and what keys mean together.
    ///
    /// # Errors
    /// For the first key that is not valid.
    fn validate(&self) -> Result<(), SettingsError>;
}

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The text is not TOML, or a key is unknown or has the wrong type.
    #[error("{origin}: {why}")]
    Syntax {
        /// Where it stands.
        origin: String,
        /// What is wrong.
        why: String,
    },
    /// A value is not allowed.
    #[error("{key} = {value} is not valid: {why}")]
    Invalid {
        /// `section.key`.
        key: String,
        /// What was given.
        value: String,
        /// What it can be.
        why: String,
    },
}

/// Where settings come from.
#[derive(Debug, Default)]
pub struct Sources {
    /// The TOML file; none means defaults.
    pub file: Option<PathBuf>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// `section.key` and value of each flag given.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// A file, and this process's environment.
    pub fn new(file: Option<PathBuf>) -> Sources {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
            .filter(|(name, _)| name.starts_with("SOUK_"))
            .collect();
        Sources { file, environment, flags: Vec::new() }
    }

    /// Adds a flag if it was given.
    #[must_use]
    pub fn flag(mut self, key: &'static str, value: Option<impl ToString>) -> Sources {
        self.flags.extend(value.map(|value| (key, value.to_string())));
        self
    }
}

/// Reads settings from all sources and checks them.
///
/// # Errors
/// For the first thing that is wrong, saying where, what and why.
pub fn load<T: Settings>(sources: &Sources) -> Result<T, SettingsError> {
    let mut table = match &sources.file {
        Some(path) => read_file::<T>(path)?,
        None => Table::new(),
    };
    let known = Table::try_from(T::default()).expect("settings are tables of plain values");
    for (section, keys) in &known {
        for (key, default) in keys.as_table().expect("settings are sections of keys") {
            let name = variable(section, key);
            let given = sources.environment.iter().find(|(given, _)| *given == name);
            if let Some((_, text)) = given {
                set(&mut table, section, key, parse(&name, text, default)?);
            }
        }
    }
    for (path, text) in &sources.flags {
        let (section, key) = path.split_once('.').expect("flags name section.key");
        let default = &known[section][key];
        set(&mut table, section, key, parse(path, text, default)?);
    }
    let settings: T = table.try_into().map_err(|error: toml::de::Error| SettingsError::Syntax {
        origin: "settings".into(),
        why: error.to_string().trim_end().into(),
    })?;
    settings.validate()?;
    Ok(settings)
}

/// The environment variable that sets `section.key`.
pub fn variable(section: &str, key: &str) -> String {
    format!("SOUK_{section}_{key}").to_uppercase()
}

/// The settings as a TOML file.
pub fn to_toml<T: Settings>(settings: &T) -> String {
    toml::to_string(settings).expect("settings are tables of plain values")
}

/// Checks the file by itself, so that its errors carry its lines.
fn read_file<T: Settings>(path: &Path) -> Result<Table, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SettingsError::Read { path: path.into(), source })?;
    let syntax = |error: toml::de::Error| SettingsError::Syntax {
        origin: path.display().to_string(),
        why: error.to_string().trim_end().into(),
    };
    toml::from_str::<T>(&text).map_err(syntax)?;
    toml::from_str(&text).map_err(syntax)
}

fn set(table: &mut Table, section: &str, key: &str, value: Value) {
    let keys = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    keys.as_table_mut().expect("checked against the type").insert(key.into(), value);
}

/// Reads a text as a value of the default's type; lists are separated by commas.
fn parse(name: &str, text: &str, default: &Value) -> Result<Value, SettingsError> {
    let wrong = |what: &str| invalid(name, text, &format!("it must be {what}"));
    Ok(match default {
        Value::Integer(_) => Value::Integer(text.parse().map_err(|_| wrong("a whole number"))?),
        Value::Float(_) => Value::Float(text.parse().map_err(|_| wrong("a number"))?),
        Value::Boolean(_) => Value::Boolean(text.parse().map_err(|_| wrong("true or false"))?),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.into())).collect())
        }
        _ => Value::String(text.into()),
    })
}

/// An error for a value that is not allowed.
pub fn invalid(key: &str, value: impl Display, why: &str) -> SettingsError {
    SettingsError::Invalid { key: key.into(), value: value.to_string(), why: why.into() }
}

/// Checks that a value is in its range.
///
/// # Errors
/// Names the key, the value and the range.
pub fn in_range<N: PartialOrd + Display>(
    key: &'static str,
    value: N,
    range: RangeInclusive<N>,
) -> Result<(), SettingsError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(invalid(key, value, &format!("it must be from {} to {}", range.start(), range.end())))
}

/// Reads a secret file of 22 to 256 bytes, without its line end. Only its owner may read it.
///
/// # Errors
/// If it cannot be read, others can read it too, or its length is out of range.
pub fn read_secret(key: &'static str, path: &Path) -> Result<Vec<u8>, SettingsError> {
    use std::os::unix::fs::PermissionsExt;
    let read = |source| SettingsError::Read { path: path.into(), source };
    let shown = path.display();
    if path.as_os_str().is_empty() {
        return Err(invalid(key, "\"\"", "name a file that holds the secret"));
    }
    let mode = std::fs::metadata(path).map_err(read)?.permissions().mode();
    if mode & 0o077 != 0 {
        let why = format!("others can read it (mode {:o}): chmod 600 it", mode & 0o777);
        return Err(invalid(key, shown, &why));
    }
    let mut secret = std::fs::read(path).map_err(read)?;
    while secret.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        secret.pop();
    }
    if !(SECRET_MIN..=SECRET_MAX).contains(&secret.len()) {
        let why = format!(
            "it holds {} bytes; a secret has {SECRET_MIN} to {SECRET_MAX} \
             (make one with: openssl rand -base64 32)",
            secret.len()
        );
        return Err(invalid(key, shown, &why));
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::{Settings, SettingsError, Sources, in_range, load, read_secret};
    use serde::{Deserialize, Serialize};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    #[derive(Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sample {
        http: Http,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Http {
        threads: u32,
        proxies: Vec<String>,
        tls: bool,
        listen: String,
    }

    impl Default for Http {
        fn default() -> Http {
            Http { threads: 1, proxies: Vec::new(), tls: false, listen: "a".into() }
        }
    }

    impl Settings for Sample {
        fn validate(&self) -> Result<(), SettingsError> {
            in_range("http.threads", self.http.threads, 1..=8)
        }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("temp file");
        file.write_all(text.as_bytes()).expect("written");
        file
    }

    fn sources(file: &tempfile::NamedTempFile, environment: &[(&str, &str)]) -> Sources {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = environment.iter().map(owned).collect();
        Sources { file: Some(file.path().into()), environment, flags: Vec::new() }
    }

    fn refusal(sources: &Sources) -> String {
        load::<Sample>(sources).err().expect("refused").to_string()
    }

    #[test]
    fn flags_beat_environment_beats_file_beats_defaults() {
        let file = file("[http]\nthreads = 2\ntls = true\nlisten = \"f\"\n");
        let environment = [("SOUK_HTTP_THREADS", "3"), ("SOUK_HTTP_PROXIES", "x, y")];
        let sources = sources(&file, &environment).flag("http.threads", Some(4));
        let settings: Sample = load(&sources).expect("valid");
        assert_eq!(settings.http.threads, 4);
        assert_eq!(settings.http.proxies, ["x", "y"]);
        assert!(settings.http.tls);
        assert_eq!(settings.http.listen, "f");
    }

    #[test]
    fn refusals_name_key_value_and_range() {
        let range = refusal(&sources(&file("[http]\nthreads = 9\n"), &[]));
        assert_eq!(range, "http.threads = 9 is not valid: it must be from 1 to 8");
        let unknown = refusal(&sources(&file("[http]\nthread = 1\n"), &[]));
        assert!(unknown.contains("thread") && unknown.contains("line 2"), "{unknown}");
        let typed = refusal(&sources(&file(""), &[("SOUK_HTTP_TLS", "maybe")]));
        assert_eq!(typed, "SOUK_HTTP_TLS = maybe is not valid: it must be true or false");
        let missing = Sources { file: Some("/nonexistent".into()), ..Sources::default() };
        assert!(refusal(&missing).contains("cannot read /nonexistent"));
    }

    #[test]
    fn secrets_are_private_and_long_enough() {
        let good = file("0123456789012345678901234\n");
        assert_eq!(read_secret("k", good.path()).expect("good").len(), 25);
        let short = file("short");
        assert!(read_secret("k", short.path()).is_err());
        std::fs::set_permissions(good.path(), std::fs::Permissions::from_mode(0o644))
            .expect("chmod");
        let shared = read_secret("k", good.path()).expect_err("readable by others");
        assert!(shared.to_string().contains("chmod 600"));
    }
}
