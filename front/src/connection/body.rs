//! A request body on its way from the connection to a handler: one piece at a time, so that a
//! handler that takes its time makes the client wait and not the memory grow.

use crate::http::{BodySource, NextChunk};
use souk_proto::Failure;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

#[derive(Debug, Default)]
struct Pipe {
    piece: Option<Vec<u8>>,
    end: Option<Result<(), Failure>>,
    reader: Option<Waker>,
}

/// The connection's end.
#[derive(Debug)]
pub struct BodySender(Rc<RefCell<Pipe>>);

/// The handler's end.
#[derive(Debug)]
pub struct BodyReader(Rc<RefCell<Pipe>>);

/// A body without pieces yet.
pub fn pipe() -> (BodySender, BodyReader) {
    let pipe = Rc::new(RefCell::new(Pipe::default()));
    (BodySender(pipe.clone()), BodyReader(pipe))
}

impl BodySender {
    /// Whether the next piece may be sent.
    pub fn has_room(&self) -> bool {
        self.0.borrow().piece.is_none()
    }

    /// Whether the handler wants no more of the body.
    pub fn is_unwanted(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }

    /// Sends a piece; only when there is room.
    pub fn send(&self, piece: Vec<u8>) {
        let mut pipe = self.0.borrow_mut();
        pipe.piece = Some(piece);
        pipe.wake();
    }

    /// Ends the body, or says why it cannot be finished.
    pub fn end(&self, end: Result<(), Failure>) {
        let mut pipe = self.0.borrow_mut();
        pipe.end.get_or_insert(end);
        pipe.wake();
    }
}

impl Pipe {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl BodySource for BodyReader {
    fn next(&mut self) -> NextChunk<'_> {
        Box::pin(poll_fn(|cx| {
            let mut pipe = self.0.borrow_mut();
            if let Some(piece) = pipe.piece.take() {
                return Poll::Ready(Some(Ok(piece)));
            }
            match &pipe.end {
                Some(Ok(())) => Poll::Ready(None),
                Some(Err(failure)) => Poll::Ready(Some(Err(failure.clone()))),
                None => {
                    pipe.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        }))
    }
}
