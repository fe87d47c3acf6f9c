//! The same scenario against several servers, taking turns, so that the machine's good and bad
//! minutes meet them all alike.

use crate::Failed;
use crate::argon;
use crate::cast::{self, Cast, PASSWORD};
use crate::client::Client;
use crate::engine::{Progress, Stop};
use crate::machine::Machine;
use crate::record::{Figures, LoadRecord, Record};
use crate::run::{self, Options, Scene};
use crate::scenario::{Kind, Scenario};
use crate::target::{self, SoukOptions, Target};
use crate::visitor::Eyes;
use std::path::PathBuf;
use std::sync::Arc;

/// Longest body that nginx stands in for, bytes: far above the pages that are compared.
const NGINX_BODY_MAX: usize = 1 << 20;

/// Whom Souk is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Against {
    /// nginx, `return 200` with a body of the same size.
    Nginx,
    /// The service in `perf/baseline/`.
    Baseline,
    /// Souk's own epoll driver in the front.
    Epoll,
    /// Souk that takes no times: what measuring costs.
    Unmeasured,
    /// Another build of Souk: its `souk` program.
    Build(PathBuf),
    /// The bare `argon2` crate on all cores: what logins at full cost are measured by.
    Argon2,
}

/// What to compare.
pub struct Plan<'a> {
    /// What is asked.
    pub scenario: &'a Scenario,
    /// How Souk is started.
    pub souk: &'a SoukOptions,
    /// Whom it is compared with.
    pub against: &'a [Against],
    /// How often everybody takes a turn.
    pub rounds: u32,
    /// How much load.
    pub options: &'a Options,
}

/// What goes on, for whoever waits.
pub trait Observer {
    /// Something begins.
    fn says(&mut self, line: &str);
    /// A run goes on.
    fn progress(&mut self, progress: &Progress);
    /// A run is over.
    fn done(&mut self, record: &Record) -> Result<(), Failed>;
}

/// One who takes turns.
enum Player {
    /// A server.
    Server { target: Box<Target>, cast: Arc<Cast> },
    /// The bare `argon2` crate.
    Argon2,
}

impl Player {
    fn name(&self) -> &str {
        match self {
            Player::Server { target, .. } => &target.name,
            Player::Argon2 => "argon2",
        }
    }
}

/// Lets everybody take turns and gives the runs of whole rounds. When it is stopped, the rounds
/// that are complete count.
///
/// # Errors
/// If somebody cannot be started or asked.
pub fn compare(
    plan: &Plan<'_>,
    stop: &Stop,
    observer: &mut impl Observer,
) -> Result<Vec<Record>, Failed> {
    let batch = run::now();
    let players = gather(plan, observer)?;
    let mut records = Vec::new();
    let mut first = plan.options.clone();
    first.duration = Some(plan.options.warm_up.max(std::time::Duration::from_secs(1)));
    for player in &players {
        observer.says(&format!("warming {} up", player.name()));
        play(plan, player, &batch, 0, &first, stop, observer)?;
    }
    for round in 1..=plan.rounds {
        let mut turn = Vec::new();
        for player in &players {
            if stop.stopped() {
                return Ok(records);
            }
            observer.says(&format!("round {round} of {}: {}", plan.rounds, player.name()));
            turn.push(play(plan, player, &batch, round, plan.options, stop, observer)?);
        }
        if stop.stopped() {
            return Ok(records);
        }
        for record in &turn {
            observer.done(record)?;
        }
        records.extend(turn);
    }
    for player in players {
        if let Player::Server { target, .. } = player {
            target.stop()?;
        }
    }
    Ok(records)
}

fn play(
    plan: &Plan<'_>,
    player: &Player,
    batch: &str,
    round: u32,
    options: &Options,
    stop: &Stop,
    observer: &mut impl Observer,
) -> Result<Record, Failed> {
    let Player::Server { target, cast } = player else {
        return hashes(plan, batch, round, options);
    };
    let scene = Scene {
        scenario: plan.scenario,
        target,
        cast: cast.clone(),
        cache: !plan.souk.no_cache,
        batch,
        round,
    };
    Ok(run::run(&scene, options, stop, |progress| observer.progress(progress))?.record)
}

