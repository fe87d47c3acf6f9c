//! One page that shows a run: self-contained HTML, plots as inline SVG, no script.
//!
//! Plots are drawn for the width of a phone and grow from there; colours follow the reader's
//! preference for light or dark.

mod chart;
mod plots;

use crate::record::{Record, Times};
use crate::run::Outcome;
use std::fmt::Write;

/// Writing to a string cannot fail.
const NEVER: &str = "writing to a string";

/// The page of a run.
#[must_use]
pub fn page(outcome: &Outcome, about: &str) -> String {
    let record = &outcome.record;
    let title = format!("souk bench: {} on {}", record.scenario, record.target);
    let mut html = String::with_capacity(256 * 1024);
    html.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n");
    write!(html, "<title>{}</title>\n<style>{STYLE}</style></head>\n<body>\n", escape(&title))
        .expect(NEVER);
    head(&mut html, record, about, outcome.stopped);
    tiles(&mut html, record);
    html.push_str("<section class=\"plots\">\n");
    html.push_str(&plots::percentiles(outcome));
    html.push_str(&plots::heat(outcome));
    html.push_str(&plots::throughput(outcome));
    html.push_str(&plots::cpu(outcome));
    html.push_str("</section>\n");
    times(&mut html, record);
    html.push_str(&plots::stages(outcome));
    examples(&mut html, outcome);
    facts(&mut html, record);
    html.push_str("</body></html>\n");
    html
}

fn head(html: &mut String, record: &Record, about: &str, stopped: bool) {
    let Record { scenario, target, began, .. } = record;
    let note = if stopped { " <strong>Ended early.</strong>" } else { "" };
    write!(
        html,
        "<header><h1>{} <span>on {}</span></h1>\n<p>{} {began}.{note}</p></header>\n",
        escape(scenario),
        escape(target),
        escape(about),
    )
    .expect(NEVER);
}

fn tiles(html: &mut String, record: &Record) {
    let figures = &record.figures;
    let errors: u64 = figures.errors.values().sum();
    let mut tiles = vec![
        ("answers a second".to_owned(), thousands(figures.rps)),
        ("p50".to_owned(), milliseconds(figures.latency.p50_us)),
        ("p99".to_owned(), milliseconds(figures.latency.p99_us)),
        ("p99.9".to_owned(), milliseconds(figures.latency.p999_us)),
        ("errors".to_owned(), errors.to_string()),
    ];
    if let Some(cpu) = figures.named("server_us") {
        tiles.push(("CPU of front and daemon for each answer".to_owned(), format!("{cpu:.1} µs")));
    }
    html.push_str("<dl class=\"tiles\">");
    for (name, value) in tiles {
        let bad = if name == "errors" && errors > 0 { " class=\"bad\"" } else { "" };
        write!(html, "<div{bad}><dt>{name}</dt><dd>{value}</dd></div>").expect(NEVER);
    }
    html.push_str("</dl>\n");
}

fn times(html: &mut String, record: &Record) {
    let figures = &record.figures;
    html.push_str("<section><h2>Times</h2><div class=\"wide\"><table><thead><tr><th>request");
    html.push_str("<th>answers<th>p50<th>p90<th>p99<th>p99.9<th>max</tr></thead><tbody>");
    let mut row = |name: &str, times: &Times| {
        let Times { count, p50_us, p90_us, p99_us, p999_us, max_us, .. } = times;
        write!(html, "<tr><th scope=\"row\">{}<td>{count}", escape(name)).expect(NEVER);
        for us in [p50_us, p90_us, p99_us, p999_us, max_us] {
            write!(html, "<td>{}", milliseconds(*us)).expect(NEVER);
        }
    };
    for (kind, times) in &figures.kinds {
        row(kind, times);
    }
    row("all, from when due", &figures.latency);
    row("all, from when sent", &figures.service);
    html.push_str("</tbody></table></div></section>\n");
}

