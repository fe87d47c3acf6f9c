//! What the stores say at each start and stop, and nobody needs to read.
//!
//! Warnings, errors and everything unknown are shown: a line is noise only if it is known.

/// Whether `line` of the child `label` is routine.
pub fn is_noise(label: &str, line: &str) -> bool {
    match label {
        // After its notes, MariaDB names its version on a line without a level.
        "mariadb" => line.contains(" [Note] ") || line.starts_with("Version: "),
        "redis" => REDIS.iter().any(|known| line.contains(known)),
        _ => false,
    }
}

/// Redis 7 writes these at the level of its warnings.
const REDIS: [&str; 8] = [
    "oO0OoO0OoO0Oo",
    "# Redis version=",
    "# Configuration loaded",
    "# Server initialized",
    // It speaks of snapshots and replicas; `souk doctor` looks at the setting.
    "# WARNING Memory overcommit must be enabled",
    "Received SIGTERM scheduling shutdown",
    "# User requested shutdown",
    "# Redis is now ready to exit",
];

#[cfg(test)]
mod tests {
    use super::is_noise;

    #[test]
    fn routine_is_hidden_and_trouble_is_shown() {
        let time = "2026-11-21  1:21:51 0";
        assert!(is_noise("mariadb", &format!("{time} [Note] InnoDB: Starting shutdown...")));
        assert!(is_noise("redis", "19:M 21 Nov 2026 01:21:51.243 # Server initialized"));
        for (label, line) in [
            ("mariadb", format!("{time} [ERROR] InnoDB: Unable to lock ./ibdata1 error: 11")),
            ("mariadb", format!("{time} [Warning] Aborted connection 5")),
            ("mariadb", "mariadbd got signal 11 ;".to_owned()),
            ("redis", "19:M 21 Nov 2026 01:21:51.243 # Can't chdir to '/x'".to_owned()),
            ("soukd", "INFO soukd: [Note] of ours".to_owned()),
        ] {
            assert!(!is_noise(label, &line), "{label}: {line}");
        }
    }
}