/// The turn of the bare crate: its rate is that of hashes.
fn hashes(plan: &Plan<'_>, batch: &str, round: u32, options: &Options) -> Result<Record, Failed> {
    let began = run::now();
    let seconds = options.duration.unwrap_or(run::DURATION).as_secs().max(1);
    let rps = argon::measure(0, seconds)?;
    let machine = Machine::this();
    let load = LoadRecord {
        users: plan.scenario.users,
        cache: !plan.souk.no_cache,
        threads: machine.cores,
        connections: 0,
        mode: "closed".to_owned(),
        rate: None,
        arrivals: None,
        pipeline: None,
        think_ms: None,
        warm_up_s: 0.0,
        #[allow(clippy::cast_precision_loss)] // a few seconds
        duration_s: seconds as f64,
        seed: options.seed,
    };
    Ok(Record {
        began,
        batch: batch.to_owned(),
        scenario: plan.scenario.name.clone(),
        target: "argon2".to_owned(),
        round,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("SOUK_COMMIT").to_owned(),
        machine,
        load,
        figures: Figures { rps, ..Figures::default() },
    })
}

/// Starts everybody, Souk first, since it makes the database; in the order of their turns.
fn gather(plan: &Plan<'_>, observer: &mut impl Observer) -> Result<Vec<Player>, Failed> {
    let Plan { scenario, souk, .. } = plan;
    observer.says(&format!("starting souk with {} users", souk.users));
    let ours = target::souk(souk)?;
    let cast = Arc::new(cast::gather(scenario, &ours)?);
    let database: Vec<_> =
        ours.processes.iter().filter(|process| process.role == "mysql").cloned().collect();
    let url = ours.mysql.clone();
    let url = url.ok_or_else(|| Failed::new("souk's settings name no database to share"))?;
    let mut players = Vec::new();
    for against in plan.against {
        let other = SoukOptions {
            dir: None,
            users: 0,
            mysql: Some((url.clone(), database.clone())),
            ..(*souk).clone()
        };
        let target = match against {
            Against::Nginx => target::nginx(&bodies(scenario, &ours, &cast)?)?,
            Against::Baseline => {
                refuse_pictures(scenario)?;
                target::baseline(&url, &database, souk.no_cache)?
            }
            Against::Epoll => variant(other, "epoll", ("SOUK_HTTP_DRIVER", "epoll"))?,
            Against::Unmeasured => variant(other, "unmeasured", ("SOUK_LATENCY_ENABLED", "false"))?,
            Against::Argon2 => {
                players.push(Player::Argon2);
                continue;
            }
            Against::Build(program) => target::souk(&SoukOptions {
                name: "souk-with".to_owned(),
                program: program.clone(),
                ..other
            })?,
        };
        observer.says(&format!("started {}", target.name));
        let cast = match target.eyes {
            Eyes::Shut => cast.clone(),
            Eyes::Sharp => Arc::new(cast::gather(scenario, &target)?),
        };
        players.push(Player::Server { target: Box::new(target), cast });
    }
    // Souk last in each round: whoever is compared has had the machine's minute just before.
    players.push(Player::Server { target: Box::new(ours), cast });
    Ok(players)
}

/// Souk with another setting.
fn variant(base: SoukOptions, name: &str, setting: (&str, &str)) -> Result<Target, Failed> {
    target::souk(&SoukOptions {
        name: format!("souk-{name}"),
        settings: vec![(setting.0.to_owned(), setting.1.to_owned())],
        ..base
    })
}

fn refuse_pictures(scenario: &Scenario) -> Result<(), Failed> {
    if scenario.mix.contains_key(&Kind::Upload) || scenario.mix.contains_key(&Kind::Picture) {
        return Err(Failed::new(format!(
            "the baseline has no pictures and {} asks for some: leave it out with --against",
            scenario.name
        )));
    }
    Ok(())
}

