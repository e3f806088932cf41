//! The token bucket as GCRA (ITU-T I.371): its whole state is the time at which it will be full again.
//!
//! That time (`tat`, the theoretical arrival time) is in nanoseconds since an epoch of the caller's choice. A bucket that
//! was never touched has 0, which is full at any time.

use std::time::Duration;

use super::{LimitResult, RateQuota};

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

    /// Takes `amount` tokens at `now`, all or none. A refusal changes nothing; neither does an amount of 0.
    ///
    /// Never grants more than `burst` and one for every `interval_nanos` that passed. Should `now` be before an earlier
    /// one, the bucket is as empty as it was then. An amount over `burst` is never granted; `retry_after` then ends when the
    /// bucket is full.
    pub fn take(&self, tat: &mut u64, now: u64, amount: u64) -> LimitResult {
        // In u128 nothing overflows: amount × interval + now is below 2^128 for any u64.
        let interval = self.interval();
        let latest = u128::from(now) + self.capacity();
        let next = u128::from((*tat).max(now)) + u128::from(amount) * interval;
        match u64::try_from(next) {
            Ok(granted) if next <= latest => {
                if amount > 0 {
                    *tat = granted;
                }
                LimitResult {
                    granted: true,
                    remaining: saturated((latest - next) / interval),
                    retry_after: Duration::ZERO,
                    reset_after: Duration::from_nanos(granted - now),
                }
            }
            _ => {
                let until_full = u128::from(tat.saturating_sub(now));
                let wait = if amount > self.burst.max(1) { until_full } else { next.saturating_sub(latest) };
                let free = latest.saturating_sub(u128::from((*tat).max(now)));
                LimitResult {
                    granted: false,
                    remaining: saturated(free / interval),
                    retry_after: Duration::from_nanos(saturated(wait).max(1)),
                    reset_after: Duration::from_nanos(saturated(until_full)),
                }
            }
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
            let taken = quota.take(&mut tat, SECOND, 1);
            assert!(taken.granted);
            assert_eq!(taken.remaining, left);
        }
        let refused = quota.take(&mut tat, SECOND, 1);
        assert!(!refused.granted);
        assert_eq!(refused.retry_after, Duration::from_millis(20));
        assert_eq!(refused.reset_after, Duration::from_secs(2));
        let later = SECOND + 20_000_000;
        assert!(quota.take(&mut tat, later, 1).granted);
        assert!(!quota.take(&mut tat, later, 1).granted);
    }

    #[test]
    fn a_refusal_is_granted_after_its_retry_after_and_not_before() {
        let quota = quota(3, 1);
        let mut tat = 0;
        assert!(quota.take(&mut tat, 7, 1).granted);
        let wait = quota.take(&mut tat, 7, 1).retry_after.as_nanos() as u64;
        assert!(!quota.take(&mut tat, 7 + wait - 1, 1).granted);
        assert!(quota.take(&mut tat, 7 + wait, 1).granted);
    }

    #[test]
    fn an_amount_is_taken_whole_or_not_at_all() {
        let quota = quota(10, 10);
        let mut tat = 0;
        assert_eq!(quota.take(&mut tat, SECOND, 7).remaining, 3);
        let before = tat;
        let refused = quota.take(&mut tat, SECOND, 5);
        assert_eq!((refused.granted, refused.remaining, tat), (false, 3, before));
        assert_eq!(refused.retry_after, Duration::from_millis(200));
        assert!(quota.take(&mut tat, SECOND, 3).granted, "what is left is still there for less");
        assert!(quota.take(&mut tat, SECOND, 0).granted, "nothing can always be had");
    }

    #[test]
    fn an_amount_over_the_burst_is_never_granted() {
        let quota = quota(10, 10);
        let mut tat = 0;
        assert!(!quota.take(&mut tat, SECOND, 11).granted);
        assert!(!quota.take(&mut tat, u64::MAX / 2, u64::MAX).granted);
        assert_eq!(tat, 0);
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
        assert!(quota.take(&mut tat, 0, 1).granted);
        assert!(!quota.take(&mut tat, u64::MAX, 1).granted);
    }

    #[test]
    fn another_quota_inherits_the_missing_tokens() {
        let before = quota(1, 1000);
        let after = quota(50, 100);
        let mut tat = 0;
        for _ in 0..10 {
            before.take(&mut tat, SECOND, 1);
        }
        let mut carried = after.carry_over(&before, tat, SECOND);
        assert_eq!(after.take(&mut carried, SECOND, 1).remaining, 89);
        for _ in 0..900 {
            before.take(&mut tat, SECOND, 1);
        }
        // 910 tokens are missing; a bucket of 100 is empty, but comes back at its own pace.
        let mut carried = after.carry_over(&before, tat, SECOND);
        assert_eq!(after.take(&mut carried, SECOND, 1).retry_after, Duration::from_millis(20));
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_elapsed_intervals(
            interval in 1u64..1_000,
            burst in 1u64..50,
            steps in prop::collection::vec((0u64..2_000, any::<bool>(), 0u64..60), 1..200),
        ) {
            let quota = RateQuota { interval_nanos: interval, burst, count: 1, period: Duration::from_nanos(interval) };
            let (mut tat, mut now, mut granted) = (0, 5_000, 0);
            let mut furthest = now;
            for (step, back, amount) in steps {
                now = if back { now - step.min(now - 5_000) } else { now + step };
                furthest = furthest.max(now);
                granted += if quota.take(&mut tat, now, amount).granted { amount } else { 0 };
                prop_assert!(granted <= burst + (furthest - 5_000) / interval);
            }
        }

        #[test]
        fn never_less_than_a_token_an_interval(interval in 1u64..1_000, burst in 1u64..50, rounds in 1u64..500) {
            let quota = RateQuota { interval_nanos: interval, burst, count: 1, period: Duration::from_nanos(interval) };
            let mut tat = 0;
            for round in 0..rounds {
                prop_assert!(quota.take(&mut tat, round * interval, 1).granted);
            }
        }

        #[test]
        fn an_amount_is_worth_as_many_single_tokens(
            interval in 1u64..1_000, burst in 1u64..50, used in 0u64..50, amount in 0u64..60,
        ) {
            let quota = RateQuota { interval_nanos: interval, burst, count: 1, period: Duration::from_nanos(interval) };
            let (mut whole, now) = (0, 5_000);
            quota.take(&mut whole, now, used.min(burst));
            let mut single = whole;
            let at_once = quota.take(&mut whole, now, amount);
            let one_by_one = (0..amount).filter(|_| quota.take(&mut single, now, 1).granted).count() as u64;
            prop_assert_eq!(at_once.granted, one_by_one == amount);
            if at_once.granted {
                prop_assert_eq!(whole, single);
            } else {
                prop_assert_eq!(at_once.remaining, one_by_one);
                if amount <= burst {
                    let wait = at_once.retry_after.as_nanos() as u64;
                    prop_assert!(!quota.take(&mut whole.clone(), now + wait - 1, amount).granted);
                    prop_assert!(quota.take(&mut whole, now + wait, amount).granted);
                }
            }
        }

        #[test]
        fn any_numbers_are_calculated_with(
            interval in any::<u64>(), burst in any::<u64>(), mut tat in any::<u64>(), now in any::<u64>(),
            amount in any::<u64>(),
        ) {
            let quota = RateQuota { interval_nanos: interval, burst, count: 1, period: Duration::from_secs(1) };
            let before = tat;
            let taken = quota.take(&mut tat, now, amount);
            prop_assert!(tat >= before);
            prop_assert_eq!(taken.granted && amount > 0, tat != before);
            prop_assert!(taken.granted == taken.retry_after.is_zero());
            prop_assert!(quota.is_full(tat, now.max(tat)));
            quota.carry_over(&RateQuota::new(1, Duration::from_secs(1), 1), tat, now);
        }
    }
}
