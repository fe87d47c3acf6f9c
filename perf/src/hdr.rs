//! A run as an HdrHistogram interval log (V2 compressed): one interval a second, then the whole run
//! by kind of request. HdrHistogram's own tools read it.

use crate::Failed;
use crate::engine::Slot;
use crate::run::Outcome;
use crate::visitor::kind_of;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Values are nanoseconds; the log shows maxima in milliseconds.
const NS_PER_MS: f64 = 1e6;

/// Writes the log of a run.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, outcome: &Outcome) -> Result<(), Failed> {
    let named = |why: &dyn std::fmt::Debug| Failed::new(format!("{}: {why:?}", path.display()));
    let mut file = BufWriter::new(File::create(path).map_err(|why| named(&why))?);
    let mut serializer = V2DeflateSerializer::new();
    let start = SystemTime::now().checked_sub(outcome.measured.elapsed);
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(&format!("souk bench, scenario {}", outcome.record.scenario))
        .add_comment("values are nanoseconds")
        .with_start_time(start.unwrap_or(SystemTime::UNIX_EPOCH))
        .with_max_value_divisor(NS_PER_MS)
        .begin_log_with(&mut file, &mut serializer)
        .map_err(|why| named(&why))?;
    let slot = outcome.measured.slot;
    let per_second = (1.0 / slot.as_secs_f64().max(1e-3)).round().max(1.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to 1000
    let per_second = per_second as usize;
    let mut at = Duration::ZERO;
    for second in outcome.measured.timeline.chunks(per_second) {
        let mut sum = Slot::default();
        second.iter().for_each(|slot| sum.add(slot));
        let length = slot.saturating_mul(u32::try_from(second.len()).unwrap_or(u32::MAX));
        log.write_histogram(&sum.latency, at, length, None).map_err(|why| named(&why))?;
        at += length;
    }
    for (kind, times) in &outcome.measured.latency {
        let tag = Tag::new(kind_of(*kind).name());
        let length = outcome.measured.elapsed;
        log.write_histogram(times, Duration::ZERO, length, tag).map_err(|why| named(&why))?;
    }
    Ok(())
}