/// Which path nginx answers with how many bytes: as many as Souk's answer has.
fn bodies(scenario: &Scenario, souk: &Target, cast: &Cast) -> Result<Vec<(String, usize)>, Failed> {
    let client = Client::new(&souk.base);
    let token = cast.tokens.first().map(String::as_str);
    let mut bodies: Vec<(String, usize)> = Vec::new();
    for kind in scenario.mix.keys() {
        let rank;
        let json = |text: String| Some(("application/json", text.into_bytes()));
        let (place, method, path, body) = match kind {
            Kind::Health => ("= /health", "GET", "/health", None),
            Kind::Me => ("= /api/v1/me", "GET", "/api/v1/me", None),
            Kind::Edit => ("= /api/v1/me", "PATCH", "/api/v1/me", json("{}".into())),
            Kind::Profile => ("/api/v1/users/by-name/", "GET", "/api/v1/users/by-name/user1", None),
            Kind::Search => (
                "= /api/v1/users/search",
                "GET",
                "/api/v1/users/search?username=user1&limit=5",
                None,
            ),
            Kind::Login => {
                let body = format!("{{\"username\":\"user1\",\"password\":\"{PASSWORD}\"}}");
                ("= /api/v1/login", "POST", "/api/v1/login", json(body))
            }
            Kind::Register => {
                let name = format!("{}0", cast.prefix);
                let body = format!("{{\"username\":\"{name}\",\"password\":\"{PASSWORD} of 0\"}}");
                ("= /api/v1/users", "POST", "/api/v1/users", json(body))
            }
            Kind::Board => ("= /api/v1/leaderboard", "GET", "/api/v1/leaderboard", None),
            Kind::Rank => {
                rank = format!("/api/v1/users/{}/rank", cast.ids.first().unwrap_or(&0));
                ("/api/v1/users/", "GET", &rank[..], None)
            }
            Kind::Upload
            | Kind::Picture
            | Kind::Deep
            | Kind::Rate
            | Kind::Rates
            | Kind::Bid
            | Kind::Offer
            | Kind::Watch => {
                return Err(Failed::new(format!(
                    "nginx cannot stand in for what {} asks: leave it out with --against",
                    scenario.name
                )));
            }
        };
        if bodies.iter().any(|(known, _)| known == place) {
            continue;
        }
        // A change of nothing is refused; what comes back from one has the length of the profile.
        let (method, body) = if *kind == Kind::Edit { ("GET", None) } else { (method, body) };
        let body = body.as_ref().map(|(kind, body)| (*kind, &body[..]));
        let answer = client.send(method, path, token, body)?;
        let length = answer.body.len();
        if answer.status / 100 != 2 || length > NGINX_BODY_MAX {
            return Err(Failed::new(format!(
                "{method} {path} answered {} with {length} bytes: nginx cannot stand in for it",
                answer.status
            )));
        }
        bodies.push((place.to_owned(), length));
    }
    Ok(bodies)
}

/// How two servers compare over the rounds: Souk's rate over the other's.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// The other.
    pub target: String,
    /// The median of the rounds' ratios.
    pub median: f64,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// The median of the other's rates.
    pub rps: f64,
    /// Rounds.
    pub rounds: usize,
}

/// The ratios of the runs of one comparison, in the order in which others appear.
#[must_use]
pub fn ratios(records: &[Record]) -> Vec<Ratio> {
    let mut others: Vec<&str> = Vec::new();
    for record in records.iter().filter(|record| record.target != "souk") {
        if !others.contains(&record.target.as_str()) {
            others.push(&record.target);
        }
    }
    let rate = |target: &str, round| {
        let same = |record: &&Record| record.target == target && record.round == round;
        records.iter().find(same).map(|record| record.figures.rps)
    };
    let rounds: Vec<u32> =
        records.iter().filter(|r| r.target == "souk" && r.round > 0).map(|r| r.round).collect();
    let ratio = |target: &str| {
        let pairs = rounds.iter().filter_map(|round| {
            let (ours, theirs) = (rate("souk", *round)?, rate(target, *round)?);
            (theirs > 0.0).then_some((ours / theirs, theirs))
        });
        let (mut all, rates): (Vec<f64>, Vec<f64>) = pairs.unzip();
        all.sort_unstable_by(f64::total_cmp);
        Some(Ratio {
            target: target.to_owned(),
            low: *all.first()?,
            high: *all.last()?,
            rounds: all.len(),
            median: median(all),
            rps: median(rates),
        })
    };
    others.into_iter().filter_map(ratio).collect()
}

/// The middle of some numbers; 0 of none.
#[must_use]
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => 0.0,
        n if n % 2 == 1 => numbers[middle],
        _ => f64::midpoint(numbers[middle - 1], numbers[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::{median, ratios};
    use crate::record::tests::record;

    #[test]
    fn a_ratio_is_the_median_of_pairs_and_not_of_rates() {
        let records = [
            record("nginx", 1, 100.0),
            record("souk", 1, 50.0),
            record("nginx", 2, 10.0),
            record("souk", 2, 9.0),
            record("nginx", 3, 100.0),
            record("souk", 3, 60.0),
            record("baseline", 1, 25.0),
        ];
        let all = ratios(&records);
        assert_eq!(all.len(), 2);
        let nginx = &all[0];
        assert_eq!((nginx.median, nginx.low, nginx.high, nginx.rounds), (0.6, 0.5, 0.9, 3));
        assert_eq!((all[1].target.as_str(), all[1].median, all[1].rounds), ("baseline", 2.0, 1));
    }

    #[test]
    fn medians_of_even_and_odd_counts() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
