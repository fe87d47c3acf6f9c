//! What usernames, nicknames and passwords may be, and what to tell who offers something else.

use souk_proto::Failure;
use std::borrow::Cow;

/// Shortest and longest username, in characters (all of them ASCII).
const USERNAME_LEN: std::ops::RangeInclusive<usize> = 3..=32;

/// Longest nickname, in characters.
const NICKNAME_CHARS_MAX: usize = 64;

/// Shortest password, in characters (NIST SP 800-63B, section 5.1.1.2).
const PASSWORD_CHARS_MIN: usize = 8;

/// Longest password, in bytes: enough for any phrase, and a bound on what is hashed.
const PASSWORD_BYTES_MAX: usize = 256;

/// The username as it is stored: upper case becomes lower case.
///
/// # Errors
/// If it is not 3 to 32 of `a–z 0–9 _ . -`.
pub fn username(text: &str) -> Result<Cow<'_, str>, Failure> {
    let lower = lower(text);
    if let Some(stray) = lower.chars().find(|c| !is_username_char(*c)) {
        return Err(Failure::field("username", stray_text(stray)));
    }
    if !USERNAME_LEN.contains(&lower.len()) {
        let text = format!("Usernames have 3 to 32 characters; this one has {}.", lower.len());
        return Err(Failure::field("username", text));
    }
    Ok(lower)
}

/// The beginning of a username, as it is searched for; it may be empty.
///
/// # Errors
/// If no username can begin like this.
pub fn username_prefix(text: &str) -> Result<Cow<'_, str>, Failure> {
    let lower = lower(text);
    if let Some(stray) = lower.chars().find(|c| !is_username_char(*c)) {
        return Err(Failure::field("username", stray_text(stray)));
    }
    if lower.len() > *USERNAME_LEN.end() {
        return Err(Failure::field("username", "Usernames have at most 32 characters."));
    }
    Ok(lower)
}

/// The nickname without space around it.
///
/// # Errors
/// If nothing is left, it is over 64 characters, or it holds control characters.
pub fn nickname(text: &str) -> Result<&str, Failure> {
    let text = text.trim();
    if text.is_empty() {
        let why = "A nickname needs at least one character that is not a space.";
        return Err(Failure::field("nickname", why));
    }
    let length = text.chars().count();
    if length > NICKNAME_CHARS_MAX {
        let why = format!("Nicknames have at most 64 characters; this one has {length}.");
        return Err(Failure::field("nickname", why));
    }
    if text.chars().any(is_invisible_control) {
        let why = "Nicknames cannot hold line breaks, control or text direction characters.";
        return Err(Failure::field("nickname", why));
    }
    Ok(text)
}

/// Checks a password that somebody wants to have from now on.
///
/// # Errors
/// If it is under 8 characters or over 256 bytes.
pub fn new_password(field: &str, text: &str) -> Result<(), Failure> {
    if text.chars().count() < PASSWORD_CHARS_MIN {
        return Err(Failure::field(field, "Passwords have at least 8 characters."));
    }
    password_bounds(field, text)
}

/// Checks a password that is only compared: old ones may be shorter than new ones must be.
///
/// # Errors
/// If it is empty or over 256 bytes.
pub fn given_password(field: &str, text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Err(Failure::field(field, "Enter the password."));
    }
    password_bounds(field, text)
}

fn password_bounds(field: &str, text: &str) -> Result<(), Failure> {
    if text.len() > PASSWORD_BYTES_MAX {
        return Err(Failure::field(field, "Passwords have at most 256 bytes."));
    }
    Ok(())
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

fn is_username_char(c: char) -> bool {
    matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '-')
}

fn stray_text(stray: char) -> String {
    let stray = stray.escape_debug();
    format!("Usernames are made of a–z, 0–9, \"_\", \".\" and \"-\"; \"{stray}\" is none of them.")
}

/// Characters that change how the text around them is shown: line and paragraph separators and
/// the directional overrides (Unicode Technical Report 36, section 2.10.2) beside the controls.
pub(crate) fn is_invisible_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{given_password, new_password, nickname, username, username_prefix};
    use proptest::prelude::*;

    #[test]
    fn usernames_are_lowered_and_held_to_their_rule() {
        assert_eq!(username("Ann.B-1_").expect("valid"), "ann.b-1_");
        let longest = "a".repeat(32);
        assert_eq!(username(&longest).expect("valid"), longest);
        for bad in ["", "ab", "a b c", "änn", "ann\0", "a/b", "ann\n", &"a".repeat(33)] {
            let failure = username(bad).expect_err(bad);
            assert_eq!(failure.field, "username");
            assert!(!failure.detail.is_empty());
        }
    }

    #[test]
    fn a_prefix_may_be_short_but_not_strange() {
        assert_eq!(username_prefix("").expect("valid"), "");
        assert_eq!(username_prefix("U").expect("valid"), "u");
        assert!(username_prefix("%").is_err());
        assert!(username_prefix(&"a".repeat(33)).is_err());
    }

    #[test]
    fn nicknames_take_any_script_but_no_controls() {
        for good in ["A", "Ann-Sofie 𝒳", "ちゃん", "👩‍🚀", "علي", &"é".repeat(64)]
        {
            assert_eq!(nickname(good).expect("valid"), good);
        }
        assert_eq!(nickname("  Ann\t").expect("valid"), "Ann");
        for bad in ["", "   ", "a\nb", "a\u{0}b", "a\u{202e}b", &"é".repeat(65)] {
            assert_eq!(nickname(bad).expect_err(bad).field, "nickname");
        }
    }

    #[test]
    fn passwords_have_8_characters_and_at_most_256_bytes() {
        assert!(new_password("password", "12345678").is_ok());
        assert!(new_password("password", "ééééééé").is_err(), "7 characters, 14 bytes");
        assert!(new_password("password", &"x".repeat(256)).is_ok());
        assert!(new_password("password", &"x".repeat(257)).is_err());
        assert!(given_password("current", "short").is_ok());
        assert_eq!(given_password("current", "").expect_err("empty").field, "current");
        assert!(given_password("current", &"x".repeat(257)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_accepted_again_unchanged(text in "\\PC{0,40}") {
            if let Ok(name) = username(&text) {
                prop_assert_eq!(username(&name).expect("again"), name.clone());
                prop_assert!(name.bytes().all(|b| b.is_ascii_graphic()));
            }
            if let Ok(name) = nickname(&text) {
                prop_assert_eq!(nickname(name).expect("again"), name);
            }
        }
    }
}
