//! Settings files for the programs we start.

use std::path::Path;

use toml::{Table, Value};

use crate::{StackError, files};

/// A settings file in the making: `section.key` to value.
#[derive(Clone, Debug, Default)]
pub struct Config {
    sections: Table,
}

impl Config {
    /// An empty one.
    pub fn new() -> Config {
        Config::default()
    }

    /// Sets `key` (`"section.key"`) to `value`; the last one set wins.
    ///
    /// # Panics
    /// When `key` has no section: that is a mistake in the calling code.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> &mut Config {
        let (section, key) = key.split_once('.').expect("a settings key is section.key");
        let section = self
            .sections
            .entry(section)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .expect("sections hold nothing but keys");
        section.insert(key.to_owned(), value.into());
        self
    }

    /// Takes over every key of `other`.
    pub fn extend(&mut self, other: &Config) -> &mut Config {
        for (section, keys) in &other.sections {
            for (key, value) in keys.as_table().into_iter().flatten() {
                self.set(&format!("{section}.{key}"), value.clone());
            }
        }
        self
    }

    /// Every key that is set, as section and key.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sections.iter().flat_map(|(section, keys)| {
            let keys = keys.as_table().into_iter().flat_map(Table::keys);
            keys.map(|key| (section.as_str(), key.as_str()))
        })
    }

    /// The file's text.
    pub fn render(&self) -> String {
        self.sections.to_string()
    }

    /// Writes it to `path`, readable by its owner alone: URLs may hold passwords.
    pub fn write(&self, path: &Path) -> Result<(), StackError> {
        files::write_private(path, self.render().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_set_wins_and_text_is_quoted() {
        let mut config = Config::new();
        config.set("link.listen", "127.0.0.1:0").set("daemon.shards", 1).set("link.node", "a\"b");
        let mut over = Config::new();
        over.set("daemon.shards", 2);
        config.extend(&over);
        let back: Table = config.render().parse().expect("valid TOML");
        assert_eq!(back["daemon"]["shards"].as_integer(), Some(2));
        assert_eq!(back["link"]["node"].as_str(), Some("a\"b"));
        let keys: Vec<_> = config.keys().collect();
        assert_eq!(keys, [("daemon", "shards"), ("link", "listen"), ("link", "node")]);
    }
}
