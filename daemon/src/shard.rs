//! One shard: a thread with its own ring, stores and links.
//!
//! Nothing here is shared with other shards but what [`Shared`] holds (keys, pools, counters).

use crate::auctions::{keep, live};
use crate::config::Settings;
use crate::context::{Context, Shared};
use crate::door::{Arrival, Door};
use crate::limits::{LINKS_PER_SHARD_MAX, RING_ENTRIES, TICK};
use crate::session::{self, link::Link};
use crate::startup::StartupError;
use futures_util::FutureExt;
use slab::Slab;
use souk_db::{StoreSettings, Stores};
use souk_meter::{Count, Level, Meter};
use souk_proto::common::Hello;
use souk_trace::{Slow, Tracer};
use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio_uring::net::TcpStream;

/// What a shard's thread is started with.
pub(crate) struct Plan {
    pub(crate) settings: Arc<Settings>,
    pub(crate) stores: StoreSettings,
    pub(crate) shared: Arc<Shared>,
    /// What every link of this shard is greeted with.
    pub(crate) hello: Hello,
    /// Links that the door hands over.
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
    /// Becomes true when the daemon stops.
    pub(crate) stop: watch::Receiver<bool>,
    /// Takes what this thread measures.
    pub(crate) meter: Meter,
    /// Shard 0 has the door.
    pub(crate) door: Option<Door>,
    /// Makes the spans of sampled requests.
    pub(crate) tracer: Tracer,
}

/// A shard as its links and requests see it.
pub(crate) struct Shard {
    context: Rc<Context>,
    hello: Hello,
    tracer: Tracer,
    slow: Slow,
    links: RefCell<Slab<Rc<Link>>>,
    /// Requests whose task has not ended, on links that live and links that are gone.
    running: Cell<usize>,
    /// Woken when a link or a request ends while the shard stops.
    ended: Notify,
    stopping: Cell<bool>,
}

/// Runs a shard on this thread until the daemon stops. Says over `ready` when it serves, or why it
/// cannot.
pub(crate) fn run(mut plan: Plan, ready: &std_mpsc::Sender<Result<(), StartupError>>) {
    let _meter = std::mem::take(&mut plan.meter).install();
    let mut ring = tokio_uring::uring_builder();
    // Not DEFER_TASKRUN: this runtime never enters the kernel for events, so it would hang.
    ring.setup_single_issuer().setup_coop_taskrun();
    let mut builder = tokio_uring::builder();
    builder.entries(RING_ENTRIES).uring_builder(&ring);
    // A daemon that gave up meanwhile does not listen to `ready` any more.
    match tokio_uring::Runtime::new(&builder) {
        Ok(runtime) => runtime.block_on(serve(plan, ready)),
        Err(source) => drop(ready.send(Err(StartupError::Ring { source }))),
    }
}

async fn serve(plan: Plan, ready: &std_mpsc::Sender<Result<(), StartupError>>) {
    // The stores ask this thread for their spans.
    plan.tracer.install();
    let stores = match Stores::open(&plan.stores).await {
        Ok(stores) => stores,
        Err(source) => return drop(ready.send(Err(StartupError::Store(source)))),
    };
    let context = Rc::new(Context::new(plan.shared, stores, &plan.settings));
    // Before the first bid: nobody may have been there to take bids until now.
    keep::look(&context).await;
    let shard = Rc::new(Shard {
        context: Rc::clone(&context),
        hello: plan.hello,
        tracer: plan.tracer,
        slow: Slow::new(plan.settings.log.slow_ms),
        links: RefCell::default(),
        running: Cell::new(0),
        ended: Notify::new(),
        stopping: Cell::new(false),
    });
    let ticker = tokio_uring::spawn(tick(Rc::clone(&shard)));
    let keeper = tokio_uring::spawn(look_after(Rc::clone(&shard)));
    let door = plan.door.map(|door| tokio_uring::spawn(door.run(plan.stop.clone())));
    let _ = ready.send(Ok(()));

    welcome(&shard, plan.arrivals, plan.stop).await;
    shard.drain(plan.settings.drain_limit()).await;
    if let Some(door) = door {
        // It ends by itself once its listener is shut down; a panic in it was reported already.
        let _ = door.await;
    }
    for task in [ticker, keeper] {
        task.abort();
        let _ = task.await;
    }
    drop(shard);
    match Rc::try_unwrap(context) {
        Ok(context) => context.close().await,
        Err(_) => tracing::warn!("requests were cut off at the end of the drain limit"),
    }
}

/// Takes links from the door until the daemon stops.
async fn welcome(
    shard: &Rc<Shard>,
    mut arrivals: mpsc::Receiver<Arrival>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            arrival = arrivals.recv() => match arrival {
                Some(arrival) => shard.take(arrival),
                None => break,
            },
            // An error means that the main thread is gone, which ends the daemon too.
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
}

