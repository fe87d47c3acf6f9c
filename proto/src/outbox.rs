//! The write side of a link: frames queue here, and everything queued leaves in one write.
//!
//! Two buffers take turns: one fills while the ring writes the other, so a link in steady state
//! allocates nothing. The queue is bounded; a full one refuses at once.

use crate::frame::{Flags, Header, Kind};
use crate::limits::{OUTBOX_MAX, OUTBOX_STREAM_HIGH, PAYLOAD_MAX};
use crate::{Failure, common};
use prost::Message;

/// Largest spare buffer kept for reuse; a rare large burst gives its memory back.
const SPARE_MAX: usize = 1024 * 1024;

/// Why a frame was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The peer does not read fast enough: try later or answer BUSY.
    #[error("the link's outbox is full")]
    Full,
    /// The payload is over the frame bound: a defect of the sender.
    #[error("the message is longer than a frame may be")]
    TooLong,
}

/// Frames that wait for the socket.
#[derive(Debug, Default)]
pub struct Outbox {
    queued: Vec<u8>,
    spare: Vec<u8>,
}

impl Outbox {
    /// An empty outbox.
    pub fn new() -> Outbox {
        Outbox::default()
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.queued.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    /// Whether a stream should wait for the socket before it queues its next item.
    pub fn is_high(&self) -> bool {
        self.queued.len() >= OUTBOX_STREAM_HIGH
    }

    /// Queues a frame with a message as its payload, encoded in place.
    ///
    /// # Errors
    /// If the outbox is full or the message too long; nothing is queued then.
    pub fn push(&mut self, header: &Header, message: &impl Message) -> Result<(), PushError> {
        self.push_with(header, message.encoded_len(), |out| {
            message.encode(out).expect("a Vec grows as needed");
        })
    }

    /// Queues a frame with these bytes as its payload.
    ///
    /// # Errors
    /// If the outbox is full or the payload too long; nothing is queued then.
    pub fn push_bytes(&mut self, header: &Header, payload: &[u8]) -> Result<(), PushError> {
        self.push_with(header, payload.len(), |out| out.extend_from_slice(payload))
    }

    /// Queues the RESPONSE that says why a request failed.
    ///
    /// # Errors
    /// If the outbox is full.
    pub fn push_failure(&mut self, request_id: u64, failure: &Failure) -> Result<(), PushError> {
        let header = Header::new(Kind::Response, request_id).flags(Flags::ERROR);
        self.push(&header, &common::Error::from(failure))
    }

    fn push_with(
        &mut self,
        header: &Header,
        payload_len: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), PushError> {
        let length = match u32::try_from(payload_len) {
            Ok(length) if payload_len <= PAYLOAD_MAX => length,
            _ => return Err(PushError::TooLong),
        };
        if self.queued.len() + header.len() + payload_len > OUTBOX_MAX {
            return Err(PushError::Full);
        }
        let start = self.queued.len();
        self.queued.resize(start + header.len(), 0);
        header.write(length, &mut self.queued[start..]);
        write(&mut self.queued);
        debug_assert_eq!(self.queued.len(), start + header.len() + payload_len);
        Ok(())
    }

    /// Everything queued, for one write; nothing if nothing is. Give the buffer back with
    /// [`Outbox::recycle`] when it is written.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        if self.queued.is_empty() {
            return None;
        }
        Some(std::mem::replace(&mut self.queued, std::mem::take(&mut self.spare)))
    }

    /// Takes a written buffer back for reuse.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= SPARE_MAX {
            buffer.clear();
            self.spare = buffer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Outbox, PushError};
    use crate::frame::{Header, Kind, decode};
    use crate::limits::{OUTBOX_MAX, PAYLOAD_MAX};
    use crate::{Code, Failure};

    #[test]
    fn a_full_outbox_refuses_and_keeps_what_it_has() {
        let mut outbox = Outbox::new();
        let header = Header::new(Kind::Push, 1);
        let payload = vec![7; PAYLOAD_MAX];
        while outbox.push_bytes(&header, &payload).is_ok() {}
        let len = outbox.len();
        assert!(len <= OUTBOX_MAX);
        assert_eq!(outbox.push_bytes(&header, &payload), Err(PushError::Full));
        assert_eq!(outbox.len(), len);
        assert!(outbox.take().is_some());
        assert_eq!(outbox.push_bytes(&header, &payload), Ok(()));
    }

    #[test]
    fn an_over_long_payload_is_refused() {
        let mut outbox = Outbox::new();
        let header = Header::new(Kind::Push, 1);
        let payload = vec![7; PAYLOAD_MAX + 1];
        assert_eq!(outbox.push_bytes(&header, &payload), Err(PushError::TooLong));
        assert!(outbox.take().is_none());
    }

    #[test]
    fn a_failure_is_a_response_with_the_error_flag() {
        let mut outbox = Outbox::new();
        outbox.push_failure(9, &Failure::new(Code::Busy)).expect("fits");
        let bytes = outbox.take().expect("queued");
        let (frame, _) = decode(&bytes).expect("valid").expect("whole");
        assert_eq!(frame.header.kind, Kind::Response);
        assert!(frame.header.flags.has(crate::Flags::ERROR));
    }
}
