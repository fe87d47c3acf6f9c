//! Redis keys, made on the stack.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::io::Write;

/// A key or an argument of at most 64 bytes.
#[derive(Clone, Copy, Eq)]
pub struct Key {
    len: usize,
    bytes: [u8; 64],
}

impl Key {
    /// The parts, one after another.
    pub fn of(parts: &[&[u8]]) -> Key {
        let mut key = Key { len: 0, bytes: [0; 64] };
        for part in parts {
            let end = key.len + part.len();
            key.bytes[key.len..end].copy_from_slice(part); // ids and names are bounded
            key.len = end;
        }
        key
    }

    /// A number in decimal digits.
    pub fn number(number: u64) -> Key {
        let mut key = Key { len: 0, bytes: [0; 64] };
        let mut room = &mut key.bytes[..];
        write!(room, "{number}").expect("64 digits hold any u64");
        let left = room.len();
        key.len = key.bytes.len() - left;
        key
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

/// A table of keys is asked with the bytes that Redis names.
impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_parts_and_holds_the_largest_number() {
        let key = Key::of(&[b"souk:{u:", Key::number(u64::MAX).as_bytes(), b"}:sessions"]);
        assert_eq!(key.as_bytes(), format!("souk:{{u:{}}}:sessions", u64::MAX).as_bytes());
        assert_eq!(Key::number(0).as_bytes(), b"0");
    }
}
