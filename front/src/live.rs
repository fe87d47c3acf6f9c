//! What everything that is watched has in common: who watches, the one stream of news that they
//! share, and the two forms in which they are told.
//!
//! A watcher is never sent a queue of what it missed: what it is told is made from what it was told
//! last and from how things are now. So nothing waits for a watcher, however slow it is.

mod forms;
mod hub;
mod keeper;

pub use forms::{Events, Socket};
pub use hub::{Hub, Told, Watched, Watcher};

use bytes::Bytes;
use prost::Message;
use souk_proto::Method;
use souk_proto::common::Caller;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Something of which daemons have news. A thread has one of each that is watched at all.
pub trait Topic: Sized + 'static {
    /// An item of the daemon's stream.
    type News: Message + Default;
    /// What asks for the stream.
    type Request: Message;
    /// News that nobody was told yet.
    type Waiting;
    /// What a watcher was told last; the default is nothing.
    type Seen: Default;
    /// What it is told.
    type Told;

    /// What asks for news.
    const METHOD: Method;
    /// The name of the kind, for logs.
    const KIND: &'static str;
    /// How many of the kind the watchers of one thread may look at.
    const MOST: usize;

    /// One of which nothing is known yet.
    fn new(id: u64) -> Self;

    /// What picks the shard that is asked.
    fn key(id: u64) -> u64;

    /// What is asked.
    fn request(id: u64, caller: Option<Caller>) -> Self::Request;

    /// News that came, together with those that wait.
    fn join(waiting: Option<Self::Waiting>, news: Self::News) -> Self::Waiting;

    /// Least pause between two pieces told to so many watchers.
    fn pace(watchers: usize) -> Duration;

    /// Takes news in. False if there is nothing to tell anybody.
    fn take(&self, news: Self::Waiting) -> bool;

    /// Whether there is something to see.
    fn is_known(&self) -> bool;

    /// What somebody is told who was told this, and perhaps of a pause since. Nothing if it knows
    /// all of it.
    fn tell(&self, seen: &mut Self::Seen, paused: bool) -> Option<Self::Told>;

    /// When there is something to tell though no news comes.
    fn alarm(&self) -> Option<Instant> {
        None
    }

    /// That time has come. False if there is nothing to tell anybody.
    fn ring(&self) -> bool {
        false
    }
}

/// What a watcher is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A JSON text, and the number that a reader of events may come back with.
    Say(Option<u64>, Bytes),
    /// This process ends.
    Over,
}

/// Where the words for one watcher come from.
pub trait Feed: Unpin + 'static {
    /// The next word. Giving up the wait loses nothing.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Word>;
}

/// What a watcher is told while there is no news to be had.
pub const PAUSED: &[u8] = br#"{"type":"paused"}"#;
