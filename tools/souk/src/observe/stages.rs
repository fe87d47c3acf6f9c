//! Distributions by program, route and stage: merged over programs, subtracted over time.

use hdrhistogram::Histogram;
use souk_meter::{Latency, LatencyError};

use super::Admin;

/// What one program has measured since its start.
#[derive(Clone, Debug)]
pub struct Reading {
    /// `souk-front` or `soukd`.
    pub program: String,
    /// Its release.
    pub version: String,
    /// When it was started, milliseconds since 1970; another value is another process.
    pub start_unix_ms: u64,
    /// When this was read, by the program's clock.
    pub now_unix_ms: u64,
    /// By route, in its order.
    pub routes: Vec<Route>,
}

/// One route of one program.
#[derive(Clone, Debug)]
pub struct Route {
    /// As in `GET /api/v1/me`, or a method of the link.
    pub name: String,
    /// In the order in which a request meets them; `total` is the whole request.
    pub stages: Vec<Stage>,
}

/// One stage of one route.
#[derive(Clone, Debug)]
pub struct Stage {
    /// As in `parse`.
    pub name: String,
    /// Nanoseconds.
    pub times: Histogram<u64>,
}

impl Route {
    /// The distribution of whole requests, if there is one.
    pub fn total(&self) -> Option<&Histogram<u64>> {
        self.stages.iter().find(|stage| stage.name == TOTAL).map(|stage| &stage.times)
    }
}

/// The stage that is the whole request.
pub const TOTAL: &str = "total";

impl Reading {
    /// What a program's `/latency` says now.
    ///
    /// # Errors
    /// A text that names the listener: it does not answer, or says something else.
    pub fn ask(admin: &Admin) -> Result<Reading, String> {
        let latency = Latency::parse(&admin.get("/latency")?);
        let reading = latency.and_then(|latency| Reading::of(&latency));
        reading.map_err(|error| format!("{admin}: {error}"))
    }

    fn of(latency: &Latency) -> Result<Reading, LatencyError> {
        let mut routes = Vec::new();
        for route in &latency.routes {
            let mut stages = Vec::new();
            for stage in &route.stages {
                stages.push(Stage { name: stage.stage.clone(), times: stage.histogram()? });
            }
            routes.push(Route { name: route.route.clone(), stages });
        }
        Ok(Reading {
            program: latency.program.clone(),
            version: latency.version.clone(),
            start_unix_ms: latency.start_unix_ms,
            now_unix_ms: latency.now_unix_ms,
            routes,
        })
    }

    /// What was measured after `earlier`; everything if that was another process.
    pub fn since(&self, earlier: Option<&Reading>) -> Reading {
        let mut difference = self.clone();
        let Some(earlier) = earlier.filter(|earlier| earlier.start_unix_ms == self.start_unix_ms)
        else {
            return difference;
        };
        for route in &mut difference.routes {
            let Some(before) = earlier.routes.iter().find(|before| before.name == route.name)
            else {
                continue;
            };
            for stage in &mut route.stages {
                if let Some(before) = before.stages.iter().find(|before| before.name == stage.name)
                {
                    subtract(&mut stage.times, &before.times);
                }
            }
        }
        difference
    }
}

/// Takes `before` away. Cumulative counts never shrink; if they did, the newer ones stand.
fn subtract(times: &mut Histogram<u64>, before: &Histogram<u64>) {
    let newer = times.clone();
    if times.subtract(before).is_err() {
        *times = newer;
    }
}

/// The routes of any number of programs, those of one kind of program merged.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    programs: Vec<(String, Vec<Route>)>,
}

impl Routes {
    /// Merges readings of several programs. Fronts come first: requests do.
    pub fn merge<'a>(readings: impl IntoIterator<Item = &'a Reading>) -> Routes {
        let mut merged = Routes::default();
        for reading in readings {
            let at = merged.programs.iter().position(|(program, _)| *program == reading.program);
            let at = at.unwrap_or_else(|| {
                merged.programs.push((reading.program.clone(), Vec::new()));
                merged.programs.len() - 1
            });
            for route in &reading.routes {
                add_route(&mut merged.programs[at].1, route);
            }
        }
        merged.programs.sort_by_key(|(program, _)| program != crate::observe::FRONT);
        merged
    }

    /// Kinds of program with their routes, busiest first; idle routes are left out.
    pub fn programs(&self) -> impl Iterator<Item = (&str, Vec<&Route>)> {
        self.programs.iter().map(|(program, routes)| {
            let count = |route: &Route| route.total().map_or(0, Histogram::len);
            let mut busy: Vec<&Route> = routes.iter().filter(|route| is_busy(route)).collect();
            busy.sort_by(|a, b| count(b).cmp(&count(a)).then_with(|| a.name.cmp(&b.name)));
            (program.as_str(), busy)
        })
    }

    /// The routes of one kind of program, busiest first.
    pub fn of(&self, program: &str) -> Vec<&Route> {
        let mut programs = self.programs();
        programs.find(|(name, _)| *name == program).map_or_else(Vec::new, |(_, routes)| routes)
    }

    /// Keeps the routes whose name contains `text`, whatever its case.
    pub fn keep(&mut self, text: &str) {
        let text = text.to_lowercase();
        for (_, routes) in &mut self.programs {
            routes.retain(|route| route.name.to_lowercase().contains(&text));
        }
    }
}

