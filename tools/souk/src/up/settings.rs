//! The settings that `souk up` gives to its programs.
//!
//! A program's environment wins over its file. What `souk up` decides must hold whatever is
//! exported, so these variables are kept from it; all others reach it.

use souk_stack::Config;

use super::UpArgs;
use super::home::Home;

/// What soukd is told.
pub fn daemon(args: &UpArgs, home: &Home, mysql: &str, redis: &str) -> Config {
    let mut config = Config::new();
    config
        // The front is told the port that was free.
        .set("link.listen", "127.0.0.1:0")
        .set("link.secret_file", home.text("secrets/link"))
        .set("daemon.node", "local")
        .set("daemon.state_dir", home.text("state"))
        .set("mysql.url", mysql)
        // soukd takes one of the two: say that it is not this one.
        .set("mysql.url_file", "")
        .set("redis.url", redis)
        .set("sessions.token_secret_file", home.text("secrets/token"))
        .set("admin.listen", home.socket("soukd-admin"))
        .set("log.format", "human");
    if args.no_cache {
        config.set("cache.enabled", false);
    }
    if args.no_limits {
        config.set("limits.enabled", false);
    }
    if let Some(shards) = args.shards {
        config.set("daemon.shards", i64::from(shards));
    }
    config
}

/// What souk-front is told.
pub fn front(args: &UpArgs, home: &Home, daemon: &str) -> Config {
    let [(http, _), (bids, _)] = args.addresses.all();
    let mut config = Config::new();
    config
        .set("http.listen", http.to_string())
        .set("bids.listen", bids.to_string())
        .set("link.daemons", vec![daemon])
        .set("link.secret_file", home.text("secrets/link"))
        .set("admin.listen", home.socket("front-admin"))
        .set("log.format", "human");
    if let Some(threads) = args.front_threads {
        config.set("http.threads", i64::from(threads));
    }
    config
}

/// The environment variables that would override `config`.
pub fn variables(config: &Config) -> Vec<String> {
    config.keys().map(|(section, key)| souk_process::settings::variable(section, key)).collect()
}
