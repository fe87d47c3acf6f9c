//! A scenario as the engine drives it: writes requests, judges answers.

use crate::cast::{Cast, PASSWORD};
use crate::engine::{Response, Tag, Workload, Wrong};
use crate::pick::Picker;
use crate::scenario::{Kind, RATES, Scenario};
use memchr::memmem;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::VecDeque;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
}

impl Play {
    /// A play on a stage at `host`.
    #[must_use]
    pub fn new(scenario: Scenario, cast: Arc<Cast>, host: &str, eyes: Eyes) -> Arc<Play> {
        let picker = Picker::new(scenario.pick, scenario.users, &cast.queue);
        let host = host.to_owned();
        Arc::new(Play { scenario, cast, host, eyes, picker, made: AtomicU64::new(1) })
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
}

/// One up or one down.
fn step(rng: &mut SmallRng) -> i32 {
    if rng.random() { 1 } else { -1 }
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
    fn write(&mut self, kind: Kind, out: &mut Vec<u8>) -> u64 {
        let Visitor { play, rng, .. } = self;
        let mut rest = Rest { play, out };
        match kind {
            Kind::Health => {
                rest.get(format_args!("/health"), None);
                0
            }
            Kind::Profile => {
                let user = play.picker.next(rng);
                rest.get(format_args!("/api/v1/users/by-name/user{user}"), None);
                user
            }
            Kind::Search => {
                let user = play.picker.next(rng);
                rest.get(format_args!("/api/v1/users/search?username=user{user}&limit=5"), None);
                user
            }
            Kind::Me => {
                let user = play.member(rng);
                rest.get(format_args!("/api/v1/me"), Some(user));
                user
            }
            Kind::Login => {
                let user = play.member(rng);
                let body =
                    format_args!("{{\"username\":\"user{user}\",\"password\":\"{PASSWORD}\"}}");
                rest.json("POST /api/v1/login", None, body);
                user
            }
            Kind::Edit => {
                let user = play.member(rng);
                let made = play.made.fetch_add(1, Ordering::Relaxed);
                let body = format_args!("{{\"nickname\":\"Nick {made}\"}}");
                rest.json("PATCH /api/v1/me", Some(user), body);
                made
            }
            Kind::Register => {
                let made = play.made.fetch_add(1, Ordering::Relaxed);
                let prefix = &play.cast.prefix;
                let body = format_args!(
                    "{{\"username\":\"{prefix}{made}\",\"password\":\"{PASSWORD} of {made}\"}}"
                );
                rest.json("POST /api/v1/users", None, body);
                made
            }
            Kind::Upload => {
                let user = play.member(rng);
                let at = rng.random_range(0..play.cast.uploads.len());
                let upload = &play.cast.uploads[at];
                rest.body("PUT /api/v1/me/picture", Some(user), "image/png", upload);
                user
            }
            Kind::Picture => {
                let at = rng.random_range(0..play.cast.pictures.len());
                rest.get(format_args!("{}", play.cast.pictures[at]), None);
                at as u64
            }
            Kind::Board | Kind::Deep | Kind::Rank | Kind::Rate | Kind::Rates => {
                write_board(kind, play, rng, &mut rest)
            }
        }
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

/// Writes a request about the leaderboard and says whom it is about.
fn write_board(kind: Kind, play: &Play, rng: &mut SmallRng, rest: &mut Rest<'_>) -> u64 {
    match kind {
        Kind::Board => {
            rest.get(format_args!("/api/v1/leaderboard"), None);
            0
        }
        Kind::Deep => {
            let at = rng.random_range(0..play.cast.cursors.len());
            let cursor = &play.cast.cursors[at];
            rest.get(format_args!("/api/v1/leaderboard?cursor={cursor}"), None);
            0
        }
        Kind::Rank => {
            let id = play.id(rng);
            rest.get(format_args!("/api/v1/users/{id}/rank"), None);
            id
        }
        Kind::Rate => {
            let id = play.id(rng);
            let line = format!("PUT /api/v1/users/{id}/rating");
            let step = step(rng);
            rest.service_json(&line, format_args!("{{\"delta\":{step}}}"));
            id
        }
        Kind::Rates => {
            let mut items = String::with_capacity(40 * RATES as usize);
            for _ in 0..RATES {
                let comma = if items.is_empty() { "" } else { "," };
                let (id, step) = (play.id(rng), step(rng));
                items.push_str(&format!("{comma}{{\"user_id\":{id},\"delta\":{step}}}"));
            }
            let body = format_args!("{{\"items\":[{items}]}}");
            rest.service_json("POST /api/v1/ratings", body);
            0
        }
        _ => unreachable!("no other kind is about the leaderboard"),
    }
}

impl Workload for Visitor {
    fn connect(&mut self, connection: usize) {
        self.asked[connection - self.first].clear();
    }

    fn next(&mut self, connection: usize, out: &mut Vec<u8>) -> Tag {
        let kind = self.kind();
        let about = self.write(kind, out);
        self.asked[connection - self.first].push_back(Asked { about });
        tag(kind)
    }

    fn check(&mut self, connection: usize, tag: Tag, response: &Response<'_>) -> Result<(), Wrong> {
        let asked = self.asked[connection - self.first].pop_front();
        let kind = kind_of(tag);
        if self.play.eyes == Eyes::Shut {
            return if response.status / 100 == 2 { Ok(()) } else { Err(Wrong::Status) };
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

/// Writes the rest of a request behind its first words.
struct Rest<'a> {
    play: &'a Play,
    out: &'a mut Vec<u8>,
}

impl Rest<'_> {
    fn get(&mut self, path: std::fmt::Arguments<'_>, user: Option<u64>) {
        write!(self.out, "GET {path} HTTP/1.1\r\n").expect("memory takes it");
        self.fields(user);
        self.out.extend_from_slice(b"\r\n");
    }

    /// JSON from a program with a token.
    fn service_json(&mut self, line: &str, body: std::fmt::Arguments<'_>) {
        let token = &self.play.cast.service;
        let text = body.to_string();
        write!(
            self.out,
            "{line} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            self.play.host,
            text.len()
        )
        .expect("memory takes it");
    }

    fn json(&mut self, line: &str, user: Option<u64>, body: std::fmt::Arguments<'_>) {
        let mut text = Vec::with_capacity(96);
        text.write_fmt(body).expect("memory takes it");
        self.body(line, user, "application/json", &text);
    }

    fn body(&mut self, line: &str, user: Option<u64>, kind: &str, body: &[u8]) {
        write!(self.out, "{line} HTTP/1.1\r\n").expect("memory takes it");
        self.fields(user);
        let length = body.len();
        write!(self.out, "Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n")
            .expect("memory takes it");
        self.out.extend_from_slice(body);
    }

    fn fields(&mut self, user: Option<u64>) {
        let out = &mut *self.out;
        out.extend_from_slice(b"Host: ");
        out.extend_from_slice(self.play.host.as_bytes());
        out.extend_from_slice(b"\r\n");
        if let Some(user) = user {
            out.extend_from_slice(b"Authorization: Bearer ");
            let index = usize::try_from(user - 1).expect("members are few");
            out.extend_from_slice(self.play.cast.tokens[index].as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
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
        visitor.connect(10);
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
