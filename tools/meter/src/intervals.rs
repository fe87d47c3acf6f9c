//! Interval logs: what was timed between two moments, one line a route and stage, in the format of
//! the HdrHistogram tools (V2 compressed). A line's tag is `ROUTE|STAGE`, with `_` for each blank
//! of the route.

use crate::hub::Hub;
use crate::set::{Set, Tally};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogWriterBuilder, IntervalLogWriterError, Tag,
};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The largest value of a line is written in milliseconds, as the tools expect it.
const NS_PER_MS: f64 = 1_000_000.0;

/// Writes a program's intervals to a file.
pub(crate) struct IntervalLog {
    hub: Arc<Hub>,
    path: PathBuf,
    /// When the interval that is being recorded began.
    since: SystemTime,
}

impl IntervalLog {
    /// Opens the file, to find out now whether it can be written; intervals are kept from here on.
    pub(crate) fn open(hub: Arc<Hub>, path: &Path) -> io::Result<IntervalLog> {
        append(path)?;
        hub.keep_intervals();
        let since = hub.started();
        Ok(IntervalLog { hub, path: path.into(), since })
    }

    /// Adds the interval since the last call. The file is opened anew each time, so whoever rotates
    /// it needs to tell nobody.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        let now = SystemTime::now();
        let since = std::mem::replace(&mut self.since, now);
        let Some(interval) = self.hub.take_interval() else { return Ok(()) };
        let file = append(&self.path)?;
        let is_new = file.metadata()?.len() == 0;
        let mut out = BufWriter::new(file);
        self.lines(&interval, since, now, is_new, &mut out).map_err(|error| match error {
            IntervalLogWriterError::IoError(error) => error,
            IntervalLogWriterError::SerializeError(error) => io::Error::other(error.to_string()),
        })?;
        out.flush()
    }

    fn lines(
        &self,
        interval: &Set<Tally>,
        since: SystemTime,
        now: SystemTime,
        is_new: bool,
        out: &mut impl Write,
    ) -> Result<(), IntervalLogWriterError<hdrhistogram::serialization::V2DeflateSerializeError>>
    {
        let plan = self.hub.plan();
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder.with_max_value_divisor(NS_PER_MS);
        if is_new {
            builder
                .add_comment(&format!("[{} {}, nanoseconds]", plan.program, plan.version))
                .with_start_time(self.hub.started())
                .with_base_time(UNIX_EPOCH);
        }
        let mut writer = builder.begin_log_with(out, &mut serializer)?;
        let start = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let length = now.duration_since(since).unwrap_or(Duration::ZERO);
        for (name, route) in plan.routes.iter().zip(&interval.routes) {
            for &stage in plan.stages {
                let Some(times) = route.times(stage) else { continue };
                let tag = format!("{}|{}", name.replace([' ', ','], "_"), stage.name());
                writer.write_histogram(&times.histogram(), start, length, Tag::new(&tag))?;
            }
        }
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}
