//! Users by the beginning of their name, a page at a time.

use super::caller::admit;
use super::user;
use crate::context::Context;
use crate::identity::names;
use crate::limiter::Class;
use crate::limits::{PAGE_DEFAULT, PAGE_MAX};
use crate::services::store_failure;
use data_encoding::BASE64URL_NOPAD;
use souk_proto::Failure;
use souk_proto::accounts::{SearchUsersRequest, UserPage};
use std::time::Instant;

/// First byte of a cursor: what kind it is. The last name of its page follows.
const CURSOR_VERSION: u8 = 1;

/// Users whose name begins like this, in order of name.
///
/// # Errors
/// `invalid_field`, `rate_limited`, or a store's failure.
pub async fn search_users(
    cx: &Context,
    request: SearchUsersRequest,
    deadline: Instant,
) -> Result<UserPage, Failure> {
    admit(cx, Class::Read, request.caller.as_ref())?;
    let prefix = names::username_prefix(&request.prefix)?;
    let limit = page_size(request.limit)?;
    let after = match request.cursor.as_str() {
        "" => None,
        cursor => Some(read_cursor(cursor)?),
    };
    // One more than the page, to know whether there is another page.
    let found = cx.stores.accounts.search(&prefix, after.as_deref(), limit + 1, deadline).await;
    let mut rows = found.map_err(store_failure)?;
    let limit = usize::try_from(limit).unwrap_or(rows.len());
    let next_cursor = match rows.len() > limit {
        true => rows[..limit].last().map(|row| cursor(&row.username)).unwrap_or_default(),
        false => String::new(),
    };
    rows.truncate(limit);
    Ok(UserPage { items: rows.into_iter().map(user).collect(), next_cursor })
}

fn page_size(limit: u32) -> Result<u32, Failure> {
    match limit {
        0 => Ok(PAGE_DEFAULT),
        1..=PAGE_MAX => Ok(limit),
        _ => Err(Failure::field("limit", "A page has 1 to 100 users.")),
    }
}

/// The cursor of a page that ends with this name.
fn cursor(username: &str) -> String {
    let mut bytes = vec![CURSOR_VERSION];
    bytes.extend_from_slice(username.as_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

/// The name that a page ended with.
fn read_cursor(cursor: &str) -> Result<String, Failure> {
    let name = || {
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
        let (CURSOR_VERSION, name) = bytes.split_first().map(|(version, name)| (*version, name))?
        else {
            return None;
        };
        let name = std::str::from_utf8(name).ok()?;
        names::username(name).ok().filter(|lower| *lower == name).map(|lower| lower.into_owned())
    };
    name().ok_or_else(|| {
        let why = "This is no cursor. Take next_cursor of the page before, as it is.";
        Failure::field("cursor", why)
    })
}

#[cfg(test)]
mod tests {
    use super::{cursor, page_size, read_cursor};
    use proptest::prelude::*;

    #[test]
    fn a_page_has_20_users_unless_told_and_never_over_100() {
        assert_eq!(page_size(0).expect("default"), 20);
        assert_eq!(page_size(100).expect("most"), 100);
        assert_eq!(page_size(101).expect_err("over").field, "limit");
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_back(name in "[a-z0-9_.-]{3,32}") {
            prop_assert_eq!(read_cursor(&cursor(&name)).expect("cursor"), name);
        }

        #[test]
        fn what_is_read_is_a_cursor_that_we_would_make(text in "\\PC{0,60}|[A-Za-z0-9_-]{4,44}") {
            match read_cursor(&text) {
                Ok(name) => prop_assert_eq!(cursor(&name), text),
                Err(failure) => prop_assert_eq!(failure.field, "cursor"),
            }
        }
    }
}
