//! Runs `souk` as people do.

use std::process::{Command, Stdio};

/// How a command ended and what it wrote.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A `souk` command line without settings from the environment.
pub fn souk_command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_souk"));
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"SOUK_") {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `souk` with `args` to its end.
pub fn souk(args: &[&str]) -> Outcome {
    let output = souk_command(args).output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
