//! The table: plain text of 80 columns, the same on a terminal and in a pipe.

use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::observe::{Routes, show};

/// One line of figures.
pub struct Figures {
    /// Requests.
    pub count: u64,
    /// p50, p90, p99, p99.9 and the largest, nanoseconds.
    pub times: [u64; 5],
}

impl Figures {
    /// Those of one distribution.
    pub fn of(times: &Histogram<u64>) -> Figures {
        let at = |quantile| times.value_at_quantile(quantile);
        let times_ns = [at(0.5), at(0.9), at(0.99), at(0.999), times.max()];
        Figures { count: times.len(), times: times_ns }
    }
}

/// The routes with their stages, busiest first, under a heading that says `when`.
pub fn text(when: &str, routes: &Routes) -> String {
    let mut text = String::new();
    for (program, routes) in routes.programs() {
        for route in routes {
            // Writing to a text does not fail.
            let _ = writeln!(text, "{program}  {}", route.name);
            for stage in route.stages.iter().filter(|stage| !stage.times.is_empty()) {
                let Figures { count, times } = Figures::of(&stage.times);
                let _ = write!(text, "  {:<14}{count:>13}", stage.name);
                for time in times {
                    let _ = write!(text, "{:>10}", show::time(time));
                }
                text.push('\n');
            }
        }
    }
    if text.is_empty() {
        return format!("{when}: no request\n");
    }
    let mut head = format!("{when:<16}{:>13}", "count");
    for name in ["p50", "p90", "p99", "p99.9", "max"] {
        let _ = write!(head, "{name:>10}");
    }
    format!("{head}\n{text}")
}

#[cfg(test)]
mod tests {
    use crate::observe::Routes;
    use crate::observe::stages::tests::reading;

    #[test]
    fn the_table_shows_each_stage_in_the_order_given_and_fits_eighty_columns() {
        let mut front = reading("souk-front", 1, "GET /api/v1/me", &[1_500_000; 100]);
        let mut parse = front.routes[0].stages[0].clone();
        parse.name = "parse".into();
        parse.times.reset();
        parse.times.record(2_500).expect("within the bounds");
        front.routes[0].stages.insert(0, parse);
        let daemon = reading("soukd", 1, "GetMe", &[60_000_000_000]);
        let text = super::text("last 2.0 s", &Routes::merge([&daemon, &front]));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "last 2.0 s              count       p50       p90       p99     p99.9       max",
                "souk-front  GET /api/v1/me",
                "  parse                     1   2.56 µs   2.56 µs   2.56 µs   2.56 µs   2.56 µs",
                "  total                   100   1.50 ms   1.50 ms   1.50 ms   1.50 ms   1.50 ms",
                "soukd  GetMe",
                "  total                     1    60.0 s    60.0 s    60.0 s    60.0 s    60.0 s",
            ]
        );
        assert!(lines.iter().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn without_a_request_the_table_says_so() {
        let idle = reading("soukd", 1, "GetMe", &[]);
        let text = super::text("last 2.0 s", &Routes::merge([&idle]));
        assert_eq!(text, "last 2.0 s: no request\n");
    }
}
