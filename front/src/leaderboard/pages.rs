//! First pages of boards, kept in their encoded form. The daemon is asked each time, but whether
//! the page is still the same: then the kept bytes are the answer.

use crate::limits::PAGES_KEPT;
use bytes::Bytes;
use lru::LruCache;
use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;

/// A page that is kept.
#[derive(Clone, Debug)]
pub struct Known {
    /// What the daemon calls it; never 0.
    pub tag: u64,
    /// Its JSON.
    pub body: Bytes,
}

/// The pages of one thread, at most [`PAGES_KEPT`]: the least used goes first.
pub struct PageCache {
    pages: RefCell<LruCache<(u64, u32), Known>>,
    turn: Cell<u64>,
}

impl Default for PageCache {
    fn default() -> PageCache {
        let kept = NonZeroUsize::new(PAGES_KEPT).expect("the bound is not 0");
        PageCache { pages: RefCell::new(LruCache::new(kept)), turn: Cell::new(0) }
    }
}

impl PageCache {
    /// The first page of so many lines of a board, if it is kept.
    pub fn get(&self, board: u64, limit: u32) -> Option<Known> {
        self.pages.borrow_mut().get(&(board, limit)).cloned()
    }

    /// Keeps a page.
    pub fn put(&self, board: u64, limit: u32, page: Known) {
        self.pages.borrow_mut().put((board, limit), page);
    }

    /// Another key each time: any shard knows any first page, so they take turns.
    pub fn next_key(&self) -> u64 {
        let turn = self.turn.get().wrapping_add(1);
        self.turn.set(turn);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, PageCache};
    use crate::limits::PAGES_KEPT;
    use bytes::Bytes;

    #[test]
    fn a_page_is_kept_for_its_board_and_length_until_others_are_asked_for_more() {
        let pages = PageCache::default();
        let page = |tag| Known { tag, body: Bytes::from(tag.to_string()) };
        pages.put(0, 100, page(7));
        pages.put(0, 10, page(8));
        pages.put(1, 100, page(9));
        let tag = |board, limit| pages.get(board, limit).map(|page| page.tag);
        assert_eq!((tag(0, 100), tag(0, 10), tag(1, 100)), (Some(7), Some(8), Some(9)));
        assert_eq!((tag(1, 10), tag(2, 100)), (None, None));
        pages.put(0, 100, page(17));
        assert_eq!(tag(0, 100), Some(17));
        for limit in 0..PAGES_KEPT - 1 {
            pages.put(2, u32::try_from(limit).expect("small"), page(1));
            assert_eq!(tag(0, 100), Some(17), "what is asked for stays");
        }
        assert_eq!((tag(0, 10), tag(1, 100)), (None, None));
    }

    #[test]
    fn a_kept_page_is_handed_out_without_a_copy() {
        let pages = PageCache::default();
        let body = Bytes::from(vec![b'x'; 1000]);
        pages.put(0, 100, Known { tag: 1, body: body.clone() });
        assert_eq!(pages.get(0, 100).expect("kept").body.as_ptr(), body.as_ptr());
    }
}
