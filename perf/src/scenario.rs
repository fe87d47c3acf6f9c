//! Scenarios: who asks for what, how often, and what counts as success.
//!
//! Each is a file in `perf/scenarios/`, built into the program; a file of one's own is read in
//! their place when a path is given.

use crate::Failed;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

/// Most users that a scenario may ask for: as many as `souk seed` makes.
const USERS_MAX: u64 = 1_000_000_000;
/// Most users that are logged in before a run. Each costs a login at full price.
const MEMBERS_MAX: u64 = 10_000;
/// Most users whose ids are asked for before a run.
const IDS_MAX: u64 = 10_000;
/// Most auctions that are opened before a run. Each costs a request.
const AUCTIONS_MAX: u64 = 10_000;

/// Who asks for what.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name: that of its file.
    #[serde(skip)]
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// There are user1 … userN.
    pub users: u64,
    /// The first so many of them are logged in before the run begins; what needs a session is done
    /// by one of them.
    #[serde(default)]
    pub members: u64,
    /// So many auctions are opened before the run begins, by the first member; the others bid.
    #[serde(default)]
    pub auctions: u64,
    /// Whom a request is about.
    pub pick: Pick,
    /// How much load by default.
    pub load: LoadTable,
    /// What is asked, how often and how it shall be answered.
    pub mix: BTreeMap<Kind, Share>,
    /// What counts as success.
    pub success: Success,
}

/// How a user is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// Each as often as any other.
    Uniform,
    /// By Zipf's law with this exponent.
    Zipf(f64),
    /// One after the other, so that nobody comes twice before all have come once.
    Each,
}

/// The load that a scenario is run with unless flags say otherwise.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadTable {
    /// Connections.
    pub connections: usize,
    /// Requests a second, open loop. Absent when `once` is set.
    pub rate: Option<f64>,
    /// Each connection asks once and stays open: a storm, or a herd.
    #[serde(default)]
    pub once: bool,
    /// Over how long connections are opened, seconds.
    #[serde(default)]
    pub ramp_s: f64,
    /// How long is measured, seconds; the program's default if absent.
    pub duration_s: Option<f64>,
}

/// One line of the mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Its part of all weights.
    pub weight: u32,
    /// The status that is right.
    pub status: u16,
}

/// What counts as success.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Success {
    /// Of so many answers the content of one is read; the status of each is checked.
    pub content_every: u32,
    /// What must hold of the figures (see [`crate::assertion`]).
    pub assert: String,
}

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `GET /health`
    Health,
    /// `POST /api/v1/login`
    Login,
    /// `GET /api/v1/me`
    Me,
    /// `GET /api/v1/users/by-name/…`
    Profile,
    /// `PATCH /api/v1/me` with another nickname
    Edit,
    /// `GET /api/v1/users/search`
    Search,
    /// `POST /api/v1/users`
    Register,
    /// `PUT /api/v1/me/picture`
    Upload,
    /// `GET /pictures/…`
    Picture,
    /// `GET /api/v1/leaderboard`: the first page
    Board,
    /// `GET /api/v1/leaderboard?cursor=…`: a page somewhere on the board
    Deep,
    /// `GET /api/v1/users/…/rank`
    Rank,
    /// `PUT /api/v1/users/…/rating`: one up or down
    Rate,
    /// `POST /api/v1/ratings`: as many of these as [`RATES`] says
    Rates,
    /// A bid over the binary port; on every connection another bidder
    Bid,
    /// `POST /api/v1/auctions/…/bids`
    Offer,
    /// Watches an auction over a WebSocket, while two members bid on it
    Watch,
}

