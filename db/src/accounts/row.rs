//! A user as the stores hold it.

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
