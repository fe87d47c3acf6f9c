//! A scenario as the engine drives it: writes requests, judges answers.

mod accounts;
mod bids;
mod board;
mod rest;

use crate::cast::Cast;
use crate::engine::{Response, Tag, Workload, Wrong};
use crate::pick::Picker;
use crate::scenario::{Kind, Scenario};
use crate::tlv;
use memchr::memmem;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rest::Rest;
use std::collections::VecDeque;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// How strictly answers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eyes {
    /// Status, and the content of some.
    Sharp,
    /// Any 2xx will do: the server says the same to everything.
    Shut,
}

/// What all threads of a run share.
#[derive(Debug)]
pub struct Play {
    /// What is asked.
    pub scenario: Scenario,
    /// Who takes part.
    pub cast: Arc<Cast>,
    /// The server's name and port, for the Host field.
    pub host: String,
    /// How strictly answers are read.
    pub eyes: Eyes,
    picker: Picker,
    /// Numbers the accounts and nicknames that are made.
    made: AtomicU64,
    /// The highest amount offered at each of the cast's auctions.
    offered: Vec<AtomicI64>,
}

impl Play {
    /// A play on a stage at `host`.
    #[must_use]
    pub fn new(scenario: Scenario, cast: Arc<Cast>, host: &str, eyes: Eyes) -> Arc<Play> {
        let picker = Picker::new(scenario.pick, scenario.users, &cast.queue);
        let host = host.to_owned();
        let offered = cast.auctions.iter().map(|_| AtomicI64::new(0)).collect();
        Arc::new(Play { scenario, cast, host, eyes, picker, made: AtomicU64::new(1), offered })
    }

    /// The id of a user.
    fn id(&self, rng: &mut SmallRng) -> u64 {
        let number = usize::try_from(self.picker.next(rng) - 1).expect("users with ids are few");
        self.cast.ids[number]
    }

    /// The number of one who is logged in; of anyone if nobody was asked to be.
    fn member(&self, rng: &mut SmallRng) -> u64 {
        match self.cast.tokens.len() as u64 {
            0 => self.picker.next(rng),
            members => rng.random_range(1..=members),
        }
    }

    /// An auction, and more than anybody has offered there.
    pub(crate) fn offer(&self, rng: &mut SmallRng) -> (u64, i64) {
        self.offer_at(rng.random_range(0..self.offered.len()))
    }

    /// One of the cast's auctions, and more than anybody has offered there.
    pub(crate) fn offer_at(&self, at: usize) -> (u64, i64) {
        let amount = self.offered[at].fetch_add(1, Ordering::Relaxed) + 1;
        (self.cast.auctions[at], amount)
    }

    /// Asks for the news of the first auction.
    pub(crate) fn watch(&self, out: &mut Vec<u8>) {
        Rest::new(self, out).watch(self.cast.auctions[0]);
    }

    /// The number of a member who bids: the first one sells.
    fn bidder(&self, of: u64) -> u64 {
        2 + of % (self.cast.tokens.len() as u64 - 1)
    }
}

/// What those who write requests need.
struct Asks<'a> {
    play: &'a Play,
    rng: &'a mut SmallRng,
    rest: Rest<'a>,
}

/// One thread's share of a play.
pub struct Visitor {
    play: Arc<Play>,
    rng: SmallRng,
    /// Kinds by growing sums of their weights.
    mix: Vec<(u32, Kind)>,
    weights: u32,
    first: usize,
    /// What was asked on each connection and is not answered.
    asked: Vec<VecDeque<Asked>>,
    /// Answers until the next one whose content is read.
    until_read: u32,
}

/// What is known of a request until its answer comes.
#[derive(Clone, Copy)]
struct Asked {
    /// The number of the user, the picture or the new name that it is about.
    about: u64,
}

impl Visitor {
    /// The visitor of one thread, for these connections.
    #[must_use]
    pub fn new(play: &Arc<Play>, connections: Range<usize>, seed: u64) -> Visitor {
        let mut sum = 0;
        let mix = play.scenario.mix.iter().filter(|(_, share)| share.weight > 0);
        let mix: Vec<(u32, Kind)> = mix
            .map(|(kind, share)| {
                sum += share.weight;
                (sum, *kind)
            })
            .collect();
        Visitor {
            play: play.clone(),
            rng: SmallRng::seed_from_u64(seed),
            mix,
            weights: sum,
            first: connections.start,
            asked: vec![VecDeque::new(); connections.len()],
            until_read: 1,
        }
    }