/// Ratings that one [`Kind::Rates`] changes.
pub const RATES: u32 = 100;

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 17] = [
        Kind::Health,
        Kind::Login,
        Kind::Me,
        Kind::Profile,
        Kind::Edit,
        Kind::Search,
        Kind::Register,
        Kind::Upload,
        Kind::Picture,
        Kind::Board,
        Kind::Deep,
        Kind::Rank,
        Kind::Rate,
        Kind::Rates,
        Kind::Bid,
        Kind::Offer,
        Kind::Watch,
    ];

    /// Its name in files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Health => "health",
            Kind::Login => "login",
            Kind::Me => "me",
            Kind::Profile => "profile",
            Kind::Edit => "edit",
            Kind::Search => "search",
            Kind::Register => "register",
            Kind::Upload => "upload",
            Kind::Picture => "picture",
            Kind::Board => "board",
            Kind::Deep => "deep",
            Kind::Rank => "rank",
            Kind::Rate => "rate",
            Kind::Rates => "rates",
            Kind::Bid => "bid",
            Kind::Offer => "offer",
            Kind::Watch => "watch",
        }
    }

    /// Whether it is done by someone who is logged in, or needs what such a one left.
    #[must_use]
    pub fn needs_members(self) -> bool {
        matches!(self, Kind::Me | Kind::Edit | Kind::Upload | Kind::Picture)
            || self.needs_auctions()
    }

    /// Whether it is about auctions that were opened before.
    #[must_use]
    pub fn needs_auctions(self) -> bool {
        matches!(self, Kind::Bid | Kind::Offer | Kind::Watch)
    }

    /// Whether it is a run of its own, which nothing else can be part of.
    fn is_alone(self) -> bool {
        matches!(self, Kind::Bid | Kind::Watch)
    }

    /// Whether it is done by a program with a token of the role `service`.
    #[must_use]
    pub fn needs_service(self) -> bool {
        matches!(self, Kind::Rate | Kind::Rates)
    }

    /// Whether it names users by their ids, which have to be asked for before.
    #[must_use]
    pub fn needs_ids(self) -> bool {
        matches!(self, Kind::Deep | Kind::Rank | Kind::Rate | Kind::Rates | Kind::Bid)
    }
}

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../scenarios/", $name, ".toml")))),+]
    };
}

/// Every scenario that is built in, with its file's text, in the order of `souk bench list`.
const SHIPPED: [(&str, &str); 23] = shipped![
    "mixed",
    "profile-hot",
    "profile-zipf",
    "profile-uniform",
    "me",
    "login-warm",
    "login-cold",
    "edit",
    "search",
    "register",
    "picture",
    "storm-1000",
    "storm-10000",
    "herd",
    "board",
    "board-deep",
    "rank",
    "rate",
    "rates",
    "bids",
    "bids-hot",
    "bids-http",
    "watchers",
];

/// All built-in scenarios.
///
/// # Errors
/// None that a test has not found before.
pub fn all() -> Result<Vec<Scenario>, Failed> {
    SHIPPED.iter().map(|(name, text)| parse(name, text)).collect()
}

