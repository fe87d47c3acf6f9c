//! The users table in SQL: statements, parameters, and rows.

use super::row::{UserRow, credential_tag};
use crate::error::{Server, StoreError};
use crate::limits::{BATCH_SIZES, USERNAME_MAX};
use mysql_async::{Row, Value};

/// The columns of a [`UserRow`], in the order of [`user_row`].
pub const COLUMNS: &str = "id, username, nickname, picture, rating, version, created_at, updated_at, \
                       password_hash";

/// A username as a key: fixed size, lower case, checked for form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    len: u8,
    bytes: [u8; USERNAME_MAX],
}

impl Name {
    /// `None` when no user can have this name.
    pub fn new(text: &str) -> Option<Name> {
        let mut name = Name { len: u8::try_from(text.len()).ok()?, bytes: [0; USERNAME_MAX] };
        let bytes = name.bytes.get_mut(..text.len())?;
        bytes.copy_from_slice(text.as_bytes());
        bytes.make_ascii_lowercase();
        let plain = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-');
        (!text.is_empty() && name.as_bytes().iter().all(plain)).then_some(name)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// A key by which single users are read.
pub trait Key: Copy + Eq + std::hash::Hash + 'static {
    /// The column it is looked up in.
    const COLUMN: &'static str;
    fn value(self) -> Value;
    /// The key of a row that was read; `None` if the row has none, which cannot be.
    fn of(row: &UserRow) -> Option<Self>;
}

impl Key for u64 {
    const COLUMN: &'static str = "id";
    fn value(self) -> Value {
        Value::UInt(self)
    }
    fn of(row: &UserRow) -> Option<u64> {
        Some(row.id)
    }
}

impl Key for Name {
    const COLUMN: &'static str = "username";
    fn value(self) -> Value {
        Value::Bytes(self.as_bytes().to_vec())
    }
    fn of(row: &UserRow) -> Option<Name> {
        Name::new(&row.username)
    }
}

/// The read of a batch, one statement for each of [`BATCH_SIZES`].
pub fn select_by<K: Key>() -> [String; BATCH_SIZES.len()] {
    BATCH_SIZES.map(|size| {
        let marks = vec!["?"; size].join(",");
        format!("SELECT {COLUMNS} FROM users WHERE {} IN ({marks})", K::COLUMN)
    })
}

/// A page of a search. `~` sorts after every character of a username, so the upper bound is the
/// prefix and a `~`: a range of the index, whatever the prefix holds.
pub fn select_page() -> String {
    format!(
        "SELECT {COLUMNS} FROM users \
         WHERE username >= ? AND username > ? AND username < ? ORDER BY username LIMIT ?"
    )
}

pub const INSERT: &str = "INSERT INTO users \
     (username, nickname, password_hash, picture, rating, version, created_at, updated_at) \
     VALUES (?, ?, ?, '', ?, 1, ?, ?)";

pub const UPDATE: &str = "UPDATE users SET version = version + 1, username = ?, nickname = ?, \
     picture = ?, password_hash = ?, updated_at = ? WHERE id = ? AND version = ?";

pub const DELETE: &str = "DELETE FROM users WHERE id = ? AND version = ?";

/// Reads a row of [`COLUMNS`]; others may follow them.
pub fn user_row(row: Row) -> Result<UserRow, StoreError> {
    let wrong = || StoreError::corrupt(Server::Database, "a column of users has another type");
    let mut values = row.unwrap().into_iter();
    let mut next = || values.next().ok_or_else(wrong);
    let id = unsigned(&next()?).ok_or_else(wrong)?;
    let username = text(next()?).ok_or_else(wrong)?;
    let nickname = text(next()?).ok_or_else(wrong)?;
    let picture = text(next()?).ok_or_else(wrong)?;
    let rating = match next()? {
        Value::Int(n) => i32::try_from(n).map_err(|_| wrong())?,
        _ => return Err(wrong()),
    };
    let version = unsigned(&next()?).ok_or_else(wrong)?;
    let created_at_ms = unix_ms(&next()?).ok_or_else(wrong)?;
    let updated_at_ms = unix_ms(&next()?).ok_or_else(wrong)?;
    let password_hash = text(next()?).ok_or_else(wrong)?;
    Ok(UserRow {
        id,
        username,
        nickname,
        picture,
        rating,
        version,
        created_at_ms,
        updated_at_ms,
        credential_tag: credential_tag(&password_hash),
        password_hash: Some(password_hash),
    })
}

fn unsigned(value: &Value) -> Option<u64> {
    match value {
        Value::UInt(n) => Some(*n),
        Value::Int(n) => u64::try_from(*n).ok(),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Bytes(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// Days from 0000-03-01 to 1970-01-01 in the Gregorian calendar.
const EPOCH_DAYS: i64 = 719_468;
const DAY_MS: i64 = 86_400_000;

/// A DATETIME in UTC as Unix milliseconds. Years begin in March here, so that the leap day is the
/// last of its year (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub fn unix_ms(value: &Value) -> Option<i64> {
    let Value::Date(year, month, day, hour, minute, second, micros) = *value else { return None };
    let march_year = i64::from(year) - i64::from(month <= 2);
    let month = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    let days = march_year * 365 + march_year.div_euclid(4) - march_year.div_euclid(100)
        + march_year.div_euclid(400)
        + day_of_year
        - EPOCH_DAYS;
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(days * DAY_MS + seconds * 1000 + i64::from(micros / 1000))
}

/// Unix milliseconds as a DATETIME(3) in UTC; the inverse of [`unix_ms`] for years 1 to 9999.
pub fn datetime(unix_ms: i64) -> Value {
    let days = unix_ms.div_euclid(DAY_MS) + EPOCH_DAYS;
    let in_day = unix_ms.rem_euclid(DAY_MS);
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let small = |n: i64| u8::try_from(n).expect("months, days and times are small");
    Value::Date(
        u16::try_from(year).unwrap_or(9999),
        small(month),
        small(day),
        small(in_day / 3_600_000),
        small(in_day / 60_000 % 60),
        small(in_day / 1000 % 60),
        u32::try_from(in_day % 1000 * 1000).expect("less than a second"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_lowered_and_what_no_user_can_have_is_not_asked_for() {
        assert_eq!(Name::new("Ann.B_c-9").unwrap().as_bytes(), b"ann.b_c-9");
        for bad in ["", "ä", "a b", "a%", "a\\", "a'", "a\0", &"a".repeat(USERNAME_MAX + 1)] {
            assert!(Name::new(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn known_moments_convert_to_their_dates() {
        for (ms, date) in [
            (0, Value::Date(1970, 1, 1, 0, 0, 0, 0)),
            (951_782_400_000, Value::Date(2000, 2, 29, 0, 0, 0, 0)),
            (1_795_219_199_999, Value::Date(2026, 11, 20, 23, 59, 59, 999_000)),
            (-1, Value::Date(1969, 12, 31, 23, 59, 59, 999_000)),
        ] {
            assert_eq!(datetime(ms), date);
            assert_eq!(unix_ms(&date), Some(ms));
        }
    }

    proptest! {
        #[test]
        fn times_survive_the_way_to_the_database_and_back(
            ms in -62_135_596_800_000_i64..253_402_300_800_000,
        ) {
            prop_assert_eq!(unix_ms(&datetime(ms)), Some(ms));
        }
    }
}
