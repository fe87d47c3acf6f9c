//! The picture: a pure function of the model and the size of the terminal.
//!
//! What does not fit is left out from the least to the most important: the heat map, then the
//! panels, then routes, then all but the first lines.

mod panels;
mod routes;

use hdrhistogram::Histogram;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::heat;
use super::interval::Interval;
use super::model::Model;
use crate::observe::show;
use panels::Panel;

/// Lines of the summary.
const SUMMARY: u16 = 2;
/// Least lines of the routes: a border with the title, the names of columns, three routes.
const ROUTES_MIN: u16 = 5;
/// Lines of the heat map with its border.
const HEAT: std::ops::RangeInclusive<u16> = 5..=28;
/// From this width on, panels stand beside each other.
const TWO_COLUMNS: u16 = 72;
/// Columns between them.
const PANEL_GAP: u16 = 2;
/// Columns to the left of the heat map that say how long.
const HEAT_SCALE: u16 = 9;

/// Draws everything.
pub fn draw(frame: &mut Frame, model: &Model) {
    let area = frame.area();
    let lost = lost_lines(model, area.height);
    let Some(now) = &model.now else {
        let mut lines = vec![header(model)];
        lines.extend(lost);
        lines.push(Line::from("measuring the first second …"));
        frame.render_widget(Paragraph::new(lines), area);
        return;
    };
    let mut lines = vec![header(model)];
    lines.extend(lost);
    lines.extend(summary(now));
    let top = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let panels = panel_columns(now, area.width);
    let tallest = panels.iter().map(Vec::len).max().unwrap_or_default();
    let plan = Plan::of(area, top, u16::try_from(tallest).unwrap_or(u16::MAX));
    let [top, middle, inside, bottom] = Layout::vertical([
        Constraint::Length(top),
        Constraint::Length(plan.routes),
        Constraint::Length(plan.panels),
        Constraint::Length(plan.heat),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(lines), top);
    routes::draw(frame, middle, now);
    draw_panels(frame, inside, panels);
    draw_heat(frame, bottom, model);
}

/// How many lines each part gets.
struct Plan {
    routes: u16,
    panels: u16,
    heat: u16,
}

impl Plan {
    /// The height alone decides, not what happens to be shown: parts must not jump about.
    fn of(area: Rect, top: u16, panels: u16) -> Plan {
        let rest = area.height.saturating_sub(top);
        let panels = if rest > ROUTES_MIN + panels { panels + 1 } else { 0 };
        let rest = rest - panels;
        let (least, most) = (*HEAT.start(), *HEAT.end());
        let heat = if rest >= ROUTES_MIN + least { (rest / 2).clamp(least, most) } else { 0 };
        let routes = rest - heat;
        Plan { routes: if routes >= 3 { routes } else { 0 }, panels, heat }
    }
}

/// One column of lines, or two beside each other.
fn panel_columns(now: &Interval, width: u16) -> Vec<Vec<Line<'static>>> {
    let lines = |panels: Vec<Panel>, width: u16| -> Vec<Line<'static>> {
        panels.iter().flat_map(|panel| panel.lines(usize::from(width))).collect()
    };
    let [left, right] = panels::panels(now);
    if width >= TWO_COLUMNS {
        let half = (width - PANEL_GAP) / 2;
        return vec![lines(left, half), lines(right, half)];
    }
    vec![lines(left.into_iter().chain(right).collect(), width)]
}

fn header(model: &Model) -> Line<'static> {
    let running = model.running.iter().map(|(program, count)| match count {
        1 => program.clone(),
        _ => format!("{program} ×{count}"),
    });
    let running: Vec<String> = running.collect();
    let running = if running.is_empty() { "nobody answers".to_owned() } else { running.join(", ") };
    Line::from(vec!["souk top".bold(), "  ".into(), running.into(), "  q quits".dim()])
}

