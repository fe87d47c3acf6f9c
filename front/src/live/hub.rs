//! Who watches what on one thread.

use super::{Topic, keeper};
use crate::upstream::Upstream;
use crate::upstream::session::unavailable;
use slab::Slab;
use souk_proto::common::Caller;
use souk_proto::{Code, Failure};
use souk_trace::Context;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{self, Poll, Waker};
use std::time::Duration;

/// All of one kind that somebody watches on this thread.
pub struct Hub<T: Topic> {
    pub(super) upstream: Upstream,
    /// How long a request to a daemon may take.
    patience: Duration,
    pub(super) topics: RefCell<HashMap<u64, Rc<Watched<T>>>>,
    draining: Cell<bool>,
}

impl<T: Topic> Hub<T> {
    /// Nobody watches yet.
    pub fn new(upstream: Upstream, patience: Duration) -> Hub<T> {
        Hub { upstream, patience, topics: RefCell::default(), draining: Cell::new(false) }
    }

    /// Watches from now on; waits until there is something to see.
    ///
    /// # Errors
    /// What the daemon says if it has no such thing or cannot tell; [`Code::Busy`] when too many
    /// are watched, [`Code::DeadlineExceeded`] when nothing came in time, [`Code::Unavailable`]
    /// when this process ends.
    pub async fn watch(
        self: &Rc<Self>,
        id: u64,
        caller: Caller,
        trace: Context,
    ) -> Result<Watcher<T>, Failure> {
        let watcher = self.enter(id, caller, trace)?;
        let waits = poll_fn(|cx| watcher.poll_open(cx));
        match monoio::time::timeout(self.patience, waits).await {
            Ok(opened) => opened.map(|()| watcher),
            Err(_) => Err(Code::DeadlineExceeded.into()),
        }
    }

    fn enter(
        self: &Rc<Self>,
        id: u64,
        caller: Caller,
        trace: Context,
    ) -> Result<Watcher<T>, Failure> {
        if self.draining.get() {
            return Err(unavailable());
        }
        let mut topics = self.topics.borrow_mut();
        let full = topics.len() >= T::MOST;
        let watched = match topics.get(&id) {
            Some(watched) => watched.clone(),
            None if full => return Err(Code::Busy.into()),
            None => {
                let watched = Rc::new(Watched::new(id));
                topics.insert(id, watched.clone());
                monoio::spawn(keeper::keep(self.clone(), watched.clone(), caller, trace.trace_id));
                watched
            }
        };
        let index = watched.state.borrow_mut().watchers.insert(None);
        let (hub, seen) = (self.clone(), T::Seen::default());
        Ok(Watcher { hub, watched, index, seen, told_pause: false })
    }

    /// From now on every watcher is told that it is over.
    pub fn drain(&self) {
        self.draining.set(true);
        self.topics.borrow().values().for_each(|watched| watched.wake_all());
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }
}

/// Something that is watched, and by whom.
pub struct Watched<T> {
    pub(super) id: u64,
    topic: T,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Why no news comes, while none does.
    trouble: Option<Failure>,
    /// Counts the news.
    heard: u64,
    /// Those who watch, each with whom to wake.
    watchers: Slab<Option<Waker>>,
    /// The task that keeps the stream.
    keeper: Option<Waker>,
}

impl<T: Topic> Watched<T> {
    /// One that nobody watches yet.
    pub fn new(id: u64) -> Watched<T> {
        Watched { id, topic: T::new(id), state: RefCell::default() }
    }

    /// What is known of it.
    pub fn topic(&self) -> &T {
        &self.topic
    }

    /// Takes news in and wakes those who wait for it.
    pub fn publish(&self, news: T::Waiting) {
        let resumed = {
            let mut state = self.state.borrow_mut();
            state.heard += 1;
            state.trouble.take().is_some()
        };
        if self.topic.take(news) || resumed {
            self.wake_all();
        }
    }

