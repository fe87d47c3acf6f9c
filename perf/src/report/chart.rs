//! Axes and lines in SVG.

use super::NEVER;
use std::fmt::Write;

/// Width of a plot's own units: a phone's width, so that its letters are legible there.
pub const WIDTH: f64 = 360.0;
/// Height of a plot's own units.
pub const HEIGHT: f64 = 220.0;

const LEFT: f64 = 46.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 30.0;

/// How values lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    log: bool,
}

impl Axis {
    /// Evenly, from a value to a higher one.
    pub fn even(low: f64, high: f64) -> Axis {
        let high = if high > low { high } else { low + 1.0 };
        Axis { low, high, log: false }
    }

    /// By powers; both ends above 0.
    pub fn powers(low: f64, high: f64) -> Axis {
        let low = low.max(1e-9);
        let high = if high > low { high } else { low * 10.0 };
        Axis { low, high, log: true }
    }

    /// Where a value lies, 0 to 1.
    fn place(self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        share.clamp(0.0, 1.0)
    }

    /// Round values along an even axis.
    pub fn steps(self) -> Vec<f64> {
        let rough = (self.high - self.low) / 4.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power);
        let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let first = (self.low / step).ceil();
        let all = (0..10).map(|n| (first + f64::from(n)) * step);
        all.take_while(|value| *value <= self.high * 1.000_001).collect()
    }

    /// The powers of ten along an axis.
    pub fn tens(self) -> Vec<f64> {
        let first = self.low.log10().ceil();
        let all = (0..12).map(|n| 10f64.powf(first + f64::from(n)));
        all.take_while(|value| *value <= self.high * 1.000_001).collect()
    }
}

/// A plot in the making.
pub struct Chart {
    svg: String,
    x: Axis,
    y: Axis,
}

impl Chart {
    /// An empty one. The label is read to those who cannot see it.
    pub fn new(label: &str, x: Axis, y: Axis) -> Chart {
        let label = super::escape(label);
        let svg =
            format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">");
        Chart { svg, x, y }
    }

    /// The horizontal place of a value.
    pub fn x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    /// The vertical place of a value.
    pub fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// Lines across, with what each stands for.
    pub fn rows(&mut self, marks: &[(f64, String)]) {
        for (value, text) in marks {
            let (y, right) = (self.y(*value), WIDTH - RIGHT);
            write!(
                self.svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 4.0,
                y + 3.5,
            )
            .expect(NEVER);
        }
    }

    /// Marks along the lower edge, and what they count.
    pub fn columns(&mut self, marks: &[(f64, String)], unit: &str) {
        for (value, text) in marks {
            let (x, low) = (self.x(*value), HEIGHT - BOTTOM);
            write!(
                self.svg,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{low}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                low + 12.0,
            )
            .expect(NEVER);
        }
        let (x, y) = (WIDTH - RIGHT, HEIGHT - 4.0);
        write!(self.svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{unit}</text>")
            .expect(NEVER);
    }

    /// A line through points.
    pub fn line(&mut self, points: &[(f64, f64)], colour: &str) {
        let mut path = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let pen = if index == 0 { 'M' } else { 'L' };
            write!(path, "{pen}{:.1} {:.1}", self.x(*x), self.y(*y)).expect(NEVER);
        }
        write!(self.svg, "<path class=\"line\" style=\"stroke:var(--{colour})\" d=\"{path}\"/>")
            .expect(NEVER);
    }

    /// A filled box between two corners.
    pub fn cell(&mut self, from: (f64, f64), to: (f64, f64), strength: f64) {
        let (x, y) = (self.x(from.0), self.y(to.1));
        let (width, height) = (self.x(to.0) - x, self.y(from.1) - y);
        write!(
            self.svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" \
             style=\"fill:var(--a);opacity:{strength:.2}\"/>",
            width + 0.1,
            height + 0.1,
        )
        .expect(NEVER);
    }

    /// The plot with its heading, and a key of colours and names.
    pub fn figure(mut self, heading: &str, note: &str, key: &[(&str, &str)]) -> String {
        self.svg.push_str("</svg>");
        let mut html = format!("<figure><figcaption>{heading}<small>{note}</small></figcaption>");
        html.push_str(&self.svg);
        if !key.is_empty() {
            html.push_str("<div class=\"key\">");
            for (colour, name) in key {
                write!(
                    html,
                    "<span><i style=\"background:var(--{colour})\"></i>{}</span>",
                    super::escape(name)
                )
                .expect(NEVER);
            }
            html.push_str("</div>");
        }
        html.push_str("</figure>\n");
        html
    }
}

#[cfg(test)]
mod tests {
    use super::Axis;

    #[test]
    fn marks_are_round_and_lie_on_the_axis() {
        assert_eq!(Axis::even(0.0, 10.0).steps(), [0.0, 5.0, 10.0]);
        assert_eq!(Axis::even(0.0, 8300.0).steps(), [0.0, 5000.0]);
        assert_eq!(Axis::powers(0.5, 2000.0).tens(), [1.0, 10.0, 100.0, 1000.0]);
        for axis in [Axis::even(3.0, 3.0), Axis::powers(0.0, 0.0), Axis::even(0.0, 0.0)] {
            assert!(axis.place(5.0).is_finite() && !axis.steps().is_empty());
        }
    }
}
