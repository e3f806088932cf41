//! Slow start: an endpoint that joins takes a tenth of its share at first, and all of it when the time is over.

use std::time::Duration;

use super::balance::Millis;

/// Stands for a whole share.
pub const FULL_SHARE: u32 = 1024;

/// What an endpoint takes at once: with less it would never get warm.
const FIRST: u64 = FULL_SHARE as u64 / 10;

/// The part of its share that an endpoint takes now, of [`FULL_SHARE`], which joined `since` ago.
pub fn share(since: Millis, slow_start: Duration) -> u32 {
    let whole = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX).max(1);
    if since >= whole {
        return FULL_SHARE;
    }
    let grown = u128::from(u64::from(FULL_SHARE) - FIRST) * u128::from(since) / u128::from(whole);
    // Less than FULL_SHARE, as `since` is less than `whole`.
    (FIRST + grown as u64) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_grows_from_a_tenth_to_the_whole() {
        let over = Duration::from_secs(30);
        assert_eq!(share(0, over), 102);
        assert_eq!(share(15_000, over), 563);
        assert_eq!(share(30_000, over), FULL_SHARE);
    }

    proptest! {
        #[test]
        fn a_share_never_shrinks(since in any::<u64>(), more in 0u64..100_000, over in 0u64..1_000_000) {
            let over = Duration::from_millis(over);
            let (before, after) = (share(since, over), share(since.saturating_add(more), over));
            prop_assert!(before <= after && after <= FULL_SHARE && before >= FIRST as u32);
        }
    }
}