    /// No news comes for this reason.
    pub fn pause(&self, why: Failure) {
        self.state.borrow_mut().trouble = Some(why);
        self.wake_all();
    }

    /// Whether there is something to see, or why not; nothing while that is not known.
    pub fn outcome(&self) -> Option<Result<(), Failure>> {
        match &self.state.borrow().trouble {
            _ if self.topic.is_known() => Some(Ok(())),
            Some(failure) => Some(Err(failure.clone())),
            None => None,
        }
    }

    /// What somebody is told who was told this last.
    pub fn word(&self, seen: &mut T::Seen, told_pause: &mut bool) -> Option<Told<T::Told>> {
        if self.state.borrow().trouble.is_some() {
            return (!std::mem::replace(told_pause, true)).then_some(Told::Paused);
        }
        let told = self.topic.tell(seen, *told_pause)?;
        *told_pause = false;
        Some(Told::News(told))
    }

    fn remember(&self, index: usize, waker: &Waker) {
        let mut state = self.state.borrow_mut();
        let held = &mut state.watchers[index];
        if !held.as_ref().is_some_and(|held| held.will_wake(waker)) {
            *held = Some(waker.clone());
        }
    }

    fn leave(&self, index: usize) {
        let mut state = self.state.borrow_mut();
        state.watchers.remove(index);
        if state.watchers.is_empty()
            && let Some(keeper) = state.keeper.take()
        {
            keeper.wake();
        }
    }

    pub(super) fn wake_all(&self) {
        let mut state = self.state.borrow_mut();
        state.watchers.iter_mut().filter_map(|(_, held)| held.take()).for_each(Waker::wake);
        state.keeper.take().into_iter().for_each(Waker::wake);
    }

    pub(super) fn watchers(&self) -> usize {
        self.state.borrow().watchers.len()
    }

    pub(crate) fn heard(&self) -> u64 {
        self.state.borrow().heard
    }

    /// Waits until nobody watches any more, or nobody should.
    pub(super) async fn unwatched(&self, hub: &Hub<T>) {
        poll_fn(|cx| {
            if hub.is_draining() || self.watchers() == 0 {
                return Poll::Ready(());
            }
            self.state.borrow_mut().keeper = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// What a watcher learns next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told<N> {
    /// What is new. Whatever came meanwhile is told as one.
    News(N),
    /// No news is to be had for now.
    Paused,
    /// This process ends.
    Over,
}

/// Somebody who watches. Dropping it is leaving.
pub struct Watcher<T: Topic> {
    hub: Rc<Hub<T>>,
    watched: Rc<Watched<T>>,
    index: usize,
    seen: T::Seen,
    told_pause: bool,
}

impl<T: Topic> Watcher<T> {
    fn poll_open(&self, cx: &task::Context<'_>) -> Poll<Result<(), Failure>> {
        let outcome = self.watched.outcome();
        if outcome.is_none() {
            self.watched.remember(self.index, cx.waker());
        }
        outcome.map_or(Poll::Pending, Poll::Ready)
    }

    /// What it has to be told next. Giving up the wait loses nothing.
    pub fn poll_told(&mut self, cx: &task::Context<'_>) -> Poll<Told<T::Told>> {
        if self.hub.is_draining() {
            return Poll::Ready(Told::Over);
        }
        if let Some(told) = self.watched.word(&mut self.seen, &mut self.told_pause) {
            return Poll::Ready(told);
        }
        self.watched.remember(self.index, cx.waker());
        Poll::Pending
    }

    /// What is known of what it watches.
    pub fn topic(&self) -> &T {
        self.watched.topic()
    }

    /// A number that grows with all news, also such that say nothing new to watchers.
    pub fn heard(&self) -> u64 {
        self.watched.heard()
    }
}

impl<T: Topic> Drop for Watcher<T> {
    fn drop(&mut self) {
        self.watched.leave(self.index);
    }
}
