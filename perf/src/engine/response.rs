//! Reads HTTP/1.1 answers from bytes as they come (RFC 9112), without a socket.
//!
//! A whole answer in one read is judged where it lies; what came in parts is held until the rest is
//! there. Strict: what a careful client would not accept is malformed, and nothing is skipped to
//! find a beginning again. Does not decode content codings, which no workload asks for.

use super::{Response, limits};
use memchr::memmem;

/// Why bytes are not an answer.
pub type Malformed = &'static str;

/// One connection's answers. Holds at most [`limits::HEAD_MAX`] and [`limits::BODY_MAX`] bytes.
#[derive(Debug, Default)]
pub struct Reader {
    state: State,
    /// The head, and the body unless it is chunked, of an answer that came in parts.
    held: Vec<u8>,
    /// The body of a chunked answer so far.
    decoded: Vec<u8>,
    /// What is held was given as an answer and goes at the next read.
    given: bool,
}

/// What a read led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<'a> {
    /// The answer is not whole; all bytes were taken.
    More,
    /// An answer, with how many bytes of the input it took.
    Answer {
        /// The answer.
        response: Response<'a>,
        /// Bytes of the input that were taken.
        used: usize,
        /// The server closes the connection after it.
        close: bool,
    },
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Head,
    /// So many bytes of the body are missing.
    Length(Head, usize),
    Chunked(Head, Chunks),
    UntilClose(Head),
}

/// What a head says about the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    length: usize,
    status: u16,
    close: bool,
    framing: Framing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// Another head follows: this one was interim (1xx).
    Interim,
    Length(usize),
    Chunked,
    UntilClose,
}

impl Reader {
    /// Takes bytes up to the end of one answer. `to_head` says that it answers a HEAD request.
    ///
    /// # Errors
    /// If the bytes are no answer; the reader is of no use after that.
    pub fn read<'a>(&'a mut self, input: &'a [u8], to_head: bool) -> Result<Read<'a>, Malformed> {
        if self.given {
            self.reset();
        }
        if matches!(self.state, State::Head)
            && self.held.is_empty()
            && let Some(length) = head_length(input, 0)?
        {
            let head = parse(&input[..length], to_head)?;
            if let Framing::Length(body) = head.framing
                && let Some(rest) = input[length..].get(..body)
            {
                let response = Response { status: head.status, head: &input[..length], body: rest };
                return Ok(Read::Answer { response, used: length + body, close: head.close });
            }
        }
        self.read_in_parts(input, to_head)
    }

    /// The connection was closed by the server: the answer that this ends, if any.
    ///
    /// # Errors
    /// If an answer was begun and this is not its end.
    pub fn closed(&mut self) -> Result<Option<Response<'_>>, Malformed> {
        match std::mem::take(&mut self.state) {
            State::Head if self.given || self.held.is_empty() => Ok(None),
            State::UntilClose(head) => Ok(Some(self.give(head))),
            _ => Err("closed within an answer"),
        }
    }

    /// Forgets what it has: the next bytes are those of a new connection.
    pub fn reset(&mut self) {
        self.state = State::Head;
        self.given = false;
        self.forget();
    }

    /// The answer that is held.
    fn give(&mut self, head: Head) -> Response<'_> {
        self.state = State::Head;
        self.given = true;
        let (bytes, rest) = self.held.split_at(head.length);
        let body = if head.framing == Framing::Chunked { &self.decoded } else { rest };
        Response { status: head.status, head: bytes, body }
    }

    fn forget(&mut self) {
        self.held.clear();
        self.decoded.clear();
        if self.held.capacity() > limits::KEPT_MAX {
            self.held = Vec::new();
        }
        if self.decoded.capacity() > limits::KEPT_MAX {
            self.decoded = Vec::new();
        }
    }

    #[cold]
    fn read_in_parts<'a>(
        &'a mut self,
        input: &'a [u8],
        to_head: bool,
    ) -> Result<Read<'a>, Malformed> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match &mut self.state {
                State::Head => {
                    let before = self.held.len();
                    let room = (limits::HEAD_MAX + 1).saturating_sub(before);
                    self.held.extend_from_slice(&rest[..rest.len().min(room)]);
                    let Some(length) = head_length(&self.held, before.saturating_sub(3))? else {
                        return Ok(Read::More);
                    };
                    self.held.truncate(length);
                    used += length - before;
                    let head = parse(&self.held, to_head)?;
                    self.state = match head.framing {
                        Framing::Interim => {
                            self.forget();
                            State::Head
                        }
                        Framing::Length(body) => State::Length(head, body),
                        Framing::Chunked => State::Chunked(head, Chunks::default()),
                        Framing::UntilClose => State::UntilClose(head),
                    };
                }
                State::Length(head, missing) => {
                    let taken = rest.len().min(*missing);
                    self.held.extend_from_slice(&rest[..taken]);
                    *missing -= taken;
                    used += taken;
                    if *missing > 0 {
                        return Ok(Read::More);
                    }
                    let head = *head;
                    let response = self.give(head);
                    return Ok(Read::Answer { response, used, close: head.close });
                }
                State::Chunked(head, chunks) => {
                    let (taken, done) = chunks.read(rest, &mut self.decoded)?;
                    used += taken;
                    if !done {
                        return Ok(Read::More);
                    }
                    let head = *head;
                    let response = self.give(head);
                    return Ok(Read::Answer { response, used, close: head.close });
                }
                State::UntilClose(head) => {
                    self.held.extend_from_slice(rest);
                    if self.held.len() - head.length > limits::BODY_MAX {
                        return Err("the body is too long");
                    }
                    return Ok(Read::More);
                }
            }
        }
    }
}

