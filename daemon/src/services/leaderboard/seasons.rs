//! Seasons, past and present.

use super::caller::admit_reader;
use crate::context::Context;
use crate::services::store_failure;
use souk_db::leaderboard::ALL_TIME;
use souk_proto::Failure;
use souk_proto::leaderboard::{ListSeasonsRequest, Season, SeasonList};
use std::cmp::Reverse;
use std::time::Instant;

/// All seasons, the newest first.
///
/// # Errors
/// `rate_limited`, or a store's failure.
pub async fn list_seasons(
    cx: &Context,
    request: ListSeasonsRequest,
    deadline: Instant,
) -> Result<SeasonList, Failure> {
    admit_reader(cx, request.caller.as_ref())?;
    cx.boards.look(&cx.stores, deadline).await.map_err(store_failure)?;
    let rows = cx.boards.rows().into_iter().filter(|row| row.id != ALL_TIME);
    let mut items: Vec<Season> = rows
        .map(|row| Season {
            id: row.id,
            name: row.name,
            starts_at_ms: row.starts_at_ms,
            ends_at_ms: row.ends_at_ms.unwrap_or(0),
        })
        .collect();
    items.sort_by_key(|season| Reverse((season.starts_at_ms, season.id)));
    Ok(SeasonList { items })
}
