//! `souk version`, and how the programs' versions compare.

use souk_process::say;
use std::process::{Command, ExitCode, Stdio};

use crate::Failed;

/// Our own version; all programs of one build have the same.
pub const OURS: &str = env!("CARGO_PKG_VERSION");

/// The programs that `souk up` starts.
pub const PROGRAMS: [&str; 2] = ["soukd", "souk-front"];

/// Shows the versions of all programs; a failure if one is missing or differs.
pub fn run() -> Result<ExitCode, Failed> {
    say(format_args!("souk {OURS}"));
    let mut code = ExitCode::SUCCESS;
    for program in PROGRAMS {
        match of(program) {
            Ok(version) if version == OURS => say(format_args!("{program} {version}")),
            Ok(version) => {
                say(format_args!("{program} {version} (differs: build all programs together)"));
                code = ExitCode::FAILURE;
            }
            Err(Failed(why)) => {
                say(format_args!("{program} missing: {why}"));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// The version that `program`, which lies beside us, says it has.
pub fn of(program: &str) -> Result<String, Failed> {
    let path = souk_stack::sibling(program)?;
    let output = Command::new(&path).arg("--version").stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim().rsplit_once(' ') {
        Some((_, version)) if output.status.success() => Ok(version.to_owned()),
        _ => Err(Failed(format!("{} --version gave no version", path.display()))),
    }
}
