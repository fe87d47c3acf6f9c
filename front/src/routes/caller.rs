//! Who asks: the client's address, its tokens, and the shard that knows it.

use super::client;
use super::cookies::Kind;
use super::limits::AGENT_MAX;
use super::origin::{self, Source};
use crate::config::HttpSettings;
use crate::http::Head;
use data_encoding::BASE64URL_NOPAD;
use souk_proto::common::Caller;
use souk_proto::{Code, Failure};
use std::net::IpAddr;

/// Length of a session token: 49 bytes in base64url.
const TOKEN_LEN: usize = 66;

/// How a service's token begins, and the length of its 32 bytes in base64url behind that.
const SERVICE: &str = "souk_";
const SERVICE_LEN: usize = 43;

/// First byte of a session token of the form known here.
const TOKEN_VERSION: u8 = 1;

/// The caller as every request carries it: address and session token.
pub(super) fn caller(head: &Head, peer: IpAddr, http: &HttpSettings) -> Caller {
    let forwarded = head.headers("x-forwarded-for").map(|line| {
        // An entry that is not text cannot be an address, and ends the chain as one.
        std::str::from_utf8(line).unwrap_or("?")
    });
    Caller {
        address: client::bytes(client::address(peer, &http.trusted_proxies, forwarded)),
        token: token(head, http.behind_tls).unwrap_or_default().to_owned(),
        ..Caller::default()
    }
}

/// The caller of a request that a password goes with: the device, too.
pub(super) fn with_device(mut caller: Caller, head: &Head, http: &HttpSettings) -> Caller {
    let device = Kind::Device.find(cookie_lines(head), http.behind_tls);
    caller.device = device.unwrap_or_default().to_owned();
    caller.agent = agent(head);
    caller
}

