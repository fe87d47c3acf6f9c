//! Log output: structured events to standard error, for people or as JSON lines.
//!
//! A line that belongs to a request carries its trace id. Lines to the systemd journal begin with
//! their priority, `<N>`, and leave time and colour to the journal.

use crate::settings::{SettingsError, in_range, invalid};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};
use std::io::IsTerminal;
use std::os::fd::AsFd;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The section `[log]` of every program's settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `human`, `json`, or `auto`: human on a terminal and in the journal, JSON elsewhere.
    pub format: String,
    /// Least severe level shown, or a filter such as `info,soukd::session=debug`.
    pub level: String,
    /// A request that took longer, in milliseconds, is logged with its stages; 0 means none is.
    pub slow_ms: u64,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings { format: "auto".into(), level: "info".into(), slow_ms: 1_000 }
    }
}

impl LogSettings {
    /// Checks all keys.
    ///
    /// # Errors
    /// Names the key, its value and what it can be.
    pub fn validate(&self) -> Result<(), SettingsError> {
        if !["auto", "human", "json"].contains(&self.format.as_str()) {
            return Err(invalid("log.format", &self.format, "use auto, human or json"));
        }
        in_range("log.slow_ms", self.slow_ms, 0..=60_000)?;
        self.filter().map(|_| ())
    }

    fn filter(&self) -> Result<EnvFilter, SettingsError> {
        EnvFilter::try_new(&self.level).map_err(|error| {
            let why = format!("use error, warn, info, debug, trace or a filter ({error})");
            invalid("log.level", &self.level, &why)
        })
    }
}

/// Says which request the thread works for: its trace id, or nothing.
pub type Request = fn() -> Option<u128>;

/// Starts logging to standard error. Call it once, before the first event.
///
/// # Errors
/// If the settings are not valid.
pub fn init(settings: &LogSettings, request: Request) -> Result<(), SettingsError> {
    let filter = settings.filter()?;
    let terminal = std::io::stderr().is_terminal();
    let journal = is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref(), std::io::stderr());
    let json = settings.format == "json" || settings.format == "auto" && !terminal && !journal;
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Reporting a line that cannot be written, to a terminal that has gone, would panic.
        .log_internal_errors(false);
    let how = How { json, journal, request };
    if json {
        base.json().flatten_event(true).map_event_format(|format| Line { format, how }).init();
    } else if journal {
        let plain = base.without_time();
        plain.map_event_format(|format| Line { format: format.with_ansi(false), how }).init();
    } else {
        base.map_event_format(|format| Line { format: format.with_ansi(terminal), how }).init();
    }
    Ok(())
}

/// Whether this stream is the one that systemd connected to the journal: it names it by device and
/// inode, since a program may have sent its errors elsewhere (systemd.exec, `$JOURNAL_STREAM`).
fn is_journal(named: Option<&str>, stream: impl AsFd) -> bool {
    let parts = named.and_then(|named| named.split_once(':'));
    let Some((Ok(device), Ok(inode))) =
        parts.map(|(device, inode)| (device.parse(), inode.parse()))
    else {
        return false;
    };
    let found = rustix::fs::fstat(stream).map(|stat| (stat.st_dev, stat.st_ino));
    found == Ok((device, inode))
}

/// What a line has besides its event.
#[derive(Clone, Copy)]
struct How {
    json: bool,
    journal: bool,
    request: Request,
}

/// A library's line, with its priority before and its request behind it.
struct Line<F> {
    format: F,
    how: How,
}

impl<S, N, F> FormatEvent<S, N> for Line<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::with_capacity(256);
        if self.how.journal {
            write!(line, "<{}>", priority(*event.metadata().level()))?;
        }
        self.format.format_event(context, Writer::new(&mut line), event)?;
        if let Some(id) = (self.how.request)() {
            line.truncate(line.trim_end_matches('\n').len());
            if self.how.json && line.ends_with('}') {
                line.pop();
                write!(line, ",\"trace_id\":\"{id:032x}\"}}")?;
            } else {
                write!(line, " trace_id={id:032x}")?;
            }
            line.push('\n');
        }
        writer.write_str(&line)
    }
}

/// The level as syslog counts.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::{How, Line, LogSettings, is_journal};
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn event() {
        tracing::warn!(target: "souk", cause = "a \"test\"", "it happened");
    }

    fn human(how: How) -> String {
        let page = Page::default();
        let to = page.clone();
        let lines = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .without_time()
            .map_event_format(|format| Line { format: format.with_ansi(false), how })
            .finish();
        tracing::subscriber::with_default(lines, event);
        let bytes = page.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    fn json(how: How) -> String {
        let page = Page::default();
        let to = page.clone();
        let lines = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .without_time()
            .json()
            .flatten_event(true)
            .map_event_format(|format| Line { format, how })
            .finish();
        tracing::subscriber::with_default(lines, event);
        let bytes = page.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_line_of_a_request_ends_with_its_trace_id_and_others_do_not() {
        let of = How { json: false, journal: false, request: || Some(0xabc) };
        let none = How { request: || None, ..of };
        let plain = " WARN souk: it happened cause=\"a \\\"test\\\"\"";
        assert_eq!(human(none), format!("{plain}\n"));
        assert_eq!(human(of), format!("{plain} trace_id=00000000000000000000000000000abc\n"));
        let bare = json(How { json: true, ..none });
        let with = json(How { json: true, ..of });
        let end = ",\"trace_id\":\"00000000000000000000000000000abc\"}\n";
        assert_eq!(with, bare.replace("}\n", end));
    }

    #[test]
    fn lines_to_the_journal_begin_with_their_priority() {
        let how = How { json: false, journal: true, request: || None };
        assert!(human(how).starts_with("<4> WARN souk: it happened"));
        assert!(json(How { json: true, ..how }).starts_with("<4>{\"level\":\"WARN\""));
    }

    #[test]
    fn only_the_stream_that_systemd_named_is_the_journal() {
        let file = tempfile::tempfile().expect("temp file");
        let about = file.metadata().expect("open");
        let name = format!("{}:{}", about.dev(), about.ino());
        assert!(is_journal(Some(&name), &file));
        for other in [None, Some(""), Some("1"), Some("a:b"), Some(&format!("{name}1")[..])] {
            assert!(!is_journal(other, &file), "{other:?}");
        }
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        for (settings, key) in [
            (LogSettings { format: "xml".into(), ..LogSettings::default() }, "log.format"),
            (LogSettings { level: "a=b=c".into(), ..LogSettings::default() }, "log.level"),
            (LogSettings { slow_ms: 60_001, ..LogSettings::default() }, "log.slow_ms"),
        ] {
            let error = settings.validate().expect_err(key).to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }
}
