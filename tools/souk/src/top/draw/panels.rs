//! What is said about caches, batches, queues, stores and processes.

use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};

use crate::observe::{FRONT, show};
use crate::top::interval::{Interval, Process};

/// Columns of the label before the items.
const LABEL: usize = 8;

/// A subject with what is said about it. Items are not broken.
pub struct Panel {
    label: String,
    items: Vec<Line<'static>>,
}

impl Panel {
    /// Lines of at most `width` columns; an item that is longer by itself is cut by the screen.
    pub fn lines(&self, width: usize) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        let mut line = Line::from(format!("{:<LABEL$}", self.label).dim());
        let mut empty = true;
        for item in &self.items {
            if !empty && line.width() + 2 + item.width() > width {
                lines.push(std::mem::replace(&mut line, Line::from(" ".repeat(LABEL))));
                empty = true;
            }
            if !empty {
                line.push_span("  ");
            }
            item.spans.iter().for_each(|span| line.push_span(span.clone()));
            empty = false;
        }
        lines.push(line);
        lines
    }
}

/// Shared things on the left, processes on the right.
pub fn panels(now: &Interval) -> [Vec<Panel>; 2] {
    let panel = |label: &str, items| Panel { label: label.to_owned(), items };
    let shared = vec![
        panel("cache", caches(now)),
        panel("batches", batches(now)),
        panel("queues", queues(now)),
        panel("stores", stores(now)),
    ];
    let processes = now.processes.iter().map(|(program, process)| {
        let name = program.strip_prefix("souk-").unwrap_or(program);
        panel(name, process_items(process, now.seconds, program == FRONT))
    });
    [shared, processes.collect()]
}

fn caches(now: &Interval) -> Vec<Line<'static>> {
    let mut items = Vec::new();
    for (layer, (hits, misses)) in &now.cache {
        let share = show::share(*hits, hits + misses);
        items.push(Line::from(vec![format!("{layer} ").into(), share.bold()]));
    }
    let logins = now.memo.0 + now.memo.1;
    if logins > 0.0 {
        let share = show::share(now.memo.0, logins);
        items.push(Line::from(vec!["logins ".into(), share.bold()]));
    }
    if now.joins > 0.0 {
        items.push(format!("joined {}/s", show::rate(now.joins / now.seconds)).into());
    }
    items
}

fn batches(now: &Interval) -> Vec<Line<'static>> {
    let busy = now.batches.iter().filter(|(_, (count, _))| *count > 0.0);
    busy.map(|(store, (count, sum))| format!("{} {:.1}", plain(store), sum / count).into())
        .collect()
}

fn queues(now: &Interval) -> Vec<Line<'static>> {
    let mut items = Vec::new();
    for (queue, (depth, full)) in &now.queues {
        let refused = show::rate(full / now.seconds);
        if *full > 0.0 {
            items.push(format!("{} FULL, {refused}/s refused", plain(queue)).red().into());
        } else if *depth > 0.0 {
            items.push(format!("{} {}", plain(queue), show::count(*depth)).into());
        }
    }
    if items.is_empty() {
        items.push("nothing waits".into());
    }
    items
}

fn stores(now: &Interval) -> Vec<Line<'static>> {
    let mut items = Vec::new();
    for (store, up) in &now.stores {
        let style = if *up { Style::new().green() } else { Style::new().red().bold() };
        let state = if *up { "up" } else { "DOWN" };
        items.push(Line::from(vec![format!("{store} ").into(), Span::styled(state, style)]));
    }
    if let Some(lag) = now.replica_lag_s {
        items.push(format!("replica {lag:.1} s behind").into());
    }
    items
}

fn process_items(process: &Process, seconds: f64, front: bool) -> Vec<Line<'static>> {
    let mut items = vec![format!("{:.0} % CPU", 100.0 * process.cpu_s / seconds).into()];
    if process.requests > 0.0 {
        let each = show::seconds(process.cpu_s / process.requests);
        items.push(format!("{each} a request").into());
    }
    let open = if front { "connections" } else { "links" };
    items.push(format!("{open} {}", show::count(process.connections)).into());
    items.push(show::bytes(process.memory).into());
    let (used, most) = process.descriptors;
    items.push(format!("files {} of {}", show::count(used), show::count(most)).into());
    match process.loop_lag_s {
        Some(lag) if lag.is_finite() => {
            items.push(format!("lag under {}", show::seconds(lag)).into());
        }
        Some(_) => items.push("lag beyond all bounds".red().into()),
        None => {}
    }
    items
}

/// `mysql_read` as `mysql read`.
fn plain(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_flow_into_the_width_and_none_is_broken() {
        let items = ["one two", "three", "four five six"].map(Line::from).to_vec();
        let panel = Panel { label: "label".into(), items };
        let text = |width| panel.lines(width).iter().map(Line::to_string).collect::<Vec<_>>();
        assert_eq!(text(80), ["label   one two  three  four five six"]);
        assert_eq!(text(24), ["label   one two  three", "        four five six"]);
        assert_eq!(text(0).len(), 3);
    }
}
