//! Those who take part in a run: people who are logged in, pictures that hang.

use crate::Failed;
use crate::client::{Answer, Client};
use crate::pick::Queue;
use crate::scenario::{Kind, Scenario};
use crate::target::Target;
use image::{ImageFormat, Rgb, RgbImage};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The password of every demo user.
pub const PASSWORD: &str = "password";

/// Logins that are under way at the same time while people are prepared: Argon2 takes all cores,
/// and a full queue of hashes would refuse.
const AT_ONCE: u64 = 8;

/// Different pictures that are uploaded. One alone would be found stored already each time.
const PICTURES: u32 = 16;

/// Sides of the pictures that are uploaded, pixels: as a phone's avatar cutter leaves them.
const PICTURE_SIDE: u32 = 320;

/// Different pages of the board that are asked for.
const CURSORS: usize = 200;

/// Who and what a run needs.
#[derive(Debug, Default)]
pub struct Cast {
    /// Tokens of user1 … userN, who are logged in.
    pub tokens: Vec<String>,
    /// Pictures to upload, PNG.
    pub uploads: Vec<Vec<u8>>,
    /// Paths of pictures that can be looked at.
    pub pictures: Vec<String>,
    /// Ids of user1 … userN.
    pub ids: Vec<u64>,
    /// Cursors of pages all over the board.
    pub cursors: Vec<String>,
    /// Auctions that the first member has opened.
    pub auctions: Vec<u64>,
    /// A token of the role `service`; empty if nobody needs it.
    pub service: String,
    /// What names of accounts made in this run begin with: no two runs share it.
    pub prefix: String,
    /// Who has come, where everybody comes once: shared by all runs that this cast plays in.
    pub queue: Arc<Queue>,
}

#[derive(Deserialize)]
struct LoginJson {
    token: String,
}

#[derive(Deserialize)]
struct IdJson {
    id: u64,
}

