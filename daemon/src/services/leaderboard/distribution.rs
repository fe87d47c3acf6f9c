//! How the players of a board are spread over the ratings.

use super::caller::admit_reader;
use super::known_board;
use crate::context::Context;
use crate::services::store_failure;
use souk_proto::leaderboard::{Bucket, Distribution, GetDistributionRequest};
use souk_proto::{Code, Failure};
use std::time::Instant;

/// The histogram of a board's ratings, and the rating at a percentile if one is asked for.
///
/// # Errors
/// `invalid_field`, `board_not_found`, `rate_limited`, or a store's failure.
pub async fn get_distribution(
    cx: &Context,
    request: GetDistributionRequest,
    deadline: Instant,
) -> Result<Distribution, Failure> {
    admit_reader(cx, request.caller.as_ref())?;
    if request.percentile.is_some_and(|it| !(0.0..=100.0).contains(&it)) {
        return Err(Failure::field("percentile", "A percentile is 0 to 100."));
    }
    known_board(cx, request.board, deadline).await?;
    let counted = cx.boards.count(&cx.stores, request.board, deadline, |counts| {
        let bucket = |(from, to, players)| Bucket { from, to, players };
        Distribution {
            buckets: counts.buckets().map(bucket).collect(),
            total: counts.total(),
            rating: request.percentile.and_then(|it| counts.percentile(it)),
        }
    });
    let found = counted.await.map_err(store_failure)?;
    found.ok_or_else(|| Failure::new(Code::BoardNotFound))
}
