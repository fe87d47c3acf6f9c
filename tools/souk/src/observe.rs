//! What the running programs say about themselves, read from their admin listeners.
//!
//! Counts and distributions come cumulative since a program's start; what happened in an interval
//! is the difference of two readings. A program that was started again begins at zero, and what it
//! counted since is the whole difference.

mod admin;
mod samples;
pub mod show;
pub mod stages;

pub use admin::{Admin, AdminArgs};
pub use samples::Samples;
pub use stages::{Reading, Routes};

/// The program that meets requests first.
pub const FRONT: &str = "souk-front";
/// The program behind it.
pub const DAEMON: &str = "soukd";

/// What every listener of `admins` gives at once, in their order.
pub fn ask_all<T: Send>(
    admins: &[Admin],
    ask: impl Fn(&Admin) -> Result<T, String> + Sync,
) -> Vec<Result<T, String>> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = admins.iter().map(|admin| scope.spawn(|| ask(admin))).collect();
        let lost = || Err("asking failed".to_owned());
        asked.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
    })
}
