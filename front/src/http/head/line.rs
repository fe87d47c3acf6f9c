//! The request line: method, target, version.

use super::{Method, Span, Version};
use crate::http::limits::MAX_TARGET;
use crate::http::text::escapes_are_valid;
use crate::http::{Refusal, is_token_byte};
use souk_proto::Code;

/// What the request line says. Spans count from its first byte.
pub(super) struct RequestLine {
    pub method: Method,
    pub version: Version,
    pub path: Span,
    pub query: Option<Span>,
    /// The host of an absolute target.
    pub host: Option<Span>,
    /// Bytes of the line with its CRLF.
    pub length: usize,
}

const SHAPE: Refusal = Refusal::bad(
    "The first line must be a method, a target and a version, with one space between.",
);

/// Reads the request line at the start of `bytes`; `None` if it is not complete yet.
pub(super) fn read(bytes: &[u8]) -> Result<Option<RequestLine>, Refusal> {
    let end = memchr::memchr3(b'\r', b'\n', 0, bytes);
    let line = &bytes[..end.unwrap_or(bytes.len())];
    // The target's length is judged before the rest of the line, complete or not.
    if line.len() > MAX_TARGET {
        let from = memchr::memchr(b' ', line).map_or(line.len(), |space| space + 1);
        let target = &line[from..];
        if memchr::memchr(b' ', target).unwrap_or(target.len()) > MAX_TARGET {
            return Err(Refusal::new(Code::TargetTooLong, "The request target is over 8 KiB."));
        }
    }
    let after = match end.map(|end| &bytes[end..]) {
        None | Some([b'\r']) => return Ok(None),
        Some([b'\r', b'\n', ..]) => line.len() + 2,
        Some(_) => {
            return Err(Refusal::bad("The first line contains a NUL, or a CR or LF alone."));
        }
    };
    let (method, rest) = split(line).ok_or(SHAPE)?;
    let (target, version) = split(rest).ok_or(SHAPE)?;
    if !method.iter().copied().all(is_token_byte) {
        return Err(SHAPE);
    }
    let version = read_version(version)?;
    let method = Method::from_token(method)
        .ok_or(Refusal::new(Code::NotImplemented, "This method is not known here."))?;
    let (path, query, host) = read_target(target, method.name().len() + 1, method)?;
    Ok(Some(RequestLine { method, version, path, query, host, length: after }))
}

/// What is before and after the first space, neither of them empty.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr::memchr(b' ', line)?;
    let (before, after) = (&line[..space], &line[space + 1..]);
    (!before.is_empty() && !after.is_empty()).then_some((before, after))
}

fn read_version(version: &[u8]) -> Result<Version, Refusal> {
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Err(Refusal::new(Code::VersionNotSupported, "HTTP/1.0 and HTTP/1.1 are spoken here."))
        }
        _ => Err(SHAPE),
    }
}

type Target = (Span, Option<Span>, Option<Span>);

/// Reads a target that begins at this offset of the line: path, query, host.
fn read_target(target: &[u8], offset: usize, method: Method) -> Result<Target, Refusal> {
    if !target.iter().copied().all(is_target_byte) {
        return Err(Refusal::bad("The request target contains a character that must be encoded."));
    }
    if target == b"*" && method == Method::Options {
        return Ok((Span::new(offset, 1), None, None));
    }
    let (path_at, host) = if target[0] == b'/' { (0, None) } else { read_authority(target)? };
    let rest = &target[path_at..];
    let path_length = memchr::memchr(b'?', rest).unwrap_or(rest.len());
    if !escapes_are_valid(&rest[..path_length]) {
        return Err(Refusal::bad("A % in the path must be followed by two hexadecimal digits."));
    }
    let query = (path_length < rest.len())
        .then(|| Span::new(offset + path_at + path_length + 1, rest.len() - path_length - 1));
    let host = host.map(|(start, length)| Span::new(offset + start, length));
    Ok((Span::new(offset + path_at, path_length), query, host))
}

/// Reads scheme and authority of an absolute target: where the path begins, and where the host is.
fn read_authority(target: &[u8]) -> Result<(usize, Option<(usize, usize)>), Refusal> {
    const FORM: Refusal = Refusal::bad("The request target must be a path or an http(s) address.");
    let scheme = memchr::memmem::find(target, b"://").ok_or(FORM)?;
    if !target[..scheme].eq_ignore_ascii_case(b"http")
        && !target[..scheme].eq_ignore_ascii_case(b"https")
    {
        return Err(FORM);
    }
    let start = scheme + 3;
    let length = memchr::memchr2(b'/', b'?', &target[start..]).unwrap_or(target.len() - start);
    let host = super::fields::host_length(&target[start..start + length])
        .ok_or(Refusal::bad("The host of the request target is not valid."))?;
    Ok((start + length, Some((start, host))))
}

/// Bytes that browsers send unencoded in a target. Beyond RFC 3986 these are ``[ ] \ ^ ` { | }``,
/// which delimit nothing here; a fragment, quotes and angle brackets are always encoded.
const fn is_target_byte(byte: u8) -> bool {
    matches!(byte, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~')
}
