//! The routing table: every method and path, what body it takes and what answers it.

use super::limits::{BATCH_MAX, FORM_MAX, IGNORED_BODY_MAX, MULTIPART_MAX, PICTURE_MAX};
use super::problem::Problem;
use super::query;
use crate::http::{Framing, Head, Method, Refusal, text};
use matchit::Router;
use souk_proto::Code;
use std::sync::LazyLock;

/// What answers a route. The names are those of the handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    CreateUser,
    Login,
    Logout,
    GetMe,
    EditMe,
    DeleteMe,
    SetPicture,
    DropPicture,
    ChangePassword,
    ListSessions,
    RevokeSession,
    RevokeOtherSessions,
    GetUser,
    GetUserByName,
    SearchUsers,
    GetPicture,
    /// Something about boards and ratings.
    Board(Board),
    /// Something about auctions.
    Auction(Auction),
    /// The profile page, or the user when JSON is asked for.
    Profile,
    /// An HTML form or JSON that registers, logs in or edits the profile.
    RegisterForm,
    LoginForm,
    ProfileForm,
    /// A page of the site by its file's name.
    Page(&'static str),
    Asset,
    OpenApi,
    Health,
    Ready,
    /// OPTIONS: which methods a path takes, and CORS preflight.
    Options,
}

/// What answers a route of the leaderboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Board {
    Page,
    Around,
    Distribution,
    Live,
    Seasons,
    Rank,
    SetRating,
    SetRatings,
    Match,
    Hide,
    Unhide,
}

/// What answers a route of the auctions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Auction {
    Create,
    List,
    Get,
    Edit,
    Cancel,
    SetPicture,
    DropPicture,
    Watch,
    Unwatch,
    Bid,
    Bids,
    Settlement,
    Live,
    Notifications,
    ReadNotifications,
}

/// Which body a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// None is needed; a small one is read and ignored.
    Ignored,
    /// A JSON object.
    Json,
    /// A JSON object that holds a long list.
    Batch,
    /// A JSON object or an HTML form.
    Form,
    /// A JSON object, an HTML form, or a multipart form that brings a picture.
    FormOrPicture,
    /// A picture's bytes, or a multipart form with one.
    Picture,
}

/// One line of the table.
pub(super) struct Route {
    pub method: Method,
    pub path: &'static str,
    pub body: Body,
    pub action: Action,
}

const fn route(method: Method, path: &'static str, body: Body, action: Action) -> Route {
    Route { method, path, body, action }
}

