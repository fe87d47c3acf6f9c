//! Profile pictures.

use super::caller::{Visitor, admit, still_there, visitor};
use super::user;
use crate::context::Context;
use crate::limiter::Class;
use crate::limits::PICTURE_BYTES_MAX;
use crate::pictures::{PictureFile, Size};
use crate::services::write_failure;
use crate::session::stream::BodyStream;
use souk_db::Change;
use souk_proto::accounts::{
    CallerRequest, GetPictureRequest, PictureHead, SetPictureRequest, User,
};
use souk_proto::{Code, Failure};
use std::time::Instant;

/// Takes in a picture for the caller, whose bytes come as `body`.
///
/// # Errors
/// `picture_unsupported`, `picture_too_large`, `picture_invalid`, `unauthenticated`,
/// `rate_limited`, `busy`, or a store's failure.
pub async fn set_picture(
    cx: &Context,
    request: SetPictureRequest,
    mut body: BodyStream,
    deadline: Instant,
) -> Result<User, Failure> {
    let visitor = visitor(cx, Class::Write, request.caller.as_ref(), deadline).await?;
    let hash = upload(cx, &visitor, request.length, &mut body, deadline).await?;
    change(cx, visitor.user_id, hash, deadline).await
}

/// Takes in a picture, of this length if it is not 0, and gives the hash that it is stored under.
///
/// # Errors
/// As [`set_picture`].
pub(in crate::services) async fn upload(
    cx: &Context,
    visitor: &Visitor,
    length: u64,
    body: &mut BodyStream,
    deadline: Instant,
) -> Result<String, Failure> {
    // A length that is admitted to be too much saves the rest; any other is not believed.
    if length > PICTURE_BYTES_MAX as u64 {
        return Err(Failure::new(Code::PictureTooLarge));
    }
    let hash = cx.shared.pictures.take(visitor.user_id, body, deadline).await?;
    // An upload may take long, and somebody may have ended the session for a reason.
    still_there(cx, visitor, deadline).await?;
    Ok(hash)
}

/// Takes the caller's picture away.
///
/// # Errors
/// `unauthenticated`, `rate_limited`, or a store's failure.
pub async fn drop_picture(
    cx: &Context,
    request: CallerRequest,
    deadline: Instant,
) -> Result<User, Failure> {
    let visitor = visitor(cx, Class::Write, request.caller.as_ref(), deadline).await?;
    change(cx, visitor.user_id, String::new(), deadline).await
}

/// A picture by its hash; no size means 256 pixels.
///
/// # Errors
/// `picture_not_found`, `invalid_field`, or `rate_limited`.
pub async fn get_picture(
    cx: &Context,
    request: GetPictureRequest,
    _deadline: Instant,
) -> Result<(PictureHead, PictureFile), Failure> {
    admit(cx, Class::Read, request.caller.as_ref())?;
    let size = match request.size {
        0 => Size::Large,
        pixels => Size::from_pixels(pixels)
            .ok_or_else(|| Failure::field("size", "Pictures come in the sizes 64 and 256."))?,
    };
    let file = cx.shared.pictures.get(&request.hash, size).await?;
    Ok((file.head(), file))
}

async fn change(
    cx: &Context,
    user_id: u64,
    picture: String,
    deadline: Instant,
) -> Result<User, Failure> {
    let change = Change { picture: Some(picture), ..Change::default() };
    let changed = cx.stores.accounts.change(user_id, None, change, deadline).await;
    changed.map(user).map_err(write_failure)
}
