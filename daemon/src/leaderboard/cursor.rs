//! Cursors: a place on a board, with a MAC that says it was us.
//!
//! Bytes: version 1 | board u64 | rating i32 | name, 1 to 32 bytes | MAC. Numbers are big-endian;
//! see [`Seal`] for the MAC.

use crate::cursor::Seal;
use souk_db::leaderboard::Place;
use souk_proto::Failure;

const VERSION: u8 = 1;
const FIXED: usize = 1 + 8 + 4;
/// Longest name in a cursor: as long as names may be.
const NAME_MAX: usize = 32;

/// The key that signs cursors. All daemons of one Souk hold the same.
#[derive(Debug)]
pub struct CursorKey(Seal);

impl CursorKey {
    /// The key derived from the secret that signs tokens.
    pub fn new(secret: &[u8]) -> CursorKey {
        CursorKey(Seal::new("souk 2026 leaderboard cursor", secret))
    }

    /// The cursor of this place on this board.
    pub fn sign(&self, board: u64, rating: i32, username: &str) -> String {
        let mut bytes = Vec::with_capacity(FIXED + username.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&board.to_be_bytes());
        bytes.extend_from_slice(&rating.to_be_bytes());
        bytes.extend_from_slice(username.as_bytes());
        self.0.seal(bytes)
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
        let bytes = self.0.open(text, FIXED + NAME_MAX)?;
        let (&version, body) = bytes.split_first()?;
        let (of, body) = body.split_first_chunk()?;
        let (rating, name) = body.split_first_chunk()?;
        if version != VERSION || u64::from_be_bytes(*of) != board {
            return None;
        }
        let username = String::from_utf8(name.to_vec()).ok()?;
        Some(Place { rating: i32::from_be_bytes(*rating), username })
    }
}

#[cfg(test)]
mod tests {
    use super::CursorKey;
    use data_encoding::BASE64URL_NOPAD;
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
