//! Figures as people read them.

/// A time in nanoseconds with three digits and a unit, at most seven columns: `12.3 µs`. Times
/// under a microsecond are not told apart, here as in what the programs record.
pub fn time(ns: u64) -> String {
    if ns < 1_000 {
        return "<1 µs".to_owned();
    }
    #[allow(clippy::cast_precision_loss)] // three digits are shown
    let ns = ns as f64;
    // What rounds up to the next unit is shown in it.
    if ns < 999_500.0 {
        digits(ns / 1e3, "µs")
    } else if ns < 999_500_000.0 {
        digits(ns / 1e6, "ms")
    } else {
        digits(ns / 1e9, "s")
    }
}

/// The same for seconds.
pub fn seconds(seconds: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it saturates
    time((seconds * 1e9) as u64)
}

/// A count of bytes with three digits and a decimal unit: `1.23 MB`.
pub fn bytes(count: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { digits(value, units[unit]) }
}

fn digits(value: f64, unit: &str) -> String {
    let places = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.places$} {unit}")
}

/// A whole number with its thousands apart: `12,345`.
pub fn count(value: f64) -> String {
    let plain = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate: with a decimal while it is small.
pub fn rate(value: f64) -> String {
    if value > 0.0 && value < 9.95 { format!("{value:.1}") } else { count(value) }
}

/// `part` of `whole` in per cent; a dash where there is nothing to divide.
pub fn share(part: f64, whole: f64) -> String {
    if whole > 0.0 { percent(part / whole) } else { "-".to_owned() }
}

/// A ratio in per cent: few of many must not look like none, nor nearly all like all.
pub fn percent(ratio: f64) -> String {
    // The sum of nothing is -0 to the library, which nobody wants to read.
    let percent = (ratio * 100.0).abs();
    if percent > 0.0 && percent < 0.01 {
        "<0.01 %".to_owned()
    } else if percent < 0.995 && percent > 0.0 {
        format!("{percent:.2} %")
    } else if percent < 100.0 && percent > 99.9 {
        ">99.9 %".to_owned()
    } else {
        format!("{percent:.1} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_change_their_unit_in_time() {
        for (ns, text) in [
            (0, "<1 µs"),
            (999, "<1 µs"),
            (1_023, "1.02 µs"),
            (12_345, "12.3 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (99_960_000, "100 ms"),
            (1_500_000_000, "1.50 s"),
            (60_000_000_000, "60.0 s"),
        ] {
            assert_eq!(time(ns), text);
        }
    }

    #[test]
    fn counts_shares_and_bytes_are_readable() {
        assert_eq!(count(1_234_567.2), "1,234,567");
        assert_eq!(count(123.0), "123");
        assert_eq!([rate(0.0), rate(-0.0)], ["0", "0"]);
        assert_eq!(share(-0.0, 3.0), "0.0 %");
        assert_eq!(rate(0.5), "0.5");
        assert_eq!(rate(12_345.6), "12,346");
        assert_eq!(share(1.0, 0.0), "-");
        assert_eq!(share(1.0, 3.0), "33.3 %");
        assert_eq!(share(0.0, 3.0), "0.0 %");
        assert_eq!(share(1.0, 1e6), "<0.01 %");
        assert_eq!(share(999_999.0, 1e6), ">99.9 %");
        assert_eq!(share(3.0, 3.0), "100.0 %");
        assert_eq!(bytes(12.0), "12 B");
        assert_eq!(bytes(1_234_000.0), "1.23 MB");
    }
}
