//! One's own account: made, looked at, its password changed, deleted.

use super::{back_to, fields, see_other};
use crate::http::Response;
use crate::routes::RequestBody;
use crate::routes::answer::Call;
use crate::routes::cookies::Kind;
use crate::routes::json::{self, Eyes};
use crate::routes::table::Media;
use crate::upstream::key_of;
use souk_proto::accounts::{
    CallerRequest, ChangePasswordRequest, CreateUserRequest, DeleteMeRequest, User,
};
use souk_proto::common::Empty;
use souk_proto::{Failure, Method};

/// `POST /api/v1/users`
pub async fn create(call: &Call<'_>, media: Media, body: RequestBody) -> Result<Response, Failure> {
    let user = register(call, media, &body).await?;
    let place = format!("/api/v1/users/{}", user.id);
    Ok(json::user(201, &user, Eyes::Owner).header("location", place))
}

/// `POST /register`: the same from a form, which then leads to the login.
pub async fn register_form(
    call: &Call<'_>,
    media: Media,
    body: RequestBody,
) -> Result<Response, Failure> {
    if media != Media::Form {
        return create(call, media, body).await;
    }
    Ok(match register(call, media, &body).await {
        Ok(_) => see_other("/login"),
        Err(failure) => back_to("/register", &failure),
    })
}

async fn register(call: &Call<'_>, media: Media, body: &RequestBody) -> Result<User, Failure> {
    let mut fields = fields(media, body)?;
    let username = fields.text("username")?;
    let password = fields.text("password")?;
    // An empty field of a form is one that was not filled in.
    let nickname = fields.text_if("nickname")?;
    let nickname = nickname.filter(|text| media != Media::Form || !text.is_empty());
    fields.finish()?;
    let key = key_of(&username);
    let caller = Some(call.caller());
    let request = CreateUserRequest { caller, username, password, nickname };
    call.ask(Method::CreateUser, key, &request).await
}

/// `GET /api/v1/me`
pub async fn get(call: &Call<'_>) -> Result<Response, Failure> {
    let (caller, id) = call.user()?;
    let request = CallerRequest { caller: Some(caller) };
    let user: User = call.ask(Method::GetMe, id, &request).await?;
    Ok(json::user_unless_known(call.head, &user, Eyes::Owner))
}

/// `PUT /api/v1/me/password`
pub async fn change_password(
    call: &Call<'_>,
    media: Media,
    body: RequestBody,
) -> Result<Response, Failure> {
    let (_, id) = call.user()?;
    let mut fields = fields(media, &body)?;
    let current = fields.text("current")?;
    let new = fields.text("new")?;
    fields.finish()?;
    let caller = Some(call.caller_with_device());
    let request = ChangePasswordRequest { caller, current, new };
    let Empty {} = call.ask(Method::ChangePassword, id, &request).await?;
    Ok(Response::new(204))
}

/// `DELETE /api/v1/me`
pub async fn delete(call: &Call<'_>, media: Media, body: RequestBody) -> Result<Response, Failure> {
    let (_, id) = call.user()?;
    let mut fields = fields(media, &body)?;
    let password = fields.text("password")?;
    fields.finish()?;
    let request = DeleteMeRequest { caller: Some(call.caller_with_device()), password };
    let Empty {} = call.ask(Method::DeleteMe, id, &request).await?;
    let forget = Kind::Session.forget(call.http().behind_tls);
    Ok(Response::new(204).header("set-cookie", forget))
}
