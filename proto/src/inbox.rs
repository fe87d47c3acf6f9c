//! The read side of a link: bytes in, frames out.
//!
//! A completion ring owns the buffer while it reads, so the inbox lends it: [`Inbox::lend`] gives a
//! buffer whose unread bytes are at the front and which has room behind them, [`Inbox::restore`]
//! takes it back with what was read, [`Inbox::next`] yields the frames. Payloads are borrowed from
//! the buffer; nothing is copied and, once the buffer has its size, nothing is allocated.

use crate::frame::{self, FrameError, FrameRef};
use crate::limits::READ_CHUNK;

/// Collects a peer's bytes and cuts them into frames.
#[derive(Debug, Default)]
pub struct Inbox {
    buffer: Vec<u8>,
    /// Everything before this is consumed.
    start: usize,
}

impl Inbox {
    /// An empty inbox; the buffer comes with the first read.
    pub fn new() -> Inbox {
        Inbox::default()
    }

    /// The buffer for the next read: what is not consumed yet, then room for at least
    /// [`READ_CHUNK`] bytes. Read behind its length.
    pub fn lend(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.drain(..self.start);
        self.start = 0;
        buffer.reserve(READ_CHUNK);
        buffer
    }

    /// Takes the lent buffer back, now longer by what was read.
    pub fn restore(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }

    /// Adds bytes by copying, for sources that have a buffer of their own.
    pub fn extend(&mut self, bytes: &[u8]) {
        let mut buffer = self.lend();
        buffer.extend_from_slice(bytes);
        self.restore(buffer);
    }

    /// The next whole frame, or nothing until more bytes come.
    ///
    /// # Errors
    /// When the bytes are not a frame. The link must be closed: no later call can recover.
    #[allow(clippy::should_implement_trait)] // an iterator could not lend from itself
    pub fn next(&mut self) -> Result<Option<FrameRef<'_>>, FrameError> {
        let Some((frame, used)) = frame::decode(&self.buffer[self.start..])? else {
            return Ok(None);
        };
        self.start += used;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::Inbox;
    use crate::frame::{Header, Kind};
    use crate::outbox::Outbox;
    use proptest::prelude::*;

    proptest! {
        /// However a stream of frames is cut into reads, the same frames come out.
        #[test]
        fn frames_survive_arbitrary_splits(
            payloads in proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 0..200), 1..20),
            cuts in proptest::collection::vec(1usize..100, 1..50),
        ) {
            let mut outbox = Outbox::new();
            for (id, payload) in payloads.iter().enumerate() {
                let header = Header::new(Kind::Push, id as u64);
                outbox.push_bytes(&header, payload).expect("fits");
            }
            let bytes = outbox.take().expect("not empty");
            let mut inbox = Inbox::new();
            let mut seen = Vec::new();
            let mut rest = &bytes[..];
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let cut = (*cuts.next().expect("cycle")).min(rest.len());
                inbox.extend(&rest[..cut]);
                rest = &rest[cut..];
                while let Some(frame) = inbox.next().expect("valid") {
                    prop_assert_eq!(frame.header.request_id, seen.len() as u64);
                    seen.push(frame.payload.to_vec());
                }
            }
            prop_assert_eq!(seen, payloads);
        }

        /// Garbage ends in an error or in waiting, never in a panic or an endless loop.
        #[test]
        fn garbage_is_refused(reads in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..100), 0..20)) {
            let mut inbox = Inbox::new();
            'reads: for read in reads {
                inbox.extend(&read);
                loop {
                    match inbox.next() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'reads,
                    }
                }
            }
        }
    }
}