fn agent(head: &Head) -> String {
    let text = String::from_utf8_lossy(head.header("user-agent").unwrap_or_default());
    let mut end = text.len().min(AGENT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn cookie_lines(head: &Head) -> impl Iterator<Item = &str> {
    head.headers("cookie").filter_map(|line| std::str::from_utf8(line).ok())
}

fn bearer(head: &Head) -> Option<&str> {
    let (scheme, token) = head.header_str("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// The session token, if one came that could be a token at all. A bearer token goes before the
/// cookie: it was sent on purpose.
fn token(head: &Head, behind_tls: bool) -> Option<&str> {
    let bearer = bearer(head);
    if bearer.is_some_and(is_service) {
        return bearer;
    }
    bearer
        .or_else(|| Kind::Session.find(cookie_lines(head), behind_tls))
        .filter(|token| user_id(token).is_some())
}

/// The user that a session token names. Nothing is proven by it: it picks the shard, and the
/// daemon there checks the token.
pub(crate) fn user_id(token: &str) -> Option<u64> {
    if token.len() != TOKEN_LEN || !token.bytes().all(is_base64url) {
        return None;
    }
    // Twelve characters are nine bytes: the version and the user's id.
    let mut start = [0; 9];
    BASE64URL_NOPAD.decode_mut(&token.as_bytes()[..12], &mut start).ok()?;
    let [version, id @ ..] = start;
    (version == TOKEN_VERSION).then_some(u64::from_be_bytes(id))
}

/// Whether a token could be a service's. Which role it has is the daemon's to know.
fn is_service(token: &str) -> bool {
    token
        .strip_prefix(SERVICE)
        .is_some_and(|rest| rest.len() == SERVICE_LEN && rest.bytes().all(is_base64url))
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// The user who has to be logged in for what is asked.
///
/// # Errors
/// [`Code::Unauthenticated`] if no token came: no daemon needs to be asked for that.
pub(super) fn known_user(caller: &Caller) -> Result<u64, Failure> {
    user_id(&caller.token).ok_or_else(|| Failure::new(Code::Unauthenticated))
}

/// Refuses a write that comes from another site.
pub(super) fn check_origin(head: &Head, http: &HttpSettings) -> Result<(), Failure> {
    let cookie = Kind::Session.find(cookie_lines(head), http.behind_tls);
    let source = Source {
        // A value that is not even text is no origin of ours.
        origin: head.header("origin").map(|value| std::str::from_utf8(value).unwrap_or("?")),
        fetch_site: head
            .header("sec-fetch-site")
            .map(|value| std::str::from_utf8(value).unwrap_or("?")),
        host: head.host(),
        bearer_alone: bearer(head).is_some() && cookie.is_none(),
    };
    origin::check(&source, &http.cors_origins)
}

#[cfg(test)]
mod tests {
    use super::{AGENT_MAX, caller, check_origin, user_id, with_device};
    use crate::config::HttpSettings;
    use crate::http::{Head, head};
    use data_encoding::BASE64URL_NOPAD;
    use proptest::prelude::*;
    use souk_proto::common::Caller;

    fn token_of(version: u8, user: u64) -> String {
        let mut bytes = [0x5a; 49];
        bytes[0] = version;
        bytes[1..9].copy_from_slice(&user.to_be_bytes());
        BASE64URL_NOPAD.encode(&bytes)
    }

    fn request(fields: &str) -> Head {
        let text = format!("POST / HTTP/1.1\r\nhost: souk.example\r\n{fields}\r\n");
        head::parse(text.as_bytes()).expect("valid").expect("whole").0
    }

    fn asks(fields: &str) -> Caller {
        let (head, http) = (request(fields), HttpSettings::default());
        let peer = "203.0.113.9".parse().expect("address");
        with_device(caller(&head, peer, &http), &head, &http)
    }

    proptest! {
        #[test]
        fn a_token_names_its_user_and_nothing_else_does(user: u64, junk in "\\PC{0,80}") {
            prop_assert_eq!(user_id(&token_of(1, user)), Some(user));
            prop_assert_eq!(user_id(&token_of(2, user)), None);
            prop_assert_eq!(user_id(&token_of(1, user)[1..]), None);
            let _ = user_id(&junk);
        }
    }

    #[test]
    fn the_token_comes_from_the_bearer_header_or_the_cookie() {
        let (one, two) = (token_of(1, 1), token_of(1, 2));
        let cookie = format!("cookie: a=b; souk_session={one}; souk_device=dev\r\n");
        let bearer = format!("authorization: Bearer {two}\r\n");
        assert_eq!(asks(&cookie).token, one);
        assert_eq!(asks(&cookie).device, "dev");
        assert_eq!(asks(&format!("{cookie}{bearer}")).token, two, "the bearer token goes first");
        assert_eq!(asks(&bearer.replace("Bearer", "bearer")).token, two);
        let service = format!("souk_{}", "aB3-_".repeat(9)[2..].to_owned());
        let header = format!("authorization: Bearer {service}\r\n");
        assert_eq!(asks(&format!("{cookie}{header}")).token, service);
        assert_eq!(asks(&format!("cookie: souk_session={service}\r\n")).token, "");
        assert_eq!(asks(&header.replace("souk_", "souk_a")).token, "");
        assert_eq!(asks(&header.replace("souk_", "soup_")).token, "");
        for none in [
            "",
            "authorization: Basic abc\r\n",
            "authorization: Bearer\r\n",
            "authorization: Bearer abc\r\n",
            "cookie: souk_session=abc\r\n",
        ] {
            assert_eq!(asks(none).token, "", "{none}");
        }
    }

    #[test]
    fn the_agent_is_cut_between_characters() {
        let agent = asks(&format!("user-agent: {}\r\n", "ä".repeat(200))).agent;
        assert_eq!(agent.len(), AGENT_MAX);
        assert_eq!(asks("").agent, "");
        let agent = asks(&format!("user-agent: x{}\r\n", "ä".repeat(200))).agent;
        assert_eq!(agent.len(), AGENT_MAX - 1);
    }

    #[test]
    fn a_bearer_token_excuses_a_foreign_origin_only_without_a_cookie() {
        let http = HttpSettings::default();
        let passes = |fields: &str| check_origin(&request(fields), &http).is_ok();
        let foreign = "origin: https://evil.example\r\nsec-fetch-site: cross-site\r\n";
        let bearer = "authorization: Bearer abc\r\n";
        assert!(!passes(foreign));
        assert!(passes(&format!("{foreign}{bearer}")));
        assert!(!passes(&format!("{foreign}{bearer}cookie: souk_session=abc\r\n")));
        assert!(passes("origin: http://souk.example\r\nsec-fetch-site: same-origin\r\n"));
        assert!(!passes("origin: \u{ff}\r\n"));
    }
}