/// Every route. HEAD goes where GET is, and OPTIONS everywhere.
pub(super) const ROUTES: &[Route] = {
    use Action as A;
    use Body as B;
    use Method::{Delete, Get, Patch, Post, Put};
    &[
        route(Post, "/api/v1/users", B::Json, A::CreateUser),
        route(Post, "/api/v1/login", B::Json, A::Login),
        route(Post, "/api/v1/logout", B::Ignored, A::Logout),
        route(Get, "/api/v1/me", B::Ignored, A::GetMe),
        route(Patch, "/api/v1/me", B::Json, A::EditMe),
        route(Delete, "/api/v1/me", B::Json, A::DeleteMe),
        route(Put, "/api/v1/me/picture", B::Picture, A::SetPicture),
        route(Delete, "/api/v1/me/picture", B::Ignored, A::DropPicture),
        route(Put, "/api/v1/me/password", B::Json, A::ChangePassword),
        route(Get, "/api/v1/me/sessions", B::Ignored, A::ListSessions),
        route(Delete, "/api/v1/me/sessions", B::Ignored, A::RevokeOtherSessions),
        route(Delete, "/api/v1/me/sessions/{id}", B::Ignored, A::RevokeSession),
        route(Get, "/api/v1/users/search", B::Ignored, A::SearchUsers),
        route(Get, "/api/v1/users/by-name/{username}", B::Ignored, A::GetUserByName),
        route(Get, "/api/v1/users/{id}", B::Ignored, A::GetUser),
        route(Get, "/api/v1/users/{id}/rank", B::Ignored, A::Board(Board::Rank)),
        route(Put, "/api/v1/users/{id}/rating", B::Json, A::Board(Board::SetRating)),
        route(Post, "/api/v1/users/{id}/hide", B::Json, A::Board(Board::Hide)),
        route(Post, "/api/v1/users/{id}/unhide", B::Json, A::Board(Board::Unhide)),
        route(Post, "/api/v1/ratings", B::Batch, A::Board(Board::SetRatings)),
        route(Post, "/api/v1/matches", B::Json, A::Board(Board::Match)),
        route(Get, "/api/v1/leaderboard", B::Ignored, A::Board(Board::Page)),
        route(Get, "/api/v1/leaderboard/around/{user_id}", B::Ignored, A::Board(Board::Around)),
        route(Get, "/api/v1/leaderboard/distribution", B::Ignored, A::Board(Board::Distribution)),
        route(Get, "/api/v1/leaderboard/live", B::Ignored, A::Board(Board::Live)),
        route(Get, "/api/v1/seasons", B::Ignored, A::Board(Board::Seasons)),
        route(Post, "/api/v1/auctions", B::Json, A::Auction(Auction::Create)),
        route(Get, "/api/v1/auctions", B::Ignored, A::Auction(Auction::List)),
        route(Get, "/api/v1/auctions/{id}", B::Ignored, A::Auction(Auction::Get)),
        route(Patch, "/api/v1/auctions/{id}", B::Json, A::Auction(Auction::Edit)),
        route(Post, "/api/v1/auctions/{id}/cancel", B::Ignored, A::Auction(Auction::Cancel)),
        route(Put, "/api/v1/auctions/{id}/picture", B::Picture, A::Auction(Auction::SetPicture)),
        route(
            Delete,
            "/api/v1/auctions/{id}/picture",
            B::Ignored,
            A::Auction(Auction::DropPicture),
        ),
        route(Put, "/api/v1/auctions/{id}/watch", B::Ignored, A::Auction(Auction::Watch)),
        route(Delete, "/api/v1/auctions/{id}/watch", B::Ignored, A::Auction(Auction::Unwatch)),
        route(Post, "/api/v1/auctions/{id}/bids", B::Json, A::Auction(Auction::Bid)),
        route(Get, "/api/v1/auctions/{id}/bids", B::Ignored, A::Auction(Auction::Bids)),
        route(Get, "/api/v1/auctions/{id}/settlement", B::Ignored, A::Auction(Auction::Settlement)),
        route(Get, "/api/v1/auctions/{id}/live", B::Ignored, A::Auction(Auction::Live)),
        route(Get, "/api/v1/notifications", B::Ignored, A::Auction(Auction::Notifications)),
        route(Post, "/api/v1/notifications/read", B::Json, A::Auction(Auction::ReadNotifications)),
        route(Get, "/pictures/{hash}", B::Ignored, A::GetPicture),
        route(Get, "/health", B::Ignored, A::Health),
        route(Get, "/ready", B::Ignored, A::Ready),
        route(Get, "/openapi.json", B::Ignored, A::OpenApi),
        route(Get, "/", B::Ignored, A::Page("index.html")),
        route(Get, "/register", B::Ignored, A::Page("register.html")),
        route(Post, "/register", B::Form, A::RegisterForm),
        route(Get, "/login", B::Ignored, A::Page("login.html")),
        route(Post, "/login", B::Form, A::LoginForm),
        route(Get, "/profile", B::Ignored, A::Profile),
        route(Post, "/profile", B::FormOrPicture, A::ProfileForm),
        route(Get, "/update", B::Ignored, A::Page("profile.html")),
        route(Post, "/update", B::FormOrPicture, A::ProfileForm),
        route(Get, "/leaderboard", B::Ignored, A::Page("leaderboard.html")),
        route(Get, "/auctions", B::Ignored, A::Page("auctions.html")),
        route(Get, "/auctions/{id}", B::Ignored, A::Page("auction.html")),
        route(Get, "/assets/{*name}", B::Ignored, A::Asset),
    ]
};