fn examples(html: &mut String, outcome: &Outcome) {
    if outcome.measured.examples.is_empty() {
        return;
    }
    html.push_str("<section><h2>Errors</h2><ul>");
    for example in &outcome.measured.examples {
        let name = example.class.name();
        let count = outcome.measured.errors.of(example.class);
        write!(html, "<li><b>{name}</b> ({count}): {}", escape(&example.text)).expect(NEVER);
    }
    html.push_str("</ul></section>\n");
}

fn facts(html: &mut String, record: &Record) {
    let load = &record.load;
    let mode = match (&load.rate, &load.pipeline) {
        (Some(rate), _) => {
            let arrivals = load.arrivals.as_deref().unwrap_or_default();
            format!("open loop, {} a second, {arrivals} arrivals", thousands(*rate))
        }
        (None, Some(pipeline)) => format!("closed loop, {pipeline} in flight on each connection"),
        (None, None) => "each connection asks once".to_owned(),
    };
    let list = |map: &std::collections::BTreeMap<String, f64>, unit: &str| {
        let items: Vec<_> = map.iter().map(|(role, n)| format!("{role} {n:.1} {unit}")).collect();
        if items.is_empty() { "not known".to_owned() } else { items.join(", ") }
    };
    let commit = if record.commit.is_empty() { "not known" } else { &record.commit };
    let rows = [
        ("Load", mode),
        ("Connections", format!("{} on {} threads", load.connections, load.threads)),
        ("Measured", format!("{:.1} s after {:.1} s of warm-up", load.duration_s, load.warm_up_s)),
        ("Users", format!("{}, cache {}", load.users, if load.cache { "on" } else { "off" })),
        ("CPU for each answer", list(&record.figures.cpu_us, "µs")),
        ("Memory", list(&record.figures.memory_mib, "MiB")),
        ("Machine", record.machine.to_string()),
        ("Program", format!("souk {}, commit {commit}", record.version)),
    ];
    html.push_str("<section><h2>Facts</h2><dl class=\"facts\">");
    for (name, value) in rows {
        write!(html, "<dt>{name}</dt><dd>{}</dd>", escape(&value)).expect(NEVER);
    }
    html.push_str("</dl></section>\n");
}

/// Text as it may stand in HTML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Microseconds as a short time.
#[must_use]
pub fn milliseconds(us: f64) -> String {
    match us {
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us if us < 100_000.0 => format!("{:.1} ms", us / 1e3),
        us if us < 1_000_000.0 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// A rate with its thousands apart.
#[must_use]
pub fn thousands(number: f64) -> String {
    if number < 100.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut out = String::with_capacity(digits.len() + 4);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1d2021;--soft:#5f6668;--line:#d9dcdd;--page:#fbfaf7;
--card:#fff;--a:#0b6e75;--b:#c2571a;--c:#6a4fb3;--d:#2f7d32;--e:#a3195b;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e8e6e1;--soft:#a2a8aa;--line:#3a4042;
--page:#16191a;--card:#1f2425;--a:#58c4cc;--b:#f0965c;--c:#b39df0;--d:#81c784;--e:#f06ba8;
--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1200px;padding:1rem;background:var(--page);color:var(--ink);
font:16px/1.45 system-ui,sans-serif}
h1{margin:.2rem 0;font-size:1.6rem;overflow-wrap:anywhere}h1 span{color:var(--soft);font-weight:400}
h2{font-size:1.1rem;margin:1.6rem 0 .5rem}p{margin:.2rem 0;color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:.6rem;
margin:1rem 0}
.tiles div,figure{background:var(--card);border:1px solid var(--line);border-radius:8px}
.tiles div{padding:.6rem .8rem;display:flex;flex-direction:column-reverse;justify-content:flex-end}
.tiles dt{color:var(--soft);font-size:.85rem}.tiles dd{margin:0;font-size:1.35rem;font-weight:600;
font-variant-numeric:tabular-nums}.bad dd{color:var(--bad)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:.8rem}
figure{margin:0;padding:.7rem}figcaption{font-weight:600;margin-bottom:.3rem}
figcaption small{display:block;font-weight:400;color:var(--soft)}
svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font-size:10px}
svg .grid{stroke:var(--line);stroke-width:1}svg .line{fill:none;stroke-width:1.6}
.key{display:flex;flex-wrap:wrap;gap:.2rem .9rem;font-size:.85rem;margin-top:.3rem}
.key i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.35em}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child{text-align:left}thead th{color:var(--soft);font-weight:500}tbody th{font-weight:500}
td.bar{width:30%;min-width:90px}td.bar span{display:block;height:.8em;border-radius:2px;
background:var(--a)}
.facts{display:grid;grid-template-columns:minmax(90px,max-content) 1fr;gap:.25rem 1rem;margin:0}
.facts dt{color:var(--soft)}.facts dd{margin:0;overflow-wrap:anywhere}
ul{padding-left:1.2rem}li{overflow-wrap:anywhere}
";

