//! The frame: a fixed header and a payload.
//!
//! ```text
//! offset  size  field
//!      0     4  payload length, bytes
//!      4     1  kind
//!      5     1  flags
//!      6     2  method (REQUEST only, else 0)
//!      8     8  request id (PING and PONG: an echo; HELLO and GOAWAY: 0)
//!     16     4  time left for the request, milliseconds (REQUEST only, else 0)
//!     20     4  reserved, 0
//!     24    16  trace id
//!     40     8  parent span id, not 0: only there when the flag SAMPLED is set
//!  40/48        payload
//! ```
//!
//! All integers are big-endian. A deadline travels as the time left, so clocks need not agree. The
//! fields up to offset 40 are the same in every version of the protocol: so a HELLO, which is never
//! sampled, can always be read, and a peer of another version is told from garbage.

use crate::limits::{HEADER_LEN, PARENT_LEN, PAYLOAD_MAX};
use std::num::NonZeroU64;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// First frame in each direction; payload `common.Hello`.
    Hello = 1,
    /// A call. With [`Flags::STREAM`] its body follows as PUSH frames of the same request id.
    Request = 2,
    /// The answer to a call. With [`Flags::STREAM`] more follows as PUSH frames.
    Response = 3,
    /// A stream's next item; [`Flags::END`] marks the last.
    Push = 4,
    /// The caller no longer wants the answer, or more of the stream.
    Cancel = 5,
    /// Are you there?
    Ping = 6,
    /// I am; same request id as the PING.
    Pong = 7,
    /// The sender takes no new requests and finishes those in flight; payload `common.GoAway`.
    GoAway = 8,
}

impl Kind {
    fn from_number(number: u8) -> Option<Kind> {
        Some(match number {
            1 => Kind::Hello,
            2 => Kind::Request,
            3 => Kind::Response,
            4 => Kind::Push,
            5 => Kind::Cancel,
            6 => Kind::Ping,
            7 => Kind::Pong,
            8 => Kind::GoAway,
            _ => return None,
        })
    }
}

/// Bits that refine a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);
    /// PUSH frames with the same request id follow.
    pub const STREAM: Flags = Flags(1);
    /// The last item of a stream.
    pub const END: Flags = Flags(2);
    /// The payload is `common.Error`. On a PUSH it ends the stream.
    pub const ERROR: Flags = Flags(4);

    /// A parent span id follows the fixed fields. [`Header::parent_span`] says so to others.
    const SAMPLED: Flags = Flags(8);

    const KNOWN: u8 = 15;

    /// Whether every bit of `other` is set.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of bits.
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// A frame's header without the payload length, which goes with the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is for.
    pub kind: Kind,
    /// Bits that refine the kind.
    pub flags: Flags,
    /// Number of the method; 0 where there is none.
    pub method: u16,
    /// Ties a call, its answer, its items and its cancellation together.
    pub request_id: u64,
    /// Time left for the request in milliseconds.
    pub deadline_ms: u32,
    /// Follows a client's request through both programs.
    pub trace_id: u128,
    /// The sender's span that the request belongs to, if its trace is sampled (W3C Trace Context).
    pub parent_span: Option<NonZeroU64>,
}

impl Header {
    /// A header with just a kind and a request id.
    pub fn new(kind: Kind, request_id: u64) -> Header {
        let (flags, method, deadline_ms) = (Flags::NONE, 0, 0);
        Header { kind, flags, method, request_id, deadline_ms, trace_id: 0, parent_span: None }
    }

    /// The same header with these flags.
    pub fn flags(self, flags: Flags) -> Header {
        Header { flags, ..self }
    }

    /// How many bytes [`Header::write`] writes.
    #[allow(clippy::len_without_is_empty)] // a header is never empty
    pub fn len(&self) -> usize {
        HEADER_LEN + if self.parent_span.is_some() { PARENT_LEN } else { 0 }
    }

    /// Writes the header for a payload of `payload_len` bytes over the first [`Header::len`] bytes
    /// of `out`.
    ///
    /// # Panics
    /// If `out` is shorter than a header.
    pub fn write(&self, payload_len: u32, out: &mut [u8]) {
        out[0..4].copy_from_slice(&payload_len.to_be_bytes());
        out[4] = self.kind as u8;
        out[5] = match self.parent_span {
            Some(_) => self.flags.with(Flags::SAMPLED).0,
            None => self.flags.0,
        };
        out[6..8].copy_from_slice(&self.method.to_be_bytes());
        out[8..16].copy_from_slice(&self.request_id.to_be_bytes());
        out[16..20].copy_from_slice(&self.deadline_ms.to_be_bytes());
        out[20..24].fill(0);
        out[24..40].copy_from_slice(&self.trace_id.to_be_bytes());
        if let Some(span) = self.parent_span {
            out[40..48].copy_from_slice(&span.get().to_be_bytes());
        }
    }
}

/// One frame, its payload still in the read buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct FrameRef<'a> {
    /// The header.
    pub header: Header,
    /// The payload.
    pub payload: &'a [u8],
}

/// Why the bytes of a peer are not frames. The link cannot go on after any of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length field is over the bound.
    #[error("a frame announces a payload of {0} bytes; at most {PAYLOAD_MAX} are allowed")]
    TooLong(u32),
    /// The kind field holds no known kind.
    #[error("a frame has the unknown kind {0}")]
    UnknownKind(u8),
    /// A flag that this version does not know is set.
    #[error("a frame has the unknown flags {0:#04x}")]
    UnknownFlags(u8),
    /// The reserved field is not zero.
    #[error("a frame's reserved field is not zero")]
    Reserved,
    /// The frame is sampled and names no parent span.
    #[error("a sampled frame has the parent span 0")]
    NoParent,
}

