//! Request heads.
//!
//! A [`Head`] owns one copy of its bytes and a table of where things are in it, so it outlives the
//! read buffer without an allocation per field. Everything that decides where the request ends and
//! which site it is for was checked when it was parsed.

mod fields;
mod line;

use super::limits::{MAX_FIELDS, MAX_HEAD, MAX_LEADING_EMPTY_LINES, USUAL_FIELDS};
use super::{Refusal, is_token_byte};
use fields::Facts;
use line::RequestLine;
use souk_proto::Code;
use std::fmt;

/// The methods that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Read.
    Get,
    /// Read the head that GET would give.
    Head,
    /// Create or do.
    Post,
    /// Replace.
    Put,
    /// Change.
    Patch,
    /// Remove.
    Delete,
    /// Ask what is allowed.
    Options,
}

impl Method {
    /// Every method, in the order that `Allow` lists them.
    pub const ALL: [Method; 7] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Options,
    ];

    /// The method's token.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
        }
    }

    /// Whether it is for reading only (RFC 9110, "safe").
    pub const fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options)
    }

    fn from_token(token: &[u8]) -> Option<Method> {
        Some(match token {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"PATCH" => Method::Patch,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            _ => return None,
        })
    }
}

/// The protocol versions that are spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: closes after each response unless keep-alive is asked for; never chunked.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No framing header: there is no body.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks up to an empty one.
    Chunked,
}

impl Framing {
    /// Whether no byte of a body follows the head.
    pub const fn is_empty(self) -> bool {
        matches!(self, Framing::None | Framing::Length(0))
    }
}

/// A checked request head.
#[derive(Clone)]
pub struct Head {
    /// What to do.
    pub method: Method,
    /// The protocol version of the request.
    pub version: Version,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// Whether the client wants to keep the connection after this request.
    pub persistent: bool,
    /// The head as received, but for field names in lower case.
    text: Box<[u8]>,
    fields: Box<[Field]>,
    path: Span,
    query: Option<Span>,
    host: Span,
}

/// A part of the head's text. Heads are far below 64 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u16,
    length: u16,
}

const _: () = assert!(MAX_HEAD <= u16::MAX as usize);

impl Span {
    fn new(start: usize, length: usize) -> Span {
        let short = |number| u16::try_from(number).expect("a head is shorter than 64 KiB");
        Span { start: short(start), length: short(length) }
    }

    fn of(self, text: &[u8]) -> &[u8] {
        &text[usize::from(self.start)..usize::from(self.start) + usize::from(self.length)]
    }
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: Span,
    value: Span,
}

impl Head {
    /// The path as sent, still percent-encoded; at least `/`. It is `*` for an OPTIONS request
    /// about the server as a whole.
    pub fn path(&self) -> &str {
        match (self.path.length, self.method, self.query) {
            (0, Method::Options, None) => "*",
            (0, _, _) => "/",
            _ => self.ascii(self.path),
        }
    }

    /// What follows the first `?` of the target, still percent-encoded.
    pub fn query(&self) -> Option<&str> {
        self.query.map(|span| self.ascii(span))
    }

    /// Host and, if given, port that the request is for: from an absolute target, or else from the
    /// Host field. Empty for an HTTP/1.0 request without either.
    pub fn host(&self) -> &str {
        self.ascii(self.host)
    }

    /// The value of the first field of this (lower case) name, without white space around it.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers(name).next()
    }

    /// Like [`Head::header`] for fields that are text; `None` too if the value is not UTF-8.
    pub fn header_str(&self, name: &str) -> Option<&str> {
        self.header(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The values of every field of this (lower case) name, in order.
    pub fn headers<'a, 'n>(
        &'a self,
        name: &'n str,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.fields
            .iter()
            .filter(move |field| {
                usize::from(field.name.length) == name.len()
                    && field.name.of(&self.text) == name.as_bytes()
            })
            .map(|field| field.value.of(&self.text))
    }

    /// Every field in order: lower case name, value.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| (self.ascii(field.name), field.value.of(&self.text)))
    }

    fn ascii(&self, span: Span) -> &str {
        std::str::from_utf8(span.of(&self.text)).expect("this part was checked to be ASCII")
    }
}

/// Shows what a log may hold: no field values, since they carry cookies and tokens.
impl fmt::Debug for Head {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Head")
            .field("method", &self.method)
            .field("version", &self.version)
            .field("path", &self.path())
            .field("host", &self.host())
            .field("framing", &self.framing)
            .field("expect_continue", &self.expect_continue)
            .field("persistent", &self.persistent)
            .field("fields", &self.fields.len())
            .finish_non_exhaustive()
    }
}

