//! Interval logs, read back as the HdrHistogram tools do.

use super::{GET, Recorder, SET, hub, request};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use souk_meter::{Admin, AdminSettings, LatencySettings};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// How often each tag's stage was met, over all intervals of a log, and how many lines it has.
fn counts(file: &Path) -> (HashMap<String, u64>, usize) {
    let bytes = std::fs::read(file).expect("a log");
    let (mut counts, mut lines) = (HashMap::new(), 0);
    for entry in IntervalLogIterator::new(&bytes) {
        let LogEntry::Interval(interval) = entry.expect("a sound line") else { continue };
        let tag = interval.tag().expect("every line has a tag").as_str().to_owned();
        let packed = data_encoding::BASE64.decode(interval.encoded_histogram().as_bytes());
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut packed.expect("base64").as_slice())
            .expect("a histogram");
        assert!(interval.start_timestamp() > Duration::from_secs(1_700_000_000));
        *counts.entry(tag).or_default() += histogram.len();
        lines += 1;
    }
    (counts, lines)
}

#[test]
fn interval_logs_hold_every_record_once_over_rotation_and_restart() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("latency.hlog");
    let latency = LatencySettings {
        log_file: file.display().to_string(),
        log_every_s: 1,
        ..LatencySettings::default()
    };
    let renamed = home.path().join("latency.hlog.1");
    // The first run's log is renamed, the third adds to the second's.
    for earlier in [0, 0, 1] {
        let hub = hub(true);
        let admin = Admin::open(&hub, &AdminSettings::default(), &latency).expect("opens");
        assert!(admin.place().is_none());
        let running = admin.start().expect("it starts");
        let early = Recorder::start(&hub, || (0..10).for_each(|_| request(GET, 0)));
        // The scheduled interval comes by itself; what is recorded after it is in another.
        while !std::fs::read_to_string(&file).expect("a log").contains("Tag=") {
            std::thread::sleep(Duration::from_millis(20));
        }
        let late = Recorder::start(&hub, || request(SET, 1));
        early.stop();
        late.stop();
        // What threads left behind when they ended is written at the end.
        running.stop();
        let (counts, lines) = counts(&file);
        assert_eq!(counts["GET_/users/{id}|total"], 10 * (earlier + 1));
        assert_eq!(counts["GET_/users/{id}|redis"], 10 * (earlier + 1));
        assert_eq!(counts["SET|total"], earlier + 1);
        assert_eq!(lines as u64, 6 * (earlier + 1), "three stages of two routes, each once");
        let text = std::fs::read_to_string(&file).expect("a log");
        assert_eq!(text.matches("#[StartTime:").count(), 1, "{text}");
        if !renamed.exists() {
            std::fs::rename(&file, &renamed).expect("renamed");
        }
    }
}

#[test]
fn a_log_that_cannot_be_written_is_refused_at_the_start() {
    let latency =
        LatencySettings { log_file: "/does/not/exist/a.hlog".into(), ..LatencySettings::default() };
    let opened = Admin::open(&hub(true), &AdminSettings::default(), &latency);
    let said = opened.err().expect("refused").to_string();
    assert!(said.contains("/does/not/exist/a.hlog") && said.contains("latency.log_file"), "{said}");
}
