//! What each frame of a daemon does to the session.

use super::{Loss, Phase, Session};
use crate::limits::STREAM_ITEMS_MAX;
use prost::Message;
use souk_proto::common::{self, GoAway, Hello};
use souk_proto::{Code, Failure, Flags, FrameRef, Header, Kind, hello};

impl Session {
    /// Acts on one frame of the daemon.
    pub(super) fn frame(&mut self, frame: &FrameRef<'_>) -> Result<(), Loss> {
        let id = frame.header.request_id;
        match (frame.header.kind, self.phase) {
            (Kind::GoAway, _) => return self.go_away(frame.payload),
            (Kind::Hello, Phase::Greeting) => return self.greeted(frame.payload),
            (_, Phase::Greeting) => {
                return Err(Loss::Protocol("the daemon's first frame is not HELLO".into()));
            }
            (Kind::Response, _) => self.answered(frame),
            (Kind::Push, _) => self.item(frame),
            (Kind::Ping, _) => {
                let pong = Header::new(Kind::Pong, id);
                self.outbox
                    .push_bytes(&pong, &[])
                    .map_err(|_| Loss::Protocol("the outbox is full".into()))?;
                self.wake_writer();
            }
            (Kind::Pong, _) => {}
            (Kind::Hello | Kind::Request | Kind::Cancel, _) => {
                let what = frame.header.kind;
                return Err(Loss::Protocol(format!("a daemon must not send {what:?}")));
            }
        }
        Ok(())
    }

    fn greeted(&mut self, payload: &[u8]) -> Result<(), Loss> {
        let hello = Hello::decode(payload).map_err(|error| Loss::Protocol(error.to_string()))?;
        hello::check_daemon(&hello, self.shard)
            .map_err(|error| Loss::Protocol(error.to_string()))?;
        self.peer = Some(hello);
        self.phase = Phase::Open;
        Ok(())
    }

    fn go_away(&mut self, payload: &[u8]) -> Result<(), Loss> {
        let reason = GoAway::decode(payload).map(|message| message.reason).unwrap_or_default();
        self.loss = Some(Loss::GoAway(reason.clone()));
        if self.phase == Phase::Greeting || self.table.is_empty() {
            return Err(Loss::GoAway(reason));
        }
        self.phase = Phase::Leaving;
        Ok(())
    }

    fn answered(&mut self, frame: &FrameRef<'_>) {
        // No entry: the request was given up, and its answer crossed the CANCEL.
        let id = frame.header.request_id;
        let Some(waiter) = self.table.get_mut(id) else { return };
        if waiter.answer.is_some() {
            return;
        }
        let flags = frame.header.flags;
        waiter.answered_at = self.read_at;
        waiter.answer = Some(if flags.has(Flags::ERROR) {
            Err(failure(frame.payload))
        } else {
            Ok(frame.payload.to_vec())
        });
        if let Some(items) = &mut waiter.items {
            items.head_due = None;
            if !flags.has(Flags::STREAM) {
                items.end = Some(Ok(()));
            }
        }
        if let Some(waker) = waiter.waker.take() {
            waker.wake();
        }
    }

    fn item(&mut self, frame: &FrameRef<'_>) {
        let id = frame.header.request_id;
        let Some(waiter) = self.table.get_mut(id) else { return };
        let Some(items) = waiter.items.as_mut().filter(|items| items.end.is_none()) else { return };
        let flags = frame.header.flags;
        let mut overflow = false;
        if flags.has(Flags::ERROR) {
            items.end = Some(Err(failure(frame.payload)));
        } else {
            if items.waiting.len() >= STREAM_ITEMS_MAX {
                overflow = true;
                items.end = Some(Err(Failure::new(Code::Busy)));
            } else if !frame.payload.is_empty() {
                items.waiting.push_back(frame.payload.to_vec());
            }
            if flags.has(Flags::END) && !overflow {
                items.end = Some(Ok(()));
            }
        }
        if let Some(waker) = waiter.waker.take() {
            waker.wake();
        }
        if overflow && !flags.has(Flags::END) {
            self.cancel(id);
        }
    }
}

fn failure(payload: &[u8]) -> Failure {
    match common::Error::decode(payload) {
        Ok(error) => error.into(),
        Err(_) => Code::MalformedMessage.into(),
    }
}
