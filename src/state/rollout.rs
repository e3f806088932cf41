//! Counts the requests of two configurations while one of them is tried beside the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::decision::rollout::Sample;

/// Counts the requests of one configuration.
#[derive(Debug)]
pub struct RolloutCounters {
    requests: AtomicU64,
    errors: AtomicU64,
    refusals: AtomicU64,
    /// By [`bucket_of`].
    durations: Box<[AtomicU64]>,
}

/// How a request ended, as a roll-out counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutOutcome {
    /// It was answered with a status below 500.
    Answered,
    /// It failed, or was answered with 5xx.
    Failed,
    /// A rule refused it.
    Refused,
}

/// Four for each doubling of the duration, from a few microseconds to more than an hour.
const BUCKETS: usize = 4 * 32;

impl Default for RolloutCounters {
    fn default() -> Self {
        let durations = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        RolloutCounters { requests: 0.into(), errors: 0.into(), refusals: 0.into(), durations }
    }
}

impl RolloutCounters {
    /// Counts a request.
    pub fn count(&self, outcome: RolloutOutcome, duration: Duration) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        match outcome {
            RolloutOutcome::Answered => {}
            RolloutOutcome::Failed => _ = self.errors.fetch_add(1, Ordering::Relaxed),
            RolloutOutcome::Refused => _ = self.refusals.fetch_add(1, Ordering::Relaxed),
        }
        self.durations[bucket_of(duration)].fetch_add(1, Ordering::Relaxed);
    }

    /// The counts so far.
    pub fn sample(&self) -> Sample {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (requests, errors, refusals) = (load(&self.requests), load(&self.errors), load(&self.refusals));
        Sample { requests, errors, refusals, p95: self.quantile(0.95) }
    }

    /// The upper end of the bucket that contains the quantile.
    fn quantile(&self, quantile: f64) -> Duration {
        let counts: Vec<u64> = self.durations.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let mut left = (counts.iter().sum::<u64>() as f64 * quantile).ceil() as u64;
        if left == 0 {
            return Duration::ZERO;
        }
        for (index, count) in counts.iter().enumerate() {
            left = left.saturating_sub(*count);
            if left == 0 {
                return end_of(index);
            }
        }
        end_of(BUCKETS - 1)
    }
}

fn bucket_of(duration: Duration) -> usize {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(4);
    let octave = micros.ilog2();
    let quarter = (micros >> (octave - 2)) & 3;
    ((octave as usize - 2) * 4 + quarter as usize).min(BUCKETS - 1)
}

fn end_of(bucket: usize) -> Duration {
    let (octave, quarter) = (bucket / 4, bucket as u64 % 4);
    Duration::from_micros((5 + quarter) << octave)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_right_to_a_quarter() {
        for millis in [1, 7, 20, 95, 400, 2_500, 40_000] {
            let tally = RolloutCounters::default();
            let true_value = Duration::from_millis(millis);
            for _ in 0..100 {
                tally.count(RolloutOutcome::Answered, true_value);
            }
            let p95 = tally.sample().p95;
            assert!(p95 >= true_value && p95 <= true_value.mul_f64(1.25), "{p95:?} for {true_value:?}");
        }
    }

    #[test]
    fn the_slowest_twentieth_begins_at_the_percentile() {
        let tally = RolloutCounters::default();
        for index in 0..100 {
            let millis = if index < 94 { 10 } else { 1_000 };
            tally.count(
                if index == 0 { RolloutOutcome::Refused } else { RolloutOutcome::Failed },
                Duration::from_millis(millis),
            );
        }
        let sample = tally.sample();
        assert_eq!((sample.requests, sample.errors, sample.refusals), (100, 99, 1));
        assert!(sample.p95 >= Duration::from_millis(1_000));
    }

    #[test]
    fn nothing_is_too_short_or_too_long() {
        assert_eq!(bucket_of(Duration::ZERO), 0);
        assert_eq!(bucket_of(Duration::MAX), BUCKETS - 1);
        assert_eq!(RolloutCounters::default().sample(), Sample::default());
    }
}
