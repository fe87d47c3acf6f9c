//! Health: is this process alive, and can it serve?

use super::answer::Call;
use super::json::{self, Time};
use crate::http::Response;
use serde::Serialize;
use souk_proto::Method;
use souk_proto::common::{ReadyAnswer, ReadyRequest};
use std::time::{SystemTime, UNIX_EPOCH};

/// Says that this process answers.
pub(super) fn health() -> Response {
    Response::new(200)
        .with("application/json", br#"{"status":"ok"}"#.as_slice())
        .header("cache-control", "no-store")
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    database: &'static str,
    redis: &'static str,
    timestamp: Time,
}

/// Says whether requests can be served: 503 without a daemon or without the database. Without Redis
/// reads still are, so that is not a reason to send clients elsewhere.
pub(super) async fn ready(call: &Call<'_>) -> Response {
    let asked = call.ask::<_, ReadyAnswer>(Method::Ready, 0, &ReadyRequest {}).await;
    let stores = asked.unwrap_or(ReadyAnswer { database: false, redis: false });
    report(&stores, now_ms())
}

fn report(stores: &ReadyAnswer, now_ms: i64) -> Response {
    let word = |up| if up { "up" } else { "down" };
    let (http, status) = match (stores.database, stores.redis) {
        (true, true) => (200, "ok"),
        (true, false) => (200, "degraded"),
        (false, _) => (503, "unavailable"),
    };
    let (database, redis) = (word(stores.database), word(stores.redis));
    let body = Ready { status, database, redis, timestamp: Time(now_ms) };
    json::answer(http, &body).header("cache-control", "no-store")
}

/// The current Unix time in milliseconds.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::report;
    use crate::routes::json::parsed;
    use serde_json::json;
    use souk_proto::common::ReadyAnswer;

    #[test]
    fn a_front_is_ready_as_long_as_the_database_is() {
        for (database, redis, http, status) in [
            (true, true, 200, "ok"),
            (true, false, 200, "degraded"),
            (false, true, 503, "unavailable"),
            (false, false, 503, "unavailable"),
        ] {
            let response = report(&ReadyAnswer { database, redis }, 0);
            let word = |up| if up { "up" } else { "down" };
            let expected = json!({
                "status": status, "database": word(database), "redis": word(redis),
                "timestamp": "1970-01-01T00:00:00.000Z",
            });
            assert_eq!((response.status, parsed(&response)), (http, expected));
        }
    }
}