/// Reads the frame at the start of `bytes`: the frame and its whole length, or nothing if it is
/// not all there yet.
///
/// # Errors
/// As soon as the header is there and is not one.
pub fn decode(bytes: &[u8]) -> Result<Option<(FrameRef<'_>, usize)>, FrameError> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(field(head, 0));
    if length as usize > PAYLOAD_MAX {
        return Err(FrameError::TooLong(length));
    }
    let kind = Kind::from_number(head[4]).ok_or(FrameError::UnknownKind(head[4]))?;
    if head[5] & !Flags::KNOWN != 0 {
        return Err(FrameError::UnknownFlags(head[5]));
    }
    if field::<4>(head, 20) != [0; 4] {
        return Err(FrameError::Reserved);
    }
    let (parent_span, rest) = if Flags(head[5]).has(Flags::SAMPLED) {
        let Some((span, rest)) = rest.split_first_chunk::<PARENT_LEN>() else { return Ok(None) };
        let span = NonZeroU64::new(u64::from_be_bytes(*span));
        (Some(span.ok_or(FrameError::NoParent)?), rest)
    } else {
        (None, rest)
    };
    let header = Header {
        kind,
        flags: Flags(head[5] & !Flags::SAMPLED.0),
        method: u16::from_be_bytes(field(head, 6)),
        request_id: u64::from_be_bytes(field(head, 8)),
        deadline_ms: u32::from_be_bytes(field(head, 16)),
        trace_id: u128::from_be_bytes(field(head, 24)),
        parent_span,
    };
    let payload = rest.get(..length as usize);
    Ok(payload.map(|payload| (FrameRef { header, payload }, header.len() + payload.len())))
}

fn field<const N: usize>(head: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head[at..at + N]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Flags, FrameError, Header, Kind, decode};
    use crate::limits::{HEADER_LEN, PARENT_LEN, PAYLOAD_MAX};
    use proptest::prelude::*;
    use std::num::NonZeroU64;

    fn header() -> Header {
        Header {
            kind: Kind::Request,
            flags: Flags::STREAM,
            method: 0x0102,
            request_id: 0x0304_0506_0708_090a,
            deadline_ms: 0x0b0c_0d0e,
            trace_id: 0x0f,
            parent_span: None,
        }
    }

    fn sampled() -> Header {
        Header { parent_span: NonZeroU64::new(0x1112_1314_1516_1718), ..header() }
    }

    #[test]
    fn the_header_bytes_are_pinned() {
        let mut bytes = [0xff; HEADER_LEN];
        header().write(5, &mut bytes);
        assert_eq!(
            bytes[..24],
            [0, 0, 0, 5, 2, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0, 0, 0, 0]
        );
        assert_eq!(bytes[24..39], [0; 15]);
        assert_eq!(bytes[39], 15);
    }

    #[test]
    fn the_bytes_of_a_sampled_header_are_pinned() {
        let mut bytes = [0xff; HEADER_LEN + PARENT_LEN];
        assert_eq!(sampled().len(), bytes.len());
        sampled().write(5, &mut bytes);
        assert_eq!(bytes[..8], [0, 0, 0, 5, 2, 9, 1, 2]);
        assert_eq!(bytes[39..], [15, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]);
    }

    #[test]
    fn bad_headers_are_refused_with_their_reason() {
        let mut good = [0; HEADER_LEN];
        header().write(0, &mut good);
        let with = |at: usize, value: u8| {
            let mut bytes = good;
            bytes[at] = value;
            decode(&bytes).map(|_| ())
        };
        assert_eq!(with(0, 0xff), Err(FrameError::TooLong(0xff00_0000)));
        assert_eq!(with(4, 0), Err(FrameError::UnknownKind(0)));
        assert_eq!(with(4, 9), Err(FrameError::UnknownKind(9)));
        assert_eq!(with(5, 16), Err(FrameError::UnknownFlags(16)));
        assert_eq!(with(23, 1), Err(FrameError::Reserved));
        let mut longest = good;
        header().write(u32::try_from(PAYLOAD_MAX).expect("small"), &mut longest);
        assert_eq!(decode(&longest), Ok(None));
        let mut orphan = [0; HEADER_LEN + PARENT_LEN];
        sampled().write(0, &mut orphan);
        orphan[HEADER_LEN..].fill(0);
        assert_eq!(decode(&orphan), Err(FrameError::NoParent));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_cut_frame_waits_for_the_rest(
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            keep in any::<prop::sample::Index>(),
            parent in any::<u64>(),
        ) {
            let header = Header { parent_span: NonZeroU64::new(parent % 4), ..header() };
            let mut bytes = vec![0; header.len()];
            header.write(u32::try_from(payload.len()).expect("small"), &mut bytes);
            bytes.extend_from_slice(&payload);
            let cut = keep.index(bytes.len());
            prop_assert_eq!(decode(&bytes[..cut]), Ok(None));
            let (frame, used) = decode(&bytes).expect("valid").expect("whole");
            prop_assert_eq!(used, bytes.len());
            prop_assert_eq!(frame.header, header);
            prop_assert_eq!(frame.payload, &payload[..]);
        }
    }
}
