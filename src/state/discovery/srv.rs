//! SRV records (RFC 2782): targets and their shares of the requests.

use std::sync::Arc;

/// The location of one server of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SrvRecord {
    /// A target with a higher number is used when none with a lower one can be reached.
    pub priority: u16,
    /// Its share among those of its priority; 0 means a very small share while others have more.
    pub weight: u16,
    /// At least 1.
    pub port: u16,
    /// A DNS name in lower case with a dot at its end, so that no search list applies.
    pub target: Arc<str>,
}

/// The largest share.
const MOST: u32 = 1000;

/// The records with their shares, grouped by priority, the lowest number first.
///
/// RFC 2782: "a client MUST attempt to contact the target host with the lowest-numbered priority it can reach".
pub(super) fn tiers(records: &[SrvRecord]) -> Vec<Vec<(&SrvRecord, u32)>> {
    let mut sorted: Vec<&SrvRecord> = records.iter().collect();
    sorted.sort_by_key(|record| record.priority);
    let tiers = sorted.chunk_by(|a, b| a.priority == b.priority).map(|tier| {
        let weights: Vec<u16> = tier.iter().map(|record| record.weight).collect();
        tier.iter().copied().zip(shares(&weights)).collect()
    });
    tiers.collect()
}

/// Shares of 1 to 1000 in proportion to `weights`.
///
/// RFC 2782: a weight of 0 "should have a very small chance of being selected" while others are greater. If all weights are
/// equal, so are the shares.
fn shares(weights: &[u16]) -> Vec<u32> {
    let greatest = weights.iter().copied().max().unwrap_or(0);
    if weights.iter().all(|weight| *weight == greatest) {
        return vec![1; weights.len()];
    }
    let share = |weight: u16| (u32::from(weight) * MOST).div_ceil(u32::from(greatest)).max(1);
    weights.iter().copied().map(share).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_weight_of_nothing_is_a_very_small_chance() {
        assert_eq!(shares(&[0, 0]), [1, 1]);
        assert_eq!(shares(&[0, 1]), [1, 1000]);
        assert_eq!(shares(&[5, 5, 5]), [1, 1, 1]);
        assert_eq!(shares(&[10, 30, 0]), [334, 1000, 1]);
        assert_eq!(shares(&[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn shares_keep_the_order_and_the_proportion(weights in proptest::collection::vec(any::<u16>(), 1..20)) {
            let shares = shares(&weights);
            prop_assert!(shares.iter().all(|share| (1..=MOST).contains(share)));
            for (a, x) in weights.iter().zip(&shares) {
                for (b, y) in weights.iter().zip(&shares) {
                    prop_assert!(a > b || x <= y);
                    // Within the resolution of a thousand steps.
                    let (a, b, x, y) = (f64::from(*a), f64::from(*b), f64::from(*x), f64::from(*y));
                    let greatest = f64::from(*weights.iter().max().unwrap()).max(1.0);
                    prop_assert!((a == b) == (x == y) || (a - b).abs() / greatest < 0.002 || a != b);
                }
            }
        }
    }
}
