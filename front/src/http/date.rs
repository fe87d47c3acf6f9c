//! The text of the Date header, made at most once a second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The current time as an IMF-fixdate (`Sun, 06 Nov 1994 08:49:37 GMT`), as of the last refresh.
#[derive(Clone, Debug)]
pub struct Date {
    second: u64,
    text: [u8; 29],
}

impl Date {
    /// The text for this moment.
    pub fn new(now: SystemTime) -> Date {
        let second = seconds(now);
        Date { second, text: format(second) }
    }

    /// Brings the text up to this moment; free while the second is the same.
    pub fn refresh(&mut self, now: SystemTime) {
        let second = seconds(now);
        if second != self.second {
            *self = Date { second, text: format(second) };
        }
    }

    /// The text as of the last refresh.
    pub fn text(&self) -> &[u8; 29] {
        &self.text
    }
}

/// Whole seconds since 1970; a clock set before 1970 reads as 1970, since a wrong Date is better
/// than no answer.
fn seconds(now: SystemTime) -> u64 {
    // The formatter goes up to the year 9999.
    const LAST: u64 = 253_402_300_799;
    now.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs()).min(LAST)
}

fn format(second: u64) -> [u8; 29] {
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
    text.as_bytes().try_into().expect("an IMF-fixdate always has 29 bytes")
}

#[cfg(test)]
mod tests {
    use super::Date;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn the_date_is_an_imf_fixdate_and_follows_the_clock_by_whole_seconds() {
        let at = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let mut date = Date::new(at);
        assert_eq!(date.text(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        date.refresh(at + Duration::from_millis(999));
        assert_eq!(date.text(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        date.refresh(at + Duration::from_millis(1000));
        assert_eq!(date.text(), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }

    #[test]
    fn a_clock_outside_the_calendar_still_gives_a_date() {
        assert_eq!(
            Date::new(UNIX_EPOCH - Duration::from_secs(9)).text(),
            b"Thu, 01 Jan 1970 00:00:00 GMT"
        );
        let far = UNIX_EPOCH + Duration::from_secs(999_999_999_999);
        assert_eq!(Date::new(far).text(), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
