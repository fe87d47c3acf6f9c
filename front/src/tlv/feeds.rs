//! The events of a connection's subscriptions. An auction's latest state is looked at only when it
//! can be sent, so however slow a subscriber is, nothing is kept for it.

use super::calls::Asker;
use super::session::Session;
use crate::auctions::auction::AuctionWatcher;
use crate::live::Told;
use souk_proto::Failure;
use souk_proto::auctions::AuctionNews;
use souk_proto::tlv::{EVENT_LEADING, EVENT_PAUSED, EVENT_RESERVE_MET, Event};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A subscription that begins.
type Opening = Pin<Box<dyn Future<Output = Result<Open, Failure>>>>;

/// The subscriptions of one connection.
#[derive(Default)]
pub struct Feeds {
    feeds: Vec<Feed>,
}

struct Feed {
    auction: u64,
    state: State,
}

enum State {
    Opening(Opening),
    Open(Open),
}

/// A subscription that has begun.
pub struct Open {
    watcher: AuctionWatcher,
    /// The subscriber's pseudonym in this auction.
    you: String,
    last: Option<Rc<AuctionNews>>,
}

impl Feeds {
    /// Begins a subscription, or begins it anew.
    pub fn begin(&mut self, asker: &Asker, (_, token): &(u64, String), auction: u64, trace: u128) {
        self.end(auction);
        let (live, bidder) =
            (asker.thread.app.auctions_live.clone(), asker.bidder(token, auction, trace));
        let caller = asker.caller(token);
        let opening = Box::pin(async move {
            let (context, you) = bidder.await?;
            let watcher = live.watch(auction, caller, context).await?;
            Ok(Open { watcher, you, last: None })
        });
        self.feeds.push(Feed { auction, state: State::Opening(opening) });
    }

    /// Ends a subscription.
    pub fn end(&mut self, auction: u64) {
        self.feeds.retain(|feed| feed.auction != auction);
    }

    /// Tells what there is to tell, at most one event of each auction, and only if nothing else
    /// waits for the client.
    pub fn poll(&mut self, session: &mut Session, cx: &mut Context<'_>) {
        if session.has_ended() {
            self.feeds.clear();
        }
        let wanted = session.wants_events();
        self.feeds.retain_mut(|feed| {
            if let State::Opening(opening) = &mut feed.state {
                match opening.as_mut().poll(cx) {
                    Poll::Ready(Ok(open)) => feed.state = State::Open(open),
                    Poll::Ready(Err(failure)) => {
                        session.unsubscribed(feed.auction, &failure);
                        return false;
                    }
                    Poll::Pending => return true,
                }
            }
            if let (State::Open(open), true) = (&mut feed.state, wanted)
                && let Some(event) = open.next(feed.auction, cx)
            {
                session.tell(event);
            }
            true
        });
    }
}

impl Open {
    fn next(&mut self, auction: u64, cx: &mut Context<'_>) -> Option<Event> {
        let paused = match self.watcher.poll_told(cx) {
            Poll::Ready(Told::News(news)) => {
                self.last = Some(news);
                false
            }
            Poll::Ready(Told::Paused) => {
                // Who begins in a pause is told how things were.
                let known = || self.watcher.topic().latest();
                self.last = self.last.take().or_else(known);
                true
            }
            // The connection learns of the end by itself.
            Poll::Ready(Told::Over) | Poll::Pending => return None,
        };
        let news = self.last.as_ref()?;
        let leading = !self.you.is_empty() && self.you == news.leader;
        let flags = [
            (leading, EVENT_LEADING),
            (news.reserve_met, EVENT_RESERVE_MET),
            (paused, EVENT_PAUSED),
        ];
        Some(Event {
            auction,
            sequence: news.sequence,
            since: 0,
            price: news.price,
            minimum: news.minimum,
            start_at_ms: news.start_at_ms,
            ends_at_ms: news.ends_at_ms,
            now_ms: self.watcher.topic().now_ms(),
            extended: news.extended,
            state: u8::try_from(news.state).unwrap_or(u8::MAX),
            outcome: u8::try_from(news.outcome).unwrap_or(u8::MAX),
            flags: flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum(),
        })
    }
}
