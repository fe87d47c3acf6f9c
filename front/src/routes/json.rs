//! JSON answers: users, sessions and lists, and the entity tags that go with users.

use crate::http::{Head, Response};
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Serialize, Serializer};
use souk_proto::accounts::{LoginAnswer, Session, SessionList, User, UserPage};
use souk_proto::{Code, Failure};

/// Room for a user with a nickname of usual length, so that its JSON is written in one piece.
const USER_LEN: usize = 256;

/// Whose eyes an answer with a user is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eyes {
    /// Anyone's.
    Public,
    /// The user's own: the version is part of it, and shared caches keep off.
    Owner,
}

/// An answer with a JSON body.
pub(super) fn answer(status: u16, body: &impl Serialize) -> Response {
    answer_as("application/json", status, body)
}

/// An answer with a JSON body of a more precise type.
pub(super) fn answer_as(media_type: &str, status: u16, body: &impl Serialize) -> Response {
    let mut bytes = Vec::with_capacity(USER_LEN);
    serde_json::to_writer(&mut bytes, body).expect("our own types are JSON and memory takes it");
    Response::new(status).with(media_type, bytes)
}

/// An answer with a user, its entity tag, and how it may be cached: only with asking again, for
/// anything in it can change at any time.
pub(super) fn user(status: u16, user: &User, eyes: Eyes) -> Response {
    with_tag(answer(status, &UserJson::new(user, eyes)), user, eyes)
}

/// Like [`user`], or 304 when the request says that it has this version already.
pub(super) fn user_unless_known(head: &Head, found: &User, eyes: Eyes) -> Response {
    match head.header_str("if-none-match") {
        Some(known) if names_tag(known, &tag(found)) => with_tag(Response::new(304), found, eyes),
        _ => user(200, found, eyes),
    }
}

fn with_tag(mut response: Response, user: &User, eyes: Eyes) -> Response {
    response.headers.push("etag", format_args!("\"{}-{}\"", user.id, user.version));
    let cache = match eyes {
        Eyes::Public => "no-cache",
        Eyes::Owner => "private, no-cache",
    };
    response.header("cache-control", cache)
}

/// The id is part of the tag, since one address may show another user later: a username that is
/// free again, or `/me` after a change of account.
fn tag(user: &User) -> String {
    format!("\"{}-{}\"", user.id, user.version)
}

/// Whether an If-None-Match value names this entity tag (weak comparison, RFC 9110, 8.8.3.2).
pub(super) fn names_tag(header: &str, tag: &str) -> bool {
    header.trim() == "*"
        || header
            .split(',')
            .map(str::trim)
            .any(|each| each.strip_prefix("W/").unwrap_or(each) == tag)
}

/// The version that an If-Match header asks for; none if any will do.
///
/// # Errors
/// [`Code::VersionConflict`] for a tag that cannot match: weak, or another user's;
/// [`Code::InvalidField`] for what is no single tag of ours.
pub(super) fn wanted_version(header: Option<&str>, user_id: u64) -> Result<Option<u64>, Failure> {
    let Some(header) = header.map(str::trim).filter(|header| *header != "*") else {
        return Ok(None);
    };
    if header.starts_with("W/") {
        return Err(Failure::new(Code::VersionConflict));
    }
    let number = |text: &str| -> Option<u64> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    };
    let tag = header.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let parts = tag.and_then(|tag| match tag.split_once('-') {
        Some((id, version)) => Some((number(id)?, number(version)?)),
        None => Some((user_id, number(tag)?)),
    });
    match parts {
        Some((id, version)) if id == user_id => Ok(Some(version)),
        Some(_) => Err(Failure::new(Code::VersionConflict)),
        None => {
            let detail =
                "Send in If-Match the ETag of the last answer, as it was, or leave it out.";
            Err(Failure::field("If-Match", detail))
        }
    }
}

/// A user as clients see it.
#[derive(Serialize)]
struct UserJson<'a> {
    id: u64,
    username: &'a str,
    nickname: &'a str,
    picture: Option<PicturePath<'a>>,
    rating: i32,
    created_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

impl UserJson<'_> {
    fn new(user: &User, eyes: Eyes) -> UserJson<'_> {
        UserJson {
            id: user.id,
            username: &user.username,
            nickname: &user.nickname,
            picture: (!user.picture.is_empty()).then_some(PicturePath(&user.picture)),
            rating: user.rating,
            created_at: Time(user.created_at_ms),
            version: (eyes == Eyes::Owner).then_some(user.version),
        }
    }
}

/// The path to GET a picture from.
pub(crate) struct PicturePath<'a>(pub &'a str);

impl Serialize for PicturePath<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&format_args!("/pictures/{}", self.0))
    }
}

/// A time in Unix milliseconds, shown as RFC 3339 in UTC with milliseconds.
pub(crate) struct Time(pub i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        const MILLISECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
        // A time outside of the years -9999 to 9999 cannot be written, and never was now.
        let time = Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::UNIX_EPOCH);
        out.serialize_str(&MILLISECONDS.timestamp_to_string(&time))
    }
}

/// Every list: its items, and where the next page begins.
#[derive(Serialize)]
pub(super) struct List<'a, T> {
    pub items: Vec<T>,
    pub next_cursor: Option<&'a str>,
}

/// An answer with a page of users.
pub(super) fn users(page: &UserPage) -> Response {
    let items = page.items.iter().map(|user| UserJson::new(user, Eyes::Public)).collect();
    let next_cursor = (!page.next_cursor.is_empty()).then_some(page.next_cursor.as_str());
    answer(200, &List { items, next_cursor }).header("cache-control", "no-cache")
}

