//! What the screen shows: made of readings alone, so that it can be tested without a terminal.

use std::collections::{BTreeMap, VecDeque};

use super::heat;
use super::interval::{Growth, Interval};
use crate::limits;
use crate::observe::{Admin, Reading, Samples};

/// What one program answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its distributions since its start.
    pub reading: Reading,
    /// Its counters since its start, and its gauges.
    pub samples: Samples,
}

/// What all listeners said at one time.
#[derive(Debug)]
pub struct Round {
    /// Seconds on a clock that only goes forward.
    pub at_s: f64,
    /// By listener; a text says why one did not answer.
    pub answers: Vec<(Admin, Result<Answer, String>)>,
}

/// Everything that is shown.
#[derive(Debug, Default)]
pub struct Model {
    sources: BTreeMap<Admin, Source>,
    at_s: Option<f64>,
    /// Who answers, as `souk-front 0.1.0`, and how many of them.
    pub running: BTreeMap<String, usize>,
    /// Who does not answer, and why.
    pub lost: Vec<String>,
    /// Whole requests by band of latency, a column for each interval; the newest is last.
    pub heat: VecDeque<heat::Column>,
    /// The last interval; none before the second reading.
    pub now: Option<Interval>,
}

/// What is known of one listener.
#[derive(Debug, Default)]
struct Source {
    /// Its last answer; none while it is silent.
    last: Option<Answer>,
    /// Which program it was when it last answered.
    program: Option<String>,
}

impl Model {
    /// Takes in a round. Whoever does not answer is named and left out; one that is new or comes
    /// back counts from now on.
    pub fn apply(&mut self, round: Round) {
        let seconds = self.at_s.map_or(0.0, |before| round.at_s - before);
        self.at_s = Some(round.at_s);
        self.running.clear();
        self.lost.clear();
        let mut growth = Vec::new();
        for (admin, answer) in round.answers {
            let source = self.sources.entry(admin).or_default();
            match answer {
                Ok(answer) => {
                    let Reading { program, version, .. } = &answer.reading;
                    *self.running.entry(format!("{program} {version}")).or_default() += 1;
                    source.program = Some(program.clone());
                    if let Some(last) = source.last.replace(answer.clone()) {
                        growth.push(grown(&last, answer));
                    }
                }
                Err(why) => {
                    source.last = None;
                    let who = source.program.as_deref().unwrap_or("a program");
                    self.lost.push(format!("{who} does not answer: {why}"));
                }
            }
        }
        if seconds <= 0.0 {
            return;
        }
        let interval = Interval::of(seconds, &growth);
        if self.heat.len() == limits::HEAT_COLUMNS_MAX {
            self.heat.pop_front();
        }
        self.heat.push_back(heat::column(&interval.total));
        self.now = Some(interval);
    }
}

/// What one program did between two answers. Another process began at zero.
fn grown(last: &Answer, answer: Answer) -> Growth {
    let same = last.reading.start_unix_ms == answer.reading.start_unix_ms;
    let Answer { reading, samples } = answer;
    Growth {
        reading: reading.since(Some(&last.reading)),
        counted: if same { samples.since(&last.samples) } else { samples.clone() },
        samples,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::observe::stages::tests::reading;

    /// The listener of a program.
    pub fn admin(name: &str) -> Admin {
        format!("unix:/run/{name}.sock").parse().expect("an address")
    }

    /// An answer of a program that has served requests of these times, started at `start`.
    pub fn answer(program: &str, start: u64, times: &[u64], metrics: &str) -> Answer {
        let route = if program == "soukd" { "GetMe" } else { "GET /api/v1/me" };
        let samples = Samples::parse(metrics).expect("samples");
        Answer { reading: reading(program, start, route, times), samples }
    }

    fn round(at_s: f64, answers: Vec<(&str, Result<Answer, String>)>) -> Round {
        let answers = answers.into_iter().map(|(name, answer)| (admin(name), answer)).collect();
        Round { at_s, answers }
    }

    fn count(model: &Model) -> u64 {
        model.now.as_ref().expect("an interval").total.len()
    }

    #[test]
    fn one_reading_shows_who_runs_and_two_show_what_happens() {
        let mut model = Model::default();
        model.apply(round(0.0, vec![("f", Ok(answer("souk-front", 1, &[5_000; 3], "")))]));
        assert_eq!(model.running, BTreeMap::from([("souk-front 0.1.0".to_owned(), 1)]));
        assert!(model.now.is_none() && model.heat.is_empty());
        model.apply(round(2.0, vec![("f", Ok(answer("souk-front", 1, &[5_000; 7], "")))]));
        assert_eq!(count(&model), 4);
        assert_eq!(model.heat.len(), 1);
    }

    #[test]
    fn a_program_that_goes_away_is_named_and_the_others_go_on() {
        let mut model = Model::default();
        let both = |count| {
            vec![
                ("f", Ok(answer("souk-front", 1, &vec![5_000; count], ""))),
                ("d", Ok(answer("soukd", 1, &vec![5_000; count], ""))),
            ]
        };
        model.apply(round(0.0, both(1)));
        model.apply(round(1.0, both(2)));
        assert!(model.lost.is_empty());
        let mut gone = both(5);
        gone[1].1 = Err("/run/d.sock: connection refused".into());
        model.apply(round(2.0, gone));
        assert_eq!(model.lost, ["soukd does not answer: /run/d.sock: connection refused"]);
        assert_eq!(count(&model), 3);
        // It comes back as another process; what it did meanwhile is not said to be of now.
        model.apply(round(3.0, vec![("d", Ok(answer("soukd", 9, &[5_000; 100], "")))]));
        assert!(model.lost.is_empty());
        assert_eq!(count(&model), 0);
    }

    #[test]
    fn a_program_started_again_between_two_readings_counts_from_its_start() {
        let mut model = Model::default();
        let front = |start, count: usize| {
            let metrics = format!("souk_requests_total{{code=\"200\"}} {count}\n");
            vec![("f", Ok(answer("souk-front", start, &vec![5_000; count], &metrics)))]
        };
        model.apply(round(0.0, front(1, 90)));
        model.apply(round(1.0, front(2, 100)));
        assert_eq!(count(&model), 100);
        assert_eq!(model.now.as_ref().expect("an interval").answers[2], 100.0);
    }

    #[test]
    fn the_heat_map_forgets_its_oldest_column() {
        let mut model = Model::default();
        for second in 0..limits::HEAT_COLUMNS_MAX + 10 {
            #[allow(clippy::cast_precision_loss)] // a few hundred
            model.apply(round(second as f64, vec![]));
        }
        assert_eq!(model.heat.len(), limits::HEAT_COLUMNS_MAX);
    }
}