/// Where the head that begins the bytes ends. `from`: the end was looked for up to there.
fn head_length(bytes: &[u8], from: usize) -> Result<Option<usize>, Malformed> {
    const BEGIN: &[u8] = b"HTTP/1.";
    let begun = bytes.len().min(BEGIN.len());
    if bytes[..begun] != BEGIN[..begun] {
        return Err("the answer does not begin with HTTP/1");
    }
    match memmem::find(&bytes[from..], b"\r\n\r\n") {
        Some(at) if from + at + 4 <= limits::HEAD_MAX => Ok(Some(from + at + 4)),
        None if bytes.len() <= limits::HEAD_MAX => Ok(None),
        _ => Err("the head is too long"),
    }
}

/// Understands a whole head.
fn parse(bytes: &[u8], to_head: bool) -> Result<Head, Malformed> {
    let mut headers = [httparse::EMPTY_HEADER; limits::HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err("the head is not one of HTTP/1.1"),
        Err(httparse::Error::TooManyHeaders) => return Err("the head has too many fields"),
        Err(_) => return Err("the head is not one of HTTP/1.1"),
    }
    let status = parsed.code.ok_or("the head has no status")?;
    let (mut length, mut chunked) = (None, false);
    let mut close = parsed.version == Some(0);
    for header in &*parsed.headers {
        // Lengths first: most fields are none of these and cost a comparison of two numbers.
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                let value = number(header.value)?;
                if length.is_some_and(|known| known != value) {
                    return Err("the head has two lengths");
                }
                length = Some(value);
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                if chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                    return Err("the transfer coding is not chunked");
                }
                chunked = true;
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                for option in header.value.split(|byte| *byte == b',') {
                    let option = option.trim_ascii();
                    close |= option.eq_ignore_ascii_case(b"close");
                    close &= !option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            _ => {}
        }
    }
    let framing = match (status, chunked, length) {
        (101, ..) => return Err("nobody asked for another protocol"),
        (100..=199, ..) => Framing::Interim,
        (204 | 304, ..) => Framing::Length(0),
        _ if to_head => Framing::Length(0),
        (_, true, Some(_)) => return Err("the head has a length and a transfer coding"),
        (_, true, None) => Framing::Chunked,
        (_, false, Some(length)) => Framing::Length(length),
        (_, false, None) => Framing::UntilClose,
    };
    let close = close || framing == Framing::UntilClose;
    Ok(Head { length: bytes.len(), status, close, framing })
}

/// A body's length in decimal digits.
fn number(digits: &[u8]) -> Result<usize, Malformed> {
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return Err("the length is not a number");
    }
    let value = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    match usize::try_from(value) {
        Ok(value) if value <= limits::BODY_MAX => Ok(value),
        _ => Err("the body is too long"),
    }
}

/// Where a chunked body is.
#[derive(Debug, Clone, Copy, Default)]
struct Chunks {
    at: Place,
    /// Of the chunk's size so far, or of its data still to come.
    size: usize,
    /// Bytes that are no data so far: they are bounded like a head.
    around: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Before the size's first digit.
    #[default]
    Size,
    Digits,
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    /// At the beginning of a trailer line, or of the empty line that ends all.
    Trailer,
    TrailerLine,
    TrailerEnd,
    LastEnd,
}

impl Chunks {
    /// Takes bytes up to the body's end; says how many and whether it was reached.
    fn read(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<(usize, bool), Malformed> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if self.at == Place::Data {
                let taken = self.size.min(input.len() - at);
                body.extend_from_slice(&input[at..at + taken]);
                at += taken;
                self.size -= taken;
                if self.size == 0 {
                    self.at = Place::DataReturn;
                }
                continue;
            }
            at += 1;
            self.around += 1;
            if self.around > limits::HEAD_MAX.max(body.len()) {
                return Err("a chunked body is mostly not data");
            }
            if self.at == Place::LastEnd {
                return if byte == b'\n' { Ok((at, true)) } else { Err(BAD_CHUNK) };
            }
            self.at = self.step(byte)?;
            if self.at == Place::Data && body.len() + self.size > limits::BODY_MAX {
                return Err("the body is too long");
            }
        }
        Ok((at, false))
    }

    fn step(&mut self, byte: u8) -> Result<Place, Malformed> {
        match (self.at, byte) {
            (Place::Size | Place::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0) as usize;
                self.size = self.size * 16 + digit;
                if self.size > limits::BODY_MAX {
                    Err("the body is too long")
                } else {
                    Ok(Place::Digits)
                }
            }
            (Place::Digits, b';' | b' ' | b'\t') => Ok(Place::Extension),
            (Place::Digits | Place::Extension, b'\r') => Ok(Place::SizeEnd),
            (Place::Extension, byte) if byte != b'\n' => Ok(Place::Extension),
            (Place::SizeEnd, b'\n') if self.size == 0 => Ok(Place::Trailer),
            (Place::SizeEnd, b'\n') => Ok(Place::Data),
            (Place::DataReturn, b'\r') => Ok(Place::DataEnd),
            (Place::DataEnd, b'\n') => Ok(Place::Size),
            (Place::Trailer, b'\r') => Ok(Place::LastEnd),
            (Place::TrailerLine, b'\r') => Ok(Place::TrailerEnd),
            (Place::Trailer | Place::TrailerLine, byte) if byte != b'\n' => Ok(Place::TrailerLine),
            (Place::TrailerEnd, b'\n') => Ok(Place::Trailer),
            _ => Err(BAD_CHUNK),
        }
    }
}

const BAD_CHUNK: Malformed = "the body is not chunked as it should be";

#[cfg(test)]
mod tests;
