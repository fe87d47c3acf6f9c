//! What the daemon measures: the link's methods and outcomes, by number.

use souk_meter::{Batch, DAEMON_STAGES, Hub, LatencySettings, Plan, Queue};
use souk_proto::{Code, Method};
use std::sync::Arc;

/// The outcome of a request that was answered as it wished.
pub(crate) const OK: usize = 0;

/// The number of a request whose method is not known; no method has it.
pub(crate) const UNKNOWN: usize = 0;

/// The hub that a daemon's shards record for.
pub(crate) fn hub(settings: &LatencySettings) -> Arc<Hub> {
    let plan = Plan {
        program: "soukd",
        version: env!("CARGO_PKG_VERSION"),
        routes: routes(),
        stages: DAEMON_STAGES,
        codes: codes(),
        queues: &[
            Queue::Redis,
            Queue::MysqlRead,
            Queue::MysqlWrite,
            Queue::Argon2,
            Queue::Pictures,
        ],
        batches: &[Batch::Link, Batch::Redis, Batch::MysqlRead, Batch::MysqlWrite],
    };
    Hub::new(plan, settings.enabled)
}

/// The name of an outcome.
pub(crate) fn outcome_name(outcome: usize) -> &'static str {
    match outcome {
        OK => "ok",
        number => Code::from_number(u32::try_from(number).unwrap_or(u32::MAX)).name(),
    }
}

/// The names of the methods by number; numbers in between have none and are never used.
fn routes() -> Vec<String> {
    let mut names = vec!["(unknown)".to_owned()];
    for method in Method::ALL {
        let number = method as usize;
        names.resize(names.len().max(number + 1), String::new());
        names[number] = format!("{method:?}");
    }
    names
}

/// The names of the codes by number.
fn codes() -> Vec<String> {
    let mut names = vec!["ok".to_owned()];
    for code in Code::all() {
        let number = code as usize;
        names.resize(names.len().max(number + 1), String::new());
        names[number] = code.name().to_owned();
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{codes, routes};
    use souk_proto::{Code, Method};

    #[test]
    fn every_method_and_code_is_found_at_its_number_and_none_is_at_0() {
        let (routes, codes) = (routes(), codes());
        assert!(Method::ALL.into_iter().all(|it| routes[it as usize] == format!("{it:?}")));
        assert!(Code::all().all(|code| codes[code as usize] == code.name()));
        assert_eq!((&*routes[0], &*codes[0]), ("(unknown)", "ok"));
    }
}
