//! The request that a thread works for at this moment.

use std::cell::Cell;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::task::{self, Poll};

/// Names a request in log lines, and as the parent of spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The trace id; 0 means that no request is at work.
    pub trace_id: u128,
    /// The span that what happens now belongs to, if the trace is sampled.
    pub span: Option<NonZeroU64>,
}

thread_local! {
    static CURRENT: Cell<Context> = const { Cell::new(Context { trace_id: 0, span: None }) };
}

/// The request that this thread works for now.
pub fn current() -> Context {
    CURRENT.get()
}

/// Its trace id, for log lines.
pub fn current_id() -> Option<u128> {
    let id = CURRENT.get().trace_id;
    (id != 0).then_some(id)
}

impl Context {
    /// This thread works for this request until the guard is dropped.
    #[must_use = "the request is left when this is dropped"]
    pub fn enter(self) -> Entered {
        Entered { outer: CURRENT.replace(self), on_this_thread: PhantomData }
    }
}

/// Leaves a request when dropped, on the thread that entered it.
#[derive(Debug)]
pub struct Entered {
    outer: Context,
    on_this_thread: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}

pin_project_lite::pin_project! {
    /// Work for a request; see [`within`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Within<F> {
        context: Context,
        #[pin]
        work: F,
    }
}

/// Work during which its thread works for this request. It allocates nothing.
pub fn within<F>(context: Context, work: F) -> Within<F> {
    Within { context, work }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.context.enter();
        this.work.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{Context, current, current_id, within};
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::{self, Poll, Waker};

    #[test]
    fn a_thread_works_for_the_innermost_request_and_then_for_the_one_around_it() {
        let [outer, inner] = [1, 2].map(|trace_id| Context { trace_id, span: None });
        assert_eq!(current_id(), None);
        let entered = outer.enter();
        drop(inner.enter());
        assert_eq!(current(), outer);
        drop(entered);
        assert_eq!(current(), Context::default());
    }

    #[test]
    fn tasks_that_take_turns_each_see_their_own_request() {
        let work = |trace_id| {
            let mut turns = 0;
            within(
                Context { trace_id, span: None },
                poll_fn(move |_| {
                    assert_eq!(current_id(), Some(trace_id));
                    turns += 1;
                    if turns < 3 { Poll::Pending } else { Poll::Ready(()) }
                }),
            )
        };
        let (mut one, mut other) = (pin!(work(1)), pin!(work(2)));
        let mut cx = task::Context::from_waker(Waker::noop());
        for turn in 1..=3 {
            assert_eq!(one.as_mut().poll(&mut cx).is_ready(), turn == 3);
            assert_eq!(current_id(), None, "between two turns no request is at work");
            assert_eq!(other.as_mut().poll(&mut cx).is_ready(), turn == 3);
        }
    }
}
