//! Pictures: sent up as a stream, sent down as a stream.

use crate::http::{Body, BodySource, Framing, NextChunk, Response};
use crate::routes::answer::Call;
use crate::routes::json::{self, Eyes};
use crate::routes::limits::UPLOAD_DEADLINE;
use crate::routes::query::Query;
use crate::routes::table::Media;
use crate::routes::{RequestBody, multipart};
use crate::upstream::{ItemStream, key_of};
use prost::Message;
use souk_proto::accounts::{
    CallerRequest, GetPictureRequest, PictureHead, SetPictureRequest, User,
};
use souk_proto::{Code, Failure, Method};

/// Length of a picture's hash in hex digits.
const HASH_LEN: usize = 64;

/// `PUT /api/v1/me/picture`
pub async fn set(call: &Call<'_>, media: Media, body: RequestBody) -> Result<Response, Failure> {
    let user = set_user(call, media, body).await?;
    Ok(json::user(200, &user, Eyes::Owner))
}

/// Makes a picture the user's own.
pub async fn set_user(call: &Call<'_>, media: Media, body: RequestBody) -> Result<User, Failure> {
    let (caller, id) = call.user()?;
    let request = |length| SetPictureRequest { caller: Some(caller), length };
    pass_on(call, media, body, (Method::SetPicture, id), request).await
}

/// Passes a picture on to the daemon while it arrives. The request says how long it is; 0 while
/// that is not known.
pub async fn pass_on<Q: Message, A: Message + Default>(
    call: &Call<'_>,
    media: Media,
    body: RequestBody,
    (method, key): (Method, u64),
    request: impl FnOnce(u64) -> Q,
) -> Result<A, Failure> {
    let RequestBody::Stream(mut body) = body else {
        return Err(Failure::because(Code::MalformedBody, "Send the picture. The body is empty."));
    };
    let mut length = 0;
    if media == Media::Multipart {
        // The upload has its own deadline; what stands before the picture has this one.
        let total = call.app.settings.timeouts.body_total();
        let found = monoio::time::timeout(total, multipart::picture(call.head, body)).await;
        body = Box::new(found.map_err(|_| Failure::new(Code::RequestTimeout))??);
    } else if let Framing::Length(bytes) = call.head.framing {
        length = bytes;
    }
    let context = call.context(UPLOAD_DEADLINE);
    call.app.upstream.upload(method, key, &request(length), &mut *body, context).await
}

/// `DELETE /api/v1/me/picture`
pub async fn drop(call: &Call<'_>) -> Result<Response, Failure> {
    let (caller, id) = call.user()?;
    let request = CallerRequest { caller: Some(caller) };
    let user: User = call.ask(Method::DropPicture, id, &request).await?;
    Ok(json::user(200, &user, Eyes::Owner))
}

/// `GET /pictures/{hash}?size=64|256`
///
/// A hash names one picture for ever, so whoever has it needs not ask again.
pub async fn get(call: &Call<'_>, hash: &str) -> Result<Response, Failure> {
    if !is_hash(hash) {
        return Err(Failure::new(Code::PictureNotFound));
    }
    let size = size(Query::read(call.head.query())?.get("size")?)?;
    let tag = format!("\"{hash}-{size}\"");
    // The star is not taken here: it asks whether there is any, which only the daemon knows.
    let known = call.head.header_str("if-none-match").filter(|known| known.trim() != "*");
    if known.is_some_and(|known| json::names_tag(known, &tag)) {
        return Ok(cached(Response::new(304), &tag));
    }
    let request = GetPictureRequest { caller: Some(call.caller()), hash: hash.to_owned(), size };
    let context = call.context(call.app.settings.timeouts.request());
    let upstream = &call.app.upstream;
    let (head, items): (PictureHead, _) =
        upstream.download(Method::GetPicture, key_of(hash), &request, context).await?;
    let body = Body::Stream { length: head.length, source: Box::new(Items(items)) };
    Ok(cached(Response::new(200).with(&head.media_type, body), &tag))
}

fn cached(response: Response, tag: &str) -> Response {
    response.header("etag", tag).header("cache-control", "public, max-age=31536000, immutable")
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH_LEN && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn size(text: Option<&str>) -> Result<u32, Failure> {
    match text {
        None | Some("256") => Ok(256),
        Some("64") => Ok(64),
        Some(_) => Err(Failure::field("size", "The size can be 64 or 256.")),
    }
}

/// A picture on its way down.
struct Items(ItemStream);

impl BodySource for Items {
    fn next(&mut self) -> NextChunk<'_> {
        Box::pin(self.0.next())
    }
}

#[cfg(test)]
mod tests {
    use super::{is_hash, size};

    #[test]
    fn pictures_are_named_by_hash_and_come_in_two_sizes() {
        assert!(is_hash(&"0a".repeat(32)));
        for bad in [String::new(), "0A".repeat(32), "0g".repeat(32), "0a".repeat(33)] {
            assert!(!is_hash(&bad), "{bad}");
        }
        assert_eq!((size(None), size(Some("64")), size(Some("256"))), (Ok(256), Ok(64), Ok(256)));
        for bad in ["", "128", "064", "64 "] {
            assert_eq!(size(Some(bad)).expect_err(bad).field, "size");
        }
    }
}