    fn kind(&mut self) -> Kind {
        if let [(_, only)] = self.mix[..] {
            return only;
        }
        let at = self.rng.random_range(0..self.weights);
        let found = self.mix.iter().find(|(sum, _)| at < *sum);
        found.expect("the last sum is above every number drawn").1
    }

    /// Writes a request and says whom or what it is about.
    fn write(&mut self, connection: usize, kind: Kind, out: &mut Vec<u8>) -> u64 {
        let mut asks =
            Asks { play: &self.play, rng: &mut self.rng, rest: Rest::new(&self.play, out) };
        let about = accounts::write(kind, &mut asks)
            .or_else(|| board::write(kind, &mut asks))
            .or_else(|| bids::write(kind, connection, &mut asks));
        about.expect("every kind belongs to one of them")
    }

    /// Whether the body says what it must.
    fn read(&self, kind: Kind, about: u64, body: &[u8]) -> Result<(), Wrong> {
        let mut text = Vec::with_capacity(64);
        let (put, wrong) = match kind {
            Kind::Health => (write!(text, "\"status\":\"ok\""), "the health is not ok"),
            Kind::Profile | Kind::Me => {
                (write!(text, "\"username\":\"user{about}\""), "it is another user")
            }
            Kind::Login => {
                (write!(text, "\"username\":\"user{about}\""), "another user is logged in")
            }
            Kind::Search => {
                (write!(text, "\"username\":\"user{about}"), "nobody found has the name")
            }
            Kind::Edit => {
                (write!(text, "\"nickname\":\"Nick {about}\""), "the nickname is another")
            }
            Kind::Register => (
                write!(text, "\"username\":\"{}{about}\"", self.play.cast.prefix),
                "the name is another",
            ),
            Kind::Board | Kind::Deep => (write!(text, "\"rank\":"), "nobody has a rank"),
            Kind::Rank => (write!(text, "\"percentile\":"), "there is no percentile"),
            Kind::Rate => (write!(text, "\"user_id\":{about},"), "another user was rated"),
            Kind::Rates => {
                let failed = memmem::find(body, b"\"error\":").is_some();
                let wrong = Wrong::Content("a rating was refused");
                return if failed { Err(wrong) } else { Ok(()) };
            }
            Kind::Offer => (write!(text, "\"auction_id\":{about},"), "it is another auction's"),
            // Judged frame by frame.
            Kind::Bid | Kind::Watch => return Ok(()),
            Kind::Upload => (write!(text, "\"picture\":\"/pictures/"), "there is no picture"),
            Kind::Picture => {
                let image = image::guess_format(body).is_ok();
                let wrong = Wrong::Content("it is no picture");
                return if image { Ok(()) } else { Err(wrong) };
            }
        };
        put.expect("memory takes it");
        if memmem::find(body, &text).is_none() {
            return Err(Wrong::Content(wrong));
        }
        if kind == Kind::Login && memmem::find(body, b"\"token\":\"").is_none() {
            return Err(Wrong::Content("the login has no token"));
        }
        Ok(())
    }
}

impl Workload for Visitor {
    fn connect(&mut self, connection: usize, out: &mut Vec<u8>) {
        self.asked[connection - self.first].clear();
        if self.play.scenario.is_binary() {
            let user = self.play.bidder(connection as u64);
            let index = usize::try_from(user - 1).expect("members are few");
            tlv::auth(&self.play.cast.tokens[index], out);
        }
    }

    fn next(&mut self, connection: usize, out: &mut Vec<u8>) -> Tag {
        let kind = self.kind();
        let about = self.write(connection, kind, out);
        self.asked[connection - self.first].push_back(Asked { about });
        tag(kind)
    }

    fn check(&mut self, connection: usize, tag: Tag, response: &Response<'_>) -> Result<(), Wrong> {
        let asked = self.asked[connection - self.first].pop_front();
        let kind = kind_of(tag);
        if self.play.eyes == Eyes::Shut {
            return if response.status / 100 == 2 { Ok(()) } else { Err(Wrong::Status) };
        }
        if kind == Kind::Bid {
            return tlv::judge(response);
        }
        if kind == Kind::Offer && response.status == 409 && bids::is_late(response.body) {
            return Err(Wrong::Declined);
        }
        let share = self.play.scenario.mix.get(&kind);
        if share.is_none_or(|share| share.status != response.status) {
            return Err(Wrong::Status);
        }
        self.until_read -= 1;
        if self.until_read > 0 {
            return Ok(());
        }
        self.until_read = self.play.scenario.success.content_every;
        match asked {
            Some(asked) => self.read(kind, asked.about, response.body),
            None => Err(Wrong::Content("it answers nothing that was asked")),
        }
    }
}

