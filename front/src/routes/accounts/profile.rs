//! One's profile: the page, and changes to it from the API and from forms.

use super::{back_to, fields, picture, see_other};
use crate::http::Response;
use crate::routes::RequestBody;
use crate::routes::answer::Call;
use crate::routes::input::Fields;
use crate::routes::json::{self, Eyes, wanted_version};
use crate::routes::pages;
use crate::routes::table::Media;
use souk_proto::accounts::{EditMeRequest, User};
use souk_proto::{Failure, Method};

/// `GET /profile`: the page, or the user for programs that ask for JSON.
pub async fn page(call: &Call<'_>) -> Result<Response, Failure> {
    let accept = call.head.header_str("accept").unwrap_or_default();
    let json = accept.contains("application/json") && !accept.contains("text/html");
    let response = if json {
        super::account::get(call).await?
    } else {
        pages::answer(call.head, "profile.html")?
    };
    Ok(response.header("vary", "Accept"))
}

/// `PATCH /api/v1/me`
pub async fn edit_api(
    call: &Call<'_>,
    media: Media,
    body: RequestBody,
) -> Result<Response, Failure> {
    let mut fields = fields(media, &body)?;
    let names = Names::take(&mut fields)?;
    fields.finish()?;
    let user = edit(call, names, None).await?;
    Ok(json::user(200, &user, Eyes::Owner))
}

/// `POST /profile` and `POST /update`: names from JSON or a form, a picture from a multipart form.
pub async fn form(call: &Call<'_>, media: Media, body: RequestBody) -> Result<Response, Failure> {
    let changed = match media {
        Media::Multipart => picture::set_user(call, media, body).await,
        _ => edit_form(call, media, &body).await,
    };
    match (changed, media) {
        (Ok(_), Media::Form | Media::Multipart) => Ok(see_other("/profile")),
        (Err(failure), Media::Form | Media::Multipart) => Ok(back_to("/profile", &failure)),
        (changed, _) => Ok(json::user(200, &changed?, Eyes::Owner)),
    }
}

async fn edit_form(call: &Call<'_>, media: Media, body: &RequestBody) -> Result<User, Failure> {
    let mut fields = fields(media, body)?;
    let mut names = Names::take(&mut fields)?;
    if media == Media::Form {
        // An empty field of a form is one that was not filled in.
        names.username = names.username.filter(|text| !text.is_empty());
        names.nickname = names.nickname.filter(|text| !text.is_empty());
    }
    let version = fields.number_if("version")?;
    fields.finish()?;
    edit(call, names, version).await
}

struct Names {
    username: Option<String>,
    nickname: Option<String>,
}

impl Names {
    fn take(fields: &mut Fields) -> Result<Names, Failure> {
        Ok(Names { username: fields.text_if("username")?, nickname: fields.text_if("nickname")? })
    }
}

/// Changes the names if the version is still that of the form or of the If-Match header.
async fn edit(call: &Call<'_>, names: Names, version: Option<u64>) -> Result<User, Failure> {
    let (caller, id) = call.user()?;
    let wanted = wanted_version(call.head.header_str("if-match"), id)?;
    let Names { username, nickname } = names;
    let if_version = wanted.or(version);
    let request = EditMeRequest { caller: Some(caller), username, nickname, if_version };
    call.ask(Method::EditMe, id, &request).await
}
