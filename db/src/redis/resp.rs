//! Replies of Redis (RESP3, and RESP2 which it contains), read from bytes as they arrive. Sans-IO.
//!
//! Guarantees: the same replies come out however the bytes are split; bulk strings share the read
//! buffer's memory; nothing larger than the bounds in `limits` is ever gathered.

use crate::limits::{RESP_ARRAY_MAX, RESP_BULK_MAX, RESP_DEPTH_MAX, RESP_LINE_MAX, RESP_REPLY_MAX};
use bytes::{Bytes, BytesMut};
use thiserror::Error;

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `_`, `$-1` or `*-1`.
    Nil,
    /// `:n`
    Int(i64),
    /// `+text`
    Status(Bytes),
    /// `-text`: the server refused the command.
    Error(Bytes),
    /// `$n`; `=n` without the word for its format.
    Bulk(Bytes),
    /// `*n` or `~n`; `%n` as its keys and values in turn.
    Array(Vec<Reply>),
    /// `>n`: said unasked.
    Push(Vec<Reply>),
}

/// The bytes are not RESP, or pass a bound. The connection cannot be used any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// A reply begins with a byte that we do not know.
    #[error("unknown type byte {0:#04x}")]
    Type(u8),
    /// A number is not one.
    #[error("malformed number")]
    Number,
    /// CR LF is missing where it must be.
    #[error("missing end of line")]
    Line,
    /// Longer, larger or deeper than we accept.
    #[error("reply exceeds the bound on its {0}")]
    TooLarge(&'static str),
}

/// Bytes before the text of a verbatim string: three for its format, and a colon.
const FORMAT: usize = 4;

/// Gathers bytes and yields replies.
#[derive(Debug, Default)]
pub struct Reader {
    held: BytesMut,
    /// Held bytes below which another look at an unfinished reply is pointless.
    need: usize,
}

impl Reader {
    /// Takes over bytes as they came from the socket.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next complete reply, if there is one.
    pub fn next(&mut self) -> Result<Option<Reply>, Malformed> {
        if self.held.is_empty() || self.held.len() < self.need {
            return Ok(None);
        }
        match measure(&self.held, 0, 0)? {
            Measured::Ends(end) => {
                self.need = 0;
                let frame = self.held.split_to(end).freeze();
                Ok(Some(build(&frame, &mut 0)))
            }
            Measured::Needs(need) => {
                self.need = need;
                Ok(None)
            }
        }
    }
}

enum Measured {
    /// The reply is complete and ends before this offset.
    Ends(usize),
    /// The reply is complete at this many held bytes at the earliest.
    Needs(usize),
}

/// Checks the reply that begins at `start` and finds its end, without building anything.
fn measure(held: &[u8], start: usize, depth: usize) -> Result<Measured, Malformed> {
    let Some(&kind) = held.get(start) else { return Ok(Measured::Needs(start + 1)) };
    if !matches!(kind, b'+' | b'-' | b':' | b'$' | b'=' | b'_' | b'*' | b'~' | b'%' | b'>') {
        return Err(Malformed::Type(kind));
    }
    let rest = &held[start + 1..];
    let Some(line_len) = memchr::memchr(b'\n', &rest[..rest.len().min(RESP_LINE_MAX)]) else {
        if rest.len() >= RESP_LINE_MAX {
            return Err(Malformed::TooLarge("line"));
        }
        return Ok(Measured::Needs(held.len() + 1));
    };
    let line = rest[..line_len].strip_suffix(b"\r").ok_or(Malformed::Line)?;
    let after = start + 1 + line_len + 1;
    let end = match kind {
        b'+' | b'-' => after,
        b'_' if line.is_empty() => after,
        b'_' => return Err(Malformed::Line),
        b':' => {
            number(line)?;
            after
        }
        b'$' | b'=' => match bounded(line, RESP_BULK_MAX, "bulk string")? {
            Some(len) if kind == b'=' && len < FORMAT => return Err(Malformed::Number),
            None => after,
            Some(len) => {
                let end = after + len + 2;
                if held.len() < end {
                    return Ok(Measured::Needs(end));
                }
                if &held[end - 2..end] != b"\r\n" {
                    return Err(Malformed::Line);
                }
                end
            }
        },
        _ => {
            let Some(count) = bounded(line, RESP_ARRAY_MAX, "array")? else {
                return Ok(Measured::Ends(after));
            };
            if depth >= RESP_DEPTH_MAX {
                return Err(Malformed::TooLarge("depth"));
            }
            let mut at = after;
            for _ in 0..elements(kind, count) {
                match measure(held, at, depth + 1)? {
                    Measured::Ends(end) => at = end,
                    needs @ Measured::Needs(_) => {
                        if held.len() > RESP_REPLY_MAX {
                            return Err(Malformed::TooLarge("length"));
                        }
                        return Ok(needs);
                    }
                }
            }
            at
        }
    };
    Ok(Measured::Ends(end))
}

