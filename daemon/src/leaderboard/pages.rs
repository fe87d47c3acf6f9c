//! First pages of boards, kept for all who ask for them.
//!
//! A page is good while the look says that its board has not moved, and for a short while in any
//! case, so that a board that changes all the time is not read for each request. What this shard
//! itself changed on a page ends it at once.

use crate::limits::{PAGE_AGE_MAX, PAGES_LINES_MAX};
use foldhash::fast::RandomState;
use lru::LruCache;
use souk_db::StoreError;
use souk_proto::leaderboard::Page;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A board, and how many lines its first page has at most.
pub type Key = (u64, u32);

/// A first page and where it comes from.
#[derive(Debug)]
pub struct First {
    /// As clients get it.
    pub page: Page,
    /// The board's version.
    pub version: u64,
    /// When its read began.
    pub as_of: Instant,
}

/// Admits one reader at a time; holds when the last read failed, and why.
pub type Flight = Rc<Mutex<Option<(Instant, StoreError)>>>;

/// What is known of a board when a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The newest version that was heard of.
    pub version: u64,
    /// When the last look began.
    pub looked: Option<Instant>,
}

/// The first pages that a shard keeps.
pub struct Pages {
    slots: LruCache<Key, Slot, RandomState>,
    staleness: Duration,
}

#[derive(Default)]
struct Slot {
    flight: Flight,
    first: Option<Rc<First>>,
    /// What was read before this moment lacks a change of this shard.
    ended: Option<Instant>,
}

impl Pages {
    /// No pages yet; answers may be this old.
    pub fn new(staleness: Duration) -> Pages {
        Pages { slots: LruCache::unbounded_with_hasher(RandomState::default()), staleness }
    }

    /// The page, if it is good.
    pub fn good(&mut self, key: Key, known: Known, now: Instant) -> Option<Rc<First>> {
        let slot = self.slots.get(&key)?;
        let first = slot.first.as_ref()?;
        let whole = slot.ended.is_none_or(|ended| first.as_of > ended);
        let age = now.saturating_duration_since(first.as_of);
        let fresh = |looked: Option<Instant>| {
            looked.is_some_and(|at| now.saturating_duration_since(at) <= self.staleness)
        };
        let unmoved = first.version == known.version && fresh(known.looked);
        let good = age <= self.staleness || (unmoved && age <= PAGE_AGE_MAX);
        (whole && good).then(|| Rc::clone(first))
    }

    /// The page whatever its age, and since when it may be old.
    pub fn any(&mut self, key: Key, known: Known) -> Option<(Rc<First>, Instant)> {
        let first = Rc::clone(self.slots.get(&key)?.first.as_ref()?);
        let unmoved = known.looked.filter(|_| first.version == known.version);
        let as_of = unmoved.map_or(first.as_of, |looked| looked.max(first.as_of));
        Some((first, as_of))
    }

    /// What admits one reader of this page at a time.
    pub fn flight(&mut self, key: Key) -> Flight {
        Rc::clone(&self.slots.get_or_insert_mut(key, Slot::default).flight)
    }

    /// Keeps a page that was read. Others that nobody asked for lately make room.
    pub fn keep(&mut self, key: Key, first: First) -> Rc<First> {
        let first = Rc::new(first);
        self.slots.get_or_insert_mut(key, Slot::default).first = Some(Rc::clone(&first));
        let room = |slots: &LruCache<Key, Slot, RandomState>| {
            slots.iter().map(|(key, _)| key.1 as usize).sum::<usize>() <= PAGES_LINES_MAX
        };
        while self.slots.len() > 1 && !room(&self.slots) {
            self.slots.pop_lru();
        }
        first
    }

    /// Ends the pages of a board on which a player is or was who now has, or had before, this
    /// rating at best; `None` ends them all.
    pub fn end(&mut self, board: u64, best: Option<i32>, now: Instant) {
        for (key, slot) in &mut self.slots {
            if key.0 == board && slot.first.as_ref().is_none_or(|it| it.reaches(key.1, best)) {
                slot.ended = Some(now);
            }
        }
    }
}

