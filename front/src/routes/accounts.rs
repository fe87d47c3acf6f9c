//! The accounts: each route reads its input, asks the daemon, and shows the answer.

use super::input::Fields;
use super::query::escape;
use super::table::Media;
use super::{Problem, RequestBody, problem};
use crate::http::Response;
use souk_proto::{Code, Failure};

pub(super) mod account;
pub(super) mod login;
pub(super) mod picture;
pub(super) mod profile;
pub(super) mod sessions;
pub(super) mod users;

/// The fields of a body that was read whole.
pub(super) fn fields(media: Media, body: &RequestBody) -> Result<Fields, Failure> {
    match body {
        RequestBody::Full(bytes) => Fields::read(media, bytes),
        RequestBody::Empty => Fields::read(media, &[]),
        // The table streams pictures only, and they are not read as fields.
        RequestBody::Stream(_) => Err(Failure::new(Code::UnsupportedMediaType)),
    }
}

/// Something a daemon's answer always has, unless the daemon is broken.
pub(super) fn present<T>(part: Option<T>) -> Result<T, Failure> {
    part.ok_or_else(|| {
        tracing::error!("an answer of the daemon lacks its main part");
        Failure::new(Code::Internal)
    })
}

/// Sends a browser on to another page after a form.
fn see_other(path: &str) -> Response {
    Response::new(303).header("location", path).header("cache-control", "no-store")
}

/// Sends a browser back to the page of a form that failed; the page shows why. Whoever has to log
/// in first is sent there.
fn back_to(page: &str, failure: &Failure) -> Response {
    if failure.code == Code::Unauthenticated {
        return see_other(&format!("/login?next={}", escape(page)));
    }
    let mut path = format!("{page}?error={}", failure.code.name());
    if !failure.field.is_empty() {
        path.push_str("&field=");
        path.push_str(&escape(&failure.field));
    }
    let response = see_other(&path);
    match problem::retry_after_s(&Problem::from(failure)) {
        Some(seconds) => response.header("retry-after", seconds),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::back_to;
    use souk_proto::{Code, Failure};

    #[test]
    fn a_failed_form_goes_back_to_its_page_with_the_reason() {
        let place = |failure: &Failure| {
            let response = back_to("/profile", failure);
            assert_eq!(response.status, 303);
            response.headers.get("location").expect("place").to_owned()
        };
        let failure = Failure::field("nick name&", "is empty");
        assert_eq!(place(&failure), "/profile?error=invalid_field&field=nick+name%26");
        assert_eq!(place(&Failure::new(Code::Busy)), "/profile?error=busy");
        assert_eq!(place(&Failure::new(Code::Unauthenticated)), "/login?next=%2Fprofile");
    }
}
