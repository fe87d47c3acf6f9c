//! WebSockets (RFC 6455) without sockets: bytes go in, bytes come out.
//!
//! The frames and their rules are the library's: masked frames only, short control frames that are
//! whole, fragments in order, texts in UTF-8, everything bounded. It reads and writes memory here.
//! What clients say is checked and dropped: watchers have nothing to ask.

pub mod handshake;

#[cfg(test)]
mod tests;

use crate::limits::WEBSOCKET_MESSAGE_MAX;
use bytes::Bytes;
use std::io::{self, ErrorKind, Read, Write};
use tungstenite::protocol::frame::FrameHeader;
pub use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

/// First size of the buffer for what comes, in bytes: clients send pongs.
const READ_FIRST: usize = 512;

/// Longest head of a frame that a server sends, in bytes.
const FRAME_HEAD_MAX: usize = 10;

/// What came and is not looked at, and what is to be sent.
#[derive(Debug, Default)]
struct Wire {
    input: Vec<u8>,
    used: usize,
    output: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.input[self.used..];
        let count = rest.len().min(buffer.len());
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        buffer[..count].copy_from_slice(&rest[..count]);
        self.used += count;
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The server's end of a WebSocket whose handshake is done.
#[derive(Debug)]
pub struct WebSocket {
    context: WebSocketContext,
    wire: Wire,
    over: bool,
}

impl Default for WebSocket {
    fn default() -> WebSocket {
        WebSocket::new()
    }
}

impl WebSocket {
    /// One that has said and heard nothing.
    pub fn new() -> WebSocket {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_FIRST)
            .write_buffer_size(0)
            .max_message_size(Some(WEBSOCKET_MESSAGE_MAX))
            .max_frame_size(Some(WEBSOCKET_MESSAGE_MAX));
        let context = WebSocketContext::new(Role::Server, Some(config));
        WebSocket { context, wire: Wire::default(), over: false }
    }

    /// Takes what came. Pings are answered, a close is returned, what breaks the rules ends it with
    /// the code that says which.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.over {
            return;
        }
        self.wire.input = bytes.to_vec();
        loop {
            match self.context.read(&mut self.wire) {
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return self.fail(&error),
            }
        }
        // All of it was taken: an idle connection keeps no buffer for it.
        self.wire.input = Vec::new();
        self.wire.used = 0;
    }

    /// Sends a text, which has to be UTF-8. It goes past the library's own buffer, which would stay
    /// as large as the largest text for as long as the client is there.
    pub fn say(&mut self, text: &[u8]) {
        if !self.context.can_write() {
            return;
        }
        // Pongs that wait leave first.
        let _ = self.context.flush(&mut self.wire);
        let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        self.wire.output.reserve_exact(text.len() + FRAME_HEAD_MAX);
        // Memory takes anything.
        let _ = header.format(text.len() as u64, &mut self.wire);
        self.wire.output.extend_from_slice(text);
    }

    /// Asks whether the client is still there.
    pub fn ping(&mut self) {
        self.send(Message::Ping(Bytes::new()));
    }

    /// Ends it: the client answers, then [`WebSocket::is_over`].
    pub fn close(&mut self, code: CloseCode) {
        let frame = CloseFrame { code, reason: Utf8Bytes::default() };
        if self.context.close(&mut self.wire, Some(frame)).is_err() {
            self.over = true;
        }
    }

    /// What is to be sent now.
    pub fn take_output(&mut self) -> Option<Vec<u8>> {
        (!self.wire.output.is_empty()).then(|| std::mem::take(&mut self.wire.output))
    }

    /// Whether nothing more comes or goes but the output that is left.
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn send(&mut self, message: Message) {
        // Memory takes anything; what fails is a message after the close.
        if self.context.write(&mut self.wire, message).is_err() {
            return;
        }
        let _ = self.context.flush(&mut self.wire);
    }

    fn fail(&mut self, error: &Error) {
        let code = match error {
            Error::Protocol(_) => Some(CloseCode::Protocol),
            Error::Capacity(_) => Some(CloseCode::Size),
            Error::Utf8(_) => Some(CloseCode::Invalid),
            _ => None,
        };
        if let Some(code) = code {
            self.close(code);
        }
        self.over = true;
    }
}
