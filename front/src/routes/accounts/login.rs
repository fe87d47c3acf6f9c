//! Logging in and out.

use super::{back_to, fields, present, see_other};
use crate::http::Response;
use crate::routes::RequestBody;
use crate::routes::answer::Call;
use crate::routes::cookies::{self, Kind};
use crate::routes::input::Fields;
use crate::routes::json;
use crate::routes::query::{escape, next_path};
use crate::routes::ready::now_ms;
use crate::routes::table::Media;
use crate::upstream::key_of;
use souk_proto::accounts::{CallerRequest, LoginAnswer, LoginRequest};
use souk_proto::common::Empty;
use souk_proto::{Failure, Method};

/// `POST /api/v1/login`
pub async fn api(call: &Call<'_>, media: Media, body: RequestBody) -> Result<Response, Failure> {
    let mut answer = login(call, fields(media, &body)?).await?;
    let user = present(answer.user.take())?;
    Ok(with_cookies(call, json::login(&user, &answer), &answer))
}

/// `POST /login`: the same from a form, which then leads to its field `next` or to the profile.
pub async fn form(call: &Call<'_>, media: Media, body: RequestBody) -> Result<Response, Failure> {
    if media != Media::Form {
        return api(call, media, body).await;
    }
    let mut fields = fields(media, &body)?;
    let next = fields.text_if("next")?;
    let place = next_path(next.as_deref());
    Ok(match login(call, fields).await {
        Ok(answer) => with_cookies(call, see_other(place), &answer),
        Err(failure) => {
            let page = back_to("/login", &failure);
            match (next.is_some(), page.headers.get("location")) {
                (true, Some(back)) => see_other(&format!("{back}&next={}", escape(place))),
                _ => page,
            }
        }
    })
}

async fn login(call: &Call<'_>, mut fields: Fields) -> Result<LoginAnswer, Failure> {
    let username = fields.text("username")?;
    let password = fields.text("password")?;
    fields.finish()?;
    let key = key_of(&username);
    let request = LoginRequest { caller: Some(call.caller_with_device()), username, password };
    call.ask(Method::Login, key, &request).await
}

fn with_cookies(call: &Call<'_>, mut response: Response, login: &LoginAnswer) -> Response {
    let tls = call.http().behind_tls;
    let age_s = (login.expires_at_ms - now_ms()) / 1000;
    response.headers.push("set-cookie", Kind::Session.keep(&login.token, age_s, tls));
    if !login.device.is_empty() {
        let device = Kind::Device.keep(&login.device, cookies::device_age_s(), tls);
        response.headers.push("set-cookie", device);
    }
    response
}

/// `POST /api/v1/logout`
pub async fn logout(call: &Call<'_>) -> Result<Response, Failure> {
    let (caller, id) = call.user()?;
    let request = CallerRequest { caller: Some(caller) };
    let Empty {} = call.ask(Method::Logout, id, &request).await?;
    let forget = Kind::Session.forget(call.http().behind_tls);
    Ok(Response::new(204).header("set-cookie", forget))
}
