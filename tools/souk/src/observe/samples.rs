//! The samples of one `/metrics` text, and what they come to over an interval.

use std::collections::BTreeMap;

use nom_openmetrics::parser::prometheus;

/// Labels of one sample, by name.
type Labels = BTreeMap<String, String>;

/// Every sample of one text.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    by_name: BTreeMap<String, BTreeMap<Labels, f64>>,
}

impl Samples {
    /// Reads the text of `/metrics`. Descriptions and types are passed over.
    ///
    /// # Errors
    /// The first line that is no sample.
    pub fn parse(text: &str) -> Result<Samples, String> {
        let mut samples = Samples::default();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            // One at a time, without the example that a bucket may carry: the parser knows none.
            let plain = format!("{}\n", line.split(" # ").next().unwrap_or_default());
            let Ok((_, families)) = prometheus(&plain) else {
                return Err(format!("/metrics has a line that is no sample: {line}"));
            };
            for sample in families.iter().flat_map(|family| &family.samples) {
                let labels = sample.labels().iter();
                let labels = labels.map(|label| (label.name.to_owned(), label.value.clone()));
                let same_name = samples.by_name.entry(sample.name().to_owned()).or_default();
                same_name.insert(labels.collect(), sample.number());
            }
        }
        Ok(samples)
    }

    /// What counters grew by since `earlier`. One that is smaller began anew: all of it is growth.
    pub fn since(&self, earlier: &Samples) -> Samples {
        let mut growth = self.clone();
        for (name, values) in &mut growth.by_name {
            let Some(before) = earlier.by_name.get(name) else { continue };
            for (labels, value) in values {
                let before = before.get(labels).copied().unwrap_or_default();
                if *value >= before {
                    *value -= before;
                }
            }
        }
        growth
    }

    /// The values of `name` with their labels.
    pub fn of(&self, name: &str) -> impl Iterator<Item = (&Labels, f64)> {
        let values = self.by_name.get(name).into_iter().flatten();
        values.map(|(labels, value)| (labels, *value))
    }

    /// The sum of `name` over all labels; 0 if there is none.
    pub fn sum(&self, name: &str) -> f64 {
        self.of(name).map(|(_, value)| value).sum()
    }

    /// The sum of `name` where `label` is `value`.
    pub fn sum_where(&self, name: &str, label: &str, value: &str) -> f64 {
        let same = |labels: &Labels| labels.get(label).is_some_and(|found| found == value);
        self.of(name).filter(|(labels, _)| same(labels)).map(|(_, value)| value).sum()
    }

    /// The sums of `name` by the values of `label`.
    pub fn by(&self, name: &str, label: &str) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for (labels, value) in self.of(name) {
            let label = labels.get(label).map_or("", String::as_str);
            *sums.entry(label).or_default() += value;
        }
        sums
    }

    /// The smallest bucket bound that holds the share `quantile` of the histogram `name`; infinite
    /// beyond the last bound, none when the histogram is empty.
    pub fn bucket_bound(&self, name: &str, quantile: f64) -> Option<f64> {
        let buckets = format!("{name}_bucket");
        let mut counts: Vec<(f64, f64)> = self
            .by(&buckets, "le")
            .into_iter()
            .filter_map(|(bound, count)| Some((bound.parse::<f64>().ok()?, count)))
            .collect();
        counts.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all = counts.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        counts.iter().find(|(_, count)| *count >= quantile * all).map(|(bound, _)| *bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Samples {
        Samples::parse(text).expect("samples")
    }

    #[test]
    fn samples_are_found_by_name_and_label_whatever_their_values_hold() {
        let samples = parse(concat!(
            "# TYPE souk_requests counter\n",
            "# HELP souk_idle no sample follows\n",
            "souk_requests_total{route=\"GET /users/{id}\",code=\"200\"} 3\n",
            "souk_requests_total{route=\"GET /users/{id}\",code=\"503\"} 1 # {trace=\"1\"} 1\n",
            "souk_open_connections 7\n",
            "# EOF\n",
        ));
        assert_eq!(samples.sum("souk_requests_total"), 4.0);
        assert_eq!(samples.sum_where("souk_requests_total", "route", "GET /users/{id}"), 4.0);
        let by_code = samples.by("souk_requests_total", "code");
        assert_eq!(by_code, BTreeMap::from([("200", 3.0), ("503", 1.0)]));
        assert_eq!(samples.sum("souk_open_connections"), 7.0);
        assert_eq!(samples.sum("souk_nothing"), 0.0);
    }

    #[test]
    fn a_line_that_is_no_sample_is_named() {
        let error = Samples::parse("souk_links 1\n<html>\n").expect_err("no sample");
        assert!(error.contains("<html>"), "{error}");
    }

    #[test]
    fn growth_is_the_difference_and_a_counter_that_began_anew_counts_whole() {
        let before = parse("a{x=\"1\"} 5\na{x=\"2\"} 9\n");
        let after = parse("a{x=\"1\"} 7\na{x=\"2\"} 4\na{x=\"3\"} 1\n");
        let growth = after.since(&before);
        assert_eq!(growth.by("a", "x"), BTreeMap::from([("1", 2.0), ("2", 4.0), ("3", 1.0)]));
    }

    #[test]
    fn a_quantile_of_buckets_is_the_bound_that_holds_it() {
        let samples = parse(concat!(
            "lag_bucket{le=\"0.001\"} 90\n",
            "lag_bucket{le=\"0.01\"} 99\n",
            "lag_bucket{le=\"+Inf\"} 100\n",
        ));
        assert_eq!(samples.bucket_bound("lag", 0.5), Some(0.001));
        assert_eq!(samples.bucket_bound("lag", 0.99), Some(0.01));
        assert_eq!(samples.bucket_bound("lag", 1.0), Some(f64::INFINITY));
        assert_eq!(samples.bucket_bound("absent", 0.5), None);
        assert_eq!(parse("lag_bucket{le=\"+Inf\"} 0\n").bucket_bound("lag", 0.5), None);
    }
}