#[derive(Deserialize)]
struct AroundJson {
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct UserJson {
    picture: Option<String>,
}

/// Brings everybody together: logs the scenario's members in, and hangs pictures if some are
/// looked at.
///
/// # Errors
/// If someone cannot log in, with what may be the reason.
pub fn gather(scenario: &Scenario, target: &Target) -> Result<Cast, Failed> {
    let client = &Client::new(&target.base);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
    let queue = Queue::from(u64::try_from(now)?);
    let mut cast = Cast { prefix: format!("b{now:x}-"), queue, ..Cast::default() };
    cast.tokens = log_in(scenario.members, client)?;
    let has = |kind| scenario.mix.contains_key(&kind);
    if scenario.mix.keys().any(|kind| kind.needs_ids()) {
        // Those who bid are logged in; there may be many more.
        let asked = if scenario.is_binary() { scenario.members } else { scenario.users };
        cast.ids = ids(asked, client)?;
    }
    if scenario.mix.keys().any(|kind| kind.needs_auctions()) {
        cast.auctions = auctions(scenario.auctions, &cast.tokens, client)?;
    }
    if has(Kind::Deep) {
        cast.cursors = cursors(&cast.ids, client)?;
    }
    if scenario.mix.keys().any(|kind| kind.needs_service()) {
        let none = || Failed::new("changing ratings needs a service token: give --token-file FILE");
        cast.service = target.service.as_ref().ok_or_else(none)?.token()?;
    }
    if has(Kind::Upload) || has(Kind::Picture) {
        cast.uploads = (0..PICTURES).map(picture).collect::<Result<_, _>>()?;
    }
    if has(Kind::Picture) {
        for (upload, token) in cast.uploads.iter().zip(cast.tokens.iter().cycle()) {
            let body = Some(("image/png", &upload[..]));
            let answer = client.send("PUT", "/api/v1/me/picture", Some(token), body)?;
            expect(&answer, 200, "a picture was refused")?;
            let user: UserJson = serde_json::from_slice(&answer.body)?;
            cast.pictures.extend(user.picture);
        }
    }
    Ok(cast)
}

/// Asks for the ids of user1 … userN.
fn ids(users: u64, client: &Client) -> Result<Vec<u64>, Failed> {
    let id = |number: u64| {
        let path = format!("/api/v1/users/by-name/user{number}");
        let answer = client.send("GET", &path, None, None)?;
        expect(&answer, 200, &format!("there is no user{number}"))?;
        Ok(serde_json::from_slice::<IdJson>(&answer.body)?.id)
    };
    (1..=users).map(id).collect()
}

/// Has the first member open auctions that last longer than any run.
fn auctions(count: u64, tokens: &[String], client: &Client) -> Result<Vec<u64>, Failed> {
    let end = Timestamp::now() + SignedDuration::from_hours(48);
    let open = |number: u64| {
        let body = format!(
            "{{\"title\":\"Lot {number}\",\"currency\":\"EUR\",\"start_price\":1,\
             \"increment\":1,\"end_at\":\"{end:.0}\"}}"
        );
        let body = Some(("application/json", body.as_bytes()));
        let answer = client.send("POST", "/api/v1/auctions", tokens.first().map(|t| &**t), body)?;
        expect(&answer, 201, "an auction was refused")?;
        Ok(serde_json::from_slice::<IdJson>(&answer.body)?.id)
    };
    (1..=count).map(open).collect()
}

/// Cursors that lead on from the neighbours of some users, wherever these are.
fn cursors(ids: &[u64], client: &Client) -> Result<Vec<String>, Failed> {
    let mut cursors = Vec::new();
    for id in ids.iter().take(CURSORS) {
        let path = format!("/api/v1/leaderboard/around/{id}?radius=1");
        let answer = client.send("GET", &path, None, None)?;
        expect(&answer, 200, "there are no neighbours")?;
        cursors.extend(serde_json::from_slice::<AroundJson>(&answer.body)?.next_cursor);
    }
    if cursors.is_empty() {
        return Err(Failed::new("no user has anybody behind: there are too few"));
    }
    Ok(cursors)
}

fn log_in(members: u64, client: &Client) -> Result<Vec<String>, Failed> {
    let next = AtomicU64::new(1);
    let worker = || {
        let mut mine = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number > members {
                return Ok(mine);
            }
            let body = format!("{{\"username\":\"user{number}\",\"password\":\"{PASSWORD}\"}}");
            let body = Some(("application/json", body.as_bytes()));
            let answer = client.send("POST", "/api/v1/login", None, body)?;
            expect(&answer, 200, &format!("user{number} cannot log in"))?;
            let login: LoginJson = serde_json::from_slice(&answer.body)?;
            mine.push((number, login.token));
        }
    };
    let mut all: Vec<(u64, String)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE.min(members)).map(|_| scope.spawn(worker)).collect();
        let joined = workers.into_iter().map(|worker| worker.join().expect("no panic"));
        joined.collect::<Result<Vec<_>, Failed>>().map(|parts| parts.concat())
    })?;
    all.sort_unstable();
    Ok(all.into_iter().map(|(_, token)| token).collect())
}

fn expect(answer: &Answer, status: u16, what: &str) -> Result<(), Failed> {
    if answer.status == status {
        return Ok(());
    }
    let hint = match answer.status {
        429 => ". The server limits rates: start it with `souk up --no-limits`",
        401 | 404 => ". Make the demo users: `souk seed --users N`",
        _ => "",
    };
    let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(200)]);
    Err(Failed::new(format!("{what}: status {} {body}{hint}", answer.status)))
}

/// A picture that is like no other: coarse noise, which neither packs to nothing nor stays whole.
fn picture(number: u32) -> Result<Vec<u8>, Failed> {
    let shade = |x: u32, y: u32, salt: u32| {
        let mixed =
            (x / 8 + 41 * (y / 8) + 1000 * salt + 7919 * number).wrapping_mul(2_654_435_761);
        (mixed >> 24) as u8
    };
    let image = RgbImage::from_fn(PICTURE_SIDE, PICTURE_SIDE, |x, y| {
        Rgb([shade(x, y, 1), shade(x, y, 2), shade(x, y, 3)])
    });
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::{PICTURES, picture};
    use std::collections::BTreeSet;

    #[test]
    fn no_two_pictures_are_alike() {
        let all: BTreeSet<Vec<u8>> =
            (0..PICTURES).map(|number| picture(number).expect("drawn")).collect();
        assert_eq!(all.len(), PICTURES as usize);
    }
}
