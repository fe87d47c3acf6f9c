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

#[cfg(test)]
mod tests {
    use super::{BodyStream, Budget, body};
    use crate::limits::{BODY_WAITING_MAX, LINK_BODIES_WAITING_MAX};
    use proptest::prelude::*;
    use souk_proto::limits::STREAM_CHUNK;
    use souk_proto::{Code, Failure};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn next(stream: &mut BodyStream) -> Poll<Option<Result<Vec<u8>, Failure>>> {
        pin!(stream.next()).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_body_that_nobody_takes_fails_alone_and_gives_its_room_back() {
        let budget = Budget::default();
        let (fast, mut lost) = body(budget.clone());
        let (calm, mut kept) = body(budget.clone());
        calm.push(b"kept");
        for _ in 0..=BODY_WAITING_MAX / STREAM_CHUNK {
            fast.push(&[7; STREAM_CHUNK]);
        }
        let failed = next(&mut lost);
        assert!(matches!(failed, Poll::Ready(Some(Err(why))) if why.code == Code::Busy));
        calm.end(Ok(()));
        assert_eq!(next(&mut kept), Poll::Ready(Some(Ok(b"kept".to_vec()))));
        assert_eq!(next(&mut kept), Poll::Ready(None));
        assert_eq!(budget.get(), 0);
    }

    #[test]
    fn all_bodies_of_a_link_share_one_bound() {
        let budget = Budget::default();
        budget.set(LINK_BODIES_WAITING_MAX);
        let (sender, mut stream) = body(budget);
        sender.push(b"one too many");
        assert!(matches!(next(&mut stream), Poll::Ready(Some(Err(_)))));
    }

    #[test]
    fn what_comes_after_the_service_is_gone_takes_no_room() {
        let budget = Budget::default();
        let (sender, stream) = body(budget.clone());
        sender.push(b"early");
        drop(stream);
        sender.push(b"late");
        assert_eq!(budget.get(), 0);
    }

    proptest! {
        /// However a body is cut and taken, its bytes come out whole and in order.
        #[test]
        fn bytes_come_out_as_they_went_in(items in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..2_000), any::<bool>()), 0..60)) {
            let budget = Budget::default();
            let (sender, mut stream) = body(budget.clone());
            let (mut sent, mut taken) = (Vec::new(), Vec::new());
            for (item, take) in &items {
                sender.push(item);
                sent.extend_from_slice(item);
                if *take && let Poll::Ready(Some(Ok(item))) = next(&mut stream) {
                    prop_assert!(!item.is_empty() && item.len() <= STREAM_CHUNK);
                    taken.extend_from_slice(&item);
                }
                prop_assert_eq!(budget.get(), sent.len() - taken.len());
            }
            sender.end(Ok(()));
            while let Poll::Ready(Some(Ok(item))) = next(&mut stream) {
                taken.extend_from_slice(&item);
            }
            prop_assert_eq!(next(&mut stream), Poll::Ready(None));
            prop_assert_eq!(sent, taken);
        }
    }
}
