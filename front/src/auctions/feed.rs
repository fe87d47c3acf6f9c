//! What one watcher of an auction is told, in JSON.

use super::auction::AuctionWatcher;
use super::story::Seen;
use crate::live::{self, PAUSED, Told, Word};
use bytes::Bytes;
use std::task::{Context, Poll};

/// All that a watcher is told.
pub struct Feed {
    watcher: AuctionWatcher,
    /// Its pseudonym in this auction.
    you: Option<Box<str>>,
    seen: Option<Seen>,
    /// What follows the message before.
    outbid: Option<Bytes>,
}

impl Feed {
    /// The news of an auction, from the bid on that the watcher knows, if it knows one.
    pub fn new(watcher: AuctionWatcher, you: Option<Box<str>>, after: Option<u64>) -> Feed {
        Feed { watcher, you, seen: after.map(Seen::after), outbid: None }
    }
}

impl live::Feed for Feed {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Word> {
        if let Some(outbid) = self.outbid.take() {
            return Poll::Ready(Word::Say(None, outbid));
        }
        let Poll::Ready(told) = self.watcher.poll_told(cx) else { return Poll::Pending };
        Poll::Ready(match told {
            Told::News(_) => {
                let telling = self.watcher.topic().tell(self.seen, self.you.as_deref());
                self.seen = Some(telling.seen);
                self.outbid = telling.outbid;
                Word::Say(Some(telling.sequence), telling.text)
            }
            Told::Paused => Word::Say(None, Bytes::from_static(PAUSED)),
            Told::Over => Word::Over,
        })
    }
}