fn is_busy(route: &Route) -> bool {
    route.stages.iter().any(|stage| !stage.times.is_empty())
}

fn add_route(routes: &mut Vec<Route>, route: &Route) {
    let Some(known) = routes.iter_mut().find(|known| known.name == route.name) else {
        routes.push(route.clone());
        return;
    };
    for stage in &route.stages {
        match known.stages.iter_mut().find(|known| known.name == stage.name) {
            Some(known) => add(&mut known.times, &stage.times),
            None => known.stages.push(stage.clone()),
        }
    }
}

/// Adds `other`; a program of another release may measure a wider range.
pub fn add(times: &mut Histogram<u64>, other: &Histogram<u64>) {
    times.auto(true);
    times.add(other).expect("one that resizes takes every value");
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A distribution of these nanoseconds, in the programs' bounds.
    pub fn times(values: &[u64]) -> Histogram<u64> {
        let mut times = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("valid bounds");
        for value in values {
            times.record(*value).expect("within the bounds");
        }
        times
    }

    /// A reading with one route and one stage, `total`.
    pub fn reading(program: &str, start: u64, route: &str, values: &[u64]) -> Reading {
        let stages = vec![Stage { name: TOTAL.into(), times: times(values) }];
        let routes = vec![Route { name: route.into(), stages }];
        let (program, version) = (program.to_owned(), "0.1.0".to_owned());
        Reading { program, version, start_unix_ms: start, now_unix_ms: start + 1000, routes }
    }

    fn total_of(reading: &Reading) -> &Histogram<u64> {
        reading.routes[0].total().expect("a total")
    }

    #[test]
    fn a_difference_holds_exactly_what_was_recorded_between_two_readings() {
        let before = reading("soukd", 7, "GetMe", &[2_000_000, 40_000_000_000]);
        let after = reading("soukd", 7, "GetMe", &[2_000_000, 40_000_000_000, 5_000, 6_000]);
        let between = after.since(Some(&before));
        assert_eq!(total_of(&between).len(), 2);
        // What was slow before is not the slowest of now.
        assert!(total_of(&between).max() < 7_000, "{}", total_of(&between).max());
        let idle = after.since(Some(&after));
        assert!(total_of(&idle).is_empty());
        assert!(Routes::merge([&idle]).of("soukd").is_empty());
    }

    #[test]
    fn a_program_that_was_started_again_counts_from_zero() {
        let before = reading("soukd", 7, "GetMe", &[2_000, 2_000, 2_000]);
        let after = reading("soukd", 8, "GetMe", &[9_000]);
        assert_eq!(total_of(&after.since(Some(&before))).len(), 1);
        // Neither does a count that went back take the reading down.
        let shrunk = reading("soukd", 7, "GetMe", &[2_000]);
        assert_eq!(total_of(&shrunk.since(Some(&before))).len(), 1);
    }

    #[test]
    fn programs_of_one_kind_are_merged_and_the_front_comes_first() {
        let readings = [
            reading("soukd", 1, "GetMe", &[1_000]),
            reading("souk-front", 1, "GET /api/v1/me", &[2_000]),
            reading("soukd", 2, "GetMe", &[3_000]),
            reading("soukd", 2, "Login", &[3_000, 4_000, 5_000]),
        ];
        let merged = Routes::merge(&readings);
        let programs: Vec<_> = merged
            .programs()
            .map(|(program, routes)| {
                let routes: Vec<_> = routes
                    .iter()
                    .map(|route| (route.name.as_str(), route.total().map(Histogram::len)))
                    .collect();
                (program, routes)
            })
            .collect();
        assert_eq!(
            programs,
            [
                ("souk-front", vec![("GET /api/v1/me", Some(1))]),
                ("soukd", vec![("Login", Some(3)), ("GetMe", Some(2))]),
            ]
        );
    }

    #[test]
    fn a_route_is_found_by_any_part_of_its_name() {
        let readings = [
            reading("souk-front", 1, "GET /api/v1/me", &[2_000]),
            reading("soukd", 1, "GetMe", &[1_000]),
            reading("soukd", 1, "Login", &[1_000]),
        ];
        let mut merged = Routes::merge(&readings);
        merged.keep("ME");
        assert_eq!(merged.of("souk-front").len(), 1);
        assert_eq!(merged.of("soukd").len(), 1);
    }

    #[test]
    fn a_wider_range_is_merged_into_a_narrower_one() {
        let mut narrow = times(&[5_000]);
        let mut wide = Histogram::new_with_bounds(1_000, 600_000_000_000, 3).expect("valid bounds");
        wide.record(300_000_000_000).expect("within the bounds");
        add(&mut narrow, &wide);
        assert_eq!(narrow.len(), 2);
        assert!(narrow.max() >= 300_000_000_000);
    }
}