#[cfg(test)]
mod tests {
    use super::{escape, milliseconds, page, thousands};
    use crate::engine::{ErrorClass, Errors, Example, Measured, Slot, histogram};
    use crate::record::tests::record;
    use crate::run::Outcome;
    use crate::stages::Stage;
    use crate::visitor::tag;
    use std::time::Duration;

    fn outcome() -> Outcome {
        let mut times = histogram();
        let mut timeline = Vec::new();
        for n in 0..100u64 {
            let mut slot = Slot { sent: 10, answered: 9, errors: 1, ..Slot::default() };
            slot.latency.saturating_record(1_000_000 + n * 50_000);
            times.saturating_record(1_000_000 + n * 50_000);
            timeline.push(slot);
        }
        let mut errors = Errors::default();
        errors.count(ErrorClass::Reset, 3);
        let kind = tag(crate::scenario::Kind::Me);
        let measured = Measured {
            elapsed: Duration::from_secs(10),
            sent: 1000,
            answered: 900,
            declined: 0,
            errors,
            unfinished: 0,
            open_at_end: 0,
            latency: [(kind, times.clone())].into(),
            service_time: [(kind, times.clone())].into(),
            timeline,
            slot: Duration::from_millis(100),
            cpu: Duration::from_secs(1),
            examples: vec![Example { class: ErrorClass::Reset, text: "<b>\"&".into() }],
        };
        let stage =
            Stage { program: "soukd".into(), route: "GetMe".into(), stage: "redis".into(), times };
        Outcome {
            record: record("souk", 0, 90.0),
            measured,
            stages: vec![stage],
            cpu: vec![("front".into(), vec![0.5; 20])],
            stopped: true,
        }
    }

    #[test]
    fn the_page_stands_alone_and_shows_every_part() {
        let html = page(&outcome(), "The own <profile>.");
        for part in ["<svg", "Latency by percentile", "over time", "CPU", "GetMe", "Ended early"] {
            assert!(html.contains(part), "{part}");
        }
        assert!(html.contains("&lt;b&gt;&quot;&amp;") && html.contains("&lt;profile&gt;"));
        for outside in ["<script", "src=", "href=", "url(", "@import", "NaN", "inf"] {
            let text = html.replace("info", "");
            assert!(!text.contains(outside), "{outside}");
        }
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    }

    #[test]
    fn a_run_without_an_answer_has_a_page_too() {
        let mut empty = outcome();
        empty.measured.timeline.clear();
        empty.measured.latency.clear();
        empty.measured.service_time.clear();
        empty.cpu.clear();
        empty.stages.clear();
        let html = page(&empty, "Nothing.");
        assert!(!html.contains("NaN") && !html.contains("-inf"));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(milliseconds(12.4), "12 µs");
        assert_eq!(milliseconds(1_250.0), "1.2 ms");
        assert_eq!(milliseconds(250_000.0), "250 ms");
        assert_eq!(milliseconds(2_500_000.0), "2.50 s");
        assert_eq!(thousands(76.44), "76.4");
        assert_eq!(thousands(999.4), "999");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
        assert_eq!(escape("a\u{1b}<"), "a &lt;");
    }
}
