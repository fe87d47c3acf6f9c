//! One link's shared state on its shard: what its reader, its writer, the running requests and the
//! shard's ticker all touch. Everything is on one thread; no borrow is held across an await.

use super::core::{Answered, Call, Core, Tick};
use super::signal::Signal;
use super::stream::{BodySender, BodyStream, body};
use crate::limits::{CLOSE_FLUSH_MAX, DRAIN_PING, STREAM_STALL_MAX};
use crate::measures::{OK, outcome_name};
use crate::shard::Shard;
use prost::Message;
use souk_meter::{Request, Stage};
use souk_proto::common::{GoAway, Hello};
use souk_proto::error::Fault;
use souk_proto::outbox::PushError;
use souk_proto::{Code, Failure, Flags, Header, Kind, Method, Outbox};
use souk_trace::{Context, Span};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context as TaskContext, Waker};
use std::time::Instant;
use tokio::task::JoinHandle;
use tokio_uring::net::TcpStream;

/// One link to a front.
pub(crate) struct Link {
    pub(super) shard: Rc<Shard>,
    pub(super) socket: TcpStream,
    /// `node@address`, for logs.
    pub(super) peer: String,
    pub(super) core: RefCell<Core<JoinHandle<()>>>,
    pub(super) outbox: RefCell<Outbox>,
    /// Wakes the writer.
    pub(super) queued: Signal,
    /// Wakes streams that wait for the socket, each time something was written.
    pub(super) written: tokio::sync::Notify,
    /// Frames that no write has taken yet.
    pub(super) frames: Cell<usize>,
    closing: Cell<Option<Instant>>,
}

impl Link {
    /// A link whose peer has just said HELLO.
    pub(crate) fn new(shard: Rc<Shard>, socket: TcpStream, peer: String) -> Link {
        Link {
            shard,
            socket,
            peer,
            core: RefCell::new(Core::new(Instant::now())),
            outbox: RefCell::default(),
            queued: Signal::default(),
            written: tokio::sync::Notify::new(),
            frames: Cell::new(0),
            closing: Cell::new(None),
        }
    }

    /// Answers the peer's HELLO: the first frame of the link.
    pub(crate) fn greet(&self, hello: &Hello) {
        self.send(&Header::new(Kind::Hello, 0), hello);
    }

    /// Refuses the link: it closes when the peer was told why.
    pub(crate) fn turn_away(&self, why: &str) {
        self.send(&Header::new(Kind::GoAway, 0), &GoAway { reason: why.into() });
        self.close(why);
    }

    /// The shard that serves this link.
    pub(crate) fn shard(&self) -> &Rc<Shard> {
        &self.shard
    }

    /// The sender and the stream for the body of a request on this link.
    pub(crate) fn body(&self) -> (BodySender, BodyStream) {
        body(self.core.borrow().budget())
    }

    /// Starts a request's work. What can be done at once is done here, without a task of its own.
    /// If nobody waits for the answer any more, work that only reads is aborted; other work runs to
    /// its end, so that no store is left half written.
    pub(crate) fn start(
        self: &Rc<Link>,
        call: &Call,
        body: Option<BodySender>,
        work: impl Future<Output = ()> + 'static,
        abortable: bool,
    ) {
        self.shard.request_started();
        self.core.borrow_mut().enter(call, body);
        if let Some(work) = begin(work) {
            let task = tokio_uring::spawn(work);
            if abortable {
                self.core.borrow_mut().attach(call.id, task);
            }
        }
    }

    /// What ends a request's work: holds its place until it is dropped.
    pub(crate) fn ticket(self: &Rc<Link>, call: &Call, meter: Request) -> Ticket {
        let span = self.shard.tracer().serve(call.method.name(), call.trace);
        Ticket {
            link: Rc::clone(self),
            id: call.id,
            method: call.method,
            deadline: call.deadline,
            meter: Some(meter),
            ended: false,
            trace: span.as_ref().map_or(call.trace, Span::context),
            span,
        }
    }

