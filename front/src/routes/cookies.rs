//! The two cookies: the session's and the device's.
//!
//! Neither can be read by scripts. Behind TLS both carry the `__Host-` prefix, so that no
//! neighbouring host name and no plain connection can plant one.

use super::limits::DEVICE_COOKIE_AGE;
use cookie::time::Duration;
use cookie::{Cookie, SameSite};

/// Which cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Holds the session token.
    Session,
    /// Holds the device token, which outlives sessions.
    Device,
}

impl Kind {
    /// The cookie's name.
    pub fn name(self, behind_tls: bool) -> &'static str {
        match (self, behind_tls) {
            (Kind::Session, false) => "souk_session",
            (Kind::Session, true) => "__Host-souk_session",
            (Kind::Device, false) => "souk_device",
            (Kind::Device, true) => "__Host-souk_device",
        }
    }

    /// The cookie's value among the request's Cookie headers; the first counts.
    pub fn find<'a>(
        self,
        headers: impl Iterator<Item = &'a str>,
        behind_tls: bool,
    ) -> Option<&'a str> {
        let name = self.name(behind_tls);
        headers
            .flat_map(Cookie::split_parse)
            .filter_map(Result::ok)
            .find(|cookie| cookie.name() == name)
            .and_then(|cookie| cookie.value_raw())
            .filter(|value| !value.is_empty())
    }

    /// A Set-Cookie value that keeps `value` for `age_s` seconds.
    pub fn keep(self, value: &str, age_s: i64, behind_tls: bool) -> String {
        Cookie::build((self.name(behind_tls), value))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(behind_tls)
            .max_age(Duration::seconds(age_s.max(0)))
            .build()
            .to_string()
    }

    /// A Set-Cookie value that removes the cookie.
    pub fn forget(self, behind_tls: bool) -> String {
        self.keep("", 0, behind_tls)
    }
}

/// How long a device cookie is kept, in seconds.
pub(super) fn device_age_s() -> i64 {
    i64::try_from(DEVICE_COOKIE_AGE.as_secs()).expect("400 days are few seconds")
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn cookies_are_closed_to_scripts_and_other_sites() {
        assert_eq!(
            Kind::Session.keep("abc", 60, false),
            "souk_session=abc; HttpOnly; SameSite=Lax; Path=/; Max-Age=60"
        );
        assert_eq!(
            Kind::Device.keep("abc", 60, true),
            "__Host-souk_device=abc; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
        assert_eq!(
            Kind::Session.forget(true),
            "__Host-souk_session=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn the_right_cookie_is_found_among_others() {
        let find = |lines: &[&'static str], tls| Kind::Session.find(lines.iter().copied(), tls);
        assert_eq!(find(&["a=b; souk_session=abc; c=d"], false), Some("abc"));
        assert_eq!(find(&["a=b", "souk_session=abc"], false), Some("abc"));
        assert_eq!(find(&["souk_session=abc; souk_session=def"], false), Some("abc"));
        assert_eq!(find(&["xsouk_session=abc; souk_device=def"], false), None);
        assert_eq!(find(&["souk_session="], false), None);
        assert_eq!(find(&["=; ;;; souk_session"], false), None);
        assert_eq!(find(&["souk_session=abc"], true), None, "behind TLS only the prefixed one");
        assert_eq!(find(&["__Host-souk_session=abc"], true), Some("abc"));
    }
}
