//! Writes from other sites are refused: the second lock beside `SameSite` cookies.
//!
//! Browsers say where a write comes from, in `Sec-Fetch-Site` and in `Origin`. Programs say
//! neither and carry no cookies that a foreign page could abuse, so they pass.

use super::cors;
use souk_proto::{Code, Failure};

/// What a write says about where it comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Source<'a> {
    pub origin: Option<&'a str>,
    pub fetch_site: Option<&'a str>,
    pub host: &'a str,
    /// It authenticates by a bearer token and carries no session cookie, so nothing was sent
    /// along by the browser on its own account.
    pub bearer_alone: bool,
}

/// Lets a write of this site, of a listed origin or of a program pass.
pub(super) fn check(source: &Source, listed: &[String]) -> Result<(), Failure> {
    if source.bearer_alone || source.origin.is_some_and(|origin| cors::is_listed(origin, listed)) {
        return Ok(());
    }
    let own = match (source.fetch_site, source.origin) {
        (Some(site), origin) => {
            matches!(site, "same-origin" | "none")
                && origin.is_none_or(|origin| is_own(origin, source.host))
        }
        (None, Some(origin)) => is_own(origin, source.host),
        (None, None) => true,
    };
    if own { Ok(()) } else { Err(Failure::new(Code::CrossSite)) }
}

/// Whether the origin is the one that the request was sent to. The scheme cannot be compared: TLS
/// may end before Souk.
fn is_own(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |text: &'_ str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    !authority.is_empty() && bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::{Source, check};

    #[test]
    fn writes_of_other_sites_are_refused() {
        let listed = ["https://shop.example".to_owned()];
        let (own, other) = ("https://souk.example", "https://evil.example");
        #[rustfmt::skip]
        let table: &[(Option<&str>, Option<&str>, bool, bool)] = &[
            // (Origin, Sec-Fetch-Site, bearer alone, passes)
            (None, None, false, true),
            (Some(own), None, false, true),
            (Some("https://SOUK.example:443"), None, false, true),
            (Some("http://souk.example:80"), None, false, true),
            (Some(own), Some("same-origin"), false, true),
            (None, Some("same-origin"), false, true),
            (None, Some("none"), false, true),
            (Some(other), None, false, false),
            (Some("null"), None, false, false),
            (Some(""), None, false, false),
            (Some("https://"), None, false, false),
            (Some("https://souk.example.evil.example"), None, false, false),
            (Some("https://souk.example:8443"), None, false, false),
            (Some("ftp://souk.example"), None, false, false),
            (None, Some("cross-site"), false, false),
            (None, Some("same-site"), false, false),
            (None, Some("nonsense"), false, false),
            (Some(own), Some("cross-site"), false, false),
            (Some(other), Some("same-origin"), false, false),
            (Some("null"), Some("same-origin"), false, false),
            // Listed, so it passes.
            (Some("https://shop.example"), Some("cross-site"), false, true),
            (Some("https://shop.example"), None, false, true),
            (Some("https://shop.example:8443"), None, false, false),
            // No cookie, so there is nothing to abuse.
            (Some(other), Some("cross-site"), true, true),
        ];
        for (origin, fetch_site, bearer_alone, passes) in table.iter().copied() {
            let source = Source { origin, fetch_site, host: "souk.example", bearer_alone };
            assert_eq!(check(&source, &listed).is_ok(), passes, "{source:?}");
        }
    }
}
