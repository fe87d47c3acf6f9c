//! Request bodies: finds the bytes of the body among the bytes of its framing.
//!
//! The decoder keeps no bytes: it names the ranges of the caller's buffer that are body. Its
//! verdict is made byte by byte, so cutting the input differently changes nothing.

use super::head::Framing;
use super::limits::{MAX_CHUNK_EXTENSIONS, MAX_CHUNK_SIZE_DIGITS, MAX_TRAILERS};
use super::{Refusal, is_token_byte};
use souk_proto::Code;
use std::ops::Range;

/// What one step found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many bytes of the input are dealt with, body and framing.
    pub used: usize,
    /// Which of them are body.
    pub data: Range<usize>,
    /// Whether the body is complete; what follows `used` belongs to the next request.
    pub done: bool,
}

/// Decodes one request body.
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    state: State,
    /// Body bytes that may still be announced.
    allowed: u64,
    /// Bytes of chunk extensions that may still come.
    extensions: u32,
    /// Bytes of trailers that may still come.
    trailers: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Content-Length bytes left.
    Fixed(u64),
    /// In the digits of a chunk size.
    Size {
        value: u64,
        digits: u8,
    },
    /// White space after the size: only an extension may follow.
    SizeSpace {
        size: u64,
    },
    /// In the extensions of a chunk.
    Extension {
        size: u64,
    },
    /// The CR of a size line was read.
    SizeLf {
        size: u64,
    },
    /// Bytes of this chunk left.
    Data(u64),
    /// The chunk's bytes are complete.
    DataCr,
    /// The CR after a chunk was read.
    DataLf,
    /// At the start of a trailer line, or of the empty line that ends the body.
    Trailer,
    /// In the name of a trailer.
    TrailerName,
    /// In the value of a trailer.
    TrailerValue,
    /// The CR of a trailer line was read.
    TrailerLf,
    /// The CR of the last line was read.
    EndLf,
    Done,
}

/// Checks an announced length against what a route takes, before any of the body is read.
///
/// # Errors
///
/// [`Code::PayloadTooLarge`].
pub fn check_length(framing: Framing, limit: u64) -> Result<(), Refusal> {
    match framing {
        Framing::Length(length) if length > limit => Err(TOO_LARGE),
        _ => Ok(()),
    }
}

impl BodyDecoder {
    /// A decoder for a body with this framing and at most this many bytes.
    pub fn new(framing: Framing, limit: u64) -> BodyDecoder {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Fixed(length),
            Framing::Chunked => State::Size { value: 0, digits: 0 },
        };
        BodyDecoder {
            state,
            allowed: limit,
            extensions: MAX_CHUNK_EXTENSIONS,
            trailers: MAX_TRAILERS,
        }
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes input up to the end of the first piece of body in it, or all of it if there is none.
    ///
    /// Call it again with the rest until the input is used up or the body is complete.
    ///
    /// # Errors
    ///
    /// [`Code::PayloadTooLarge`] as soon as more than the limit is announced, [`Code::BadRequest`]
    /// for framing that is not valid, [`Code::HeadTooLarge`] for trailers that are too long.
    pub fn decode(&mut self, input: &[u8]) -> Result<Progress, Refusal> {
        let mut at = 0;
        while at < input.len() {
            let left = match self.state {
                State::Done => break,
                State::Fixed(left) if left > self.allowed => return Err(TOO_LARGE),
                State::Fixed(left) | State::Data(left) => left,
                _ => {
                    self.framing_byte(input[at])?;
                    at += 1;
                    continue;
                }
            };
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
            self.state = self.after_data(left - here as u64);
            let end = at + here;
            return Ok(Progress { used: end, data: at..end, done: self.is_done() });
        }
        Ok(Progress { used: at, data: at..at, done: self.is_done() })
    }

    /// The state once this many bytes of the current piece are left.
    fn after_data(&self, left: u64) -> State {
        match (self.state, left) {
            (State::Fixed(_), 0) => State::Done,
            (State::Fixed(_), _) => State::Fixed(left),
            (_, 0) => State::DataCr,
            _ => State::Data(left),
        }
    }

    fn framing_byte(&mut self, byte: u8) -> Result<(), Refusal> {
        self.state = match (self.state, byte) {
            (State::Size { value, digits }, _) => self.size_byte(value, digits, byte)?,
            (State::SizeSpace { size } | State::Extension { size }, _) => {
                self.extension_byte(size, byte)?
            }
            (State::SizeLf { size: 0 }, b'\n') => State::Trailer,
            (State::SizeLf { size }, b'\n') => State::Data(size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { value: 0, digits: 0 },
            (State::EndLf, b'\n') => State::Done,
            (State::Trailer | State::TrailerName | State::TrailerValue | State::TrailerLf, _) => {
                self.trailer_byte(byte)?
            }
            _ => return Err(BAD_CHUNK),
        };
        Ok(())
    }

    fn size_byte(&mut self, value: u64, digits: u8, byte: u8) -> Result<State, Refusal> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            if digits == MAX_CHUNK_SIZE_DIGITS {
                return Err(BAD_CHUNK);
            }
            return Ok(State::Size { value: value << 4 | u64::from(digit), digits: digits + 1 });
        }
        if digits == 0 {
            return Err(BAD_CHUNK);
        }
        self.allowed = self.allowed.checked_sub(value).ok_or(TOO_LARGE)?;
        match byte {
            b'\r' => Ok(State::SizeLf { size: value }),
            b' ' | b'\t' | b';' => self.extension_byte(value, byte),
            _ => Err(BAD_CHUNK),
        }
    }

    /// A byte of white space before an extension or of an extension itself.
    fn extension_byte(&mut self, size: u64, byte: u8) -> Result<State, Refusal> {
        let begun = matches!(self.state, State::Extension { .. }) || byte == b';';
        let state = match byte {
            b'\r' if begun => return Ok(State::SizeLf { size }),
            b' ' | b'\t' if !begun => State::SizeSpace { size },
            _ if begun && is_text_byte(byte) => State::Extension { size },
            _ => return Err(BAD_CHUNK),
        };
        self.extensions = self
            .extensions
            .checked_sub(1)
            .ok_or(Refusal::bad("The chunk extensions are over 4 KiB."))?;
        Ok(state)
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<State, Refusal> {
        let state = match (self.state, byte) {
            (State::Trailer, b'\r') => return Ok(State::EndLf),
            (State::Trailer | State::TrailerName, _) if is_token_byte(byte) => State::TrailerName,
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if is_text_byte(byte) => State::TrailerValue,
            (State::TrailerLf, b'\n') => State::Trailer,
            _ => return Err(Refusal::bad("A trailer after the last chunk is not valid.")),
        };
        self.trailers = self
            .trailers
            .checked_sub(1)
            .ok_or(Refusal::new(Code::HeadTooLarge, "The trailers are over 8 KiB."))?;
        Ok(state)
    }
}

/// A byte that may stand in a field value: anything but control characters.
const fn is_text_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

const BAD_CHUNK: Refusal = Refusal::bad("The chunked body is not framed as RFC 9112 says.");

const TOO_LARGE: Refusal =
    Refusal::new(Code::PayloadTooLarge, "The body is larger than this path takes.");
