//! From folded stacks to a picture and to what it says in short.

use std::collections::HashMap;

use inferno::flamegraph::{self, Options, color::Palette};

use super::{Kind, Plan, Recorded};
use crate::{Failed, limits};

/// The flamegraph as SVG.
///
/// # Errors
/// If there is nothing to draw.
pub fn svg(plan: &Plan, recorded: &Recorded) -> Result<Vec<u8>, Failed> {
    let mut options = Options::default();
    let (title, colors, unit) = match plan.kind {
        Kind::Cpu => ("on the processor", "rust", "samples"),
        Kind::OffCpu => ("off the processor", "blue", "µs"),
    };
    options.title = format!("{} {title}", plan.target);
    options.subtitle = Some(format!(
        "{:.0} s with {}, Souk {}",
        recorded.seconds,
        recorded.how,
        env!("CARGO_PKG_VERSION")
    ));
    options.count_name = unit.to_owned();
    options.colors = colors.parse::<Palette>().map_err(|error| Failed(error.to_string()))?;
    options.hash = true;
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, recorded.stacks.lines(), &mut svg)?;
    Ok(svg)
}

/// What folded stacks hold.
#[derive(Debug, Default)]
pub struct Summary {
    /// Samples, or microseconds.
    pub total: u64,
    /// How much of it has stacks that reach down to where their thread began.
    pub whole: u64,
    /// How much of it was spent in code without a name.
    pub nameless: u64,
    /// The functions where most was spent, without what they call, heaviest first.
    pub top: Vec<(String, u64)>,
}

impl Summary {
    /// Sums up folded stacks.
    pub fn of(stacks: &str) -> Summary {
        let mut summary = Summary::default();
        let mut functions: HashMap<&str, u64> = HashMap::new();
        for line in stacks.lines() {
            let Some((stack, count)) = line.rsplit_once(' ') else { continue };
            let count = count.parse().unwrap_or(0);
            let last = stack.rsplit(';').next().unwrap_or(stack);
            summary.total += count;
            if stack.split(';').any(is_beginning) {
                summary.whole += count;
            }
            if last.starts_with("[unknown]") || last.ends_with(']') && last.starts_with('[') {
                summary.nameless += count;
            }
            *functions.entry(last).or_default() += count;
        }
        let mut top: Vec<_> = functions.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
        top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        top.truncate(limits::FLAME_TOP);
        summary.top = top;
        summary
    }
}

/// Whether a thread of a Rust or C program begins in `function`.
fn is_beginning(function: &str) -> bool {
    let exact = ["_start", "main", "start_thread", "__libc_start_main", "__libc_start_call_main"];
    exact.contains(&function)
        || function.ends_with("::thread_start")
        || function.ends_with("lang_start_internal")
        || function.starts_with("ret_from_fork")
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn a_summary_counts_whole_stacks_and_sorts_functions() {
        let stacks = "t;start_thread;a::b 3\nt;[libc.so.6] 2\nt;main;c;a::b 4\nno count\n";
        let summary = Summary::of(stacks);
        assert_eq!((summary.total, summary.whole, summary.nameless), (9, 7, 2));
        assert_eq!(summary.top[0], ("a::b".to_owned(), 7));
    }
}
