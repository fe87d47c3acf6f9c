//! The front's side of the link: one link per daemon shard, held by each ring thread for itself.
//!
//! A call goes to the shard that owns its key. Every front picks the same one: the choice depends
//! on the daemons' names, their shards and the key alone. Without any link a call fails at once.

pub mod session;

mod link;

use crate::http::BodySource;
use crate::limits::{LINK_START, LINK_TICK, RETRY_WAIT};
use link::{Link, Peer};
use prost::Message;
use session::{Shape, Trouble, unavailable};
use souk_meter::Level;
use souk_proto::{Code, Failure, Method};
use souk_trace::Context;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// What goes with a call besides its message.
#[derive(Clone, Copy, Debug)]
pub struct CallContext {
    /// When the answer is no longer wanted. It is cut to [`souk_proto::limits::DEADLINE_MAX`].
    pub deadline: Instant,
    /// Follows the client's request through both programs.
    pub trace: Context,
}

/// How to reach the daemons.
#[derive(Clone, Debug)]
pub struct Daemons {
    /// Where they listen.
    pub addresses: Vec<SocketAddr>,
    /// The link secret.
    pub secret: Vec<u8>,
    /// This front's name.
    pub node: String,
}

/// A thread's links to all daemon shards. Clones are the same links.
#[derive(Clone)]
pub struct Upstream {
    inner: Rc<Inner>,
}

/// What the links of a thread share.
struct Inner {
    node: String,
    secret: Vec<u8>,
    /// Every link that has a socket.
    links: RefCell<Vec<Rc<Link>>>,
    /// The links that take requests.
    open: RefCell<Vec<Rc<Link>>>,
    /// Requests that lost their link and wait for another.
    waiting: RefCell<Vec<Waker>>,
    /// Links whose first outcome is not known yet.
    unsettled: Cell<usize>,
    /// Lost links are not made again.
    stopping: Cell<bool>,
    random: Cell<u64>,
}

impl Upstream {
    /// Starts the links on this ring thread. They are made and made again until the thread ends.
    pub fn start(daemons: &Daemons) -> Upstream {
        let inner = Rc::new(Inner {
            node: daemons.node.clone(),
            secret: daemons.secret.clone(),
            links: RefCell::default(),
            open: RefCell::default(),
            waiting: RefCell::default(),
            unsettled: Cell::new(0),
            stopping: Cell::new(false),
            random: Cell::new(getrandom::u64().unwrap_or(ODD)),
        });
        for address in &daemons.addresses {
            link::keep(&inner, &Rc::new(Peer::new(*address)), 0);
        }
        monoio::spawn(tick(inner.clone()));
        Upstream { inner }
    }