/// Who does not answer: a line each, but never more than a third of the screen.
fn lost_lines(model: &Model, height: u16) -> Vec<Line<'static>> {
    let most = usize::from(height / 3).max(1);
    let mut lines: Vec<Line> =
        model.lost.iter().take(most).map(|lost| Line::from(lost.clone().red())).collect();
    if model.lost.len() > most {
        let more = model.lost.len() + 1 - most;
        lines[most - 1] = Line::from(format!("and {more} more do not answer").red());
    }
    lines
}

fn summary(now: &Interval) -> [Line<'static>; SUMMARY as usize] {
    let answered: f64 = now.answers.iter().sum();
    let requests = now.routes.iter().map(|route| to_f64(route.times.len())).sum::<f64>();
    let failed = now.answers[5];
    let error_style = if failed > 0.0 { Style::new().red() } else { Style::new() };
    let first = Line::from(vec![
        Span::styled(show::rate(requests / now.seconds), Style::new().bold()),
        "/s  errors ".into(),
        Span::styled(show::share(failed, answered), error_style),
        "  refused (4xx) ".into(),
        show::share(now.answers[4], answered).into(),
        "  in ".into(),
        show::bytes(now.bytes.0 / now.seconds).into(),
        "/s  out ".into(),
        show::bytes(now.bytes.1 / now.seconds).into(),
        "/s".into(),
    ]);
    let mut second = Vec::new();
    for (name, time) in PERCENTILES.iter().zip(percentiles(&now.total)) {
        let text = time.map_or_else(|| "-".to_owned(), show::time);
        second.extend([format!("{name} ").into(), text.bold(), "  ".into()]);
    }
    [first, Line::from(second)]
}

const PERCENTILES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

/// Those of one distribution; none when it is empty.
fn percentiles(times: &Histogram<u64>) -> [Option<u64>; 5] {
    let at = |quantile| (!times.is_empty()).then(|| times.value_at_quantile(quantile));
    [at(0.5), at(0.9), at(0.99), at(0.999), at(1.0)]
}

fn draw_panels(frame: &mut Frame, area: Rect, columns: Vec<Vec<Line<'static>>>) {
    if area.is_empty() {
        return;
    }
    let block = Block::new().borders(Borders::TOP).title(" inside ");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let widths = columns.iter().map(|_| Constraint::Fill(1));
    let areas = Layout::horizontal(widths).spacing(PANEL_GAP).split(inner);
    for (lines, area) in columns.into_iter().zip(areas.iter()) {
        frame.render_widget(Paragraph::new(lines), *area);
    }
}

fn draw_heat(frame: &mut Frame, area: Rect, model: &Model) {
    if area.is_empty() || area.width <= HEAT_SCALE {
        return;
    }
    let title = " latency over time, a column for each second ";
    let block = Block::new().borders(Borders::TOP).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let width = usize::from(inner.width - HEAT_SCALE);
    let map = heat::map(&model.heat, width, usize::from(inner.height));
    let lines: Vec<Line> = map
        .rows
        .into_iter()
        .map(|(begin, heats)| {
            let mut spans = vec![format!("{:>8} ", show::time(begin)).dim()];
            // The newest second is at the right edge from the beginning.
            spans.push(" ".repeat(width - heats.len().min(width)).into());
            spans.extend(heats.into_iter().map(glyph));
            Line::from(spans)
        })
        .collect();
    let lines = if lines.is_empty() { vec![Line::from("no request yet".dim())] } else { lines };
    frame.render_widget(Paragraph::new(lines), inner);
}

/// Readable without colours; with them, more is warmer.
fn glyph(heat: f64) -> Span<'static> {
    let scale = [
        (0.0, " ", Color::Reset),
        (0.25, "·", Color::Blue),
        (0.5, "░", Color::Cyan),
        (0.7, "▒", Color::Green),
        (0.88, "▓", Color::Yellow),
        (f64::INFINITY, "█", Color::Red),
    ];
    let at = scale.iter().find(|(most, ..)| heat <= *most);
    at.map_or(Span::raw(" "), |(_, glyph, color)| Span::styled(*glyph, Style::new().fg(*color)))
}

#[allow(clippy::cast_precision_loss)] // counts are shown with three digits
fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
