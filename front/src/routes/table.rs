//! The routing table: every method and path, what body it takes and what answers it.

use super::problem::{self, Problem};
use super::query;
use crate::http::{Framing, Head, Method, Response};
use crate::limits::{FORM_MAX, IGNORED_BODY_MAX, MULTIPART_MAX, PICTURE_MAX};
use matchit::Router;
use souk_proto::Code;
use std::borrow::Cow;
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

/// Which body a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// None is needed; a small one is read and ignored.
    Ignored,
    /// A JSON object.
    Json,
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
        route(Get, "/assets/{*name}", B::Ignored, A::Asset),
    ]
};

/// One path of the table: its routes, and its methods as the Allow header names them.
struct Place {
    routes: Vec<&'static Route>,
    allow: String,
}

static PLACES: LazyLock<Router<Place>> = LazyLock::new(|| {
    let mut places: Vec<(&'static str, Place)> = Vec::new();
    for route in ROUTES {
        match places.iter_mut().find(|(path, _)| *path == route.path) {
            Some((_, place)) => place.routes.push(route),
            None => {
                places.push((route.path, Place { routes: vec![route], allow: String::new() }));
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

fn allow(routes: &[&Route]) -> String {
    let mut names = Vec::new();
    for route in routes {
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
    pub(super) action: Action,
    pub(super) media: Media,
    /// The path's parameter, percent-decoded; empty if it has none.
    pub(super) parameter: String,
    /// The path's methods, for OPTIONS.
    pub(super) allow: &'static str,
}

/// Finds the route of a request by its head alone.
///
/// # Errors
/// The answer to give at once, without reading the body: 404, 405 with `Allow`, 413 for a declared
/// length over the route's limit, 415 for a body of a type that the route does not take, 400 for a
/// path that cannot be decoded.
pub fn find(head: &Head) -> Result<Found, Response> {
    let path = query::normal_path(head.path());
    if &*path == "*" {
        return Ok(options("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", String::new()));
    }
    let Ok(place) = PLACES.at(&path) else {
        return Err(problem::answer(&Problem::from(Code::RouteNotFound), None));
    };
    let parameter = match place.params.iter().next() {
        None => String::new(),
        Some((_, raw)) => match query::decode_segment(raw) {
            Some(decoded) => decoded,
            None => return Err(bad_path()),
        },
    };
    let method = if head.method == Method::Head { Method::Get } else { head.method };
    if method == Method::Options {
        return Ok(options(&place.value.allow, parameter));
    }
    let Some(route) = place.value.routes.iter().find(|route| route.method == method) else {
        let mut answer = problem::answer(&Problem::from(Code::MethodNotAllowed), None);
        answer.headers.push("Allow", Cow::Borrowed(place.value.allow.as_str()));
        return Err(answer);
    };
    let (media, body_limit) = body(route.body, head)?;
    Ok(Found {
        body_limit,
        streams_body: matches!(media, Media::Picture | Media::Multipart),
        action: route.action,
        media,
        parameter,
        allow: &place.value.allow,
    })
}

fn options(allow: &'static str, parameter: String) -> Found {
    Found {
        body_limit: IGNORED_BODY_MAX,
        streams_body: false,
        action: Action::Options,
        media: Media::None,
        parameter,
        allow,
    }
}

fn bad_path() -> Response {
    let detail = "The path is not valid: % must start a two-digit hex code of UTF-8 text.";
    problem::answer(&Problem { detail, ..Problem::from(Code::BadRequest) }, None)
}

/// Which body comes and how long it may be.
fn body(policy: Body, head: &Head) -> Result<(Media, u64), Response> {
    let comes = !matches!(head.framing, Framing::None | Framing::Length(0));
    let media = if comes { media(policy, head) } else { Some(Media::None) };
    let Some(media) = media else {
        return Err(problem::answer(&unsupported(policy), None));
    };
    let limit = match media {
        Media::None => IGNORED_BODY_MAX,
        Media::Json | Media::Form => FORM_MAX,
        Media::Picture => PICTURE_MAX,
        Media::Multipart => MULTIPART_MAX,
    };
    match head.framing {
        Framing::Length(length) if length > limit => {
            let code =
                if media == Media::Picture { Code::PictureTooLarge } else { Code::PayloadTooLarge };
            Err(problem::answer(&Problem::from(code), None))
        }
        _ => Ok((media, limit)),
    }
}

/// The type of the body that comes, if the route takes it.
fn media(policy: Body, head: &Head) -> Option<Media> {
    if policy == Body::Ignored {
        return Some(Media::None);
    }
    let Some(value) = head.header("content-type") else {
        // A picture is recognised by its content; text without a type could be anything.
        return (policy == Body::Picture).then_some(Media::Picture);
    };
    let media = media_of(value)?;
    let taken = match policy {
        Body::Ignored => false,
        Body::Json => media == Media::Json,
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
        Body::Json => "Send a JSON object as application/json in UTF-8.",
        Body::Form => "Send application/json or application/x-www-form-urlencoded in UTF-8.",
        Body::FormOrPicture => {
            "Send application/json, application/x-www-form-urlencoded or multipart/form-data."
        }
        Body::Picture => "Send the picture as image/* or as the field picture of a \
                          multipart/form-data body.",
    };
    Problem { detail, ..Problem::from(Code::UnsupportedMediaType) }
}
