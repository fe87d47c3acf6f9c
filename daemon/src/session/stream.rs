//! The body of a request that comes as a stream: a bounded channel from the link's reader.
//!
//! The reader never waits for a service. A body that comes faster than its service takes it, past
//! the bounds of `limits`, fails that request and nothing else.

use crate::limits::{BODY_WAITING_MAX, LINK_BODIES_WAITING_MAX};
use souk_proto::limits::STREAM_CHUNK;
use souk_proto::{Code, Failure};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// The items of a request's body, in order.
#[derive(Debug)]
pub struct BodyStream {
    shared: Rc<RefCell<Shared>>,
}

/// The reader's end of a [`BodyStream`].
#[derive(Debug)]
pub(crate) struct BodySender {
    shared: Rc<RefCell<Shared>>,
}

/// Bytes that wait in all bodies of one link.
pub(crate) type Budget = Rc<Cell<usize>>;

#[derive(Debug, Default)]
struct Shared {
    items: VecDeque<Vec<u8>>,
    /// Bytes in `items`; they are part of `budget`.
    waiting: usize,
    budget: Budget,
    /// How the stream ends once the items are taken; nothing while more can come.
    end: Option<Result<(), Failure>>,
    waker: Option<Waker>,
}

impl BodyStream {
    /// A whole body at once, for callers that already hold it.
    pub fn of(items: impl IntoIterator<Item = Vec<u8>>) -> BodyStream {
        let (sender, stream) = body(Budget::default());
        let mut shared = sender.shared.borrow_mut();
        for item in items.into_iter().filter(|item| !item.is_empty()) {
            shared.add(item.len());
            shared.items.push_back(item);
        }
        shared.end = Some(Ok(()));
        drop(shared);
        stream
    }

    /// The next item, or nothing after the last. Items are never empty.
    ///
    /// # Errors
    /// If the peer broke the body off, or sent it faster than it was taken.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, Failure>> {
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
            if let Some(item) = shared.items.pop_front() {
                shared.subtract(item.len());
                return Poll::Ready(Some(Ok(item)));
            }
            match &shared.end {
                Some(Ok(())) => Poll::Ready(None),
                Some(Err(failure)) => Poll::Ready(Some(Err(failure.clone()))),
                None => {
                    shared.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Drop for BodyStream {
    fn drop(&mut self) {
        let mut shared = self.shared.borrow_mut();
        shared.clear();
        // Nobody takes items any more.
        shared.end.get_or_insert(Ok(()));
    }
}

/// A body whose items come through the sender and count against the budget.
pub(crate) fn body(budget: Budget) -> (BodySender, BodyStream) {
    let shared = Rc::new(RefCell::new(Shared { budget, ..Shared::default() }));
    (BodySender { shared: Rc::clone(&shared) }, BodyStream { shared })
}

impl BodySender {
    /// Adds an item. Empty ones carry nothing and are skipped.
    pub(crate) fn push(&self, item: &[u8]) {
        let mut shared = self.shared.borrow_mut();
        if item.is_empty() || shared.end.is_some() {
            return;
        }
        if shared.waiting + item.len() > BODY_WAITING_MAX
            || shared.budget.get() + item.len() > LINK_BODIES_WAITING_MAX
        {
            shared.clear();
            let why = "The body came faster than it could be taken.";
            shared.end = Some(Err(Failure::because(Code::Busy, why)));
        } else {
            shared.add(item.len());
            // Small items join the one before, so that the bytes bound the memory.
            match shared.items.back_mut() {
                Some(last) if last.len() + item.len() <= STREAM_CHUNK => {
                    last.extend_from_slice(item);
                }
                _ => shared.items.push_back(item.to_vec()),
            }
        }
        shared.wake();
    }

    /// Ends the body: well, or with a failure, which drops what waits.
    pub(crate) fn end(&self, end: Result<(), Failure>) {
        let mut shared = self.shared.borrow_mut();
        if shared.end.is_some() {
            return;
        }
        if end.is_err() {
            shared.clear();
        }
        shared.end = Some(end);
        shared.wake();
    }
}

impl Shared {
    fn add(&mut self, bytes: usize) {
        self.waiting += bytes;
        self.budget.set(self.budget.get() + bytes);
    }

    fn subtract(&mut self, bytes: usize) {
        self.waiting -= bytes;
        self.budget.set(self.budget.get() - bytes);
    }

    fn clear(&mut self) {
        self.items = VecDeque::new();
        self.subtract(self.waiting);
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
