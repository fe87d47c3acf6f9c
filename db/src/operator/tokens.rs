//! Tokens of programs and moderators. The database has only their hash.

use super::{OperatorError, connect, leave};
use crate::limits::TOKEN_LABEL_MAX;
use data_encoding::BASE64URL_NOPAD;
use mysql_async::prelude::Queryable;

/// Who may change ratings, and who may hide users as well.
pub const ROLES: [&str; 2] = ["service", "admin"];

/// How a token's text begins, so that it is known for what it is wherever it turns up.
const PREFIX: &str = "souk_";

/// Random bytes of a token: beyond guessing.
const SECRET: usize = 24;

/// A token as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Names the token.
    pub id: u64,
    /// One of [`ROLES`].
    pub role: String,
    /// Whose it is.
    pub label: String,
    /// As in RFC 3339, in UTC.
    pub created_at: String,
    /// The same; `None` while it is good.
    pub revoked_at: Option<String>,
}

/// Makes a token and says its text, which is not kept anywhere. `label` has up to 64 characters.
pub async fn create(url: &str, role: &str, label: &str) -> Result<String, OperatorError> {
    if !ROLES.contains(&role) {
        return Err(OperatorError::Refused(format!("a role is one of: {}", ROLES.join(", "))));
    }
    if label.chars().count() > TOKEN_LABEL_MAX {
        let says = format!("a label has up to {TOKEN_LABEL_MAX} characters");
        return Err(OperatorError::Refused(says));
    }
    let mut secret = [0; SECRET];
    getrandom::fill(&mut secret).map_err(|error| {
        OperatorError::Refused(format!("the system has no random bytes for us: {error}"))
    })?;
    let mut conn = connect(url).await?;
    conn.query_drop("START TRANSACTION").await?;
    // The text has the id in it, which the row must get first: until the commit, under a hash that
    // no token has.
    let sql = "INSERT INTO service_tokens (role, label, hash, created_at) \
         VALUES (?, ?, ?, UTC_TIMESTAMP(3))";
    conn.exec_drop(sql, (role, label, &blake3::hash(&secret).as_bytes()[..])).await?;
    let id = conn.last_insert_id().unwrap_or_default();
    let text =
        PREFIX.to_owned() + &BASE64URL_NOPAD.encode(&[&id.to_be_bytes()[..], &secret].concat());
    let hash = blake3::hash(text.as_bytes());
    let sql = "UPDATE service_tokens SET hash = ? WHERE id = ?";
    conn.exec_drop(sql, (&hash.as_bytes()[..], id)).await?;
    conn.query_drop("COMMIT").await?;
    leave(conn).await;
    Ok(text)
}

/// All tokens, revoked ones too, in order of id.
pub async fn list(url: &str) -> Result<Vec<TokenRow>, OperatorError> {
    const SQL: &str = "SELECT id, role, label, \
           DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%sZ'), \
           DATE_FORMAT(revoked_at, '%Y-%m-%dT%H:%i:%sZ') FROM service_tokens ORDER BY id";
    let mut conn = connect(url).await?;
    let rows: Vec<(u64, String, String, String, Option<String>)> = conn.exec(SQL, ()).await?;
    leave(conn).await;
    let row = |(id, role, label, created_at, revoked_at)| TokenRow {
        id,
        role,
        label,
        created_at,
        revoked_at,
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Makes a token useless, at the latest when every daemon has looked again. Says whether it was
/// good until now.
pub async fn revoke(url: &str, id: u64) -> Result<bool, OperatorError> {
    let mut conn = connect(url).await?;
    let sql = "UPDATE service_tokens SET revoked_at = UTC_TIMESTAMP(3) \
         WHERE id = ? AND revoked_at IS NULL";
    conn.exec_drop(sql, (id,)).await?;
    let revoked = conn.affected_rows() > 0;
    leave(conn).await;
    Ok(revoked)
}