    /// Queues a frame and wakes the writer.
    fn try_push(
        &self,
        push: impl FnOnce(&mut Outbox) -> Result<(), PushError>,
    ) -> Result<(), PushError> {
        let pushed = push(&mut self.outbox.borrow_mut());
        if pushed.is_ok() {
            self.frames.set(self.frames.get() + 1);
            self.queued.set();
        }
        pushed
    }

    /// Queues a frame that the link cannot do without.
    fn push(&self, push: impl FnOnce(&mut Outbox) -> Result<(), PushError>) {
        if let Err(error) = self.try_push(push) {
            self.close(&format!("its peer does not read: {error}"));
        }
    }

    /// Queues a frame with a message.
    fn send(&self, header: &Header, message: &impl Message) {
        self.push(|outbox| outbox.push(header, message));
    }

    /// Queues a frame without payload.
    pub(super) fn send_empty(&self, kind: Kind, id: u64) {
        self.push(|outbox| outbox.push_bytes(&Header::new(kind, id), &[]));
    }

    /// Answers a request that did not start.
    pub(crate) fn refuse(&self, id: u64, failure: &Failure) {
        self.push(|outbox| outbox.push_failure(id, failure));
    }

    /// Ends an answer with a failure, in the form that fits what was sent of it.
    fn fail(&self, id: u64, answered: Answered, failure: &Failure) {
        match answered {
            Answered::Nothing => self.refuse(id, failure),
            Answered::Head => {
                let flags = Flags::ERROR.with(Flags::END);
                let header = Header::new(Kind::Push, id).flags(flags);
                self.send(&header, &souk_proto::common::Error::from(failure));
            }
        }
    }

    /// Answers a request with a message, or with a failure if the message cannot be queued.
    fn answer(&self, id: u64, message: &impl Message) {
        let header = Header::new(Kind::Response, id);
        match self.try_push(|outbox| outbox.push(&header, message)) {
            Ok(()) => {}
            Err(PushError::Full) => self.refuse(id, &Failure::new(Code::Busy)),
            Err(PushError::TooLong) => {
                let bytes = message.encoded_len();
                tracing::error!(peer = self.peer, bytes, "an answer is longer than a frame may be");
                self.refuse(id, &Failure::new(Code::Internal));
            }
        }
    }

    /// Tells the peer to send no new requests; the link closes when what it asked is answered.
    pub(crate) fn drain(&self) {
        if self.core.borrow_mut().announce_drain() {
            let reason = "the daemon is stopping".into();
            self.send(&Header::new(Kind::GoAway, 0), &GoAway { reason });
            self.send_empty(Kind::Ping, DRAIN_PING);
        }
    }

    /// Closes the link if it has drained.
    pub(super) fn close_if_drained(&self) {
        if self.core.borrow().is_drained() {
            self.close("it has drained");
        }
    }

    /// Begins to close: what is queued is still written, within [`CLOSE_FLUSH_MAX`]; requests that
    /// run are given up.
    pub(super) fn close(&self, why: &str) {
        if self.closing.get().is_some() {
            return;
        }
        self.closing.set(Some(Instant::now()));
        tracing::info!(peer = self.peer, why, "link closes");
        let tasks = self.core.borrow_mut().give_up_all();
        for task in tasks {
            task.abort();
        }
        self.queued.set();
        self.written.notify_waiters();
    }