/// Looks after deadlines and silent peers.
async fn tick(shard: Rc<Shard>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let runtime = tokio::runtime::Handle::current().metrics();
    let mut turns = 0;
    loop {
        ticks.tick().await;
        // The runtime sleeps, and enters the ring, once a turn.
        let parks = runtime.worker_park_count(0);
        souk_meter::count_many(Count::LoopTurn, parks - turns);
        turns = parks;
        souk_meter::tick(TICK);
        souk_meter::level(Level::Links, shard.links.borrow().len() as u64);
        shard.context.stores().tell();
        let now = souk_meter::recent();
        shard.context.boards().tell(now);
        shard.context.gate().tell();
        for link in shard.all_links() {
            link.tick(now);
        }
    }
}

/// What this shard does by itself, beside serving links.
async fn look_after(shard: Rc<Shard>) {
    let (context, hello) = (&shard.context, &shard.hello);
    tokio::join!(
        again(|| follow(context)),
        again(|| live::follow(context)),
        again(|| keep::beat(context)),
        again(|| keep::settle(context, hello.shard, hello.shards)),
    );
}

/// Begins something anew that a defect has ended: without it the shard would be half of one.
async fn again<F: Future<Output = ()>>(begin: impl Fn() -> F) {
    while AssertUnwindSafe(begin()).catch_unwind().await.is_err() {
        // The panic itself was reported.
        tokio::time::sleep(TICK).await;
    }
}

/// Keeps what this shard knows of the leaderboard up to date.
async fn follow(context: &Context) {
    let mut ticks = tokio::time::interval(context.boards().period());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut away = false;
    loop {
        ticks.tick().await;
        match context.boards().refresh(context.stores()).await {
            Ok(()) => away = false,
            // Once: what follows says the same until it is over.
            Err(error) if !away => {
                tracing::warn!(%error, "the leaderboard cannot be followed");
                away = true;
            }
            Err(_) => {}
        }
    }
}

impl Shard {
    /// What services run over.
    pub(crate) fn context(&self) -> &Rc<Context> {
        &self.context
    }

    /// What makes spans.
    pub(crate) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// What logs slow requests.
    pub(crate) fn slow(&self) -> &Slow {
        &self.slow
    }

    /// Serves a link that the door checked.
    fn take(self: &Rc<Shard>, arrival: Arrival) {
        let Arrival { socket, inbox, peer } = arrival;
        let shard = Rc::clone(self);
        let link = Rc::new(Link::new(Rc::clone(self), TcpStream::from_std(socket), peer));
        if self.links.borrow().len() >= LINKS_PER_SHARD_MAX {
            link.turn_away(&format!("this shard has {LINKS_PER_SHARD_MAX} links already"));
            tokio_uring::spawn(async move { session::serve(&link, inbox).await });
            return;
        }
        link.greet(&self.hello);
        let key = self.links.borrow_mut().insert(Rc::clone(&link));
        tokio_uring::spawn(async move {
            let _place = Place { shard: &shard, key };
            session::serve(&link, inbox).await;
        });
    }

    fn all_links(&self) -> Vec<Rc<Link>> {
        self.links.borrow().iter().map(|(_, link)| Rc::clone(link)).collect()
    }

    /// Counts a request's task.
    pub(crate) fn request_started(&self) {
        self.running.set(self.running.get() + 1);
    }

    /// A request's task has ended.
    pub(crate) fn request_ended(&self) {
        self.running.set(self.running.get() - 1);
        self.one_ended();
    }

    fn one_ended(&self) {
        if self.stopping.get() {
            self.ended.notify_one();
        }
    }

    /// Lets all links finish what is in flight, for at most `limit`; then cuts off what is left.
    async fn drain(&self, limit: Duration) {
        self.stopping.set(true);
        self.context.boards().stop();
        self.context.live().stop();
        for link in self.all_links() {
            link.drain();
        }
        let idle = async {
            while self.running.get() > 0 || !self.links.borrow().is_empty() {
                self.ended.notified().await;
            }
        };
        if tokio::time::timeout(limit, idle).await.is_ok() {
            return;
        }
        let (links, requests) = (self.links.borrow().len(), self.running.get());
        tracing::warn!(links, requests, ?limit, "the drain limit passed; cutting off what is left");
        for link in self.all_links() {
            link.cut_off();
        }
        // Reads and writes in flight come back at once now; the links end with them.
        while !self.links.borrow().is_empty() {
            self.ended.notified().await;
        }
    }
}

/// A link's place in its shard's table.
struct Place<'a> {
    shard: &'a Shard,
    key: usize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let link = self.shard.links.borrow_mut().remove(self.key);
        drop(link);
        self.shard.one_ended();
    }
}
