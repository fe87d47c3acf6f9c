//! Texts that carry a place in a list to a client and back: bytes with a MAC that says it was us.
//!
//! The MAC is keyed BLAKE3 cut to its first 16 bytes, behind the bytes; the text is base64url
//! without padding. A cursor that somebody made up or changed is refused without asking the
//! database.

use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const MAC_LEN: usize = 16;

/// A key for cursors of one kind.
pub struct Seal(Zeroizing<[u8; 32]>);

impl Seal {
    /// The key for this kind, derived from a secret.
    pub fn new(kind: &str, secret: &[u8]) -> Seal {
        Seal(Zeroizing::new(blake3::derive_key(kind, secret)))
    }

    /// The text of these bytes.
    pub fn seal(&self, mut bytes: Vec<u8>) -> String {
        let mac = self.mac(&bytes);
        bytes.extend_from_slice(&mac);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// The bytes of a text of ours that has at most so many.
    pub fn open(&self, text: &str, len_max: usize) -> Option<Vec<u8>> {
        if text.len() > BASE64URL_NOPAD.encode_len(len_max + MAC_LEN) {
            return None;
        }
        // Canonical decoding: of all texts only the one that we made decodes.
        let mut bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (body, mac) = bytes.split_last_chunk::<MAC_LEN>()?;
        if !bool::from(self.mac(body).ct_eq(mac)) {
            return None;
        }
        bytes.truncate(bytes.len() - MAC_LEN);
        Some(bytes)
    }

    fn mac(&self, body: &[u8]) -> [u8; MAC_LEN] {
        let mut mac = [0; MAC_LEN];
        mac.copy_from_slice(&blake3::keyed_hash(&self.0, body).as_bytes()[..MAC_LEN]);
        mac
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}