/// A built-in scenario by its name, or one of one's own by its file's path.
///
/// # Errors
/// If there is none, or the file makes no sense.
pub fn find(name: &str) -> Result<Scenario, Failed> {
    if let Some((name, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        return parse(name, text);
    }
    let path = Path::new(name);
    if path.extension().is_none_or(|extension| extension != "toml") {
        let names: Vec<_> = SHIPPED.iter().map(|(name, _)| *name).collect();
        return Err(Failed::new(format!(
            "there is no scenario {name}: take one of {}, or the path of a .toml file",
            names.join(", ")
        )));
    }
    let text =
        std::fs::read_to_string(path).map_err(|why| Failed::new(format!("{name}: {why}")))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    parse(&stem, &text)
}

/// Reads a scenario from its file's text.
///
/// # Errors
/// If it is no TOML, a key is unknown or missing, or a value makes no sense.
pub fn parse(name: &str, text: &str) -> Result<Scenario, Failed> {
    let broken = |why: &dyn Display| Failed::new(format!("scenario {name}: {why}"));
    let mut scenario: Scenario = toml::from_str(text).map_err(|why| broken(&why))?;
    name.clone_into(&mut scenario.name);
    scenario.check().map_err(|why| broken(&why))?;
    Ok(scenario)
}

impl Scenario {
    /// Refuses what makes no sense.
    fn check(&self) -> Result<(), String> {
        if !(1..=USERS_MAX).contains(&self.users) {
            return Err(format!("users must be 1 to {USERS_MAX}, not {}", self.users));
        }
        let most = MEMBERS_MAX.min(self.users);
        if self.members > most {
            return Err(format!("members must be at most {most}, not {}", self.members));
        }
        if let Some(kind) = self.mix.keys().find(|kind| kind.needs_members() && self.members == 0) {
            return Err(format!("mix.{} needs members, and members is 0", kind.name()));
        }
        if let Some(kind) = self.mix.keys().find(|kind| kind.needs_ids() && self.users > IDS_MAX) {
            return Err(format!("mix.{} takes at most {IDS_MAX} users", kind.name()));
        }
        if self.auctions > AUCTIONS_MAX {
            return Err(format!("auctions must be at most {AUCTIONS_MAX}, not {}", self.auctions));
        }
        if let Some(kind) = self.mix.keys().find(|kind| kind.needs_auctions())
            && (self.auctions == 0 || self.members < 3)
        {
            let name = kind.name();
            return Err(format!("mix.{name} needs auctions, and 3 members: one sells"));
        }
        if let Some(kind) = self.mix.keys().find(|kind| kind.is_alone())
            && self.mix.len() > 1
        {
            return Err(format!("mix.{} goes with no other kind", kind.name()));
        }
        if self.watches() && self.load.rate.is_none() {
            return Err("mix.watch needs load.rate: so many bids a second".into());
        }
        if self.mix.values().all(|share| share.weight == 0) {
            return Err("mix needs a kind of request with a weight above 0".into());
        }
        let statuses = self.mix.values().map(|share| share.status);
        if let Some(status) = { statuses }.find(|status| !(101..600).contains(status)) {
            return Err(format!("status must be 101 to 599, not {status}"));
        }
        if let Pick::Zipf(exponent) = self.pick
            && !(exponent > 0.0 && exponent <= 10.0)
        {
            return Err(format!("pick.zipf must be above 0 and at most 10, not {exponent}"));
        }
        match (self.load.once, self.load.rate) {
            (true, Some(_)) => return Err("load.once and load.rate exclude each other".into()),
            (false, None) => return Err("load needs a rate, or once = true".into()),
            _ => {}
        }
        if self.success.content_every == 0 {
            return Err("success.content_every must be at least 1".into());
        }
        crate::assertion::parse(&self.success.assert).map(drop).map_err(|why| why.to_string())
    }

    /// Whether it is played over the binary port.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.mix.contains_key(&Kind::Bid)
    }

    /// Whether it is about those who watch.
    #[must_use]
    pub fn watches(&self) -> bool {
        self.mix.contains_key(&Kind::Watch)
    }

    /// The kind of request that is asked most often.
    #[must_use]
    pub fn main_kind(&self) -> Kind {
        let most = self.mix.iter().max_by_key(|(_, share)| share.weight);
        most.map_or(Kind::Health, |(kind, _)| *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Pick, SHIPPED, all, find, parse};
    use std::collections::BTreeSet;

    #[test]
    fn every_file_is_a_scenario_that_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        let built_in: BTreeSet<String> = SHIPPED.iter().map(|(name, _)| (*name).into()).collect();
        assert_eq!(files, built_in);
        for scenario in all().expect("all make sense") {
            assert!(!scenario.about.is_empty());
        }
    }

    #[test]
    fn names_of_kinds_are_those_of_files() {
        for kind in Kind::ALL {
            let text = format!("kind = \"{}\"", kind.name());
            #[derive(serde::Deserialize)]
            struct One {
                kind: Kind,
            }
            let one: One = toml::from_str(&text).expect("known");
            assert_eq!(one.kind, kind);
        }
    }

    const GOOD: &str = "about = 'x'\nusers = 10\nmembers = 2\npick = { zipf = 1.0 }\n\
        [load]\nconnections = 1\nrate = 5\n[mix.me]\nweight = 1\nstatus = 200\n\
        [success]\ncontent_every = 1\nassert = 'errors==0'\n";

    #[test]
    fn what_makes_no_sense_is_refused_with_the_key() {
        assert_eq!(parse("good", GOOD).expect("good").pick, Pick::Zipf(1.0));
        for (from, to, word) in [
            ("users = 10", "users = 0", "users"),
            ("members = 2", "members = 11", "members"),
            ("members = 2", "members = 0", "mix.me"),
            ("zipf = 1.0", "zipf = 0.0", "zipf"),
            ("zipf = 1.0", "zapf = 1.0", "zapf"),
            ("rate = 5", "once = true\nrate = 5", "load.once"),
            ("rate = 5", "", "rate"),
            ("weight = 1", "weight = 0", "mix"),
            ("status = 200", "status = 20", "status"),
            ("content_every = 1", "content_every = 0", "content_every"),
            ("errors==0", "errors=0", "errors=0"),
            ("[mix.me]", "[mix.you]", "you"),
            ("about", "abuot", "abuot"),
        ] {
            let bad = GOOD.replace(from, to);
            assert_ne!(bad, GOOD);
            let why = parse("bad", &bad).expect_err(to).to_string();
            assert!(why.contains(word) && why.contains("scenario bad"), "{to}: {why}");
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let why = find("profil").expect_err("unknown").to_string();
        assert!(why.contains("profile-hot") && why.contains(".toml"), "{why}");
        assert!(find("/nowhere/x.toml").expect_err("missing").to_string().contains("/nowhere"));
    }
}
