//! The header `traceparent` of W3C Trace Context (<https://www.w3.org/TR/trace-context/>).

use std::fmt;
use std::num::NonZeroU64;

/// Length of version 00, and of what any later version begins with.
const LEN: usize = 55;

/// The flag that the caller may have recorded its part.
const SAMPLED: u8 = 1;

/// Who called, as the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    /// Names the whole trace; never 0.
    pub trace_id: u128,
    /// The caller's span.
    pub parent: NonZeroU64,
    /// Whether the caller records the trace.
    pub sampled: bool,
}

impl Traceparent {
    /// Reads the header's value. Nothing if it is not valid: then a new trace begins, as the
    /// specification demands.
    pub fn parse(value: &[u8]) -> Option<Traceparent> {
        let (known, rest) = value.split_first_chunk::<LEN>()?;
        let [version, flags] = [byte(&known[..2])?, byte(&known[53..])?];
        // A later version may say more, behind another dash. Version 255 is forbidden.
        let fits = match version {
            0 => rest.is_empty(),
            255 => false,
            _ => rest.first().is_none_or(|next| *next == b'-'),
        };
        if !fits || [known[2], known[35], known[52]] != [b'-'; 3] {
            return None;
        }
        let trace_id = number(&known[3..35])?;
        let parent = NonZeroU64::new(u64::try_from(number(&known[36..52])?).ok()?)?;
        (trace_id != 0).then_some(Traceparent { trace_id, parent, sampled: flags & SAMPLED != 0 })
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled) * SAMPLED;
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.parent)
    }
}

/// A number in lower-case hexadecimal; other digits are not allowed here.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

fn byte(digits: &[u8]) -> Option<u8> {
    number(digits).and_then(|number| u8::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::Traceparent;
    use proptest::prelude::*;
    use std::num::NonZeroU64;

    /// The example of the specification.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parse(text: &str) -> Option<Traceparent> {
        Traceparent::parse(text.as_bytes())
    }

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let read = parse(EXAMPLE).expect("valid");
        assert_eq!(read.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(read.parent.get(), 0x00f0_67aa_0ba9_02b7);
        assert!(read.sampled);
        assert_eq!(read.to_string(), EXAMPLE);
        assert!(!parse(&EXAMPLE.replace("-01", "-00")).expect("valid").sampled);
        assert!(parse(&EXAMPLE.replace("-01", "-ff")).expect("unknown flags").sampled);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = EXAMPLE.replacen("00-", "cc-", 1);
        assert_eq!(parse(&later), parse(EXAMPLE));
        assert_eq!(parse(&format!("{later}-what-else")), parse(EXAMPLE));
        assert_eq!(parse(&format!("{later}.what-else")), None);
        assert_eq!(parse(&format!("{EXAMPLE}-what-else")), None, "version 00 says no more");
        assert_eq!(parse(&EXAMPLE.replacen("00-", "ff-", 1)), None);
    }

    #[test]
    fn what_is_not_valid_begins_a_new_trace() {
        for wrong in [
            "",
            "00",
            &EXAMPLE[..54],
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replace('-', "_"),
            &EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &EXAMPLE.replace("-01", "-0x"),
            &format!("{EXAMPLE} "),
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_and_garbage_never_panics(
            trace_id in 1u128.., parent in 1u64.., sampled: bool, junk: Vec<u8>,
        ) {
            let parent = NonZeroU64::new(parent).expect("not 0");
            let written = Traceparent { trace_id, parent, sampled };
            prop_assert_eq!(parse(&written.to_string()), Some(written));
            let _ = Traceparent::parse(&junk);
        }
    }
}
