//! The table of routes, busiest first. What does not fit is left out by its importance.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Modifier, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Row, Table};

use super::{PERCENTILES, percentiles, to_f64};
use crate::observe::show;
use crate::top::interval::{Interval, RouteRow};

/// Columns that a name gets before the least important figures are shown: most fit.
const NAME: u16 = 36;
/// Columns of a figure.
const FIGURE: u16 = 7;
/// Figures from the most to the least important, by their place in a row.
const IMPORTANCE: [usize; 7] = [0, 4, 2, 1, 6, 5, 3];

/// Draws as many rows and columns as fit.
pub fn draw(frame: &mut Frame, area: Rect, now: &Interval) {
    if area.is_empty() {
        return;
    }
    // The border with the title, and the names of the columns.
    let room = usize::from(area.height.saturating_sub(2));
    let hidden = now.routes.len().saturating_sub(room);
    let title = if hidden > 0 { format!(" routes, {hidden} more ") } else { " routes ".into() };
    let shown = shown(area.width);
    let figures = u16::try_from(shown.len()).unwrap_or(u16::MAX);
    let name_width = area.width.saturating_sub(figures * (FIGURE + 1));
    let rows = now.routes.iter().take(room).map(|route| {
        let mut cells = vec![Cell::from(fitted(&route.name, usize::from(name_width)))];
        let figures = figures_of(route, now.seconds);
        cells.extend(shown.iter().map(|place| right(&figures[*place])));
        if route.failed > 0.0 { Row::new(cells).red() } else { Row::new(cells) }
    });
    let names = ["per s", "errors"].into_iter().chain(PERCENTILES).collect::<Vec<_>>();
    let mut head = vec![Cell::from("")];
    head.extend(shown.iter().map(|place| right(names[*place])));
    let widths = std::iter::once(Constraint::Length(name_width))
        .chain(shown.iter().map(|_| Constraint::Length(FIGURE)));
    let table = Table::new(rows, widths)
        .header(Row::new(head).style(Style::new().add_modifier(Modifier::DIM)))
        .block(Block::new().borders(Borders::TOP).title(title));
    frame.render_widget(table, area);
}

/// The places of the figures that fit, in their order.
fn shown(width: u16) -> Vec<usize> {
    let room = width.saturating_sub(NAME.min(width / 2)) / (FIGURE + 1);
    let mut shown = IMPORTANCE[..IMPORTANCE.len().min(usize::from(room))].to_vec();
    shown.sort_unstable();
    shown
}

fn figures_of(route: &RouteRow, seconds: f64) -> Vec<String> {
    let requests = to_f64(route.times.len());
    let mut figures = vec![show::rate(requests / seconds), show::share(route.failed, requests)];
    let times = percentiles(&route.times).into_iter();
    figures.extend(times.map(|time| time.map_or_else(String::new, show::time)));
    figures
}

fn right(text: &str) -> Cell<'static> {
    Cell::from(Line::from(text.to_owned()).right_aligned())
}

/// A name that is too long loses its middle: routes differ by their methods and their ends.
fn fitted(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.to_owned();
    }
    let method = name.split(' ').next().filter(|_| name.contains(' ')).unwrap_or_default();
    let begin = method.chars().count() + 1;
    if method.is_empty() || begin + 4 > width {
        return name.chars().take(width).collect();
    }
    let end: String = name.chars().skip(length - (width - begin - 1)).collect();
    format!("{method} …{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_method_and_its_end() {
        let name = "GET /api/v1/users/by-name/{username}";
        assert_eq!(fitted(name, 36), name);
        assert_eq!(fitted(name, 20), "GET …name/{username}");
        assert_eq!(fitted("GetUserByName", 7), "GetUser");
        for width in 0..40 {
            assert!(fitted(name, width).chars().count() <= width, "{width}");
        }
    }

    #[test]
    fn the_most_important_figures_stay_longest() {
        assert_eq!(shown(200), [0, 1, 2, 3, 4, 5, 6]);
        // Rate, errors, p50, p99 and the largest.
        assert_eq!(shown(80), [0, 1, 2, 4, 6]);
        assert_eq!(shown(40), [0, 4]);
        assert!(shown(9).is_empty() && shown(0).is_empty());
    }
}
