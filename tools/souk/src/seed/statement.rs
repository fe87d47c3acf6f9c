//! The SQL of a seed: only what MariaDB and MySQL both have.

use std::fmt::Write;
use std::ops::Range;

use crate::limits::SEED_CHUNK;

const DIGITS: &str = "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 \
    UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 \
    UNION ALL SELECT 8 UNION ALL SELECT 9)";

/// Inserts the users with the numbers of `chunk`; one who exists is kept.
///
/// Ratings depend on the number alone: a hill of width 2000 around 1500, and one in ninety far
/// above it.
pub fn insert(chunk: &Range<u64>, hashes: &[String]) -> String {
    let start = chunk.start;
    let size = chunk.end - chunk.start;
    let mut quoted = String::new();
    for hash in hashes {
        // A PHC string has no character that means anything inside quotes.
        write!(quoted, ",'{hash}'").expect("writing to a string");
    }
    let rating = "LEAST(5000, 500 + CRC32(n) % 1001 + CRC32(CONCAT('b', n)) % 1001 \
        + IF(CRC32(CONCAT('c', n)) % 90 = 0, CRC32(CONCAT('d', n)) % 2600, 0))";
    format!(
        "INSERT IGNORE INTO users \
         (username, nickname, password_hash, rating, created_at, updated_at) \
         SELECT CONCAT('user', n), CONCAT('User ', n), ELT(1 + n % {count}{quoted}), {rating}, \
         UTC_TIMESTAMP(3), UTC_TIMESTAMP(3) FROM \
         (SELECT {start} + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d AS n \
         FROM {DIGITS} a, {DIGITS} b, {DIGITS} c, {DIGITS} e, {DIGITS} f \
         WHERE a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d < {size}) numbers",
        count = hashes.len(),
    )
}

// Five digits name every row of a chunk.
const _: () = assert!(SEED_CHUNK <= 100_000);

/// Counts which of the users `numbers` exist.
pub fn count(numbers: &[u64]) -> String {
    let mut names = String::new();
    for number in numbers {
        let comma = if names.is_empty() { "" } else { "," };
        write!(names, "{comma}'user{number}'").expect("writing to a string");
    }
    format!("SELECT COUNT(*) FROM users WHERE username IN ({names})")
}
