//! Cursors of lists of auctions: behind which auction a page begins.
//!
//! Bytes: version 1 | list u8 | user u64, 0 for everybody's lists | time i64 | auction u64 | MAC.
//! Numbers are big-endian; see [`Seal`] for the MAC.

use crate::cursor::Seal;
use souk_db::auctions::{After, Listing};
use souk_proto::Failure;

const VERSION: u8 = 1;
const LEN: usize = 1 + 1 + 8 + 8 + 8;

/// The key that signs cursors of lists of auctions. All daemons of one Souk hold the same.
#[derive(Debug)]
pub struct CursorKey(Seal);

impl CursorKey {
    /// The key derived from the secret that signs tokens.
    pub fn new(secret: &[u8]) -> CursorKey {
        CursorKey(Seal::new("souk 2026 auctions cursor", secret))
    }

    /// The cursor of this place in this list.
    pub fn sign(&self, list: Listing, after: After) -> String {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend_from_slice(&beginning(list));
        bytes.extend_from_slice(&after.time_ms.to_be_bytes());
        bytes.extend_from_slice(&after.id.to_be_bytes());
        self.0.seal(bytes)
    }

    /// The place of a cursor that we signed for this list.
    ///
    /// # Errors
    /// `invalid_field` for any other text.
    pub fn read(&self, list: Listing, text: &str) -> Result<After, Failure> {
        self.open(list, text).ok_or_else(|| {
            let why = "This is no cursor of this list. Take one from a page of it, as it is.";
            Failure::field("cursor", why)
        })
    }

    fn open(&self, list: Listing, text: &str) -> Option<After> {
        let bytes = self.0.open(text, LEN)?;
        let rest = bytes.strip_prefix(&beginning(list))?;
        let (time, id) = rest.split_first_chunk()?;
        let id = u64::from_be_bytes(id.try_into().ok()?);
        Some(After { time_ms: i64::from_be_bytes(*time), id })
    }
}

/// What a cursor of this list begins with.
fn beginning(list: Listing) -> [u8; 10] {
    let (number, user) = match list {
        Listing::Live => (0, 0),
        Listing::EndingSoon => (1, 0),
        Listing::Selling(user) => (2, user),
        Listing::Bidding(user) => (3, user),
        Listing::Watched(user) => (4, user),
    };
    let mut bytes = [0; 10];
    (bytes[0], bytes[1]) = (VERSION, number);
    bytes[2..].copy_from_slice(&user.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::CursorKey;
    use proptest::prelude::*;
    use souk_db::auctions::{After, Listing};

    const LISTS: [Listing; 7] = [
        Listing::Live,
        Listing::EndingSoon,
        Listing::Selling(7),
        Listing::Selling(8),
        Listing::Bidding(7),
        Listing::Watched(7),
        Listing::Watched(8),
    ];

    fn key() -> CursorKey {
        CursorKey::new(b"a secret for tests that is long")
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_in_its_own_list_alone(time_ms: i64, id: u64, list in 0..7_usize) {
            let after = After { time_ms, id };
            let text = key().sign(LISTS[list], after);
            for (number, other) in LISTS.into_iter().enumerate() {
                let read = key().read(other, &text);
                match number == list {
                    true => prop_assert_eq!(read.expect("its own"), after),
                    false => prop_assert_eq!(read.expect_err("another").field, "cursor"),
                }
            }
            let other = CursorKey::new(b"another secret that is long enough");
            prop_assert!(other.read(LISTS[list], &text).is_err());
        }

        #[test]
        fn garbage_is_refused(text in "\\PC{0,120}|[A-Za-z0-9_-]{0,120}") {
            prop_assert!(key().read(Listing::Live, &text).is_err());
        }
    }
}
