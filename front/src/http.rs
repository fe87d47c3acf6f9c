//! HTTP/1.1 without sockets: bytes go in, request heads and bodies come out, responses go back to
//! bytes.
//!
//! The parser is strict (RFC 9112): a request that two parsers could read differently is refused,
//! never repaired, and its connection closes. A verdict does not depend on how the bytes were cut
//! into reads. Nothing here waits, and nothing grows past the bounds in [`limits`].
//!
//! Which status a [`Refusal`] becomes is the routes' business; here it carries the error code only.

pub mod body;
pub mod date;
pub mod head;
pub mod limits;
pub mod response;
pub mod text;

#[cfg(test)]
mod tests;

pub use body::BodyDecoder;
pub use date::Date;
pub use head::{Framing, Head, Method, Version};
pub use response::{Body, BodySource, Encoding, Headers, NextChunk, Response, Takeover};

use souk_proto::{Code, Failure};

/// Why bytes were refused. The connection cannot be used after it: where the next request would
/// begin is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.name())]
pub struct Refusal {
    /// What kind of error the client is told.
    pub code: Code,
    /// What exactly is wrong and how to mend it, safe to show.
    pub detail: &'static str,
}

impl Refusal {
    /// A refusal with this code and text.
    pub const fn new(code: Code, detail: &'static str) -> Refusal {
        Refusal { code, detail }
    }

    /// A refusal of bytes that are not valid HTTP.
    pub const fn bad(detail: &'static str) -> Refusal {
        Refusal::new(Code::BadRequest, detail)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::because(refusal.code, refusal.detail)
    }
}

/// Whether RFC 9110 allows this byte in a token (a method or a field name).
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
