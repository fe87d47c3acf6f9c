//! The service that others would write: `perf/baseline/`, on a given database and its own Redis.

use super::{Held, Target};
use crate::Failed;
use crate::procs::Process;
use souk_stack::{PrivateDir, Program, ProgramSpec, Redis, sibling};

/// Starts it on a database that has Souk's tables, and waits until it serves.
///
/// # Errors
/// If it is not built, or does not start.
pub fn baseline(mysql: &str, database: &[Process], no_cache: bool) -> Result<Target, Failed> {
    let home = PrivateDir::new()?;
    let redis = Redis::start(home.path().join("r"))?;
    let mut spec = ProgramSpec::new("baseline", sibling("souk-baseline")?)
        .arg("--mysql")
        .arg(mysql)
        .arg("--redis")
        .arg(redis.url());
    if no_cache {
        spec = spec.arg("--no-cache");
    }
    let program = Program::start(&spec)?;
    let host = program.address().to_owned();
    let address = host.parse().map_err(|why| Failed::new(format!("{host}: {why}")))?;
    let mut target = Target::new("baseline", &host, address);
    target.processes.push(Process { role: "baseline", pid: program.pid() });
    target.processes.extend(redis.pid().map(|pid| Process { role: "redis", pid }));
    target.processes.extend_from_slice(database);
    let redis = Some(redis);
    target.held = Held { program: Some(program), redis, home: Some(home), child: None };
    Ok(target)
}