    /// Whether the link closes.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.get().is_some()
    }

    /// Ends both directions at once; reads and writes in flight come back.
    pub(super) fn shut_down(&self) {
        // It fails when the peer was first; there is nothing left to end then.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Ends the link now, whatever runs.
    pub(crate) fn cut_off(&self) {
        self.close("the drain limit has passed");
        self.shut_down();
    }

    /// What the shard's ticker does for each link.
    pub(crate) fn tick(&self, now: Instant) {
        if let Some(since) = self.closing.get() {
            if now.duration_since(since) > CLOSE_FLUSH_MAX {
                self.shut_down();
            }
            return;
        }
        let tick = self.core.borrow_mut().tick(now);
        match tick {
            Tick::Lost => {
                self.close("its peer is silent");
                self.shut_down();
            }
            Tick::Serve { late, ping } => {
                for late in late {
                    if let Some(task) = late.task {
                        task.abort();
                    }
                    self.fail(late.id, late.answered, &Failure::new(Code::DeadlineExceeded));
                }
                if ping {
                    self.send_empty(Kind::Ping, 0);
                }
            }
        }
    }
}

/// Does what can be done of some work without waiting, and gives back what is left of it. A panic
/// ends the work, as it would in a task.
fn begin<F: Future<Output = ()>>(work: F) -> Option<Pin<Box<F>>> {
    let mut work = Box::pin(work);
    // The first look may use any waker: the task looks again as soon as it runs.
    let mut cx = TaskContext::from_waker(Waker::noop());
    let look = AssertUnwindSafe(|| work.as_mut().poll(&mut cx));
    catch_unwind(look).is_ok_and(|look| look.is_pending()).then_some(work)
}

/// A running request's place in its link. Dropping it before its answer has ended (a panic, an
/// abort) ends it with [`Code::Internal`] if somebody still waits.
pub(crate) struct Ticket {
    link: Rc<Link>,
    id: u64,
    method: Method,
    deadline: Instant,
    /// Its times, until they are recorded.
    meter: Option<Request>,
    ended: bool,
    trace: Context,
    /// The daemon's own span, if the trace is sampled. It ends with the ticket.
    span: Option<Span>,
}

impl Ticket {
    /// The trace that the request's work belongs to: see [`souk_trace::within`].
    pub(crate) fn trace(&self) -> Context {
        self.trace
    }

    /// Runs the request's service and takes its times.
    pub(crate) async fn measure<T>(&self, service: impl Future<Output = T>) -> T {
        let mut service = pin!(service);
        self.lap_at(Stage::Queue, souk_meter::recent());
        let answer = poll_fn(|cx| match &self.meter {
            Some(meter) => meter.enter(|| service.as_mut().poll(cx)),
            None => service.as_mut().poll(cx),
        });
        let answer = answer.await;
        souk_meter::mark().into_iter().for_each(|now| self.lap_at(Stage::Logic, now));
        answer
    }

    /// Answers the request.
    pub(crate) fn answer<M: Message>(mut self, answer: &Result<M, Failure>) {
        self.note(answer.as_ref().err());
        let before = self.link.outbox.borrow().len();
        let outcome = match (self.leave(), answer) {
            (None, _) => self.unwanted(),
            (Some(_), Ok(message)) => {
                self.link.answer(self.id, message);
                OK
            }
            (Some(answered), Err(failure)) => {
                self.link.fail(self.id, answered, failure);
                failure.code as usize
            }
        };
        self.sent(self.link.outbox.borrow().len() - before);
        self.record(outcome);
        self.link.close_if_drained();
    }

    /// Sends the head of an answer whose items follow with [`Ticket::item`].
    pub(crate) fn head(&self, message: &impl Message) {
        if self.link.core.borrow_mut().begin_answer(self.id) {
            let header = Header::new(Kind::Response, self.id).flags(Flags::STREAM);
            self.link.send(&header, message);
        }
    }

    /// As a request it ends here: news that come for a minute would look like one that takes a
    /// minute.
    pub(crate) fn measured(&mut self) {
        self.record(OK);
    }

    /// Sends an item of the answer when the socket has room for it.
    ///
    /// # Errors
    /// If the peer did not read for [`STREAM_STALL_MAX`], or waits no more.
    pub(crate) async fn item(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.room().await?;
        let header = Header::new(Kind::Push, self.id);
        self.link.push(|outbox| outbox.push_bytes(&header, bytes));
        self.sent(bytes.len());
        Ok(())
    }

