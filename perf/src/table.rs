//! The README's table, made from recorded comparisons.

use crate::Failed;
use crate::compare::{Ratio, median, ratios};
use crate::record::{self, Record};
use crate::report::thousands;
use crate::scenario;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Where the table begins in a document.
pub const BEGIN: &str = "<!-- made by `souk bench table` from perf/results -->\n";
/// Where it ends.
pub const END: &str = "<!-- end of the table -->\n";

/// The newest comparison of each scenario, with and without cache, as a Markdown table.
#[must_use]
pub fn table(records: &[Record]) -> String {
    let mut newest: BTreeMap<(String, bool), &str> = BTreeMap::new();
    for record in records.iter().filter(|record| record.round > 0) {
        let batch = newest.entry((record.scenario.clone(), record.load.cache)).or_default();
        *batch = (*batch).max(record.batch.as_str());
    }
    if newest.is_empty() {
        return "No comparison is recorded yet: `souk bench compare --out FILE` records one.\n"
            .into();
    }
    let names = scenario::all().unwrap_or_default();
    let place = |name: &str| names.iter().position(|scenario| scenario.name == name);
    let mut keys: Vec<_> = newest.into_iter().collect();
    keys.sort_by_key(|((name, cache), _)| {
        (!cache, place(name).unwrap_or(usize::MAX), name.clone())
    });
    let mut out = String::from(
        "| scenario | users | Souk/s | of nginx `return 200` | of the baseline | CPU of front and \
         daemon |\n|---|---|---|---|---|---|\n",
    );
    for ((name, cache), batch) in keys {
        let mine = |record: &&Record| {
            record.batch == batch && record.scenario == name && record.load.cache == cache
        };
        let runs: Vec<Record> = records.iter().filter(mine).cloned().collect();
        row(&mut out, &name, cache, &runs);
    }
    out
}

fn row(out: &mut String, name: &str, cache: bool, runs: &[Record]) {
    let ours: Vec<&Record> = runs.iter().filter(|r| r.target == "souk" && r.round > 0).collect();
    let Some(first) = ours.first() else { return };
    let rps = median(ours.iter().map(|record| record.figures.rps).collect());
    let cpu: Vec<f64> = ours.iter().filter_map(|r| r.figures.named("server_us")).collect();
    let cpu = if cpu.is_empty() { String::new() } else { format!("{:.1} µs", median(cpu)) };
    let ratios = ratios(runs);
    let of = |target: &str| {
        let ratio = ratios.iter().find(|ratio| ratio.target == target);
        ratio.map_or_else(String::new, shown)
    };
    let cache = if cache { "" } else { ", no cache" };
    writeln!(
        out,
        "| {name}{cache} | {} | {} | {} | {} | {cpu} |",
        thousands_of(first.load.users),
        thousands(rps),
        of("nginx"),
        of("baseline"),
    )
    .expect("writing to a string");
}

fn shown(ratio: &Ratio) -> String {
    let Ratio { median, low, high, .. } = ratio;
    format!("**{median:.2}** ({low:.2}–{high:.2})")
}

fn thousands_of(count: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // users are far below 2^52
    if count < 1000 { count.to_string() } else { thousands(count as f64) }
}

/// All recorded runs of a folder, file by file; none if there is no folder.
///
/// # Errors
/// If it cannot be read.
pub fn results(folder: &Path) -> Result<Vec<Record>, Failed> {
    let named = |why: std::io::Error| Failed::new(format!("{}: {why}", folder.display()));
    let mut files = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        // Nothing was recorded yet.
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(named)?,
    };
    for entry in entries {
        let path = entry.map_err(named)?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    files.sort();
    let mut all = Vec::new();
    for file in files {
        all.extend(record::read(&file)?);
    }
    Ok(all)
}

/// The document with this table in place of the one that it has.
///
/// # Errors
/// If the document has no place for it.
pub fn put(document: &str, table: &str) -> Result<String, Failed> {
    let place = document.find(BEGIN).and_then(|begin| {
        let begin = begin + BEGIN.len();
        document[begin..].find(END).map(|length| (begin, begin + length))
    });
    let Some((begin, end)) = place else {
        let (begin, end) = (BEGIN.trim(), END.trim());
        return Err(Failed::new(format!("the document has no lines `{begin}` and `{end}`")));
    };
    Ok(format!("{}\n{table}\n{}", &document[..begin], &document[end..]))
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, put, results, table};
    use crate::record::tests::record;
    use std::path::Path;

    #[test]
    fn only_the_newest_comparison_of_a_scenario_is_shown() {
        let mut old = [record("souk", 1, 10.0), record("nginx", 1, 10.0)];
        for record in &mut old {
            record.batch = "2025-01-01T00:00:00Z".into();
        }
        let alone = record("souk", 0, 77.0);
        let new = [record("nginx", 1, 2000.0), record("souk", 1, 1500.0)];
        let all: Vec<_> = old.into_iter().chain([alone]).chain(new).collect();
        let text = table(&all);
        assert_eq!(text.lines().count(), 3, "{text}");
        let row = "| me | 200 | 1,500 | **0.75** (0.75–0.75) |  | 13.0 µs |";
        assert_eq!(text.lines().last(), Some(row));
    }

    #[test]
    fn a_table_is_put_in_the_place_of_the_last_one() {
        let document = format!("a\n{BEGIN}old\n{END}b\n");
        let once = put(&document, "new\n").expect("a place");
        assert_eq!(once, format!("a\n{BEGIN}\nnew\n\n{END}b\n"));
        assert_eq!(put(&once, "new\n").expect("a place"), once);
        assert!(put("nothing", "new").is_err());
    }

    #[test]
    fn the_readmes_table_is_the_one_that_the_recorded_runs_make() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let records = results(&root.join("results")).expect("readable");
        let readme = std::fs::read_to_string(root.join("../README.md")).expect("readable");
        let fresh = put(&readme, &table(&records)).expect("a place");
        assert_eq!(readme, fresh, "run: souk bench table --write README.md");
    }
}
