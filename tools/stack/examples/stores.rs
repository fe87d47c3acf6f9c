//! Starts a private MariaDB and Redis, says where they are, and runs until it is ended: in any way,
//! for both end with it and their directory goes.
//!
//! It prints one line: `stores PID PID DIRECTORY`, MariaDB's process before Redis'.

use souk_stack::{MariaDb, MariaDbOptions, PrivateDir, Redis, StackError};
use std::thread;

fn main() -> Result<(), StackError> {
    let home = PrivateDir::new()?;
    let mariadb = MariaDb::start(MariaDbOptions::small(home.path().join("m")))?;
    let redis = Redis::start(home.path().join("r"))?;
    let pid = |pid: Option<u32>| pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    println!("stores {} {} {}", pid(mariadb.pid()), pid(redis.pid()), home.path().display());
    loop {
        thread::park();
    }
}
