//! Spans: what was done for a sampled request, from when to when.
//!
//! A span records itself when it is dropped, also when its work is given up half way.

use crate::context::{Context, current};
use crate::limits::ATTRIBUTES_MAX;
use crate::sampling::Ratio;
use crate::traceparent::Traceparent;
use std::borrow::Cow;
use std::cell::RefCell;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

/// Makes spans for sampled requests, or none at all. Clones share one queue.
#[derive(Clone, Debug, Default)]
pub struct Tracer {
    queue: Option<Arc<Queue>>,
    ratio: Option<Ratio>,
}

/// Where ended spans go.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) sender: SyncSender<Box<Ended>>,
    pub(crate) counts: Counts,
}

/// What became of spans, since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) exported: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

/// What a span is to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It answers a request from another process.
    Server,
    /// It asks another process.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Value {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Value {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A span that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: Kind,
    pub(crate) trace_id: u128,
    pub(crate) id: NonZeroU64,
    pub(crate) parent: Option<NonZeroU64>,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) failure: Option<Cow<'static, str>>,
}

/// A span of a sampled request. It ends when it is dropped.
#[derive(Debug)]
#[must_use = "a span ends when it is dropped"]
pub struct Span {
    queue: Arc<Queue>,
    /// Taken when it ends.
    open: Option<Box<Ended>>,
}

impl Tracer {
    pub(crate) fn new(queue: Arc<Queue>, ratio: Ratio) -> Tracer {
        Tracer { queue: Some(queue), ratio: Some(ratio) }
    }

    /// Takes a request in from outside: its context, and its span if it is sampled.
    ///
    /// A caller that says whether it samples the trace is followed; else the ratio decides by the
    /// trace id, which is `fresh` when no caller gave one. Without a collector nothing is recorded
    /// here, and a caller's sampled trace is passed on as if this process were not there.
    pub fn arrive(
        &self,
        caller: Option<Traceparent>,
        fresh: u128,
        name: impl FnOnce() -> Cow<'static, str>,
    ) -> (Context, Option<Span>) {
        let trace_id = caller.map_or(fresh, |caller| caller.trace_id);
        let sampled = match (caller, self.ratio) {
            (Some(caller), _) => caller.sampled,
            (None, Some(ratio)) => ratio.samples(trace_id),
            (None, None) => false,
        };
        if !sampled {
            return (Context { trace_id, span: None }, None);
        }
        let parent = caller.map(|caller| caller.parent);
        match self.begin(name, Kind::Server, trace_id, parent) {
            Some(span) => (span.context(), Some(span)),
            None => (Context { trace_id, span: parent }, None),
        }
    }

    /// A span below the one that `context` names; nothing if it is not sampled.
    pub fn serve(&self, name: &'static str, context: Context) -> Option<Span> {
        let parent = context.span?;
        self.begin(|| name.into(), Kind::Server, context.trace_id, Some(parent))
    }

    /// This thread's [`child`] spans are made by this tracer from now on.
    pub fn install(&self) {
        INSTALLED.with(|installed| *installed.borrow_mut() = self.clone());
    }

    fn begin(
        &self,
        name: impl FnOnce() -> Cow<'static, str>,
        kind: Kind,
        trace_id: u128,
        parent: Option<NonZeroU64>,
    ) -> Option<Span> {
        let queue = Arc::clone(self.queue.as_ref()?);
        // Without randomness there is no id, and so no span.
        let id = NonZeroU64::new(getrandom::u64().ok()?)?;
        let began = Instant::now();
        let open = Some(Box::new(Ended {
            name: name(),
            kind,
            trace_id,
            id,
            parent,
            began,
            ended: began,
            attributes: Vec::new(),
            failure: None,
        }));
        Some(Span { queue, open })
    }

    /// Spans that the collector has taken, since the start.
    pub fn exported(&self) -> u64 {
        self.count(|counts| &counts.exported)
    }

    /// Spans that were given up: the queue was full, or the collector did not take them.
    pub fn dropped(&self) -> u64 {
        self.count(|counts| &counts.dropped)
    }

    fn count(&self, which: impl FnOnce(&Counts) -> &AtomicU64) -> u64 {
        self.queue.as_ref().map_or(0, |queue| which(&queue.counts).load(Ordering::Relaxed))
    }
}

thread_local! {
    static INSTALLED: RefCell<Tracer> = const { RefCell::new(Tracer { queue: None, ratio: None }) };
}