impl First {
    /// Whether a player of this rating may stand on the page.
    fn reaches(&self, limit: u32, best: Option<i32>) -> bool {
        let (Some(best), Some(last)) = (best, self.page.items.last()) else { return true };
        self.page.items.len() < limit as usize || best >= last.rating
    }
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("pages", &self.slots.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{First, Known, Pages};
    use crate::limits::{PAGE_AGE_MAX, PAGES_LINES_MAX};
    use souk_proto::leaderboard::{Entry, Page};
    use std::time::{Duration, Instant};

    const STALENESS: Duration = Duration::from_millis(250);

    fn first(version: u64, as_of: Instant, ratings: &[i32]) -> First {
        let items = ratings.iter().map(|rating| Entry { rating: *rating, ..Entry::default() });
        let page = Page { items: items.collect(), ..Page::default() };
        First { page, version, as_of }
    }

    #[test]
    fn a_page_is_good_while_its_board_stands_still_and_for_a_moment_in_any_case() {
        let (mut pages, start) = (Pages::new(STALENESS), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let known = |version, looked| Known { version, looked: Some(looked) };
        pages.keep((0, 100), first(7, start, &[1_000]));
        assert!(pages.good((0, 100), known(8, at(0)), at(250)).is_some());
        assert!(pages.good((0, 100), known(8, at(251)), at(251)).is_none());
        assert!(pages.good((0, 100), known(7, at(1_000)), at(1_250)).is_some());
        assert!(pages.good((0, 100), known(7, at(1_000)), at(1_251)).is_none());
        let old = start + PAGE_AGE_MAX;
        assert!(pages.good((0, 100), known(7, old), old + Duration::from_millis(1)).is_none());
        assert!(pages.good((0, 50), known(7, at(0)), at(0)).is_none());
    }

    #[test]
    fn an_old_page_is_as_old_as_the_last_look_that_found_it_right() {
        let (mut pages, start) = (Pages::new(STALENESS), Instant::now());
        let later = start + Duration::from_secs(9);
        pages.keep((0, 100), first(7, start, &[1_000]));
        let age = |pages: &mut Pages, version| {
            let known = Known { version, looked: Some(later) };
            pages.any((0, 100), known).expect("a page").1
        };
        assert_eq!((age(&mut pages, 7), age(&mut pages, 8)), (later, start));
    }

    #[test]
    fn a_change_on_the_page_ends_it_and_one_below_it_does_not() {
        let start = Instant::now();
        let now = start + Duration::from_millis(1);
        let known = Known { version: 7, looked: Some(start) };
        for (best, stays) in [(Some(899), true), (Some(900), false), (None, false)] {
            let mut pages = Pages::new(STALENESS);
            pages.keep((0, 2), first(7, start, &[1_000, 900]));
            pages.end(1, None, now);
            assert!(pages.good((0, 2), known, now).is_some(), "another board");
            pages.end(0, best, now);
            assert_eq!(pages.good((0, 2), known, now).is_some(), stays, "{best:?}");
            // What was read before the change and came after it lacks it too.
            pages.keep((0, 2), first(7, start, &[1_000, 900]));
            assert_eq!(pages.good((0, 2), known, now).is_some(), stays);
            pages.keep((0, 2), first(8, now + Duration::from_millis(1), &[1_000, 900]));
            assert!(pages.good((0, 2), known, now).is_some());
        }
        let mut short = Pages::new(STALENESS);
        short.keep((0, 3), first(7, start, &[1_000, 900]));
        short.end(0, Some(100), now);
        assert!(short.good((0, 3), known, now).is_none(), "everybody is on the page");
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let (mut pages, now) = (Pages::new(STALENESS), Instant::now());
        for board in 0..100 {
            pages.keep((board, 500), first(1, now, &[1_000]));
        }
        assert!(pages.slots.len() * 500 <= PAGES_LINES_MAX);
        let known = Known { version: 1, looked: Some(now) };
        assert!(pages.good((99, 500), known, now).is_some());
    }
}