    /// Ends the answer's items: well, or with a failure.
    pub(crate) fn end(mut self, end: Result<(), Failure>) {
        self.note(end.as_ref().err());
        let outcome = match (self.leave(), end) {
            (None, _) => self.unwanted(),
            (Some(_), Ok(())) => {
                let header = Header::new(Kind::Push, self.id).flags(Flags::END);
                self.link.push(|outbox| outbox.push_bytes(&header, &[]));
                OK
            }
            (Some(answered), Err(failure)) => {
                self.link.fail(self.id, answered, &failure);
                failure.code as usize
            }
        };
        self.record(outcome);
        self.link.close_if_drained();
    }

    /// Waits until the outbox has room for a stream's item.
    async fn room(&self) -> Result<(), Failure> {
        if self.link.outbox.borrow().is_high() {
            let room = async {
                while self.link.outbox.borrow().is_high() && !self.link.is_closing() {
                    self.link.written.notified().await;
                }
            };
            tokio::time::timeout(STREAM_STALL_MAX, room).await.map_err(|_| {
                Failure::because(Code::DeadlineExceeded, "The stream was not read in time.")
            })?;
        }
        if self.link.core.borrow().awaits(self.id) {
            Ok(())
        } else {
            Err(Failure::new(Code::Cancelled))
        }
    }

    /// Tells the span how the request ended.
    fn note(&mut self, failure: Option<&Failure>) {
        let (Some(span), Some(failure)) = (&mut self.span, failure) else { return };
        span.set("error.type", failure.code.name());
        // What the client did wrong is an answer as any other.
        if failure.code.fault() != Fault::Client {
            span.fail(failure.code.text());
        }
    }

    fn leave(&mut self) -> Option<Answered> {
        self.ended = true;
        self.link.core.borrow_mut().leave(self.id)
    }

    /// The outcome of a request that nobody waits for any more.
    fn unwanted(&self) -> usize {
        let late = souk_meter::recent() >= self.deadline;
        (if late { Code::DeadlineExceeded } else { Code::Cancelled }) as usize
    }

    fn lap_at(&self, stage: Stage, at: Instant) {
        if let Some(meter) = &self.meter {
            meter.lap_at(stage, at);
        }
    }

    fn sent(&self, bytes: usize) {
        if let Some(meter) = &self.meter {
            meter.sent(bytes);
        }
    }

    /// Records the request. What it did since its service ended was its answer.
    fn record(&mut self, outcome: usize) {
        if let (Some(meter), Some(now)) = (self.meter.take(), souk_meter::mark()) {
            meter.lap_at(Stage::Encode, now);
            let took = (meter.total(now), now);
            let stages = || meter.stages().into_iter().map(|(stage, time)| (stage.name(), time));
            let (method, outcome_name) = (self.method.name(), outcome_name(outcome));
            self.link.shard.slow().look(method, outcome_name, took, stages);
            meter.finish(outcome, now);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.ended {
            // An aborted task is dropped outside of its work.
            let _entered = self.trace.enter();
            let failure = Failure::new(Code::Internal);
            self.note(Some(&failure));
            if let Some(answered) = self.leave() {
                tracing::error!(peer = self.link.peer, "a request ended without an answer");
                self.link.fail(self.id, answered, &failure);
                self.record(Code::Internal as usize);
            } else {
                self.record(self.unwanted());
            }
            self.link.close_if_drained();
        }
        self.link.shard.request_ended();
    }
}

#[cfg(test)]
mod tests {
    use super::begin;
    use std::future::{pending, ready};

    #[test]
    fn work_that_need_not_wait_is_done_at_once_and_a_panic_ends_only_itself() {
        assert!(begin(ready(())).is_none());
        assert!(begin(pending::<()>()).is_some());
        assert!(begin(async { panic!("a service's mistake") }).is_none());
    }
}
