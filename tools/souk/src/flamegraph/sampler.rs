//! Asking one of our programs to sample itself, through its admin listener.

use super::{Kind, Plan, Recorded};
use crate::{Failed, limits};

/// Has the target sample itself.
///
/// # Errors
/// If it has no admin listener, cannot be reached there or refuses.
pub fn record(plan: &Plan) -> Result<Recorded, Failed> {
    if plan.kind == Kind::OffCpu {
        return Err(Failed("only perf sees what a process waits for: use --with perf".into()));
    }
    let admin = plan.admin.clone().or_else(|| plan.target.admin()).ok_or_else(|| {
        Failed(format!(
            "{} has no admin listener that we know of. Only souk-front and soukd can sample \
             themselves, with [admin] listen in their settings; name it with --admin if its port \
             is 0",
            plan.target
        ))
    })?;
    let path = format!("/profile?seconds={}&hz={}", plan.seconds, plan.hz);
    let within = plan.length() + limits::SAMPLER_ANSWERS_WITHIN;
    let stacks = admin.get_within(&path, within).map_err(|why| {
        if plan.target.runs() {
            Failed(format!("{} does not sample itself: {why}", plan.target))
        } else {
            Failed(format!("{} ended while it was recorded", plan.target))
        }
    })?;
    Ok(Recorded {
        stacks,
        seconds: plan.seconds.into(),
        how: "the program's own sampler",
        notes: Vec::new(),
        whole: true,
    })
}
