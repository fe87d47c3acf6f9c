//! Which new traces are sampled.

/// The random part of a trace id: its lowest 56 bits (W3C Trace Context, level 2).
const RANDOM_BITS: u32 = 56;

/// A share of all traces, chosen by their ids: whoever samples the same share or a larger one
/// chooses the same traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// Random parts from here on are sampled.
    from: u64,
}

impl Ratio {
    /// A share from 0 (none) to 1 (all); what is outside is cut to it.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most 2^56, exactly
    pub fn new(share: f64) -> Ratio {
        let all = (1u64 << RANDOM_BITS) as f64;
        Ratio { from: ((1.0 - share.clamp(0.0, 1.0)) * all) as u64 }
    }

    /// Whether the trace with this id is sampled.
    #[allow(clippy::cast_possible_truncation)] // the lowest bits are what is wanted
    pub fn samples(self, trace_id: u128) -> bool {
        (trace_id as u64) & ((1 << RANDOM_BITS) - 1) >= self.from
    }
}

#[cfg(test)]
mod tests {
    use super::Ratio;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn none_and_all_are_exact_and_a_larger_share_keeps_what_a_smaller_one_chose(
            id: u128, small in 0.0..1.0f64, large in 0.0..1.0f64,
        ) {
            prop_assert!(!Ratio::new(0.0).samples(id));
            prop_assert!(Ratio::new(1.0).samples(id));
            let (small, large) = (small.min(large), small.max(large));
            prop_assert!(!Ratio::new(small).samples(id) || Ratio::new(large).samples(id));
        }
    }

    #[test]
    fn a_share_is_a_share_of_evenly_spread_ids() {
        let step = (1u128 << 56) / 1_000;
        let chosen = |share| (0..1_000).filter(|n| Ratio::new(share).samples(n * step)).count();
        assert!((9..=11).contains(&chosen(0.01)), "{}", chosen(0.01));
        assert!((499..=501).contains(&chosen(0.5)), "{}", chosen(0.5));
    }
}
