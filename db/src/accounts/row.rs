//! A user as the stores hold it, and its form in the cache.

use crate::limits::USERNAME_MAX;

/// One row of the users table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Never reused, never 0.
    pub id: u64,
    /// 3 to 32 of `a-z 0-9 _ . -`.
    pub username: String,
    /// 1 to 64 characters.
    pub nickname: String,
    /// Content hash of the picture, 64 hex digits, or empty.
    pub picture: String,
    /// Place in the community, 1000 at first.
    pub rating: i32,
    /// Grows by one with each change of the row, 1 at first.
    pub version: u64,
    /// Unix time in milliseconds.
    pub created_at_ms: i64,
    /// Unix time in milliseconds.
    pub updated_at_ms: i64,
    /// Names the password hash without revealing it: see [`credential_tag`].
    pub credential_tag: [u8; 16],
    /// The PHC string. Only set when the row was read from the database: the cache never holds it.
    pub password_hash: Option<String>,
}

/// What a new user is made of. The caller has checked the meaning of each field.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// 3 to 32 of `a-z 0-9 _ . -`.
    pub username: String,
    /// 1 to 64 characters.
    pub nickname: String,
    /// PHC string, at most 255 bytes.
    pub password_hash: String,
}

/// Fields to change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// 3 to 32 of `a-z 0-9 _ . -`.
    pub username: Option<String>,
    /// 1 to 64 characters.
    pub nickname: Option<String>,
    /// 64 hex digits, or empty for no picture.
    pub picture: Option<String>,
    /// PHC string, at most 255 bytes.
    pub password_hash: Option<String>,
}

/// The first 16 bytes of the BLAKE3 hash of a PHC string: equal tags mean an unchanged password.
pub fn credential_tag(password_hash: &str) -> [u8; 16] {
    let mut tag = [0; 16];
    tag.copy_from_slice(&blake3::hash(password_hash.as_bytes()).as_bytes()[..16]);
    tag
}

/// First byte of a user's cached form. It changes with every change of that form, so that programs
/// of two versions can share a cache.
const FORMAT: u8 = 1;

/// Bytes before the texts: format, id, rating, created, updated, tag.
const FIXED: usize = 1 + 8 + 4 + 8 + 8 + 16;

/// A user's cached form: fixed fields, then each text after its length byte. The password hash is
/// not part of it, and the version stands before it (see `cache`).
pub(crate) fn encode(row: &UserRow) -> Vec<u8> {
    let texts = [&row.username, &row.nickname, &row.picture];
    let mut out = Vec::with_capacity(FIXED + texts.iter().map(|t| t.len() + 2).sum::<usize>());
    out.push(FORMAT);
    out.extend_from_slice(&row.id.to_be_bytes());
    out.extend_from_slice(&row.rating.to_be_bytes());
    out.extend_from_slice(&row.created_at_ms.to_be_bytes());
    out.extend_from_slice(&row.updated_at_ms.to_be_bytes());
    out.extend_from_slice(&row.credential_tag);
    for text in texts {
        let len = u16::try_from(text.len()).expect("the longest column has 64 characters");
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Reads a cached form; `None` when it is not one of ours.
pub(crate) fn decode(version: u64, mut bytes: &[u8]) -> Option<UserRow> {
    let rest = &mut bytes;
    if take::<1>(rest)? != [FORMAT] {
        return None;
    }
    let row = UserRow {
        id: u64::from_be_bytes(take(rest)?),
        rating: i32::from_be_bytes(take(rest)?),
        created_at_ms: i64::from_be_bytes(take(rest)?),
        updated_at_ms: i64::from_be_bytes(take(rest)?),
        credential_tag: take(rest)?,
        username: text(rest).filter(|name| name.len() <= USERNAME_MAX)?,
        nickname: text(rest)?,
        picture: text(rest)?,
        version,
        password_hash: None,
    };
    rest.is_empty().then_some(row)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    let len = usize::from(u16::from_be_bytes(take(bytes)?));
    let (head, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    std::str::from_utf8(head).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cached_user_is_the_user_without_its_hash(
            (id, rating, version) in any::<(u64, i32, u64)>(),
            (created_at_ms, updated_at_ms, credential_tag) in any::<(i64, i64, [u8; 16])>(),
            username in "[a-z0-9_.-]{3,32}",
            nickname in "\\PC{1,64}",
            picture in prop_oneof![Just(String::new()), "[0-9a-f]{64}"],
        ) {
            let row = UserRow {
                id, username, nickname, picture, rating, version, created_at_ms, updated_at_ms,
                credential_tag, password_hash: Some("$argon2id$secret".to_owned()),
            };
            let bytes = encode(&row);
            prop_assert!(!bytes.windows(6).any(|w| w == b"secret"));
            let read = decode(version, &bytes).unwrap();
            prop_assert_eq!(read, UserRow { password_hash: None, ..row });
        }

        #[test]
        fn foreign_bytes_are_no_user_and_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Some(row) = decode(1, &bytes) {
                prop_assert_eq!(encode(&row), bytes);
            }
        }
    }

    #[test]
    fn the_tag_changes_with_the_password_hash() {
        assert_ne!(credential_tag("$argon2id$a"), credential_tag("$argon2id$b"));
    }
}
