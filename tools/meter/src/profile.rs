//! `GET /profile?seconds=N&hz=M`: folded stacks of this process, for machines without `perf`.

use crate::admin::{Answer, Query};
use souk_process::sampler::{self, SamplerError};

/// Samples the process for as long as was asked and answers with what it did.
pub(crate) fn answer(query: &Query) -> Answer {
    match sampler::answer(query.parameter("seconds"), query.parameter("hz")) {
        Ok(stacks) => Answer::text(200, &stacks),
        Err(error @ SamplerError::Request(_)) => Answer::text(400, &format!("{error}\n")),
        Err(error @ SamplerError::Busy) => Answer::text(409, &format!("{error}\n")),
        Err(error @ SamplerError::Refused(_)) => Answer::text(503, &format!("{error}\n")),
    }
}
