//! A board, a page at a time.

use super::caller::admit_reader;
use super::{entries, known_board};
use crate::context::Context;
use crate::leaderboard::boards::in_time;
use crate::leaderboard::pages::First;
use crate::limits::{BOARD_PAGE_DEFAULT, BOARD_PAGE_MAX, BOARD_READ_MAX};
use crate::services::store_failure;
use prost::Message;
use souk_db::StoreError;
use souk_db::leaderboard::{Side, Slice};
use souk_proto::leaderboard::{Entry, GetPageRequest, Page};
use souk_proto::{Code, Failure};
use std::rc::Rc;
use std::time::Instant;

/// A page of a board. A first page may come from memory; while the database is away it says how old
/// it is.
///
/// # Errors
/// `invalid_field`, `board_not_found`, `rate_limited`, or a store's failure.
pub async fn get_page(
    cx: &Context,
    request: GetPageRequest,
    deadline: Instant,
) -> Result<Page, Failure> {
    admit_reader(cx, request.caller.as_ref())?;
    let limit = match request.limit {
        0 => BOARD_PAGE_DEFAULT,
        limit @ 1..=BOARD_PAGE_MAX => limit,
        _ => return Err(Failure::field("limit", "A page has 1 to 500 lines.")),
    };
    if request.backwards && request.cursor.is_empty() {
        return Err(Failure::field("cursor", "Before the first page there is none."));
    }
    known_board(cx, request.board, deadline).await?;
    if request.cursor.is_empty() {
        let (first, stale_ms) = first_page(cx, request.board, limit, false, deadline).await?;
        return Ok(match request.seen != 0 && request.seen == first.page.tag {
            true => Page { tag: request.seen, unchanged: true, stale_ms, ..Page::default() },
            false => Page { stale_ms, ..first.page.clone() },
        });
    }
    let page = Box::pin(page_at(cx, &request, limit, deadline)).await?;
    Ok(match request.seen == page.tag {
        true => Page { tag: request.seen, unchanged: true, ..Page::default() },
        false => page,
    })
}

/// The first page of a board, and how old it is if it is old because the database is away,
/// milliseconds. The newest one lacks nothing that this shard has heard of.
///
/// # Errors
/// `board_not_found`; a store's failure if there is not even an old page.
pub(super) async fn first_page(
    cx: &Context,
    board: u64,
    limit: u32,
    newest: bool,
    deadline: Instant,
) -> Result<(Rc<First>, u64), Failure> {
    match good_page(cx, board, limit, newest, souk_meter::recent()) {
        Some(first) => Ok((first, 0)),
        None => Box::pin(read_first(cx, board, limit, newest, deadline)).await,
    }
}

fn good_page(
    cx: &Context,
    board: u64,
    limit: u32,
    newest: bool,
    now: Instant,
) -> Option<Rc<First>> {
    let first = cx.boards.first((board, limit), now)?;
    (!newest || first.version >= cx.boards.version(board)).then_some(first)
}

/// Reads a first page, unless somebody who was before brings it.
async fn read_first(
    cx: &Context,
    board: u64,
    limit: u32,
    newest: bool,
    deadline: Instant,
) -> Result<(Rc<First>, u64), Failure> {
    let (key, asked) = ((board, limit), Instant::now());
    let flight = cx.boards.page_flight(key);
    let mut failed = flight.lock().await;
    let began = Instant::now();
    if let Some(first) = good_page(cx, board, limit, newest, began) {
        return Ok((first, 0));
    }
    let error = match &*failed {
        Some((at, error)) if *at >= asked => error.clone(),
        _ => match read(cx, board, limit, deadline).await {
            Ok(slice) if slice.version == 0 => return Err(Failure::new(Code::BoardNotFound)),
            Ok(slice) => {
                let version = slice.version;
                let page = page(cx, board, limit, slice, None);
                let first = First { page, version, as_of: began };
                return Ok((cx.boards.keep(key, first), 0));
            }
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                error
            }
        },
    };
    let Some((first, as_of)) = cx.boards.old_first(key) else { return Err(store_failure(error)) };
    let age = Instant::now().saturating_duration_since(as_of).as_millis();
    Ok((first, u64::try_from(age).unwrap_or(u64::MAX).max(1)))
}

async fn read(
    cx: &Context,
    board: u64,
    limit: u32,
    deadline: Instant,
) -> Result<Slice, StoreError> {
    let deadline = deadline.min(Instant::now() + BOARD_READ_MAX);
    let leaderboard = &cx.stores.leaderboard;
    // One more than the page, to know whether there is another page.
    in_time(deadline, leaderboard.slice(board, None, Side::After, limit + 1, deadline)).await
}

/// A page next to a cursor, straight from the database.
async fn page_at(
    cx: &Context,
    request: &GetPageRequest,
    limit: u32,
    deadline: Instant,
) -> Result<Page, Failure> {
    let place = cx.shared.cursors.read(request.board, &request.cursor)?;
    let side = if request.backwards { Side::Before } else { Side::After };
    let leaderboard = &cx.stores.leaderboard;
    let read = leaderboard.slice(request.board, Some(&place), side, limit + 1, deadline).await;
    let slice = read.map_err(store_failure)?;
    if slice.version == 0 {
        return Err(Failure::new(Code::BoardNotFound));
    }
    Ok(page(cx, request.board, limit, slice, Some(side)))
}

/// The page of a slice that may have a line too many: on a side of a cursor, or the beginning.
pub(super) fn page(cx: &Context, board: u64, limit: u32, slice: Slice, side: Option<Side>) -> Page {
    let (limit, total) = (limit as usize, slice.total);
    let mut items = entries(slice);
    let more = items.len() > limit;
    match side {
        Some(Side::Before) => drop(items.drain(..items.len().saturating_sub(limit))),
        Some(Side::After) | None => items.truncate(limit),
    }
    // What stood at a cursor is on the other side of the page.
    let (before, after) = match side {
        None => (false, more),
        Some(Side::After) => (true, more),
        Some(Side::Before) => (more, true),
    };
    let cursor = |entry: Option<&Entry>, wanted: bool| {
        let entry = entry.filter(|_| wanted);
        entry.map(|it| cx.shared.cursors.sign(board, it.rating, &it.username)).unwrap_or_default()
    };
    let (previous_cursor, next_cursor) =
        (cursor(items.first(), before), cursor(items.last(), after));
    let page = Page { items, next_cursor, previous_cursor, total, ..Page::default() };
    Page { tag: tag(&page), ..page }
}

/// A number for what a page shows, the same in every daemon; never 0.
fn tag(page: &Page) -> u64 {
    let hash = blake3::hash(&page.encode_to_vec());
    let (first, _) = hash.as_bytes().split_first_chunk().expect("32 bytes");
    u64::from_le_bytes(*first).max(1)
}
