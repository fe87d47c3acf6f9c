//! Requests about accounts.

use super::Asks;
use crate::cast::PASSWORD;
use crate::scenario::Kind;
use rand::RngExt;
use std::sync::atomic::Ordering;

/// Writes a request and says whom or what it is about; nothing for other kinds.
pub fn write(kind: Kind, asks: &mut Asks<'_>) -> Option<u64> {
    let Asks { play, rng, rest } = asks;
    let about = match kind {
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
            let body = format_args!("{{\"username\":\"user{user}\",\"password\":\"{PASSWORD}\"}}");
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
        _ => return None,
    };
    Some(about)
}
