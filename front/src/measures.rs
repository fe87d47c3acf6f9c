//! What the front measures: its routes and outcomes, by number.

use crate::routes;
use crate::tlv::Route;
use souk_meter::{Batch, FRONT_STAGES, Hub, LatencySettings, Plan, Queue};
use std::sync::Arc;

/// One more than the largest HTTP status: outcomes are statuses.
const STATUSES: usize = 600;

/// The hub that a front's threads record for.
pub fn hub(settings: &LatencySettings) -> Arc<Hub> {
    let tlv = Route::NAMES.map(str::to_owned);
    let plan = Plan {
        program: "souk-front",
        version: env!("CARGO_PKG_VERSION"),
        routes: routes::names().into_iter().chain(tlv).collect(),
        stages: FRONT_STAGES,
        codes: (0..STATUSES).map(|status| status.to_string()).collect(),
        queues: &[Queue::Link],
        batches: &[Batch::Link],
    };
    Hub::new(plan, settings.enabled)
}
