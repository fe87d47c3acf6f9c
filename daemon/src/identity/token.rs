//! Session and device tokens: what they say, and a MAC that says it was us.
//!
//! Session token, 49 bytes: version 1 | user id u64 | session id 16 bytes | issued u32 |
//! expires u32 | MAC 16 bytes. Device token, 41 bytes: version 2 | user id u64 | nonce 16 bytes |
//! MAC 16 bytes. Numbers are big-endian, times Unix seconds, the MAC keyed BLAKE3 cut to its first
//! 16 bytes, the text base64url without padding. A token that somebody made up or changed is
//! refused without asking a store.

use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const SESSION_VERSION: u8 = 1;
const DEVICE_VERSION: u8 = 2;
const MAC_LEN: usize = 16;
const SESSION_BODY: usize = 33;
const SESSION_LEN: usize = SESSION_BODY + MAC_LEN;
const DEVICE_BODY: usize = 25;
const DEVICE_LEN: usize = DEVICE_BODY + MAC_LEN;

/// What a session token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionToken {
    /// Whose session.
    pub user_id: u64,
    /// Which session.
    pub session_id: [u8; 16],
    /// Since when, Unix seconds.
    pub issued_s: u32,
    /// Until when, Unix seconds; at this second it is over.
    pub expires_s: u32,
}

/// What a device token says: this device has logged in to this account before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceToken {
    /// Which account.
    pub user_id: u64,
    /// Which device.
    pub nonce: [u8; 16],
}

/// The keys that sign tokens. All daemons of one Souk hold the same.
pub struct TokenKeys {
    session: Zeroizing<[u8; 32]>,
    device: Zeroizing<[u8; 32]>,
}

impl TokenKeys {
    /// Keys for each kind of token, derived from one secret.
    pub fn new(secret: &[u8]) -> TokenKeys {
        TokenKeys {
            session: Zeroizing::new(blake3::derive_key("souk 2026 session token", secret)),
            device: Zeroizing::new(blake3::derive_key("souk 2026 device token", secret)),
        }
    }

    /// The text of a session token.
    pub fn sign_session(&self, token: &SessionToken) -> String {
        let mut bytes = [0; SESSION_LEN];
        bytes[0] = SESSION_VERSION;
        bytes[1..9].copy_from_slice(&token.user_id.to_be_bytes());
        bytes[9..25].copy_from_slice(&token.session_id);
        bytes[25..29].copy_from_slice(&token.issued_s.to_be_bytes());
        bytes[29..33].copy_from_slice(&token.expires_s.to_be_bytes());
        seal(&self.session, &mut bytes);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// What the token says, if we signed it and it is not over at `now_s` (Unix seconds).
    pub fn read_session(&self, text: &str, now_s: i64) -> Option<SessionToken> {
        let bytes = open::<SESSION_LEN>(&self.session, SESSION_VERSION, text)?;
        let token = SessionToken {
            user_id: u64::from_be_bytes(part(&bytes, 1)),
            session_id: part(&bytes, 9),
            issued_s: u32::from_be_bytes(part(&bytes, 25)),
            expires_s: u32::from_be_bytes(part(&bytes, 29)),
        };
        (now_s < i64::from(token.expires_s)).then_some(token)
    }

    /// The text of a device token.
    pub fn sign_device(&self, token: &DeviceToken) -> String {
        let mut bytes = [0; DEVICE_LEN];
        bytes[0] = DEVICE_VERSION;
        bytes[1..9].copy_from_slice(&token.user_id.to_be_bytes());
        bytes[9..25].copy_from_slice(&token.nonce);
        seal(&self.device, &mut bytes);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// What the token says, if we signed it.
    pub fn read_device(&self, text: &str) -> Option<DeviceToken> {
        let bytes = open::<DEVICE_LEN>(&self.device, DEVICE_VERSION, text)?;
        Some(DeviceToken { user_id: u64::from_be_bytes(part(&bytes, 1)), nonce: part(&bytes, 9) })
    }
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKeys")
    }
}

fn mac(key: &[u8; 32], body: &[u8]) -> [u8; MAC_LEN] {
    part(blake3::keyed_hash(key, body).as_bytes(), 0)
}

fn seal(key: &[u8; 32], bytes: &mut [u8]) {
    let body = bytes.len() - MAC_LEN;
    let mac = mac(key, &bytes[..body]);
    bytes[body..].copy_from_slice(&mac);
}

/// The bytes of a token with this length and version and a right MAC.
fn open<const LEN: usize>(key: &[u8; 32], version: u8, text: &str) -> Option<[u8; LEN]> {
    let mut bytes = [0; LEN];
    // Canonical decoding: of all texts only the one that we made decodes.
    if BASE64URL_NOPAD.decode_len(text.len()).ok()? != LEN {
        return None;
    }
    BASE64URL_NOPAD.decode_mut(text.as_bytes(), &mut bytes).ok()?;
    let (body, tail) = bytes.split_at(LEN - MAC_LEN);
    let right = bool::from(mac(key, body).ct_eq(tail));
    (right && bytes[0] == version).then_some(bytes)
}

/// The `N` bytes from `start`.
fn part<const N: usize>(bytes: &[u8], start: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[start..start + N]);
    part
}

