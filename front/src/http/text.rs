//! Percent-encoded text: path segments, query strings and HTML forms.
//!
//! What is not valid is refused, never passed on half-decoded: a stray `%` or a byte that is no
//! UTF-8 would mean one thing here and another to whoever reads the result.

use super::Refusal;
use super::limits::MAX_PAIRS;
use percent_encoding::percent_decode_str;
use souk_proto::Code;
use std::borrow::Cow;

/// Names and values of a query string or a form, in order.
pub type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Decodes one segment of a path.
///
/// # Errors
///
/// [`Code::BadRequest`] for a `%` without two hexadecimal digits, for text that is not UTF-8 and
/// for control characters, which no name here contains.
pub fn segment(raw: &str) -> Result<Cow<'_, str>, Refusal> {
    if !escapes_are_valid(raw.as_bytes()) {
        return Err(Refusal::bad("A % in the path must be followed by two hexadecimal digits."));
    }
    let text = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| Refusal::bad("The path is not UTF-8 once decoded."))?;
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Refusal::bad("The path contains an encoded control character."));
    }
    Ok(text)
}

/// The pairs of a query string, in order.
///
/// # Errors
///
/// [`Code::BadRequest`] for an invalid escape, text that is not UTF-8, or over [`MAX_PAIRS`] pairs.
pub fn query(raw: &str) -> Result<Pairs<'_>, Refusal> {
    pairs(raw.as_bytes(), Code::BadRequest)
}

/// The pairs of an `application/x-www-form-urlencoded` body, in order.
///
/// # Errors
///
/// [`Code::MalformedBody`] for an invalid escape, text that is not UTF-8, or over [`MAX_PAIRS`]
/// pairs.
pub fn form(body: &[u8]) -> Result<Pairs<'_>, Refusal> {
    pairs(body, Code::MalformedBody)
}

fn pairs(raw: &[u8], code: Code) -> Result<Pairs<'_>, Refusal> {
    if !escapes_are_valid(raw) {
        return Err(Refusal::new(code, "A % must be followed by two hexadecimal digits."));
    }
    // The separators are ASCII, so the whole is UTF-8 exactly when every part is.
    if percent_encoding::percent_decode(raw).decode_utf8().is_err() {
        return Err(Refusal::new(code, "The fields are not UTF-8 once decoded."));
    }
    let mut pairs = Vec::new();
    for pair in form_urlencoded::parse(raw) {
        if pairs.len() == MAX_PAIRS {
            return Err(Refusal::new(code, "There are more than 64 fields."));
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

/// Whether every `%` is followed by two hexadecimal digits.
pub(super) fn escapes_are_valid(raw: &[u8]) -> bool {
    memchr::memchr_iter(b'%', raw)
        .all(|at| raw.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)))
}

#[cfg(test)]
mod tests {
    use super::{form, query, segment};
    use souk_proto::Code;

    #[test]
    fn a_segment_is_decoded_or_refused_but_never_half_decoded() {
        assert_eq!(segment("fatima").unwrap(), "fatima");
        assert_eq!(segment("a%20b%2Fc+d").unwrap(), "a b/c+d");
        assert_eq!(segment("%E2%82%AC").unwrap(), "€");
        for raw in ["%", "%4", "%zz", "a%2", "%+1", "%ff", "%C3%28", "%00", "%0d%0a", "%7f"] {
            assert_eq!(segment(raw).unwrap_err().code, Code::BadRequest, "{raw}");
        }
    }

    #[test]
    fn forms_and_queries_decode_the_same_and_name_their_own_code() {
        let pairs = query("q=a+b%26c&empty=&alone&q=%E2%82%AC").unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_ref(), v.as_ref())).collect();
        assert_eq!(pairs, [("q", "a b&c"), ("empty", ""), ("alone", ""), ("q", "€")]);
        assert_eq!(form(b"a=1&b=%C3%A9").unwrap()[1].1, "é");
        assert!(query("").unwrap().is_empty());
        for raw in ["q=100%", "q=%ff", "%=1"] {
            assert_eq!(query(raw).unwrap_err().code, Code::BadRequest, "{raw}");
            assert_eq!(form(raw.as_bytes()).unwrap_err().code, Code::MalformedBody, "{raw}");
        }
        assert_eq!(form(b"a=\xff").unwrap_err().code, Code::MalformedBody);
        assert_eq!(form("a=1&".repeat(65).as_bytes()).unwrap_err().code, Code::MalformedBody);
        assert_eq!(form("a=1&".repeat(64).as_bytes()).unwrap().len(), 64);
    }
}
