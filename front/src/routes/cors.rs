//! Reading from other origins (CORS): an allow-list, empty unless set.

use crate::http::Response;

/// Whether the origin is on the list.
pub(super) fn is_listed(origin: &str, listed: &[String]) -> bool {
    listed.iter().any(|entry| entry.eq_ignore_ascii_case(origin))
}

/// Adds what lets a listed origin's page read the answer.
pub(super) fn allow(response: &mut Response, origin: Option<&str>, listed: &[String]) {
    if listed.is_empty() {
        return;
    }
    // Whatever the answer, it depends on who asks, and caches have to know.
    response.headers.push("vary", "Origin");
    if let Some(origin) = origin.filter(|origin| is_listed(origin, listed)) {
        let fields = "Age, ETag, Location, Retry-After, Warning";
        response.headers.push("access-control-allow-origin", origin);
        response.headers.push("access-control-allow-credentials", "true");
        response.headers.push("access-control-expose-headers", fields);
    }
}

/// The answer to OPTIONS: the path's methods, and leave for a listed origin's preflight.
pub(super) fn preflight(methods: &str, origin: Option<&str>, listed: &[String]) -> Response {
    let response = Response::new(204).header("allow", methods);
    if !origin.is_some_and(|origin| is_listed(origin, listed)) {
        return response;
    }
    let fields = "Authorization, Content-Type, If-Match, If-None-Match, Traceparent";
    response
        .header("access-control-allow-methods", methods)
        .header("access-control-allow-headers", fields)
        .header("access-control-max-age", "600")
}

#[cfg(test)]
mod tests {
    use super::{allow, preflight};
    use crate::http::Response;

    const SHOP: &str = "https://shop.example";

    #[test]
    fn only_listed_origins_may_read() {
        let allowed = |origin: Option<&str>, listed: &[&str]| {
            let listed: Vec<String> = listed.iter().map(|text| (*text).to_owned()).collect();
            let mut response = Response::new(200);
            allow(&mut response, origin, &listed);
            ["access-control-allow-origin", "access-control-allow-credentials", "vary"]
                .map(|name| response.headers.get(name).map(str::to_owned))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(allowed(Some(SHOP), &[]), [None, None, None]);
        assert_eq!(allowed(Some(SHOP), &[SHOP]), [some(SHOP), some("true"), some("Origin")]);
        for origin in [None, Some("https://evil.example"), Some("null"), Some("*"), Some("")] {
            assert_eq!(allowed(origin, &[SHOP]), [None, None, some("Origin")], "{origin:?}");
        }
    }

    #[test]
    fn a_preflight_gets_leave_only_for_listed_origins() {
        let listed = [SHOP.to_owned()];
        let response = preflight("GET, OPTIONS", Some(SHOP), &listed);
        assert_eq!(response.status, 204);
        assert_eq!(response.headers.get("access-control-allow-methods"), Some("GET, OPTIONS"));
        let response = preflight("GET, OPTIONS", Some("https://evil.example"), &listed);
        assert_eq!(response.headers.get("access-control-allow-methods"), None);
        assert_eq!(response.headers.get("allow"), Some("GET, OPTIONS"));
    }
}
