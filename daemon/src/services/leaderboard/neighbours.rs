//! The lines around a user.

use super::caller::admit_reader;
use super::known_board;
use super::page::page;
use super::rank::not_ranked;
use crate::context::Context;
use crate::limits::{NEIGHBOURS_ATTEMPTS, RADIUS_DEFAULT, RADIUS_MAX};
use crate::services::store_failure;
use souk_db::StoreError;
use souk_db::leaderboard::{Place, Side, Slice};
use souk_proto::leaderboard::{GetNeighboursRequest, Page};
use souk_proto::{Code, Failure};
use std::time::{Duration, Instant};

/// When asking again is worth it for somebody whose place changes all the time.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The user's line and those around it, fewer at either end of the board, of one moment.
///
/// # Errors
/// `invalid_field`, `board_not_found`, `user_not_found`, `not_ranked`, `rate_limited`, `busy` when
/// the user moves faster than the board can be read; or a store's failure.
pub async fn get_neighbours(
    cx: &Context,
    request: GetNeighboursRequest,
    deadline: Instant,
) -> Result<Page, Failure> {
    admit_reader(cx, request.caller.as_ref())?;
    let radius = match request.radius {
        0 => RADIUS_DEFAULT,
        radius @ 1..=RADIUS_MAX => radius,
        _ => return Err(Failure::field("radius", "A radius is 1 to 100.")),
    };
    let (board, user_id) = (request.board, request.user_id);
    known_board(cx, board, deadline).await?;
    for _ in 0..NEIGHBOURS_ATTEMPTS {
        let place = cx.stores.leaderboard.place_of(board, user_id, deadline).await;
        let Some(place) = place.map_err(store_failure)? else {
            return Err(not_ranked(cx, user_id, deadline).await);
        };
        let around = around(cx, board, &place, radius, deadline).await.map_err(store_failure)?;
        if around.slice.lines.iter().any(|line| line.user_id == user_id) {
            let Around { slice, limit, before } = around;
            return Ok(page(cx, board, limit, slice, before.then_some(Side::After)));
        }
    }
    Err(Failure::new(Code::Busy).retry_after(RETRY_AFTER))
}

/// Lines around a place.
struct Around {
    /// Possibly a line too many, at the end.
    slice: Slice,
    /// How many are shown.
    limit: u32,
    /// Whether others stand before them.
    before: bool,
}

/// The lines around a place, in one slice: what stands before it says where the slice begins.
async fn around(
    cx: &Context,
    board: u64,
    place: &Place,
    radius: u32,
    deadline: Instant,
) -> Result<Around, StoreError> {
    let leaderboard = &cx.stores.leaderboard;
    let before = leaderboard.slice(board, Some(place), Side::Before, radius + 1, deadline).await?;
    let before = before.lines;
    let shown = u32::try_from(before.len()).unwrap_or(radius).min(radius);
    // A line more than is shown: the slice begins after it.
    let others = before.len() > shown as usize;
    let from = before.into_iter().next().filter(|_| others);
    let from = from.map(|line| Place { rating: line.rating, username: line.username });
    let limit = shown + 1 + radius;
    let slice = leaderboard.slice(board, from.as_ref(), Side::After, limit + 1, deadline).await?;
    Ok(Around { slice, limit, before: others })
}
