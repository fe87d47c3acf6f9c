//! The body of a request that comes as a stream: a bounded channel from the link's reader.
//!
//! The reader never waits for a service. A body that comes faster than the service takes it, past
//! [`BODY_ITEMS_MAX`] items, fails that request and nothing else.

use crate::limits::BODY_ITEMS_MAX;
use souk_proto::{Code, Failure};
use std::cell::RefCell;
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

#[derive(Debug, Default)]
struct Shared {
    items: VecDeque<Vec<u8>>,
    /// How the stream ends once the items are taken; nothing while more can come.
    end: Option<Result<(), Failure>>,
    waker: Option<Waker>,
}

impl BodyStream {
    /// A whole body at once, for callers that already hold it.
    pub fn of(items: impl IntoIterator<Item = Vec<u8>>) -> BodyStream {
        let items = items.into_iter().collect();
        let shared = Shared { items, end: Some(Ok(())), waker: None };
        BodyStream { shared: Rc::new(RefCell::new(shared)) }
    }

    /// The next item, or nothing after the last. Items are never empty.
    ///
    /// # Errors
    /// If the peer broke the body off, or sent it faster than it was taken.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, Failure>> {
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
            if let Some(item) = shared.items.pop_front() {
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

/// A body whose items come through the sender.
pub(crate) fn body() -> (BodySender, BodyStream) {
    let shared = Rc::new(RefCell::new(Shared::default()));
    (BodySender { shared: Rc::clone(&shared) }, BodyStream { shared })
}

impl BodySender {
    /// Adds an item. Empty ones carry nothing and are skipped.
    pub(crate) fn push(&self, item: &[u8]) {
        let mut shared = self.shared.borrow_mut();
        // The service is gone when nobody else holds the stream: nobody would take the item.
        if item.is_empty() || shared.end.is_some() || Rc::strong_count(&self.shared) == 1 {
            return;
        }
        if shared.items.len() < BODY_ITEMS_MAX {
            shared.items.push_back(item.to_vec());
        } else {
            shared.items.clear();
            let why = "The body came faster than it could be taken.";
            shared.end = Some(Err(Failure::because(Code::Busy, why)));
        }
        shared.wake();
    }

    /// Ends the body: well, or with a failure.
    pub(crate) fn end(&self, end: Result<(), Failure>) {
        let mut shared = self.shared.borrow_mut();
        if shared.end.is_none() {
            shared.end = Some(end);
            shared.wake();
        }
    }
}

impl Shared {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
