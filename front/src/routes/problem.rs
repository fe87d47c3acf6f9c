//! Errors as `application/problem+json` (RFC 9457), and the one table of codes and HTTP statuses.

use super::json;
use crate::http::{Refusal, Response};
use serde::Serialize;
use souk_proto::error::Retry;
use souk_proto::{Code, Failure};

/// What an error answer is made of.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// Which error.
    pub code: Code,
    /// What exactly is wrong, safe to show; empty means the code's own text.
    pub detail: &'a str,
    /// The input field at fault; empty for none.
    pub field: &'a str,
    /// When a retry can help, in milliseconds from now; 0 means unknown.
    pub retry_after_ms: u32,
}

/// The HTTP status of an error. Every code is here: the compiler sees to it.
pub const fn status(code: Code) -> u16 {
    match code {
        Code::InvalidField
        | Code::PictureInvalid
        | Code::BadRequest
        | Code::MalformedBody
        | Code::MalformedFrame
        | Code::UnknownFrame => 400,
        Code::Unauthenticated | Code::WrongCredentials => 401,
        // Not 401: the session is valid, only the password given with it is not.
        Code::WrongPassword
        | Code::CrossSite
        | Code::Forbidden
        | Code::MissingRole
        | Code::OwnAuction
        | Code::NotSeller
        | Code::WrongBidder => 403,
        Code::UserNotFound
        | Code::SessionNotFound
        | Code::PictureNotFound
        | Code::BoardNotFound
        | Code::NotRanked
        | Code::AuctionNotFound
        | Code::SettlementNotFound
        | Code::RouteNotFound => 404,
        Code::MethodNotAllowed => 405,
        Code::RequestTimeout => 408,
        Code::UsernameTaken
        | Code::EventConflict
        | Code::AuctionNotStarted
        | Code::AuctionEnded
        | Code::AuctionCancelled
        | Code::AuctionHasBids
        | Code::BidTooLow
        | Code::AlreadyLeading
        | Code::CurrencyMismatch => 409,
        Code::VersionConflict => 412,
        Code::PayloadTooLarge | Code::PictureTooLarge => 413,
        Code::TargetTooLong => 414,
        Code::UnsupportedMediaType | Code::PictureUnsupported => 415,
        Code::ExpectationFailed => 417,
        Code::RateLimited | Code::TooManyFailures | Code::TooManyConnections => 429,
        Code::HeadTooLarge => 431,
        Code::Internal | Code::MalformedMessage => 500,
        Code::UnknownMethod | Code::NotImplemented => 501,
        Code::Busy
        | Code::Unavailable
        | Code::StoreUnavailable
        | Code::Cancelled
        | Code::ClockSkew => 503,
        Code::DeadlineExceeded => 504,
        Code::VersionNotSupported => 505,
    }
}

/// The body, with its members in the order of RFC 9457.
#[derive(Serialize)]
struct Document<'a, M> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    field: &'a str,
    trace_id: String,
    #[serde(flatten)]
    more: M,
}

/// The answer for an error.
pub(super) fn answer(problem: &Problem, trace: u128) -> Response {
    answer_with(problem, trace, Nothing {})
}

/// No further members.
#[derive(Serialize)]
struct Nothing {}

/// The answer for an error that says more, in members of its own.
pub(super) fn answer_with(problem: &Problem, trace: u128, more: impl Serialize) -> Response {
    let Problem { code, detail, field, .. } = *problem;
    let status = status(code);
    let document = Document {
        r#type: format!("urn:souk:problem:{}", code.name()),
        title: code.text(),
        status,
        detail: if detail.is_empty() { code.text() } else { detail },
        code: code.name(),
        field,
        trace_id: format!("{trace:032x}"),
        more,
    };
    let mut response = json::answer_as("application/problem+json", status, &document)
        .header("cache-control", "no-store");
    if status == 401 {
        response.headers.push("www-authenticate", "Bearer realm=\"souk\"");
    }
    if let Some(seconds) = retry_after_s(problem) {
        response.headers.push("retry-after", seconds);
    }
    response
}

/// Whole seconds after which a retry can help, rounded up so that it is never too early.
pub(super) fn retry_after_s(problem: &Problem) -> Option<u32> {
    match problem.retry_after_ms {
        0 if problem.code.retry() == Retry::Later && matches!(status(problem.code), 429 | 503) => {
            Some(1)
        }
        0 => None,
        ms => Some(ms.div_ceil(1000)),
    }
}

impl From<Code> for Problem<'_> {
    fn from(code: Code) -> Self {
        Problem { code, detail: "", field: "", retry_after_ms: 0 }
    }
}

impl<'a> From<&'a Failure> for Problem<'a> {
    fn from(failure: &'a Failure) -> Self {
        Problem {
            code: failure.code,
            detail: &failure.detail,
            field: &failure.field,
            retry_after_ms: failure.retry_after_ms,
        }
    }
}

impl<'a> From<&'a Refusal> for Problem<'a> {
    fn from(refusal: &'a Refusal) -> Self {
        Problem { detail: refusal.detail, ..Problem::from(refusal.code) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Problem, answer, status};
    use crate::routes::json::parsed;
    use souk_proto::{Code, Failure};
    use std::time::Duration;

    #[test]
    fn every_code_has_an_error_status_and_its_fault_agrees() {
        use souk_proto::error::Fault;
        for code in Code::all() {
            let status = status(code);
            match code.fault() {
                _ if code == Code::Cancelled => {}
                Fault::Client => assert!(
                    (400..500).contains(&status) || matches!(status, 501 | 505),
                    "{code:?} is the client's fault but answers {status}"
                ),
                Fault::Souk | Fault::Store => assert!(status >= 500, "{code:?} answers {status}"),
            }
        }
    }

    #[test]
    fn a_problem_names_everything_a_client_needs() {
        let failure = Failure::field("username", "is too short");
        let response = answer(&Problem::from(&failure), 0xabc);
        assert_eq!(response.status, 400);
        assert_eq!(response.headers.get("content-type"), Some("application/problem+json"));
        let body = parsed(&response);
        assert_eq!(body["type"], "urn:souk:problem:invalid_field");
        assert_eq!(body["title"], Code::InvalidField.text());
        assert_eq!(body["status"], 400);
        assert_eq!(body["detail"], "is too short");
        assert_eq!(body["code"], "invalid_field");
        assert_eq!(body["field"], "username");
        assert_eq!(body["trace_id"], "00000000000000000000000000000abc");
    }

    #[test]
    fn a_retry_time_is_whole_seconds_and_never_too_early() {
        let after = |failure: &Failure| {
            let response = answer(&Problem::from(failure), 1);
            response.headers.get("retry-after").map(str::to_owned)
        };
        let limited = Failure::new(Code::RateLimited);
        let pause = |ms| limited.clone().retry_after(Duration::from_millis(ms));
        assert_eq!(after(&pause(1)).as_deref(), Some("1"));
        assert_eq!(after(&pause(1001)).as_deref(), Some("2"));
        assert_eq!(after(&Failure::new(Code::Busy)).as_deref(), Some("1"));
        assert_eq!(after(&Failure::new(Code::UsernameTaken)), None);
    }

    #[test]
    fn a_401_says_how_to_authenticate() {
        let response = answer(&Problem::from(Code::Unauthenticated), 1);
        assert_eq!(response.headers.get("www-authenticate"), Some("Bearer realm=\"souk\""));
    }
}