#[derive(Serialize)]
struct SessionJson<'a> {
    id: &'a str,
    device: &'a str,
    address: &'a str,
    created_at: Time,
    last_seen_at: Time,
    current: bool,
}

impl SessionJson<'_> {
    fn new(session: &Session) -> SessionJson<'_> {
        SessionJson {
            id: &session.id,
            device: &session.device,
            address: &session.address,
            created_at: Time(session.created_at_ms),
            last_seen_at: Time(session.last_seen_at_ms),
            current: session.current,
        }
    }
}

/// An answer with all sessions of a user.
pub(super) fn sessions(list: &SessionList) -> Response {
    let items = list.items.iter().map(SessionJson::new).collect();
    answer(200, &List { items, next_cursor: None }).header("cache-control", "no-store")
}

#[derive(Serialize)]
struct LoginJson<'a> {
    user: UserJson<'a>,
    token: &'a str,
    expires_at: Time,
}

/// The answer to a login.
pub(super) fn login(user: &User, login: &LoginAnswer) -> Response {
    let user = UserJson::new(user, Eyes::Owner);
    let body = LoginJson { user, token: &login.token, expires_at: Time(login.expires_at_ms) };
    answer(200, &body).header("cache-control", "no-store")
}

/// The body of an answer, parsed again.
#[cfg(test)]
pub(super) fn parsed(response: &Response) -> serde_json::Value {
    match &response.body {
        crate::http::Body::Bytes(bytes) => serde_json::from_slice(bytes).expect("JSON"),
        crate::http::Body::Static(bytes) => serde_json::from_slice(bytes).expect("JSON"),
        other => panic!("no JSON but {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Eyes, names_tag, parsed, user, user_unless_known, users, wanted_version};
    use crate::http::{Head, Response, head};
    use serde_json::json;
    use souk_proto::Code;
    use souk_proto::accounts::{User, UserPage};

    fn aisha() -> User {
        User {
            id: 7,
            username: "aisha".into(),
            nickname: "عائشة \"A\"".into(),
            picture: "ab".repeat(32),
            rating: 1000,
            version: 3,
            created_at_ms: 1_763_683_200_005,
        }
    }

    fn request(fields: &str) -> Head {
        let text = format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        head::parse(text.as_bytes()).expect("valid").expect("whole").0
    }

    #[test]
    fn a_user_has_exactly_these_members() {
        let picture = format!("/pictures/{}", "ab".repeat(32));
        let mut expected = json!({
            "id": 7, "username": "aisha", "nickname": "عائشة \"A\"", "picture": picture,
            "rating": 1000, "created_at": "2025-11-21T00:00:00.005Z",
        });
        assert_eq!(parsed(&user(200, &aisha(), Eyes::Public)), expected);
        expected["version"] = json!(3);
        expected["picture"] = json!(null);
        let bare = User { picture: String::new(), ..aisha() };
        assert_eq!(parsed(&user(200, &bare, Eyes::Owner)), expected);
        let whole = User { created_at_ms: 1_763_683_200_000, ..aisha() };
        let shown = parsed(&user(200, &whole, Eyes::Public));
        assert_eq!(shown["created_at"], "2025-11-21T00:00:00.000Z");
    }

    #[test]
    fn the_last_page_has_a_null_cursor() {
        let page = |next_cursor: &str| {
            let page = UserPage { items: vec![aisha()], next_cursor: next_cursor.into() };
            parsed(&users(&page))
        };
        assert_eq!(page("")["next_cursor"], json!(null));
        assert_eq!(page("abc")["next_cursor"], "abc");
        assert_eq!(page("")["items"][0]["id"], 7);
    }

    #[test]
    fn a_known_version_is_not_sent_again() {
        let show = |fields: &str| user_unless_known(&request(fields), &aisha(), Eyes::Public);
        let tag = |response: &Response| response.headers.get("etag").map(str::to_owned);
        let full = show("");
        assert_eq!((full.status, tag(&full).as_deref()), (200, Some("\"7-3\"")));
        for known in ["\"7-3\"", "W/\"7-3\"", "\"x\", \"7-3\"", "*"] {
            let response = show(&format!("if-none-match: {known}\r\n"));
            assert_eq!((response.status, response.body.length()), (304, 0), "{known}");
            assert_eq!(tag(&response).as_deref(), Some("\"7-3\""), "{known}");
            assert_eq!(response.headers.get("cache-control"), Some("no-cache"));
        }
        for other in ["\"7-2\"", "\"8-3\"", "7-3", "\"\"", ""] {
            assert_eq!(show(&format!("if-none-match: {other}\r\n")).status, 200, "{other}");
        }
        assert!(!names_tag("\"7-33\"", "\"7-3\""));
    }

    #[test]
    fn a_change_can_ask_for_the_version_it_saw() {
        assert_eq!(wanted_version(None, 7), Ok(None));
        assert_eq!(wanted_version(Some("*"), 7), Ok(None));
        assert_eq!(wanted_version(Some("\"7-3\""), 7), Ok(Some(3)));
        assert_eq!(wanted_version(Some(" \"3\" "), 7), Ok(Some(3)));
        let code = |header| wanted_version(Some(header), 7).expect_err(header).code;
        assert_eq!(code("\"8-3\""), Code::VersionConflict);
        assert_eq!(code("W/\"7-3\""), Code::VersionConflict);
        for bad in ["", "3", "\"\"", "\"-3\"", "\"7-\"", "\"+3\"", "\"7-3\", \"7-4\"", "\"7-3-1\""]
        {
            assert_eq!(code(bad), Code::InvalidField, "{bad}");
        }
    }
}
