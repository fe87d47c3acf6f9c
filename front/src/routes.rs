//! The HTTP interface: one table of routes, and what every request and answer has in common.
//!
//! A request passes here twice. [`find`] looks at its head alone and says which route it is, how
//! large a body may come and whether it is streamed, or answers at once: nothing at this path, the
//! wrong method, a body too large or of the wrong type. [`handle`] takes the whole request and
//! maps it onto one link method. There is no business rule here and no state: form is checked,
//! meaning is the daemon's.

mod accounts;
mod answer;
mod auctions;
mod caller;
mod client;
mod cookies;
mod cors;
mod input;
mod json;
mod leaderboard;
mod limits;
mod live;
mod multipart;
#[cfg(test)]
mod openapi;
mod origin;
mod pages;
mod problem;
mod query;
mod ready;
mod table;

pub(crate) use caller::user_id as user_of_token;
pub(crate) use client::bytes as address_bytes;
pub(crate) use json::{PicturePath, Time};
pub use problem::{Problem, status};
pub use table::{Found, Misfit, NOWHERE, find, names};

use crate::app::App;
use crate::config::Settings;
use crate::http::{BodySource, Head, Response};
use souk_trace::Context;
use std::net::IpAddr;
use std::rc::Rc;

/// One request, its head read and its body on the way.
pub struct Request {
    /// The head, as parsed.
    pub head: Head,
    /// The body, as [`Found`] asked for it.
    pub body: RequestBody,
    /// The address of the socket's other end.
    pub peer: IpAddr,
    /// The trace that goes with the request over the link; its id goes into problem answers.
    pub trace: Context,
}

/// A request's body.
pub enum RequestBody {
    /// There is none.
    Empty,
    /// All of it; at most [`Found::body_limit`] bytes.
    Full(Vec<u8>),
    /// Piece by piece; only for routes with [`Found::streams_body`].
    Stream(Box<dyn BodySource>),
}

/// Answers a request. Errors are answers too, so this never fails.
pub async fn handle(app: Rc<App>, found: Found, request: Request) -> Response {
    answer::handle(&app, found, request).await
}

/// The answer to a request that was refused before it came to a route, or by the connection.
pub fn refuse<'a>(why: impl Into<Problem<'a>>, trace: u128) -> Response {
    problem::answer(&why.into(), trace)
}

/// The answer to a request whose head leads to no route, or whose body is not taken.
pub fn turn_down(app: &App, head: &Head, misfit: &Misfit, trace: u128) -> Response {
    let mut response = problem::answer(&misfit.problem, trace);
    if let Some(methods) = misfit.allow {
        response.headers.push("allow", methods);
    }
    cors::allow(&mut response, head.header_str("origin"), &app.settings.http.cors_origins);
    response
}

/// What the pages may load: nothing but what is their own.
const PAGE_POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; \
                           form-action 'self'; frame-ancestors 'none'";

/// Any other answer is data, whatever a browser is made to take it for.
const DATA_POLICY: &str = "default-src 'none'";

/// The headers that go with every page, or with every other answer, as bytes of a response head
/// (each line with its CRLF).
pub fn security_headers(settings: &Settings, page: bool) -> Vec<u8> {
    let policy = if page { PAGE_POLICY } else { DATA_POLICY };
    let mut headers = format!(
        "content-security-policy: {policy}\r\nx-content-type-options: nosniff\r\n\
         x-frame-options: DENY\r\nreferrer-policy: same-origin\r\n"
    );
    if settings.http.behind_tls {
        headers.push_str("strict-transport-security: max-age=31536000\r\n");
    }
    headers.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{refuse, security_headers};
    use crate::config::Settings;
    use crate::http::Refusal;
    use souk_proto::{Code, Failure};

    #[test]
    fn the_policy_lets_no_script_in_and_tls_is_kept_only_behind_tls() {
        let mut settings = Settings::default();
        let text = |settings: &Settings| {
            let bytes = security_headers(settings, true);
            assert!(bytes.ends_with(b"\r\n"));
            String::from_utf8(bytes).expect("text")
        };
        let plain = text(&settings);
        assert!(plain.contains("default-src 'self'") && !plain.contains("unsafe"));
        for line in [
            "x-content-type-options: nosniff\r\n",
            "x-frame-options: DENY\r\n",
            "referrer-policy: same-origin\r\n",
        ] {
            assert!(plain.contains(line), "{line}");
        }
        assert!(!plain.contains("strict-transport-security"));
        let data = security_headers(&settings, false);
        assert!(data.starts_with(b"content-security-policy: default-src 'none'\r\n"));
        settings.http.behind_tls = true;
        assert!(text(&settings).contains("strict-transport-security: max-age=31536000\r\n"));
    }

    #[test]
    fn refusals_of_the_parser_and_of_the_link_are_problems() {
        assert_eq!(refuse(&Refusal::bad("no"), 1).status, 400);
        assert_eq!(refuse(&Failure::new(Code::RequestTimeout), 1).status, 408);
        assert_eq!(refuse(Code::Busy, 1).headers.get("retry-after"), Some("1"));
    }
}
