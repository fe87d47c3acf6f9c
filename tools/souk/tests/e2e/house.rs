//! The rules of the house that a machine can hold: who may depend on what, how long is too long.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, without its inline tests.
const LINES_MAX: usize = 500;
/// Longest line.
const COLUMNS_MAX: usize = 100;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The crates that a crate's own code may use, without those of its tests.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).expect(manifest);
    let table: toml::Table = text.parse().expect(manifest);
    table["dependencies"].as_table().expect("a table").keys().cloned().collect()
}

fn never(manifest: &str, banned: &[&str]) {
    for dependency in dependencies(manifest) {
        assert!(!banned.contains(&dependency.as_str()), "{manifest} must not use {dependency}");
    }
}

#[test]
fn the_front_opens_no_store_the_daemon_parses_no_http_and_the_link_does_no_io() {
    never("front/Cargo.toml", &["souk-db", "soukd", "redis", "mysql_async", "tokio", "argon2"]);
    never(
        "daemon/Cargo.toml",
        &["souk-front", "httparse", "matchit", "monoio", "serde_json", "ureq"],
    );
    never("db/Cargo.toml", &["souk-proto", "soukd", "souk-front", "argon2", "httparse"]);
    never("tools/trace/Cargo.toml", &["souk-db", "soukd", "souk-front", "tokio", "monoio"]);
    // What measures from outside, and the yardstick, borrow nothing from what they measure.
    let inside = ["souk-db", "souk-proto", "soukd", "souk-front", "mysql_async", "monoio"];
    never("perf/Cargo.toml", &inside);
    never("perf/baseline/Cargo.toml", &inside);
    let io = ["tokio", "tokio-uring", "monoio", "socket2", "rustix", "souk-db", "souk-process"];
    never("proto/Cargo.toml", &io);
    // What measures knows neither stores nor requests, and ring threads only by their meters.
    let rooms = ["souk-db", "souk-proto", "monoio", "tokio", "tokio-uring", "redis", "mysql_async"];
    never("tools/meter/Cargo.toml", &rooms);
    for file in sources("proto/src") {
        let text = fs::read_to_string(&file).expect("readable");
        for word in ["std::net", "std::fs", "async fn"] {
            assert!(!text.contains(word), "{} uses {word}", file.display());
        }
    }
}

#[test]
fn hashing_and_image_work_stay_off_the_ring_threads() {
    for file in sources("daemon/src") {
        let name = file.display().to_string();
        let text = fs::read_to_string(&file).expect("readable");
        let code = text.split("#[cfg(test)]").next().expect("a first part");
        let hashes = name.contains("/identity/") || name.ends_with("/identity.rs");
        assert!(hashes || !code.contains("use argon2"), "{name} hashes passwords");
        let draws = name.contains("/pictures") || name.ends_with("/pictures.rs");
        assert!(draws || !code.contains("use image"), "{name} decodes pictures");
    }
}

#[test]
fn files_and_lines_stay_short() {
    for room in ["proto", "db", "daemon", "front", "tools", "perf"] {
        for file in sources(room) {
            let text = fs::read_to_string(&file).expect("readable");
            let code = text.split("\n#[cfg(test)]\nmod tests {").next().expect("a first part");
            let lines = code.lines().count();
            assert!(lines <= LINES_MAX, "{} has {lines} lines", file.display());
            for (number, line) in text.lines().enumerate() {
                // A text for people or an address is not broken for the sake of the margin.
                if line.contains('"') || line.contains("://") {
                    continue;
                }
                let columns = line.chars().count();
                let at = number + 1;
                assert!(columns <= COLUMNS_MAX, "{}:{at} has {columns} columns", file.display());
            }
        }
    }
}

/// All Rust files below a folder.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}
