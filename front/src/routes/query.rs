//! Paths and query strings in decoded form.

use crate::http::text;
use souk_proto::Failure;
use std::borrow::Cow;

/// The path with those escapes undone that need none (RFC 3986, 6.2.2.2), so that `/%70rofile` is
/// `/profile`. Others stay: an escaped slash parts no segments.
pub(super) fn normal_path(raw: &str) -> Cow<'_, str> {
    if !raw.contains('%') {
        return Cow::Borrowed(raw);
    }
    let mut path = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('%') {
        path.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).filter(|code| !code.starts_with('+'));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                path.push(char::from(byte));
                rest = &rest[at + 3..];
            }
            _ => {
                path.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    path.push_str(rest);
    Cow::Owned(path)
}

/// The pairs of a request's query string.
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads a query string; none is an empty one.
    ///
    /// # Errors
    /// If an escape is broken or the text is not UTF-8.
    pub fn read(raw: Option<&'a str>) -> Result<Query<'a>, Failure> {
        Ok(Query(text::query(raw.unwrap_or_default())?))
    }

    /// The value of a parameter, if it is there.
    ///
    /// # Errors
    /// If the parameter comes twice: which one counts would be a guess.
    pub fn get(&self, name: &str) -> Result<Option<&str>, Failure> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| &**value);
        let first = values.next();
        if values.next().is_some() {
            return Err(Failure::field(name, format!("The parameter {name} is given twice.")));
        }
        Ok(first)
    }
}

/// A number in digits and nothing else.
pub(super) fn digits<N: std::str::FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// A number of a query between 1 and `most`.
pub(super) fn count(query: &Query<'_>, name: &str, usual: u32, most: u32) -> Result<u32, Failure> {
    let Some(text) = query.get(name)? else { return Ok(usual) };
    digits(text)
        .filter(|count| (1..=most).contains(count))
        .ok_or_else(|| Failure::field(name, format!("The {name} can be 1 to {most}.")))
}

/// Escapes a text for a query string.
pub(super) fn escape(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Where a form leads after it is done: a path of this site, or else the profile. Anything that a
/// browser could read as another site's address is not followed.
pub(super) fn next_path(wanted: Option<&str>) -> &str {
    match wanted {
        Some(path)
            if path.starts_with('/')
                && !path.starts_with("//")
                && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') =>
        {
            path
        }
        _ => "/profile",
    }
}

#[cfg(test)]
mod tests {
    use super::{Query, count, next_path, normal_path};
    use crate::http::text::segment;
    use proptest::prelude::*;

    #[test]
    fn equivalent_paths_are_one() {
        for (raw, normal) in [
            ("/profile", "/profile"),
            ("/%70rofile", "/profile"),
            ("/api/v1/users/by-name/a%2Fb", "/api/v1/users/by-name/a%2Fb"),
            ("/%7e%2D%2e%5F", "/~-._"),
            ("/%", "/%"),
            ("/%4", "/%4"),
            ("/%+4", "/%+4"),
            ("/%2541", "/%2541"),
        ] {
            assert_eq!(normal_path(raw), normal, "{raw}");
        }
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        let query = Query::read(Some("username=a%20b&limit=5&limit=6")).expect("valid");
        assert_eq!(query.get("username").expect("once"), Some("a b"));
        assert_eq!(query.get("cursor").expect("none"), None);
        assert_eq!(query.get("limit").expect_err("twice").field, "limit");
        assert_eq!(Query::read(None).expect("empty").get("limit").expect("none"), None);
        assert!(Query::read(Some("username=%")).is_err());
    }

    #[test]
    fn counts_have_bounds() {
        let read = |raw| count(&Query::read(Some(raw)).expect("valid"), "limit", 100, 500);
        assert_eq!((read(""), read("limit=1"), read("limit=500")), (Ok(100), Ok(1), Ok(500)));
        for bad in ["limit=", "limit=0", "limit=501", "limit=-1", "limit=1.0", "limit=99999999999"]
        {
            assert_eq!(read(bad).expect_err(bad).field, "limit", "{bad}");
        }
    }

    #[test]
    fn a_form_leads_to_no_other_site() {
        assert_eq!(next_path(Some("/")), "/");
        assert_eq!(next_path(Some("/profile?saved=1#top")), "/profile?saved=1#top");
        for bad in ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb", "x"]
        {
            assert_eq!(next_path(Some(bad)), "/profile", "{bad:?}");
        }
        assert_eq!(next_path(None), "/profile");
    }

    proptest! {
        #[test]
        fn any_path_is_read_without_panic(raw in "\\PC{0,40}", code in "%[0-9a-fA-F]{0,2}") {
            let raw = format!("{raw}{code}{raw}");
            let normal = normal_path(&raw).into_owned();
            prop_assert_eq!(segment(&normal).ok(), segment(&raw).ok());
        }
    }
}
