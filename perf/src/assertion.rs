//! What must hold of a run's figures: `rps>=16000,p99<50ms,errors==0`.
//!
//! A condition is a figure, a comparison and a value; conditions are joined by commas. Times take
//! a unit (`ns`, `us`, `µs`, `ms`, `s`), other values none. A figure of one kind of request has
//! the kind's name and a dot before it: `login.p99<80ms`.

use std::fmt;

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// As it was written, without blanks.
    pub text: String,
    /// The figure's name, as `p99` or `login.p99`.
    pub figure: String,
    /// How it compares.
    pub comparison: Comparison,
    /// The value: seconds for times.
    pub value: f64,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    Above,
}

/// The figures that are times. The others are counts, rates, microseconds of CPU (`…_us`) and MiB.
pub const TIMES: [&str; 8] = ["p50", "p90", "p95", "p99", "p99.9", "p99.99", "mean", "max"];

/// The figures that are no times.
pub const NUMBERS: [&str; 13] = [
    "rps",
    "sent",
    "answered",
    "declined",
    "errors",
    "front_us",
    "daemon_us",
    "server_us",
    "redis_us",
    "mysql_us",
    "front_mib",
    "daemon_mib",
    "idle_kib",
];

/// Why a text is no list of conditions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the condition {condition:?} {why}")]
pub struct BadAssertion {
    condition: String,
    why: String,
}

impl Comparison {
    const ALL: [(&'static str, Comparison); 5] = [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("==", Comparison::Equal),
        ("<", Comparison::Below),
        (">", Comparison::Above),
    ];

    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Comparison::Below => left < right,
            Comparison::AtMost => left <= right,
            #[allow(clippy::float_cmp)] // counts are compared, and people mean what they write
            Comparison::Equal => left == right,
            Comparison::AtLeast => left >= right,
            Comparison::Above => left > right,
        }
    }
}

impl Assertion {
    /// Whether it holds of a figure's value; times in seconds.
    #[must_use]
    pub fn holds(&self, measured: f64) -> bool {
        self.comparison.holds(measured, self.value)
    }

    /// A value of this figure as people read it; times are given in seconds.
    #[must_use]
    pub fn shown(&self, measured: f64) -> String {
        if TIMES.contains(&plain(&self.figure)) {
            format!("{:.3} ms", measured * 1e3)
        } else {
            format!("{measured:.1}")
        }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// Reads conditions; none from an empty text.
///
/// # Errors
/// At the first condition that is none, with what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Assertion>, BadAssertion> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(|condition| one(condition.trim())).collect()
}

fn one(condition: &str) -> Result<Assertion, BadAssertion> {
    let bad = |why: String| BadAssertion { condition: condition.to_owned(), why };
    let at = condition.find(['<', '>', '=']);
    let found = at.and_then(|at| {
        let rest = &condition[at..];
        let sign = Comparison::ALL.iter().find(|(sign, _)| rest.starts_with(sign));
        sign.map(|(sign, comparison)| (condition[..at].trim(), *comparison, &rest[sign.len()..]))
    });
    let Some((figure, comparison, value)) = found else {
        return Err(bad("has no comparison: write one of < <= == >= >".into()));
    };
    let name = plain(figure);
    let is_time = TIMES.contains(&name);
    if !is_time && !NUMBERS.contains(&name) {
        let known: Vec<_> = TIMES.iter().chain(&NUMBERS).copied().collect();
        return Err(bad(format!("has no known figure: take one of {}", known.join(", "))));
    }
    let value = value.trim();
    let digits = value.trim_end_matches(|c: char| c.is_alphabetic());
    let number: f64 = match digits.parse() {
        Ok(number) if f64::is_finite(number) && number >= 0.0 => number,
        _ => return Err(bad("needs a number of at least 0 after its comparison".into())),
    };
    let unit = &value[digits.len()..];
    let scale = match (is_time, unit) {
        (false, "") | (true, "s") => 1.0,
        (true, "ms") => 1e3,
        (true, "us" | "µs") => 1e6,
        (true, "ns") => 1e9,
        (true, _) => return Err(bad("needs a unit of time: ns, us, ms or s".into())),
        (false, _) => return Err(bad(format!("must have no unit: {name} has none"))),
    };
    let text = condition.split_whitespace().collect();
    Ok(Assertion { text, figure: figure.to_owned(), comparison, value: number / scale })
}

/// The figure's name without the kind of request before it.
fn plain(figure: &str) -> &str {
    match figure.split_once('.') {
        Some((kind, rest)) if crate::scenario::Kind::ALL.iter().any(|k| k.name() == kind) => rest,
        _ => figure,
    }
}

#[cfg(test)]
mod tests {
    use super::{Comparison, NUMBERS, TIMES, parse};
    use proptest::prelude::*;

    #[test]
    fn the_usual_conditions_are_read() {
        let all = parse("rps>=16000, p99 < 50ms ,errors==0,login.p99.9<=1.5s").expect("good");
        let read: Vec<_> = all.iter().map(|a| (a.figure.as_str(), a.comparison, a.value)).collect();
        assert_eq!(
            read,
            [
                ("rps", Comparison::AtLeast, 16000.0),
                ("p99", Comparison::Below, 0.05),
                ("errors", Comparison::Equal, 0.0),
                ("login.p99.9", Comparison::AtMost, 1.5),
            ]
        );
        assert_eq!(all[1].to_string(), "p99<50ms");
        assert!(all[1].holds(0.049) && !all[1].holds(0.05));
        assert!(all[2].holds(0.0) && !all[2].holds(1.0));
        assert!(parse("  ").expect("nothing").is_empty());
    }

    #[test]
    fn what_is_no_condition_is_refused_with_the_reason() {
        for (text, word) in [
            ("rps", "comparison"),
            ("rps=5", "comparison"),
            ("rps>=", "number"),
            ("rps>=-1", "number"),
            ("rps>=inf", "number"),
            ("rps>=NaN", "number"),
            ("rps>=5ms", "no unit"),
            ("p99<50", "unit"),
            ("p99<50h", "unit"),
            ("p98<50ms", "figure"),
            ("<5", "figure"),
            ("you.p99<5ms", "figure"),
            ("errors==0,,", "comparison"),
        ] {
            let why = parse(text).expect_err(text).to_string();
            assert!(why.contains(word), "{text}: {why}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_never_panics(text in "\\PC{0,60}") {
            drop(parse(&text));
        }

        #[test]
        fn what_is_written_is_what_is_read(
            figure in prop::sample::select([&TIMES[..], &NUMBERS[..]].concat()),
            sign in prop::sample::select(vec!["<", "<=", "==", ">=", ">"]),
            value in 0.0f64..1e9,
            blanks in "[ ]{0,2}",
        ) {
            let time = TIMES.contains(&figure);
            let unit = if time { "ms" } else { "" };
            let text = format!("{blanks}{figure}{blanks}{sign}{blanks}{value}{unit}");
            let read = parse(&text).expect("well formed");
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(&read[0].figure, figure);
            let expected = if time { value / 1e3 } else { value };
            prop_assert!((read[0].value - expected).abs() <= expected * 1e-12);
            // What is shown can be read again and means the same.
            prop_assert_eq!(parse(&read[0].to_string()).expect("well formed"), read);
        }
    }
}
