//! Cursors: a place on a board, with a MAC that says it was us.
//!
//! Bytes: version 1 | board u64 | rating i32 | name, 1 to 32 bytes | MAC 16 bytes. Numbers are
//! big-endian, the MAC is keyed BLAKE3 cut to its first 16 bytes, the text is base64url without
//! padding. A cursor that somebody made up or changed is refused without asking the database.

use data_encoding::BASE64URL_NOPAD;
use souk_db::leaderboard::Place;
use souk_proto::Failure;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const FIXED: usize = 1 + 8 + 4;
const MAC_LEN: usize = 16;
/// Longest name in a cursor: as long as names may be.
const NAME_MAX: usize = 32;

/// The key that signs cursors. All daemons of one Souk hold the same.
pub struct CursorKey(Zeroizing<[u8; 32]>);

impl CursorKey {
    /// The key derived from the secret that signs tokens.
    pub fn new(secret: &[u8]) -> CursorKey {
        CursorKey(Zeroizing::new(blake3::derive_key("souk 2026 leaderboard cursor", secret)))
    }

    /// The cursor of this place on this board.
    pub fn sign(&self, board: u64, rating: i32, username: &str) -> String {
        let mut bytes = Vec::with_capacity(FIXED + username.len() + MAC_LEN);
        bytes.push(VERSION);
        bytes.extend_from_slice(&board.to_be_bytes());
        bytes.extend_from_slice(&rating.to_be_bytes());
        bytes.extend_from_slice(username.as_bytes());
        let mac = self.mac(&bytes);
        bytes.extend_from_slice(&mac);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// The place of a cursor that we signed for this board.
    ///
    /// # Errors
    /// `invalid_field` for any other text.
    pub fn read(&self, board: u64, text: &str) -> Result<Place, Failure> {
        self.open(board, text).ok_or_else(|| {
            let why = "This is no cursor of this board. Take one from a page of it, as it is.";
            Failure::field("cursor", why)
        })
    }

    fn open(&self, board: u64, text: &str) -> Option<Place> {
        if text.len() > BASE64URL_NOPAD.encode_len(FIXED + NAME_MAX + MAC_LEN) {
            return None;
        }
        // Canonical decoding: of all texts only the one that we made decodes.
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (body, mac) = bytes.split_last_chunk::<MAC_LEN>()?;
        if !bool::from(self.mac(body).ct_eq(mac)) {
            return None;
        }
        let (&version, body) = body.split_first()?;
        let (of, body) = body.split_first_chunk()?;
        let (rating, name) = body.split_first_chunk()?;
        if version != VERSION || u64::from_be_bytes(*of) != board {
            return None;
        }
        let username = String::from_utf8(name.to_vec()).ok()?;
        Some(Place { rating: i32::from_be_bytes(*rating), username })
    }

    fn mac(&self, body: &[u8]) -> [u8; MAC_LEN] {
        let mut mac = [0; MAC_LEN];
        mac.copy_from_slice(&blake3::keyed_hash(&self.0, body).as_bytes()[..MAC_LEN]);
        mac
    }
}

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey")
    }
}

#[cfg(test)]
mod tests {
    use super::{BASE64URL_NOPAD, CursorKey};
    use proptest::prelude::*;

    fn key() -> CursorKey {
        CursorKey::new(b"a secret for tests that is long")
    }

    #[test]
    fn cursors_of_other_keys_and_boards_are_refused() {
        let text = key().sign(0, 1_500, "ann");
        assert!(key().read(0, &text).is_ok());
        let other = CursorKey::new(b"another secret that is long enough");
        for refused in [other.read(0, &text), key().read(1, &text), key().read(0, "")] {
            assert_eq!(refused.err().map(|it| it.field).as_deref(), Some("cursor"));
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_is_read(board: u64, rating: i32, name in "[a-z0-9_.-]{3,32}") {
            let place = key().read(board, &key().sign(board, rating, &name)).expect("a cursor");
            prop_assert_eq!((place.rating, place.username), (rating, name));
        }

        #[test]
        fn a_cursor_with_any_bit_flipped_is_refused(bit in 0..32_usize * 8) {
            let text = key().sign(7, 1_500, "ann");
            let mut bytes = BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url");
            prop_assert_eq!(bytes.len(), 32);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(key().read(7, &BASE64URL_NOPAD.encode(&bytes)).is_err());
        }

        #[test]
        fn garbage_is_refused(text in "\\PC{0,120}|[A-Za-z0-9_-]{0,120}") {
            prop_assert!(key().read(0, &text).is_err());
        }
    }
}