    /// Waits until the first attempt at every link is over, but not longer than [`LINK_START`].
    pub async fn settled(&self) {
        let until = Instant::now() + LINK_START;
        while self.inner.unsettled.get() > 0 && Instant::now() < until {
            monoio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Ends every link and makes no new one; waits for that, but not longer than `limit`.
    pub async fn stop(&self, limit: Duration) {
        self.inner.stopping.set(true);
        self.inner.links.borrow().iter().for_each(|link| link.cut());
        let until = Instant::now() + limit;
        while !self.inner.links.borrow().is_empty() && Instant::now() < until {
            monoio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Whether any daemon can take a request now.
    pub fn is_up(&self) -> bool {
        !self.inner.open.borrow().is_empty()
    }

    /// Asks the shard that owns `key` and waits for the answer. A request that may be repeated is
    /// sent once more, elsewhere, if its link is lost.
    ///
    /// # Errors
    /// The daemon's failure; [`Code::Unavailable`] without a link or when it is lost;
    /// [`Code::Busy`] when the link is full; [`Code::DeadlineExceeded`].
    pub async fn call<Q: Message, A: Message + Default>(
        &self,
        method: Method,
        key: u64,
        request: &Q,
        context: CallContext,
    ) -> Result<A, Failure> {
        let link = self.pick(key).ok_or_else(unavailable)?;
        let mut outcome = ask(&link, method, request, context).await;
        if outcome == Err(Trouble::Lost) && method.is_idempotent() {
            let link = self.wait_for_link(key, context.deadline).await.ok_or_else(unavailable)?;
            outcome = ask(&link, method, request, context).await;
        }
        decode(&outcome.map_err(failed)?)
    }

    /// Like [`Upstream::call`] with a body that follows the request in pieces. It is never
    /// repeated. The daemon may answer before the body's end; the rest is then not asked for.
    ///
    /// # Errors
    /// As [`Upstream::call`], and the body's own failure.
    pub async fn upload<Q: Message, A: Message + Default>(
        &self,
        method: Method,
        key: u64,
        request: &Q,
        body: &mut dyn BodySource,
        context: CallContext,
    ) -> Result<A, Failure> {
        let link = self.pick(key).ok_or_else(unavailable)?;
        let id = start(&link, method, request, Shape::Upload, context).map_err(failed)?;
        let in_flight = InFlight { link: &link, id };
        let mut sending = pin!(send_body(&link, id, body));
        let mut sent = false;
        let outcome = poll_fn(|cx| {
            let answer = link.session.borrow_mut().poll_answer(id, cx.waker());
            if let Poll::Ready(outcome) = answer {
                return Poll::Ready(outcome);
            }
            if sent {
                return Poll::Pending;
            }
            match sending.as_mut().poll(cx) {
                Poll::Ready(Ok(())) => {
                    sent = true;
                    Poll::Pending
                }
                Poll::Ready(Err(failure)) => Poll::Ready(Err(Trouble::Failed(failure))),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        // After an early answer nothing is in flight any more, but the daemon may still wait for
        // the body; after a failed body the request is, and ends with this.
        drop(in_flight);
        if outcome.is_ok() && !sent {
            link.session.borrow_mut().cancel(id);
        }
        decode(&outcome.map_err(failed)?)
    }

    /// Like [`Upstream::call`] with an answer whose items follow. It is never repeated.
    ///
    /// # Errors
    /// As [`Upstream::call`].
    pub async fn download<Q: Message, A: Message + Default>(
        &self,
        method: Method,
        key: u64,
        request: &Q,
        context: CallContext,
    ) -> Result<(A, ItemStream), Failure> {
        let link = self.pick(key).ok_or_else(unavailable)?;
        let id = start(&link, method, request, Shape::Download, context).map_err(failed)?;
        let stream = ItemStream { link, id };
        let session = &stream.link.session;
        let answer = poll_fn(|cx| session.borrow_mut().poll_answer(id, cx.waker())).await;
        let answer = decode(&answer.map_err(failed)?)?;
        Ok((answer, stream))
    }

    /// The open link with the highest score for this key.
    fn pick(&self, key: u64) -> Option<Rc<Link>> {
        let open = self.inner.open.borrow();
        open.iter().max_by_key(|link| mix(key ^ link.seed.get())).cloned()
    }

    async fn wait_for_link(&self, key: u64, deadline: Instant) -> Option<Rc<Link>> {
        let until = deadline.min(Instant::now() + RETRY_WAIT);
        poll_fn(|cx| {
            if let Some(link) = self.pick(key) {
                return Poll::Ready(Some(link));
            }
            if Instant::now() >= until {
                return Poll::Ready(None);
            }
            // Woken by the next link, and by every tick for the look at the clock.
            self.inner.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Inner {
    fn opened(&self, link: &Rc<Link>) {
        self.open.borrow_mut().push(link.clone());
        self.wake_waiting();
    }

    fn closed(&self, link: &Rc<Link>) {
        self.open.borrow_mut().retain(|other| !Rc::ptr_eq(other, link));
    }

    fn wake_waiting(&self) {
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }

    fn random_u32(&self) -> u32 {
        let next = self.random.get().wrapping_add(ODD);
        self.random.set(next);
        u32::try_from(mix(next) >> 32).unwrap_or(0)
    }
}

/// Looks at every link's deadlines and silence.
async fn tick(inner: Rc<Inner>) {
    loop {
        monoio::time::sleep(LINK_TICK).await;
        souk_meter::tick(LINK_TICK);
        let now = souk_meter::now();
        let mut in_flight = 0;
        for link in &*inner.links.borrow() {
            let mut session = link.session.borrow_mut();
            in_flight += session.in_flight() as u64;
            if session.tick(now).is_err() || session.has_left() {
                link.cut();
            }
        }
        souk_meter::level(Level::LinkQueue, in_flight);
        souk_meter::level(Level::Links, inner.open.borrow().len() as u64);
        inner.wake_waiting();
    }
}

/// A request in flight: dropping it gives the request up.
struct InFlight<'a> {
    link: &'a Link,
    id: u64,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.link.session.borrow_mut().give_up(self.id);
    }
}

fn start(
    link: &Link,
    method: Method,
    request: &impl Message,
    shape: Shape,
    context: CallContext,
) -> Result<u64, Trouble> {
    link.session.borrow_mut().start(method, request, shape, context, souk_meter::recent())
}

async fn ask(
    link: &Link,
    method: Method,
    request: &impl Message,
    context: CallContext,
) -> Result<Vec<u8>, Trouble> {
    let id = start(link, method, request, Shape::Plain, context)?;
    let _in_flight = InFlight { link, id };
    poll_fn(|cx| link.session.borrow_mut().poll_answer(id, cx.waker())).await
}

async fn send_body(link: &Link, id: u64, body: &mut dyn BodySource) -> Result<(), Failure> {
    loop {
        poll_fn(|cx| link.session.borrow_mut().poll_room(cx.waker())).await;
        let piece = body.next().await.transpose()?;
        let last = piece.is_none();
        link.session.borrow_mut().send_body(id, &piece.unwrap_or_default(), last)?;
        if last {
            return Ok(());
        }
    }
}

fn decode<A: Message + Default>(payload: &[u8]) -> Result<A, Failure> {
    A::decode(payload).map_err(|error| {
        tracing::error!(%error, "a daemon's answer cannot be read");
        Code::MalformedMessage.into()
    })
}

fn failed(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Lost => unavailable(),
        Trouble::Failed(failure) => failure,
    }
}

/// The items of a streamed answer. Dropping it before its end tells the daemon to stop.
pub struct ItemStream {
    link: Rc<Link>,
    id: u64,
}

impl ItemStream {
    /// The next item; nothing after the last one.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, Failure>> {
        poll_fn(|cx| self.link.session.borrow_mut().poll_item(self.id, cx.waker())).await
    }
}

impl Drop for ItemStream {
    fn drop(&mut self) {
        self.link.session.borrow_mut().give_up(self.id);
    }
}

/// An odd number without pattern: 2^64 divided by the golden ratio.
pub(crate) const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads a number over all 64 bits (the finish of splitmix64). Fronts of different builds must
/// agree on it, so it is spelled out here and never changes.
pub(crate) const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The key of a text: usernames and picture hashes are spread over the shards by it. Every front
/// gives the same key to the same text; ASCII case makes no difference.
pub fn key_of(text: &str) -> u64 {
    let fold = |hash: u64, byte: u8| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    };
    mix(text.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}