/// Reads one request head from the start of `bytes`: the head and how many bytes it took, or `None`
/// if it is not complete yet.
///
/// # Errors
///
/// A [`Refusal`] as soon as it is certain, even if the head is not complete. More bytes never
/// change a refusal.
pub fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Refusal> {
    let window = &bytes[..bytes.len().min(MAX_HEAD)];
    let Some(start) = skip_empty_lines(window) else {
        return Ok(None);
    };
    if !is_token_byte(window[start]) {
        return Err(Refusal::bad("The request does not begin with a method."));
    }
    let Some(line) = line::read(&window[start..])? else {
        return incomplete(bytes);
    };
    let fields_at = start + line.length;
    let Some(extent) = find_end(&window[fields_at..])? else {
        return incomplete(bytes);
    };
    let end = fields_at + extent.length;
    let head = if extent.fields <= USUAL_FIELDS {
        build::<USUAL_FIELDS>(&window[start..end], &line)?
    } else {
        build::<MAX_FIELDS>(&window[start..end], &line)?
    };
    Ok(Some((head, end)))
}

fn incomplete(bytes: &[u8]) -> Result<Option<(Head, usize)>, Refusal> {
    if bytes.len() > MAX_HEAD {
        return Err(Refusal::new(Code::HeadTooLarge, "The request head is over 16 KiB."));
    }
    Ok(None)
}

/// Where the request line begins; `None` if that is not certain yet.
fn skip_empty_lines(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match bytes[at..] {
            [] => return None,
            [b'\r', b'\n', ..] if at < 2 * MAX_LEADING_EMPTY_LINES => at += 2,
            [b'\r'] if at < 2 * MAX_LEADING_EMPTY_LINES => return None,
            // Anything that is no method is refused by the caller.
            _ => return Some(at),
        }
    }
}

/// The header section: its bytes with the empty line that ends it, and how many lines it has.
struct Extent {
    length: usize,
    fields: usize,
}

/// Finds the empty line that ends a header section. Only CRLF ends a line: a parser that took a
/// bare CR or LF for an end would see other fields than the next one does.
fn find_end(section: &[u8]) -> Result<Option<Extent>, Refusal> {
    let (mut line_start, mut fields) = (0, 0);
    for at in memchr::memchr3_iter(b'\r', b'\n', 0, section) {
        match (section[at], section.get(at + 1)) {
            (b'\r', None | Some(b'\n')) => continue,
            (b'\n', _) if at > line_start && section[at - 1] == b'\r' => {}
            _ => return Err(Refusal::bad("The head contains a NUL, or a CR or LF alone.")),
        }
        if at == line_start + 1 {
            return Ok(Some(Extent { length: at + 1, fields }));
        }
        if fields == MAX_FIELDS {
            return Err(Refusal::new(Code::HeadTooLarge, "The head has more than 100 fields."));
        }
        fields += 1;
        line_start = at + 1;
    }
    Ok(None)
}

fn build<const TABLE: usize>(head: &[u8], line: &RequestLine) -> Result<Head, Refusal> {
    let mut table = [httparse::EMPTY_HEADER; TABLE];
    let parsed = match httparse::parse_headers(&head[line.length..], &mut table) {
        Ok(httparse::Status::Complete((_, parsed))) => parsed,
        Ok(httparse::Status::Partial) => return Err(Refusal::bad("The header is not valid.")),
        Err(error) => return Err(fields::refuse(error)),
    };
    // One copy of the head, and where the fields are in it.
    let mut text: Box<[u8]> = head.into();
    let base = head.as_ptr().addr();
    let fields: Box<[Field]> = parsed
        .iter()
        .map(|field| Field {
            name: Span::new(field.name.as_ptr().addr() - base, field.name.len()),
            value: Span::new(field.value.as_ptr().addr() - base, field.value.len()),
        })
        .collect();
    for field in &fields {
        let start = usize::from(field.name.start);
        text[start..start + usize::from(field.name.length)].make_ascii_lowercase();
    }
    let facts = Facts::gather(&text, &fields, line.version)?;
    Ok(Head {
        method: line.method,
        version: line.version,
        framing: facts.framing,
        expect_continue: facts.expect_continue,
        persistent: facts.persistent,
        text,
        fields,
        path: line.path,
        query: line.query,
        host: line.host.unwrap_or(facts.host),
    })
}