/// The engine's mark of a kind.
#[must_use]
pub fn tag(kind: Kind) -> Tag {
    Tag(kind as u16)
}

/// The kind that the engine's mark stands for.
#[must_use]
pub fn kind_of(tag: Tag) -> Kind {
    Kind::ALL[usize::from(tag.0)]
}

#[cfg(test)]
mod tests {
    use super::{Eyes, Play, Visitor, kind_of, tag};
    use crate::cast::Cast;
    use crate::engine::{Response, Workload, Wrong};
    use crate::scenario::{self, Kind};

    fn visitor(name: &str, eyes: Eyes) -> Visitor {
        let mut scenario = scenario::find(name).expect("shipped");
        scenario.success.content_every = 1;
        let cast = Cast {
            tokens: vec!["t1".into(), "t2".into()],
            uploads: vec![b"png".to_vec()],
            pictures: vec!["/pictures/ab".into()],
            prefix: "b1-".into(),
            auctions: vec![7],
            ids: vec![11, 12, 13],
            ..Cast::default()
        };
        Visitor::new(&Play::new(scenario, cast.into(), "souk:80", eyes), 10..12, 1)
    }

    fn answer(status: u16, body: &[u8]) -> Response<'_> {
        Response { status, head: b"", body }
    }

    #[test]
    fn marks_lead_back_to_their_kinds() {
        for kind in Kind::ALL {
            assert_eq!(kind_of(tag(kind)), kind);
        }
    }

    #[test]
    fn every_request_is_whole_and_its_own_kind() {
        let mut visitor = visitor("mixed", Eyes::Sharp);
        for _ in 0..500 {
            let mut out = Vec::new();
            let kind = kind_of(visitor.next(10, &mut out));
            let mut fields = [httparse::EMPTY_HEADER; 8];
            let mut request = httparse::Request::new(&mut fields);
            let head = request.parse(&out).expect("HTTP").unwrap();
            let field = |name: &str| {
                let found = request.headers.iter().find(|f| f.name == name);
                found.map(|f| String::from_utf8_lossy(f.value).into_owned())
            };
            let length = field("Content-Length").map_or(0, |l| l.parse().expect("a number"));
            assert_eq!(out.len() - head, length, "{kind:?}");
            assert_eq!(field("Host").as_deref(), Some("souk:80"));
            let member = kind.needs_members() && kind != Kind::Picture;
            assert_eq!(field("Authorization").is_some(), member, "{kind:?}");
        }
    }

    #[test]
    fn another_status_and_another_user_are_wrong() {
        let mut visitor = visitor("me", Eyes::Sharp);
        let mut out = Vec::new();
        let mut ask = |visitor: &mut Visitor, response: Response<'_>| {
            out.clear();
            let tag = visitor.next(11, &mut out);
            visitor.check(11, tag, &response)
        };
        assert_eq!(ask(&mut visitor, answer(503, b"")), Err(Wrong::Status));
        let wrong = ask(&mut visitor, answer(200, b"{\"username\":\"user9\"}"));
        assert!(matches!(wrong, Err(Wrong::Content(_))));
        let both = b"{\"username\":\"user1\",\"x\":{\"username\":\"user2\"}}";
        assert_eq!(ask(&mut visitor, answer(200, both)), Ok(()));
    }

    #[test]
    fn after_a_lost_connection_answers_meet_their_own_requests() {
        let mut visitor = visitor("profile-zipf", Eyes::Sharp);
        let mut out = Vec::new();
        visitor.next(10, &mut out);
        visitor.connect(10, &mut Vec::new());
        out.clear();
        let tag = visitor.next(10, &mut out);
        let text = String::from_utf8(out).expect("text");
        let name = text.split(['/', ' ']).find(|part| part.starts_with("user") && *part != "users");
        let body = format!("{{\"username\":\"{}\"}}", name.expect("a name"));
        assert_eq!(visitor.check(10, tag, &answer(200, body.as_bytes())), Ok(()));
    }

    #[test]
    fn shut_eyes_take_any_2xx_and_nothing_else() {
        let mut visitor = visitor("register", Eyes::Shut);
        let mut out = Vec::new();
        let tag = visitor.next(10, &mut out);
        assert_eq!(visitor.check(10, tag, &answer(200, b"x")), Ok(()));
        assert_eq!(visitor.check(10, tag, &answer(404, b"x")), Err(Wrong::Status));
    }
}