/// Builds the reply at `at` of a frame that [`measure`] has checked.
fn build(frame: &Bytes, at: &mut usize) -> Reply {
    let kind = frame[*at];
    let start = *at + 1;
    let line_len = memchr::memchr(b'\n', &frame[start..]).expect("measured") - 1;
    let line = &frame[start..start + line_len];
    *at = start + line_len + 2;
    match kind {
        b'+' => Reply::Status(frame.slice(start..start + line_len)),
        b'-' => Reply::Error(frame.slice(start..start + line_len)),
        b':' => Reply::Int(number(line).expect("measured")),
        b'_' => Reply::Nil,
        b'$' | b'=' => match usize::try_from(number(line).expect("measured")) {
            Err(_) => Reply::Nil,
            Ok(len) => {
                let skip = if kind == b'=' { FORMAT } else { 0 };
                let bulk = frame.slice(*at + skip..*at + len);
                *at += len + 2;
                Reply::Bulk(bulk)
            }
        },
        _ => match usize::try_from(number(line).expect("measured")) {
            Err(_) => Reply::Nil,
            Ok(count) => {
                let items = (0..elements(kind, count)).map(|_| build(frame, at)).collect();
                if kind == b'>' { Reply::Push(items) } else { Reply::Array(items) }
            }
        },
    }
}

/// The replies in an aggregate of this kind: a map's count is of pairs.
fn elements(kind: u8, count: usize) -> usize {
    if kind == b'%' { 2 * count } else { count }
}

fn number(line: &[u8]) -> Result<i64, Malformed> {
    let text = std::str::from_utf8(line).map_err(|_| Malformed::Number)?;
    text.parse().map_err(|_| Malformed::Number)
}

