//! The header fields that decide where a request ends, which site it is for and what becomes of the
//! connection.

use super::{Field, Framing, Span, Version};
use crate::http::Refusal;
use souk_proto::Code;
use std::net::Ipv6Addr;

/// What the fields of one head say together.
pub(super) struct Facts {
    pub framing: Framing,
    pub expect_continue: bool,
    pub persistent: bool,
    pub host: Span,
}

impl Facts {
    /// Reads the fields, whose names are in lower case.
    pub fn gather(text: &[u8], fields: &[Field], version: Version) -> Result<Facts, Refusal> {
        let mut length = None;
        let mut chunked = false;
        let mut host = None;
        let mut expects = false;
        let (mut close, mut keep_alive) = (false, false);
        for field in fields {
            let value = field.value.of(text);
            match field.name.of(text) {
                b"host" => {
                    let length = host_length(value)
                        .ok_or(Refusal::bad("The Host field is not a host and a port."))?;
                    let here = Span::new(usize::from(field.value.start), length);
                    once(&mut host, here, "The Host field is repeated.")?;
                }
                b"content-length" => {
                    once(&mut length, read_length(value)?, "The Content-Length field is repeated.")?
                }
                b"transfer-encoding" => {
                    if chunked {
                        return Err(Refusal::bad("The Transfer-Encoding field is repeated."));
                    }
                    if !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Refusal::bad("The only transfer coding known is chunked."));
                    }
                    chunked = true;
                }
                b"connection" => {
                    close |= lists(value, b"close");
                    keep_alive |= lists(value, b"keep-alive");
                }
                // HTTP/1.0 clients do not know the interim answer.
                b"expect" if version == Version::Http11 => {
                    if !value.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Refusal::new(
                            Code::ExpectationFailed,
                            "The only expectation known is 100-continue.",
                        ));
                    }
                    expects = true;
                }
                _ => {}
            }
        }
        let framing = decide_framing(length, chunked, version)?;
        let host = match (host, version) {
            (Some(host), _) => host,
            (None, Version::Http10) => Span::default(),
            (None, Version::Http11) => return Err(Refusal::bad("The Host field is missing.")),
        };
        Ok(Facts {
            framing,
            expect_continue: expects && !framing.is_empty(),
            persistent: !close && (keep_alive || version == Version::Http11),
            host,
        })
    }
}

/// What the header section's parser found wrong.
pub(super) fn refuse(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => {
            Refusal::new(Code::HeadTooLarge, "The head has more than 100 fields.")
        }
        httparse::Error::HeaderName => Refusal::bad(
            "A header line does not begin with a name and a colon right after it. \
             Lines cannot be folded.",
        ),
        _ => Refusal::bad("A header value contains a control character."),
    }
}

/// Two framings, or one that the version does not know, mean that someone on the way reads the
/// request differently: it is never repaired.
fn decide_framing(
    length: Option<u64>,
    chunked: bool,
    version: Version,
) -> Result<Framing, Refusal> {
    match (length, chunked) {
        (Some(_), true) => {
            Err(Refusal::bad("Content-Length and Transfer-Encoding cannot be sent together."))
        }
        (None, true) if version == Version::Http10 => {
            Err(Refusal::bad("HTTP/1.0 has no Transfer-Encoding."))
        }
        (None, true) => Ok(Framing::Chunked),
        (Some(length), false) => Ok(Framing::Length(length)),
        (None, false) => Ok(Framing::None),
    }
}

fn once<T>(slot: &mut Option<T>, value: T, repeated: &'static str) -> Result<(), Refusal> {
    if slot.replace(value).is_some() { Err(Refusal::bad(repeated)) } else { Ok(()) }
}

fn read_length(value: &[u8]) -> Result<u64, Refusal> {
    const BAD: Refusal = Refusal::bad("Content-Length must be one decimal number below 2^64.");
    if value.is_empty() {
        return Err(BAD);
    }
    value.iter().try_fold(0u64, |length, byte| {
        if !byte.is_ascii_digit() {
            return Err(BAD);
        }
        length.checked_mul(10).and_then(|l| l.checked_add(u64::from(byte - b'0'))).ok_or(BAD)
    })
}

/// Whether a comma-separated list has this element.
fn lists(value: &[u8], element: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(element))
}

/// Bytes of a valid `host` or `host:port` (without the colon of an empty port); `None` if it is not
/// valid.
///
/// Narrower than RFC 3986: no user, no escapes and no commas, so that nobody can take it for
/// something else.
pub(super) fn host_length(authority: &[u8]) -> Option<usize> {
    let name = match authority {
        [b'[', rest @ ..] => {
            let inside = &rest[..memchr::memchr(b']', rest)?];
            std::str::from_utf8(inside).ok()?.parse::<Ipv6Addr>().ok()?;
            inside.len() + 2
        }
        _ => {
            let name = memchr::memchr(b':', authority).unwrap_or(authority.len());
            let known = |byte: &u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
            };
            (name > 0 && authority[..name].iter().all(known)).then_some(name)?
        }
    };
    match &authority[name..] {
        [] | [b':'] => Some(name),
        [b':', port @ ..] if port.len() <= 5 && port.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(port).ok()?.parse::<u16>().ok()?;
            Some(authority.len())
        }
        _ => None,
    }
}