/// The number of OPTIONS on any path.
const OPTIONS: usize = ROUTES.len();

/// The number of what leads to no route, or is no request.
pub const NOWHERE: usize = ROUTES.len() + 1;

/// The names of all routes, by number.
pub fn names() -> Vec<String> {
    let routes = ROUTES.iter().map(|route| format!("{} {}", route.method.name(), route.path));
    routes.chain(["OPTIONS".into(), "(none)".into()]).collect()
}

/// One path of the table: its routes, and its methods as the Allow header names them.
struct Place {
    /// Each with its number in the table.
    routes: Vec<(usize, &'static Route)>,
    allow: String,
}

static PLACES: LazyLock<Router<Place>> = LazyLock::new(|| {
    let mut places: Vec<(&'static str, Place)> = Vec::new();
    for (number, route) in ROUTES.iter().enumerate() {
        let entry = (number, route);
        match places.iter_mut().find(|(path, _)| *path == route.path) {
            Some((_, place)) => place.routes.push(entry),
            None => {
                places.push((route.path, Place { routes: vec![entry], allow: String::new() }));
            }
        }
    }
    let mut router = Router::new();
    for (path, mut place) in places {
        place.allow = allow(&place.routes);
        router.insert(path, place).expect("the table's paths do not conflict: a test finds each");
    }
    router
});

fn allow(routes: &[(usize, &Route)]) -> String {
    let mut names = Vec::new();
    for (_, route) in routes {
        names.push(route.method.name());
        if route.method == Method::Get {
            names.push("HEAD");
        }
    }
    names.push("OPTIONS");
    names.join(", ")
}

/// The type of a body that came, among those that the table knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// No body, or its type does not matter.
    None,
    Json,
    Form,
    Multipart,
    Picture,
}

/// A route found for a head: what is needed to read the body and to answer.
pub struct Found {
    /// The longest body that may come, in bytes. Past it the answer is 413.
    pub body_limit: u64,
    /// Whether the body goes to the handler piece by piece ([`super::RequestBody::Stream`]).
    pub streams_body: bool,
    /// The route's number among [`names`].
    pub number: usize,
    /// The path as the table has it, with the names of its parameters.
    pub path: &'static str,
    pub(super) action: Action,
    pub(super) media: Media,
    /// The path's parameter, percent-decoded; empty if it has none.
    pub(super) parameter: String,
    /// The path's methods, for OPTIONS.
    pub(super) allow: &'static str,
}

impl Found {
    /// Whether the answer may take the connection for itself.
    pub fn takes_over(&self) -> bool {
        matches!(self.action, Action::Board(Board::Live) | Action::Auction(Auction::Live))
    }
}

/// Why a head leads to no route, or its body is not taken.
#[derive(Debug)]
pub struct Misfit {
    pub(super) problem: Problem<'static>,
    /// The path's methods, if it has not the one asked for.
    pub(super) allow: Option<&'static str>,
}

/// Finds the route of a request by its head alone.
///
/// # Errors
/// What to answer at once, without reading the body: 404, 405 with `Allow`, 413 for a declared
/// length over the route's limit, 415 for a body of a type that the route does not take, 400 for a
/// path that cannot be decoded.
pub fn find(head: &Head) -> Result<Found, Misfit> {
    let path = query::normal_path(head.path());
    if &*path == "*" {
        return Ok(options("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", "*", String::new()));
    }
    let Ok(place) = PLACES.at(&path) else {
        return Err(Code::RouteNotFound.into());
    };
    let parameter = match place.params.iter().next() {
        None => String::new(),
        Some((_, raw)) => match text::segment(raw) {
            Ok(decoded) => decoded.into_owned(),
            Err(Refusal { code, detail }) => {
                return Err(Problem { detail, ..Problem::from(code) }.into());
            }
        },
    };
    let method = if head.method == Method::Head { Method::Get } else { head.method };
    if method == Method::Options {
        return Ok(options(&place.value.allow, place.value.routes[0].1.path, parameter));
    }
    let found = place.value.routes.iter().find(|(_, route)| route.method == method);
    let Some(&(number, route)) = found else {
        let problem = Code::MethodNotAllowed.into();
        return Err(Misfit { problem, allow: Some(&place.value.allow) });
    };
    let (media, body_limit) = body(route.body, head)?;
    Ok(Found {
        body_limit,
        streams_body: matches!(media, Media::Picture | Media::Multipart),
        number,
        path: route.path,
        action: route.action,
        media,
        parameter,
        allow: &place.value.allow,
    })
}

impl From<Problem<'static>> for Misfit {
    fn from(problem: Problem<'static>) -> Misfit {
        Misfit { problem, allow: None }
    }
}

