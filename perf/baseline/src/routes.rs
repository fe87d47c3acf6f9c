//! The API's paths, with Souk's answers.

use crate::passwords;
use crate::store::{SESSION_TTL_S, Store, User};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Deserialize, Serialize, Serializer};
use std::sync::Arc;

type Shared = State<Arc<Store>>;

/// Every path.
pub fn router(store: Arc<Store>) -> Router {
    Router::new()
        .route("/ready", get(async || StatusCode::OK))
        .route("/health", get(async || Json(serde_json::json!({ "status": "ok" }))))
        .route("/api/v1/users", post(register))
        .route("/api/v1/login", post(login))
        .route("/api/v1/me", get(me).patch(edit))
        .route("/api/v1/users/search", get(search))
        .route("/api/v1/users/by-name/{name}", get(by_name))
        .with_state(store)
}

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("the request's body is not valid")]
    Body(#[from] JsonRejection),
    #[error("log in first")]
    Unauthenticated,
    #[error("the username or the password is wrong")]
    Credentials,
    #[error("there is no such user")]
    NotFound,
    #[error("the username is taken")]
    Taken,
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("Redis failed: {0}")]
    Redis(#[from] redis::RedisError),
    #[error("something failed here")]
    Internal,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = match &self {
            Problem::Body(_) => StatusCode::BAD_REQUEST,
            Problem::Unauthenticated | Problem::Credentials => StatusCode::UNAUTHORIZED,
            Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::Taken => StatusCode::CONFLICT,
            Problem::Database(_) | Problem::Redis(_) | Problem::Internal => {
                eprintln!("souk-baseline: {self}");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let body = serde_json::json!({ "status": status.as_u16(), "detail": self.to_string() });
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string())
            .into_response()
    }
}

#[derive(Deserialize)]
struct Registration {
    username: String,
    password: String,
    nickname: Option<String>,
}

async fn register(
    State(store): Shared,
    body: Result<Json<Registration>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(new) = body?;
    let phc = passwords::make(new.password).await?;
    let nickname = new.nickname.as_deref().unwrap_or(&new.username);
    let user = store.add(&new.username, nickname, &phc).await?.ok_or(Problem::Taken)?;
    Ok((StatusCode::CREATED, own(&user)).into_response())
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

async fn login(
    State(store): Shared,
    body: Result<Json<Credentials>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(given) = body?;
    let (user, phc) = store.credentials(&given.username).await?.ok_or(Problem::Credentials)?;
    if !passwords::verify(given.password, phc).await? {
        return Err(Problem::Credentials);
    }
    let token = store.open_session(&user).await?;
    let lasts = i64::try_from(SESSION_TTL_S * 1000).unwrap_or(i64::MAX);
    let expires_at = Time(Timestamp::now().as_millisecond().saturating_add(lasts));
    let body = LoginJson { user: UserJson::new(&user, true), token: &token, expires_at };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

async fn me(State(store): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(own(&caller(&store, &headers).await?))
}

#[derive(Deserialize)]
struct Change {
    nickname: String,
}

async fn edit(
    State(store): Shared,
    headers: HeaderMap,
    body: Result<Json<Change>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(change) = body?;
    let user = caller(&store, &headers).await?;
    let user = store.rename(&user, &change.nickname).await?.ok_or(Problem::NotFound)?;
    Ok(own(&user))
}

async fn by_name(State(store): Shared, Path(name): Path<String>) -> Result<Response, Problem> {
    let user = store.by_name(&name).await?.ok_or(Problem::NotFound)?;
    Ok((tagged(&user, "no-cache"), Json(UserJson::new(&user, false))).into_response())
}

#[derive(Deserialize)]
struct Search {
    username: String,
    #[serde(default = "page")]
    limit: u32,
}

fn page() -> u32 {
    20
}

async fn search(State(store): Shared, Query(search): Query<Search>) -> Result<Response, Problem> {
    let found = store.search(&search.username, search.limit.clamp(1, 100)).await?;
    let items: Vec<_> = found.iter().map(|user| UserJson::new(user, false)).collect();
    let body = serde_json::json!({ "items": items, "next_cursor": null });
    Ok(([(header::CACHE_CONTROL, "no-cache")], Json(body)).into_response())
}

/// The user whose session the request names.
async fn caller(store: &Store, headers: &HeaderMap) -> Result<User, Problem> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .ok_or(Problem::Unauthenticated)?;
    store.by_session(token).await?.ok_or(Problem::Unauthenticated)
}

/// A user as its owner sees it.
fn own(user: &User) -> Response {
    (tagged(user, "private, no-cache"), Json(UserJson::new(user, true))).into_response()
}

fn tagged(user: &User, cache: &'static str) -> [(header::HeaderName, String); 2] {
    let tag = format!("\"{}-{}\"", user.id, user.version);
    [(header::ETAG, tag), (header::CACHE_CONTROL, cache.to_owned())]
}

#[derive(Serialize)]
struct UserJson<'a> {
    id: u64,
    username: &'a str,
    nickname: &'a str,
    picture: Option<String>,
    rating: i32,
    created_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

impl UserJson<'_> {
    fn new(user: &User, owner: bool) -> UserJson<'_> {
        UserJson {
            id: user.id,
            username: &user.username,
            nickname: &user.nickname,
            picture: (!user.picture.is_empty()).then(|| format!("/pictures/{}", user.picture)),
            rating: user.rating,
            created_at: Time(user.created_at_ms),
            version: owner.then_some(user.version),
        }
    }
}

#[derive(Serialize)]
struct LoginJson<'a> {
    user: UserJson<'a>,
    token: &'a str,
    expires_at: Time,
}

/// Unix milliseconds, shown as RFC 3339 in UTC.
struct Time(i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        const MILLISECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
        let time = Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::UNIX_EPOCH);
        out.serialize_str(&MILLISECONDS.timestamp_to_string(&time))
    }
}