/// A length: `None` for -1 (nil).
fn bounded(line: &[u8], max: usize, what: &'static str) -> Result<Option<usize>, Malformed> {
    let value = number(line)?;
    if value == -1 {
        return Ok(None);
    }
    let value = usize::try_from(value).map_err(|_| Malformed::Number)?;
    if value > max {
        return Err(Malformed::TooLarge(what));
    }
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(reply: &Reply, out: &mut Vec<u8>) {
        match reply {
            Reply::Nil => out.extend_from_slice(b"$-1\r\n"),
            Reply::Int(n) => out.extend_from_slice(format!(":{n}\r\n").as_bytes()),
            Reply::Status(text) => line(b'+', text, out),
            Reply::Error(text) => line(b'-', text, out),
            Reply::Bulk(bytes) => {
                out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Reply::Array(items) | Reply::Push(items) => {
                let kind = if matches!(reply, Reply::Push(_)) { '>' } else { '*' };
                out.extend_from_slice(format!("{kind}{}\r\n", items.len()).as_bytes());
                items.iter().for_each(|item| encode(item, out));
            }
        }
    }

    fn line(kind: u8, text: &[u8], out: &mut Vec<u8>) {
        out.push(kind);
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    }

    fn any_reply() -> impl Strategy<Value = Reply> {
        let leaf = prop_oneof![
            Just(Reply::Nil),
            any::<i64>().prop_map(Reply::Int),
            "[ -~]{0,20}".prop_map(|s| Reply::Status(s.into())),
            "[ -~]{0,20}".prop_map(|s| Reply::Error(s.into())),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(|b| Reply::Bulk(b.into())),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Reply::Array),
                prop::collection::vec(inner, 0..5).prop_map(Reply::Push),
            ]
        })
    }

    proptest! {
        #[test]
        fn replies_survive_any_split(
            replies in prop::collection::vec(any_reply(), 1..8),
            cuts in prop::collection::vec(1usize..40, 1..60),
        ) {
            let mut bytes = Vec::new();
            replies.iter().for_each(|reply| encode(reply, &mut bytes));
            let mut reader = Reader::default();
            let (mut read, mut rest, mut cut) = (Vec::new(), &bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let n = (*cut.next().unwrap()).min(rest.len());
                reader.feed(&rest[..n]);
                rest = &rest[n..];
                while let Some(reply) = reader.next().unwrap() {
                    read.push(reply);
                }
            }
            prop_assert_eq!(read, replies);
        }

        #[test]
        fn garbage_never_panics_and_never_gathers_without_bound(
            bytes in prop::collection::vec(prop_oneof![
                Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'-'),
                any::<u8>(),
            ], 0..2000),
        ) {
            let mut reader = Reader::default();
            for piece in bytes.chunks(7) {
                reader.feed(piece);
                loop {
                    match reader.next() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
            }
        }
    }

    #[test]
    fn what_passes_a_bound_is_refused_before_it_is_gathered() {
        let deep = "*1\r\n".repeat(RESP_DEPTH_MAX + 1);
        for (bytes, what) in [
            (format!("${}\r\n", RESP_BULK_MAX + 1), "bulk string"),
            (format!("*{}\r\n", RESP_ARRAY_MAX + 1), "array"),
            (deep, "depth"),
            (format!("+{}", "x".repeat(RESP_LINE_MAX)), "line"),
        ] {
            let mut reader = Reader::default();
            reader.feed(bytes.as_bytes());
            assert_eq!(reader.next(), Err(Malformed::TooLarge(what)));
        }
    }

    #[test]
    fn lengths_and_line_ends_are_strict() {
        for (bytes, why) in [
            (&b"$-2\r\n"[..], Malformed::Number),
            (b":1x\r\n", Malformed::Number),
            (b"$1\r\nabc", Malformed::Line),
            (b"+ok\n", Malformed::Line),
            (b"(1\r\n", Malformed::Type(b'(')),
            (b"_x\r\n", Malformed::Line),
            (b"=3\r\ntxt\r\n", Malformed::Number),
        ] {
            let mut reader = Reader::default();
            reader.feed(bytes);
            assert_eq!(reader.next(), Err(why), "{bytes:?}");
        }
    }

    #[test]
    fn what_only_resp3_has_is_read_as_its_nearest_kin() {
        let bulk = |text: &'static str| Reply::Bulk(text.into());
        for (bytes, expected) in [
            (&b"_\r\n"[..], Reply::Nil),
            (b"=8\r\ntxt:some\r\n", bulk("some")),
            (b"%1\r\n+a\r\n:1\r\n", Reply::Array(vec![Reply::Status("a".into()), Reply::Int(1)])),
            (b"~1\r\n$1\r\na\r\n", Reply::Array(vec![bulk("a")])),
            (b">2\r\n$1\r\na\r\n_\r\n", Reply::Push(vec![bulk("a"), Reply::Nil])),
        ] {
            let mut reader = Reader::default();
            reader.feed(bytes);
            assert_eq!(reader.next(), Ok(Some(expected)), "{bytes:?}");
        }
    }
}