impl From<Code> for Misfit {
    fn from(code: Code) -> Misfit {
        Problem::from(code).into()
    }
}

fn options(allow: &'static str, path: &'static str, parameter: String) -> Found {
    Found {
        body_limit: IGNORED_BODY_MAX,
        streams_body: false,
        number: OPTIONS,
        path,
        action: Action::Options,
        media: Media::None,
        parameter,
        allow,
    }
}

/// Which body comes and how long it may be.
fn body(policy: Body, head: &Head) -> Result<(Media, u64), Misfit> {
    let media = if head.framing.is_empty() { Some(Media::None) } else { media(policy, head) };
    let Some(media) = media else {
        return Err(unsupported(policy).into());
    };
    let limit = match media {
        Media::None => IGNORED_BODY_MAX,
        Media::Json if policy == Body::Batch => BATCH_MAX,
        Media::Json | Media::Form => FORM_MAX,
        Media::Picture => PICTURE_MAX,
        Media::Multipart => MULTIPART_MAX,
    };
    match head.framing {
        Framing::Length(length) if length > limit => {
            let code =
                if media == Media::Picture { Code::PictureTooLarge } else { Code::PayloadTooLarge };
            Err(code.into())
        }
        _ => Ok((media, limit)),
    }
}

/// The type of the body that comes, if the route takes it.
fn media(policy: Body, head: &Head) -> Option<Media> {
    if policy == Body::Ignored {
        return Some(Media::None);
    }
    let Some(value) = head.header_str("content-type") else {
        // A picture is recognised by its content; text without a type could be anything.
        return (policy == Body::Picture).then_some(Media::Picture);
    };
    let media = media_of(value)?;
    let taken = match policy {
        Body::Ignored => false,
        Body::Json | Body::Batch => media == Media::Json,
        Body::Form => matches!(media, Media::Json | Media::Form),
        Body::FormOrPicture => matches!(media, Media::Json | Media::Form | Media::Multipart),
        Body::Picture => matches!(media, Media::Picture | Media::Multipart),
    };
    taken.then_some(media)
}

fn media_of(value: &str) -> Option<Media> {
    let kind: mime::Mime = value.parse().ok()?;
    let utf8 = kind.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8);
    match (kind.type_(), kind.subtype()) {
        (mime::APPLICATION, mime::JSON) if utf8 => Some(Media::Json),
        (mime::APPLICATION, mime::WWW_FORM_URLENCODED) if utf8 => Some(Media::Form),
        (mime::MULTIPART, mime::FORM_DATA) => Some(Media::Multipart),
        (mime::IMAGE, _) | (mime::APPLICATION, mime::OCTET_STREAM) => Some(Media::Picture),
        _ => None,
    }
}

fn unsupported(policy: Body) -> Problem<'static> {
    let detail = match policy {
        Body::Ignored => "",
        Body::Json | Body::Batch => "Send a JSON object as application/json in UTF-8.",
        Body::Form => "Send application/json or application/x-www-form-urlencoded in UTF-8.",
        Body::FormOrPicture => {
            "Send application/json, application/x-www-form-urlencoded or multipart/form-data."
        }
        Body::Picture => {
            "Send the picture as image/* or as the field picture of a \
                          multipart/form-data body."
        }
    };
    Problem { detail, ..Problem::from(Code::UnsupportedMediaType) }
}

