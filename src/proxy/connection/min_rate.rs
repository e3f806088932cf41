//! How slowly a client may give or take bytes.
//!
//! Each transfer has a budget of waiting time, as large as `idle`. Waiting for the client spends it; each byte that moves gives
//! time back at the lowest rate, never above the full budget. So silence ends after `idle`, a trickle soon after, and a client at the
//! lowest rate or above is never cut. Time in which the gateway itself makes the client wait (a slow origin, a full window) is not counted.

use std::time::{Duration, Instant};

use crate::decision::pacing::Pacing;
use crate::telemetry::metrics::Bound;

/// The budget of one transfer.
#[derive(Clone, Copy, Debug)]
pub struct MinRate {
    rules: Pacing,
    /// What is left of the budget.
    left: Duration,
    waiting_since: Option<Instant>,
}

/// Which bound a client ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooSlow {
    /// Nothing came for too long.
    Idle,
    /// Something came, but too little.
    Rate,
}

impl TooSlow {
    /// The bound of the file that bites a client which sends a body.
    pub fn body_bound(self) -> Bound {
        match self {
            TooSlow::Idle => Bound::BodyIdle,
            TooSlow::Rate => Bound::BodyRate,
        }
    }
}

impl MinRate {
    /// A full budget.
    pub fn new(rules: Pacing) -> Self {
        MinRate { rules, left: rules.idle.unwrap_or(Duration::MAX), waiting_since: None }
    }

    /// The client is waited for. Returns when the budget will be spent; `None` where there is no bound.
    pub fn wait(&mut self, now: Instant) -> Option<Instant> {
        self.rules.idle?;
        let since = *self.waiting_since.get_or_insert(now);
        since.checked_add(self.left)
    }

    /// The client is not waited for any more: nothing more is wanted of it now.
    pub fn pause(&mut self, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.left = self.left.saturating_sub(now.saturating_duration_since(since));
        }
    }

    /// The budget is full again, and nobody is waited for.
    pub fn restart(&mut self) {
        *self = MinRate::new(self.rules);
    }

    /// Whether the client is waited for; if not, [`MinRate::moved`] needs no clock.
    pub fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// `bytes` have moved. `now` matters only while [`MinRate::is_waiting`].
    pub fn moved(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        let Some(idle) = self.rules.idle else { return };
        if self.is_waiting() {
            self.pause(now());
        }
        self.left = match self.rules.rate {
            None => idle,
            Some(rate) => {
                let nanos = (bytes as u128 * 1_000_000_000) / u128::from(rate.get());
                let earned = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
                self.left.saturating_add(earned).min(idle)
            }
        };
    }

    /// Why the budget is spent at `now`, or `None` if it is not.
    pub fn too_slow(&self, now: Instant) -> Option<TooSlow> {
        let idle = self.rules.idle?;
        let waited = now.saturating_duration_since(self.waiting_since?);
        if waited < self.left {
            return None;
        }
        Some(if waited >= idle { TooSlow::Idle } else { TooSlow::Rate })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn min_rate(rate: Option<u64>) -> (MinRate, Instant) {
        (MinRate::new(Pacing { idle: Some(10 * SECOND), rate: rate.and_then(NonZeroU64::new) }), Instant::now())
    }

    #[test]
    fn silence_is_cut_after_the_idle_time() {
        let (mut rate, start) = min_rate(Some(100));
        assert_eq!(rate.wait(start), Some(start + 10 * SECOND));
        assert_eq!(rate.too_slow(start + 9 * SECOND), None);
        assert_eq!(rate.too_slow(start + 10 * SECOND), Some(TooSlow::Idle));
    }

    #[test]
    fn a_trickle_is_cut_soon_after() {
        let (mut rate, start) = min_rate(Some(100));
        let mut now = start;
        let cut = loop {
            rate.wait(now);
            now += SECOND;
            if let Some(why) = rate.too_slow(now) {
                break why;
            }
            rate.moved(1, || now);
        };
        assert_eq!(cut, TooSlow::Rate);
        assert!(now - start <= 11 * SECOND, "{:?}", now - start);
    }

    #[test]
    fn the_lowest_rate_is_enough() {
        let (mut rate, mut now) = min_rate(Some(100));
        for _ in 0..1000 {
            rate.wait(now);
            now += SECOND;
            assert_eq!(rate.too_slow(now), None);
            rate.moved(100, || now);
        }
    }

    #[test]
    fn a_burst_does_not_pay_for_a_long_silence() {
        let (mut rate, start) = min_rate(Some(100));
        rate.moved(1_000_000, || start);
        assert_eq!(rate.wait(start), Some(start + 10 * SECOND));
    }

    #[test]
    fn without_a_rate_any_byte_starts_the_time_anew() {
        let (mut rate, start) = min_rate(None);
        rate.wait(start);
        rate.moved(1, || start + 9 * SECOND);
        assert_eq!(rate.wait(start + 9 * SECOND), Some(start + 19 * SECOND));
    }

    #[test]
    fn our_own_slowness_costs_the_client_nothing() {
        let (mut rate, start) = min_rate(Some(100));
        rate.wait(start);
        rate.pause(start + 4 * SECOND);
        let later = start + 1000 * SECOND;
        assert_eq!(rate.too_slow(later), None);
        assert_eq!(rate.wait(later), Some(later + 6 * SECOND));
    }

    #[test]
    fn without_an_idle_time_there_is_no_bound() {
        let mut rate = MinRate::new(Pacing { idle: None, rate: NonZeroU64::new(1) });
        let start = Instant::now();
        assert_eq!(rate.wait(start), None);
        assert_eq!(rate.too_slow(start + 1_000_000 * SECOND), None);
    }
}
