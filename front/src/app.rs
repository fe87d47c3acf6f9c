//! What a ring thread's requests share.

use crate::auctions;
use crate::config::Settings;
use crate::leaderboard::{Live, PageCache};
use crate::upstream::Upstream;
use std::rc::Rc;
use std::sync::Arc;

/// Everything that routes may use. Each ring thread has its own, so nothing in it is locked.
pub struct App {
    /// The settings of the process.
    pub settings: Arc<Settings>,
    /// The way to the daemons.
    pub upstream: Upstream,
    /// First pages of boards, encoded.
    pub pages: PageCache,
    /// Who watches which board.
    pub live: Rc<Live>,
    /// Who watches which auction.
    pub auctions_live: Rc<auctions::Live>,
}

impl App {
    /// What the requests of a thread that has these links begin with.
    pub fn new(settings: Arc<Settings>, upstream: Upstream) -> App {
        let patience = settings.timeouts.request();
        let live = Rc::new(Live::new(upstream.clone(), patience));
        let auctions_live = Rc::new(auctions::Live::new(upstream.clone(), patience));
        App { settings, upstream, pages: PageCache::default(), live, auctions_live }
    }
}