/// A span of what this thread now asks another process, for the request that it works for. Nothing
/// unless that is sampled.
pub fn child(name: &'static str) -> Option<Span> {
    let Context { trace_id, span } = current();
    let parent = span?;
    INSTALLED
        .with(|tracer| tracer.borrow().begin(|| name.into(), Kind::Client, trace_id, Some(parent)))
}

impl Span {
    /// The context of what is done under this span.
    pub fn context(&self) -> Context {
        self.open.as_ref().map_or_else(Context::default, |open| Context {
            trace_id: open.trace_id,
            span: Some(open.id),
        })
    }

    /// Says something about it. More than [`ATTRIBUTES_MAX`] things are not kept.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.open
            && open.attributes.len() < ATTRIBUTES_MAX
        {
            open.attributes.push((key, value.into()));
        }
    }

    /// It began at this moment rather than when it was made.
    pub fn began(&mut self, at: Instant) {
        if let Some(open) = &mut self.open {
            open.began = at;
        }
    }

    /// What it stands for failed, and how.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(open) = &mut self.open {
            open.failure = Some(why.into());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(mut ended) = self.open.take() else { return };
        ended.ended = Instant::now();
        // Nobody waits on the other side, so this makes no system call.
        if self.queue.sender.try_send(ended).is_err() {
            self.queue.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Ended, Queue, Tracer, child};
    use crate::context::Context;
    use crate::sampling::Ratio;
    use crate::traceparent::Traceparent;
    use std::num::NonZeroU64;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, sync_channel};

    fn tracer(room: usize, share: f64) -> (Tracer, Receiver<Box<Ended>>) {
        let (sender, receiver) = sync_channel(room);
        let queue = Arc::new(Queue { sender, counts: Counts::default() });
        (Tracer::new(queue, Ratio::new(share)), receiver)
    }

    fn caller(sampled: bool) -> Option<Traceparent> {
        Some(Traceparent { trace_id: 7, parent: NonZeroU64::MIN, sampled })
    }

    #[test]
    fn a_caller_that_decided_is_followed_and_the_ratio_decides_for_others() {
        let sampled = |share, caller| {
            let (tracer, _spans) = tracer(1, share);
            tracer.arrive(caller, 9, || "x".into()).1.is_some()
        };
        assert!(sampled(0.0, caller(true)));
        assert!(!sampled(1.0, caller(false)));
        assert!(sampled(1.0, None));
        assert!(!sampled(0.0, None));
    }

    #[test]
    fn without_a_collector_a_callers_trace_passes_through_untouched() {
        let (context, span) = Tracer::default().arrive(caller(true), 9, || "x".into());
        assert_eq!(context, Context { trace_id: 7, span: Some(NonZeroU64::MIN) });
        assert!(span.is_none());
        let (context, _) = Tracer::default().arrive(None, 9, || unreachable!("nothing is named"));
        assert_eq!(context, Context { trace_id: 9, span: None });
        assert!(Tracer::default().serve("x", Context::default()).is_none());
    }

    #[test]
    fn spans_of_one_request_hang_below_each_other() {
        let (tracer, spans) = tracer(8, 1.0);
        tracer.install();
        let (context, front) = tracer.arrive(caller(true), 9, || "front".into());
        let daemon = tracer.serve("daemon", context).expect("sampled");
        assert!(child("redis").is_none(), "no request is at work");
        let redis = {
            let _entered = daemon.context().enter();
            child("redis").expect("sampled")
        };
        drop((redis, daemon, front));
        let spans: Vec<_> = spans.try_iter().collect();
        let [redis, daemon, front] = &spans[..] else { panic!("three spans: {spans:?}") };
        assert_eq!(front.parent, Some(NonZeroU64::MIN));
        assert_eq!(daemon.parent, Some(front.id));
        assert_eq!(redis.parent, Some(daemon.id));
        assert!(spans.iter().all(|span| span.trace_id == 7 && span.began <= span.ended));
    }

    #[test]
    fn a_full_queue_drops_spans_and_counts_them() {
        let (tracer, spans) = tracer(2, 1.0);
        for _ in 0..5 {
            drop(tracer.arrive(None, 9, || "x".into()));
        }
        assert_eq!(spans.try_iter().count(), 2);
        assert_eq!(tracer.dropped(), 3);
    }
}
