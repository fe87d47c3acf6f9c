//! Sessions: one Redis hash per user, a field per session.

/// Names a session within its user. Random, made by the caller.
pub type SessionId = [u8; 16];

/// One session. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// When the session began.
    pub created_at_ms: i64,
    /// When it was last used, to the minute.
    pub last_seen_ms: i64,
    /// When it ends by itself. A record may outlive this moment: the reader compares.
    pub expires_at_ms: i64,
    /// A name of the device, for its owner.
    pub device: String,
    /// The address it came from, as text.
    pub address: String,
}
