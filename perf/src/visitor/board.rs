//! Requests about the leaderboard.

use super::Asks;
use crate::scenario::{Kind, RATES};
use rand::RngExt;
use rand::rngs::SmallRng;

/// Writes a request and says whom it is about; nothing for other kinds.
pub fn write(kind: Kind, asks: &mut Asks<'_>) -> Option<u64> {
    let Asks { play, rng, rest } = asks;
    let about = match kind {
        Kind::Board => {
            rest.get(format_args!("/api/v1/leaderboard"), None);
            0
        }
        Kind::Deep => {
            let at = rng.random_range(0..play.cast.cursors.len());
            let cursor = &play.cast.cursors[at];
            rest.get(format_args!("/api/v1/leaderboard?cursor={cursor}"), None);
            0
        }
        Kind::Rank => {
            let id = play.id(rng);
            rest.get(format_args!("/api/v1/users/{id}/rank"), None);
            id
        }
        Kind::Rate => {
            let id = play.id(rng);
            let line = format!("PUT /api/v1/users/{id}/rating");
            let step = step(rng);
            rest.service_json(&line, format_args!("{{\"delta\":{step}}}"));
            id
        }
        Kind::Rates => {
            let mut items = String::with_capacity(40 * RATES as usize);
            for _ in 0..RATES {
                let comma = if items.is_empty() { "" } else { "," };
                let (id, step) = (play.id(rng), step(rng));
                items.push_str(&format!("{comma}{{\"user_id\":{id},\"delta\":{step}}}"));
            }
            let body = format_args!("{{\"items\":[{items}]}}");
            rest.service_json("POST /api/v1/ratings", body);
            0
        }
        _ => return None,
    };
    Some(about)
}

/// One up or one down.
fn step(rng: &mut SmallRng) -> i32 {
    if rng.random() { 1 } else { -1 }
}