#[cfg(test)]
mod tests {
    use super::{BASE64URL_NOPAD, DeviceToken, SessionToken, TokenKeys};
    use proptest::prelude::*;

    fn keys() -> TokenKeys {
        TokenKeys::new(b"a secret for tests that is long")
    }

    fn session() -> SessionToken {
        SessionToken { user_id: 7, session_id: [9; 16], issued_s: 1_000, expires_s: 2_000 }
    }

    #[test]
    fn a_session_token_is_66_characters_and_names_its_user_in_bytes_1_to_8() {
        let text = keys().sign_session(&session());
        assert_eq!(text.len(), 66);
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url");
        assert_eq!(bytes[0], 1);
        assert_eq!(bytes[1..9], 7_u64.to_be_bytes());
        assert_eq!(keys().read_session(&text, 1_500), Some(session()));
    }

    #[test]
    fn a_session_token_is_over_at_its_last_second() {
        let text = keys().sign_session(&session());
        assert!(keys().read_session(&text, 1_999).is_some());
        assert!(keys().read_session(&text, 2_000).is_none());
        assert!(keys().read_session(&text, i64::MAX).is_none());
    }

    #[test]
    fn other_keys_and_other_kinds_are_refused() {
        let (ours, theirs) = (keys(), TokenKeys::new(b"another secret that is long enough"));
        let text = ours.sign_session(&session());
        assert!(theirs.read_session(&text, 1_500).is_none());
        let device = ours.sign_device(&DeviceToken { user_id: 7, nonce: [1; 16] });
        assert!(theirs.read_device(&device).is_none());
        assert!(ours.read_session(&device, 1_500).is_none());
        assert!(ours.read_device(&text).is_none());
    }

    proptest! {
        #[test]
        fn a_token_with_any_bit_flipped_is_refused(bit in 0..49_usize * 8) {
            let text = keys().sign_session(&session());
            let mut bytes = BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url");
            bytes[bit / 8] ^= 1 << (bit % 8);
            let text = BASE64URL_NOPAD.encode(&bytes);
            prop_assert_eq!(keys().read_session(&text, 1_500), None);
        }

        #[test]
        fn a_cut_or_stretched_token_is_refused(cut in 0..66_usize, tail in "[A-Za-z0-9_-]{1,9}") {
            let text = keys().sign_session(&session());
            prop_assert_eq!(keys().read_session(&text[..cut], 1_500), None);
            prop_assert_eq!(keys().read_session(&(text + &tail), 1_500), None);
        }

        #[test]
        fn garbage_is_refused(text in "\\PC{0,90}") {
            prop_assert_eq!(keys().read_session(&text, 0), None);
            prop_assert_eq!(keys().read_device(&text), None);
        }

        #[test]
        fn what_is_signed_is_read(user_id: u64, id: [u8; 16], expires_s in 1_u32..) {
            let token = SessionToken { user_id, session_id: id, issued_s: 0, expires_s };
            prop_assert_eq!(keys().read_session(&keys().sign_session(&token), 0), Some(token));
            let token = DeviceToken { user_id, nonce: id };
            prop_assert_eq!(keys().read_device(&keys().sign_device(&token)), Some(token));
        }
    }
}
