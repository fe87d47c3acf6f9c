//! The pages and what belongs to them: files of `front/web`, embedded when the program is built.
//!
//! Each file has a gzip form, made at build time too, and an entity tag from its content, so a
//! browser that has it asks again and gets 304.

use super::json::names_tag;
use crate::http::{Head, Response};
use souk_proto::{Code, Failure};

/// One embedded file.
struct File {
    /// Its path below `front/web`.
    name: &'static str,
    media_type: &'static str,
    /// Entity tag of the file as it is, and of its gzip form: the two are not the same bytes.
    tag: &'static str,
    gzip_tag: &'static str,
    bytes: &'static [u8],
    /// Empty if gzip would not make it smaller.
    gzip: &'static [u8],
}

// FILES: &[File], sorted by name.
include!(concat!(env!("OUT_DIR"), "/web.rs"));

/// The answer with an embedded file.
///
/// # Errors
/// [`Code::RouteNotFound`] if there is none of this name.
pub(super) fn answer(head: &Head, name: &str) -> Result<Response, Failure> {
    let at = FILES
        .binary_search_by_key(&name, |file| file.name)
        .map_err(|_| Failure::new(Code::RouteNotFound))?;
    let file = &FILES[at];
    let zipped = !file.gzip.is_empty() && head.header_str("accept-encoding").is_some_and(gzip_ok);
    let (tag, bytes) = if zipped { (file.gzip_tag, file.gzip) } else { (file.tag, file.bytes) };
    let known = head.header_str("if-none-match").is_some_and(|known| names_tag(known, tag));
    let mut response =
        if known { Response::new(304) } else { Response::new(200).with(file.media_type, bytes) };
    response.page = file.media_type.starts_with("text/html");
    if zipped && !known {
        response.headers.push("content-encoding", "gzip");
    }
    Ok(response
        .header("etag", tag)
        .header("cache-control", "no-cache")
        .header("vary", "Accept-Encoding"))
}

/// Whether an Accept-Encoding value takes gzip (RFC 9110, 12.5.3).
fn gzip_ok(header: &str) -> bool {
    let mut any = false;
    for coding in header.split(',') {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
        let taken = weight.parse::<f32>().is_ok_and(|weight| weight > 0.0);
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                return taken;
            }
            "*" => any = taken,
            _ => {}
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::{FILES, answer, gzip_ok};
    use crate::http::{Body, Head, Response, head};
    use iso_currency::Currency;
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    fn get(name: &str, fields: &str) -> Response {
        let text = format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        let head: Head = head::parse(text.as_bytes()).expect("valid").expect("whole").0;
        answer(&head, name).expect(name)
    }

    #[test]
    fn every_file_but_the_pages_is_embedded_as_it_is() {
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        assert!(FILES.is_sorted_by_key(|file| file.name));
        for file in FILES.iter().filter(|it| !it.name.ends_with(".html")) {
            let source = std::fs::read(web.join(file.name)).expect(file.name);
            assert!(source == file.bytes, "{} is not as it was built", file.name);
        }
        for name in ["index.html", "login.html", "register.html", "profile.html", "openapi.json"] {
            assert_eq!(get(name, "").status, 200);
        }
    }

    #[test]
    fn a_browser_that_has_a_file_gets_304_in_either_form() {
        for accepted in ["", "accept-encoding: gzip, deflate, br\r\n"] {
            let full = get("index.html", accepted);
            assert_eq!(full.headers.get("vary"), Some("Accept-Encoding"));
            assert_eq!(full.headers.get("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(full.headers.get("content-encoding").is_some(), !accepted.is_empty());
            let tag = full.headers.get("etag").expect("tag").to_owned();
            let again = get("index.html", &format!("{accepted}if-none-match: {tag}\r\n"));
            assert_eq!((again.status, again.body.length()), (304, 0));
            assert_eq!(again.headers.get("etag"), Some(&*tag));
            assert_eq!(again.headers.get("content-encoding"), None);
        }
        let plain = get("index.html", "").headers.get("etag").expect("tag").to_owned();
        let fields = format!("accept-encoding: gzip\r\nif-none-match: {plain}\r\n");
        assert_eq!(get("index.html", &fields).status, 200, "other bytes, other tag");
    }

    #[test]
    fn the_gzip_form_is_the_smaller_one_of_the_same_file() {
        let length = |fields| match get("index.html", fields).body {
            Body::Static(bytes) => bytes.len(),
            other => panic!("{other:?}"),
        };
        assert!(length("accept-encoding: gzip\r\n") < length(""));
        for file in FILES.iter().filter(|file| !file.gzip.is_empty()) {
            assert!(file.gzip.starts_with(&[0x1f, 0x8b]), "{}", file.name);
            assert!(file.gzip.len() < file.bytes.len(), "{}", file.name);
        }
    }

    #[test]
    fn each_page_is_whole_and_has_a_title_of_its_own() {
        let pages: Vec<_> = FILES.iter().filter(|it| it.name.ends_with(".html")).collect();
        let mut titles = BTreeSet::new();
        for page in &pages {
            let text = std::str::from_utf8(page.bytes).expect("text");
            let title =
                text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
            titles.insert(title.expect("a title").0.trim());
            assert!(!text.contains("content=\"\""), "{} has no description", page.name);
            for once in ["<!doctype html>", "<main ", "<script type=\"module\"", "</html>"] {
                assert_eq!(text.matches(once).count(), 1, "{once} in {}", page.name);
            }
        }
        assert!(!titles.contains(""), "{titles:?}");
        assert_eq!(titles.len(), pages.len(), "{titles:?}");
    }

    #[test]
    fn pages_count_money_in_the_minor_units_of_iso_4217() {
        // Lines like `0: "BIF CLP",`.
        let line = |line: &'static str| {
            let (places, codes) = line.trim().strip_suffix("\",")?.split_once(": \"")?;
            Some((places.parse::<u16>().ok()?, codes))
        };
        let mut places: BTreeMap<&str, u16> = include_str!("../../web/assets/money.js")
            .lines()
            .filter_map(line)
            .flat_map(|(places, codes)| codes.split(' ').map(move |code| (code, places)))
            .collect();
        let mut seen = 0;
        for (first, second, third) in letters() {
            let code = String::from_iter([first, second, third]);
            let Some(currency) = Currency::from_code(&code) else { continue };
            if currency.used_by().is_empty() {
                continue;
            }
            seen += 1;
            let shown = places.remove(&*code).unwrap_or(2);
            assert_eq!(currency.exponent(), Some(shown), "{code}");
        }
        assert!(seen > 150, "only {seen} currencies");
        assert!(places.is_empty(), "nobody pays in {places:?}");
    }

    /// All texts of three capital letters.
    fn letters() -> impl Iterator<Item = (char, char, char)> {
        let all = || 'A'..='Z';
        all().flat_map(move |a| all().flat_map(move |b| all().map(move |c| (a, b, c))))
    }

    #[test]
    fn gzip_is_sent_only_to_those_who_take_it() {
        for yes in ["gzip", "br, gzip;q=0.5", "*", "GZIP", "deflate;q=0, *;q=0.1", "x-gzip"] {
            assert!(gzip_ok(yes), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "gzip; q=0.0", "*;q=0", "*, gzip;q=0", "gzip;q=x"] {
            assert!(!gzip_ok(no), "{no}");
        }
    }
}
