//! What came out of a run, as a table for people.

use std::fmt::Write;

use souk_perf::record::{Record, Times};
use souk_perf::report::{milliseconds, thousands};
use souk_perf::run::Outcome;
use souk_process::say;

/// Writing to a string cannot fail.
const NEVER: &str = "writing to a string";

/// Shows a run.
pub fn show(outcome: &Outcome) {
    let record = &outcome.record;
    let mut out = String::new();
    heading(&mut out, record);
    if outcome.stopped {
        out.push_str("ended early: this is what was measured until then\n");
    }
    let figures = &record.figures;
    writeln!(
        out,
        "\n{:22}{:>10} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "answers", "p50", "p90", "p99", "p99.9", "max"
    )
    .expect(NEVER);
    for (kind, times) in &figures.kinds {
        row(&mut out, kind, times);
    }
    row(&mut out, "all, from when due", &figures.latency);
    row(&mut out, "all, from when sent", &figures.service);
    writeln!(out, "\n{} answers/s, {} sent", thousands(figures.rps), figures.sent).expect(NEVER);
    if figures.declined > 0 {
        writeln!(out, "{} declined: others were faster", figures.declined).expect(NEVER);
    }
    let list = |map: &std::collections::BTreeMap<String, f64>| {
        let items: Vec<_> = map.iter().map(|(role, n)| format!("{role} {n:.1}")).collect();
        items.join(", ")
    };
    if !figures.cpu_us.is_empty() {
        writeln!(out, "CPU µs for each answer: {}", list(&figures.cpu_us)).expect(NEVER);
    }
    if !figures.memory_mib.is_empty() {
        writeln!(out, "memory MiB: {}", list(&figures.memory_mib)).expect(NEVER);
    }
    if let Some(kib) = figures.idle_kib {
        writeln!(out, "each open connection: {kib:.2} KiB in the front").expect(NEVER);
    }
    errors(&mut out, outcome);
    say(out.trim_end());
}

fn heading(out: &mut String, record: &Record) {
    let load = &record.load;
    let how = match (&load.rate, &load.pipeline) {
        (Some(rate), _) => {
            format!("{}/s {}", thousands(*rate), load.arrivals.as_deref().unwrap_or_default())
        }
        (None, Some(pipeline)) => format!("closed loop, pipeline {pipeline}"),
        (None, None) => "each connection asks once".to_owned(),
    };
    writeln!(
        out,
        "{} on {}: {} connections, {} threads, {how}, {:.1} s, {} users, cache {}",
        record.scenario,
        record.target,
        load.connections,
        load.threads,
        load.duration_s,
        load.users,
        if load.cache { "on" } else { "off" },
    )
    .expect(NEVER);
    writeln!(out, "{}", record.machine).expect(NEVER);
}

fn row(out: &mut String, name: &str, times: &Times) {
    write!(out, "{name:22}{:>10}", times.count).expect(NEVER);
    for us in [times.p50_us, times.p90_us, times.p99_us, times.p999_us, times.max_us] {
        write!(out, " {:>9}", milliseconds(us)).expect(NEVER);
    }
    out.push('\n');
}

fn errors(out: &mut String, outcome: &Outcome) {
    let errors = &outcome.measured.errors;
    if errors.total() == 0 {
        out.push_str("errors: none\n");
        return;
    }
    writeln!(out, "errors: {}", errors.total()).expect(NEVER);
    for (class, count) in errors.iter() {
        let example = outcome.measured.examples.iter().find(|example| example.class == class);
        let text = example.map_or("", |example| example.text.as_str());
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        writeln!(out, "  {:14}{count:>8}  {text}", class.name()).expect(NEVER);
    }
}