#[cfg(test)]
mod tests {
    use super::{Action, Media, Misfit, ROUTES, find};
    use crate::http::{Head, head};
    use crate::routes::status;

    fn request(line: &str, fields: &str) -> Head {
        let text = format!("{line} HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        head::parse(text.as_bytes()).expect("valid").expect("whole").0
    }

    impl Misfit {
        fn status(&self) -> u16 {
            status(self.problem.code)
        }
    }

    fn refused(line: &str, fields: &str) -> Misfit {
        match find(&request(line, fields)) {
            Ok(found) => panic!("{line} leads to {:?}", found.action),
            Err(misfit) => misfit,
        }
    }

    #[test]
    fn every_route_is_found_by_its_method_and_path() {
        for route in ROUTES {
            let path = route.path.replace("{id}", "1").replace("{*name}", "a.js");
            let path =
                path.replace("{user_id}", "1").replace("{username}", "a").replace("{hash}", "0");
            let found = find(&request(&format!("{} {path}", route.method.name()), ""));
            assert_eq!(found.ok().map(|found| found.action), Some(route.action), "{path}");
        }
    }

    #[test]
    fn head_goes_where_get_is_and_options_everywhere() {
        let action = |line| find(&request(line, "")).ok().map(|found| found.action);
        assert_eq!(action("HEAD /api/v1/me"), Some(Action::GetMe));
        assert_eq!(action("OPTIONS /api/v1/me"), Some(Action::Options));
        assert_eq!(action("OPTIONS *"), Some(Action::Options));
        assert_eq!(refused("HEAD /api/v1/login", "").status(), 405);
        assert_eq!(refused("OPTIONS /nowhere", "").status(), 404);
    }

    #[test]
    fn an_unknown_path_is_404_and_a_wrong_method_405_with_what_is_allowed() {
        for path in ["/nowhere", "/api/v1/me/", "/API/v1/me", "//", "/api/v1/users/1/2", "/assets/"]
        {
            assert_eq!(refused(&format!("GET {path}"), "").status(), 404, "{path}");
        }
        let allowed = |line| {
            let misfit = refused(line, "");
            assert_eq!(misfit.status(), 405, "{line}");
            misfit.allow.expect("allow")
        };
        assert_eq!(allowed("POST /api/v1/me"), "GET, HEAD, PATCH, DELETE, OPTIONS");
        assert_eq!(allowed("GET /api/v1/login"), "POST, OPTIONS");
        assert_eq!(allowed("DELETE /login"), "GET, HEAD, POST, OPTIONS");
        assert_eq!(allowed("PUT /api/v1/users/search"), "GET, HEAD, OPTIONS");
    }

    #[test]
    fn parameters_are_decoded_and_bad_escapes_refused() {
        let parameter = |path: &str| {
            find(&request(&format!("GET {path}"), "")).ok().map(|found| found.parameter)
        };
        assert_eq!(parameter("/api/v1/users/by-name/a%2Fb").as_deref(), Some("a/b"));
        assert_eq!(parameter("/api/v1/users/by-name/%C3%B6").as_deref(), Some("ö"));
        assert_eq!(parameter("/api/v1/%75sers/7").as_deref(), Some("7"));
        assert_eq!(parameter("/assets/souk.css").as_deref(), Some("souk.css"));
        for bad in ["%", "%zz", "%ff", "a%0ab"] {
            let line = format!("GET /api/v1/users/by-name/{bad}");
            // Some of these are refused by the parser already.
            let text = format!("{line} HTTP/1.1\r\nhost: a\r\n\r\n");
            if let Ok(Some((head, _))) = head::parse(text.as_bytes()) {
                assert_eq!(find(&head).err().map(|misfit| misfit.status()), Some(400), "{bad}");
            }
        }
    }

    #[test]
    fn a_body_too_long_is_refused_by_its_declared_length() {
        let status = |line: &str, kind: &str, length: u64| {
            let fields = format!("content-type: {kind}\r\ncontent-length: {length}\r\n");
            match find(&request(line, &fields)) {
                Ok(found) => {
                    assert!(found.body_limit >= length);
                    200
                }
                Err(misfit) => misfit.status(),
            }
        };
        let mib5 = 5 * 1024 * 1024;
        #[rustfmt::skip]
        let table: &[(&str, &str, u64, u16)] = &[
            ("POST /api/v1/users", "application/json", 16 * 1024, 200),
            ("POST /api/v1/users", "application/json", 16 * 1024 + 1, 413),
            ("POST /api/v1/users", "application/json", u64::MAX, 413),
            ("POST /login", "application/x-www-form-urlencoded", 16 * 1024 + 1, 413),
            ("PUT /api/v1/me/picture", "image/png", mib5, 200),
            ("PUT /api/v1/me/picture", "image/png", mib5 + 1, 413),
            ("PUT /api/v1/me/picture", "multipart/form-data; boundary=x", mib5 + 1, 200),
            ("PUT /api/v1/me/picture", "multipart/form-data; boundary=x", mib5 + 65_537, 413),
            ("POST /update", "multipart/form-data; boundary=x", mib5, 200),
            ("POST /api/v1/ratings", "application/json", 256 * 1024, 200),
            ("POST /api/v1/ratings", "application/json", 256 * 1024 + 1, 413),
            ("PUT /api/v1/users/7/rating", "application/json", 16 * 1024 + 1, 413),
            ("GET /health", "text/plain", 4096, 200),
            ("GET /health", "text/plain", 4097, 413),
        ];
        for (line, kind, length, expected) in table {
            assert_eq!(status(line, kind, *length), *expected, "{line} {kind} {length}");
        }
    }

    #[test]
    fn a_body_of_the_wrong_type_is_415() {
        let media = |line: &str, kind: &str| {
            let kind =
                if kind.is_empty() { String::new() } else { format!("content-type: {kind}\r\n") };
            let fields = format!("{kind}content-length: 2\r\n");
            find(&request(line, &fields)).map(|found| found.media).map_err(|no| no.status())
        };
        let (json, form) = ("application/json", "application/x-www-form-urlencoded");
        let (parts, me) = ("multipart/form-data; boundary=x", "PATCH /api/v1/me");
        let picture = "PUT /api/v1/me/picture";
        #[rustfmt::skip]
        let table: &[(&str, &str, Result<Media, u16>)] = &[
            (me, json, Ok(Media::Json)),
            (me, "Application/JSON; charset=\"UTF-8\"", Ok(Media::Json)),
            (me, "application/json;charset=utf-8", Ok(Media::Json)),
            (me, "application/json; charset=latin1", Err(415)),
            (me, "application/jsonx", Err(415)),
            (me, "text/json", Err(415)),
            (me, "nonsense", Err(415)),
            (me, form, Err(415)),
            (me, "", Err(415)),
            ("POST /login", json, Ok(Media::Json)),
            ("POST /login", form, Ok(Media::Form)),
            ("POST /login", parts, Err(415)),
            ("POST /profile", json, Ok(Media::Json)),
            ("POST /profile", form, Ok(Media::Form)),
            ("POST /profile", parts, Ok(Media::Multipart)),
            ("POST /profile", "image/png", Err(415)),
            (picture, "image/png", Ok(Media::Picture)),
            (picture, "application/octet-stream", Ok(Media::Picture)),
            (picture, "", Ok(Media::Picture)),
            (picture, parts, Ok(Media::Multipart)),
            (picture, json, Err(415)),
            ("POST /api/v1/logout", "text/plain", Ok(Media::None)),
        ];
        for (line, kind, expected) in table {
            assert_eq!(media(line, kind), *expected, "{line} {kind}");
        }
        let found = find(&request(
            "POST /update",
            &format!("content-type: {parts}\r\ncontent-length: 9\r\n"),
        ));
        assert!(found.is_ok_and(|found| found.streams_body));
    }
}
