//! The token bucket as GCRA (ITU-T I.371): its whole state is the time at which it will be full again.
//!
//! That time (`tat`, the theoretical arrival time) is in nanoseconds since an epoch of the caller's choice. A bucket that
//! was never touched has 0, which is full at any time.

use std::time::Duration;

use super::{RateQuota, Taken};

impl RateQuota {
    /// `count` tokens in every `period`, and `burst` at most at once.
    pub fn new(count: u64, period: Duration, burst: u64) -> Self {
        // Rounded up: a bucket may be a nanosecond late, but never grants more than what was written.
        let interval = period.as_nanos().div_ceil(u128::from(count.max(1))).max(1);
        RateQuota {
            interval_nanos: u64::try_from(interval).unwrap_or(u64::MAX),
            burst: burst.max(1),
            count: count.max(1),
            period,
        }
    }

    /// How long an empty bucket takes to be full.
    pub fn refill(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.capacity()).unwrap_or(u64::MAX))
    }

    /// Takes a token at `now`, if there is one. A refusal changes nothing.
    ///
    /// Never grants more than `burst` and one for every `interval_nanos` that passed. Should `now` be before an earlier
    /// one, the bucket is as empty as it was then.
    pub fn take(&self, tat: &mut u64, now: u64) -> Taken {
        // In u128 nothing overflows: burst × interval + now is below 2^128 for any u64.
        let interval = self.interval();
        let latest = u128::from(now) + self.capacity();
        let next = u128::from((*tat).max(now)) + interval;
        match u64::try_from(next) {
            Ok(granted) if next <= latest => {
                *tat = granted;
                Taken {
                    granted: true,
                    remaining: saturated((latest - next) / interval),
                    retry_after: Duration::ZERO,
                    reset_after: Duration::from_nanos(granted - now),
                }
            }
            _ => Taken {
                granted: false,
                remaining: 0,
                retry_after: Duration::from_nanos(saturated(next.saturating_sub(latest)).max(1)),
                reset_after: Duration::from_nanos(tat.saturating_sub(now)),
            },
        }
    }

    /// Whether the bucket holds all its tokens at `now`, so that forgetting it loses nothing.
    pub fn is_full(&self, tat: u64, now: u64) -> bool {
        tat <= now
    }

    /// Carries a bucket over from another quota: as many tokens are missing as were, but at most all.
    pub fn carry_over(&self, from: &RateQuota, tat: u64, now: u64) -> u64 {
        let missing = u128::from(tat.saturating_sub(now)) * self.interval() / from.interval();
        saturated(u128::from(now).saturating_add(missing.min(self.capacity())))
    }

    fn interval(&self) -> u128 {
        u128::from(self.interval_nanos.max(1))
    }

    fn capacity(&self) -> u128 {
        u128::from(self.burst.max(1)) * self.interval()
    }
}

fn saturated(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn quota(count: u64, burst: u64) -> RateQuota {
        RateQuota::new(count, Duration::from_secs(1), burst)
    }

    #[test]
    fn a_fresh_bucket_grants_its_burst_and_then_the_rate() {
        let quota = quota(50, 100);
        let mut tat = 0;
        for left in (0..100).rev() {
            let taken = quota.take(&mut tat, SECOND);
            assert!(taken.granted);
            assert_eq!(taken.remaining, left);
        }
        let refused = quota.take(&mut tat, SECOND);
        assert!(!refused.granted);
        assert_eq!(refused.retry_after, Duration::from_millis(20));
        assert_eq!(refused.reset_after, Duration::from_secs(2));
        let later = SECOND + 20_000_000;
        assert!(quota.take(&mut tat, later).granted);
        assert!(!quota.take(&mut tat, later).granted);
    }

    #[test]
    fn a_refusal_is_granted_after_its_retry_after_and_not_before() {
        let quota = quota(3, 1);
        let mut tat = 0;
        assert!(quota.take(&mut tat, 7).granted);
        let wait = quota.take(&mut tat, 7).retry_after.as_nanos() as u64;
        assert!(!quota.take(&mut tat, 7 + wait - 1).granted);
        assert!(quota.take(&mut tat, 7 + wait).granted);
    }

    #[test]
    fn the_interval_is_rounded_up() {
        assert_eq!(quota(3, 1).interval_nanos, 333_333_334);
        assert_eq!(quota(1_000_000_000, 1).interval_nanos, 1);
    }

    #[test]
    fn the_end_of_time_grants_nothing_for_free() {
        let quota = RateQuota { interval_nanos: u64::MAX, burst: u64::MAX, count: 1, period: Duration::from_secs(1) };
        let mut tat = 0;
        assert!(quota.take(&mut tat, 0).granted);
        assert!(!quota.take(&mut tat, u64::MAX).granted);
    }

    #[test]
    fn another_quota_inherits_the_missing_tokens() {
        let before = quota(1, 1000);
        let after = quota(50, 100);
        let mut tat = 0;
        for _ in 0..10 {
            before.take(&mut tat, SECOND);
        }
        let mut carried = after.carry_over(&before, tat, SECOND);
        assert_eq!(after.take(&mut carried, SECOND).remaining, 89);
        for _ in 0..900 {
            before.take(&mut tat, SECOND);
        }
        // 910 tokens are missing; a bucket of 100 is empty, but comes back at its own pace.
        let mut carried = after.carry_over(&before, tat, SECOND);
        assert_eq!(after.take(&mut carried, SECOND).retry_after, Duration::from_millis(20));
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_elapsed_intervals(
            interval in 1u64..1_000, burst in 1u64..50, steps in prop::collection::vec((0u64..2_000, any::<bool>()), 1..200),
        ) {
            let quota = RateQuota { interval_nanos: interval, burst, count: 1, period: Duration::from_nanos(interval) };
            let (mut tat, mut now, mut granted) = (0, 5_000, 0);
            let mut furthest = now;
            for (step, back) in steps {
                now = if back { now - step.min(now - 5_000) } else { now + step };
                furthest = furthest.max(now);
                granted += u64::from(quota.take(&mut tat, now).granted);
                prop_assert!(granted <= burst + (furthest - 5_000) / interval);
            }
        }

        #[test]
        fn never_less_than_a_token_an_interval(interval in 1u64..1_000, burst in 1u64..50, rounds in 1u64..500) {
            let quota = RateQuota { interval_nanos: interval, burst, count: 1, period: Duration::from_nanos(interval) };
            let mut tat = 0;
            for round in 0..rounds {
                prop_assert!(quota.take(&mut tat, round * interval).granted);
            }
        }

        #[test]
        fn any_numbers_are_calculated_with(
            interval in any::<u64>(), burst in any::<u64>(), mut tat in any::<u64>(), now in any::<u64>(),
        ) {
            let quota = RateQuota { interval_nanos: interval, burst, count: 1, period: Duration::from_secs(1) };
            let before = tat;
            let taken = quota.take(&mut tat, now);
            prop_assert!(tat >= before);
            prop_assert_eq!(taken.granted, tat != before);
            prop_assert!(taken.granted == taken.retry_after.is_zero());
            prop_assert!(quota.is_full(tat, now.max(tat)));
            quota.carry_over(&RateQuota::new(1, Duration::from_secs(1), 1), tat, now);
        }
    }
}
