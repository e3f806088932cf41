//! How slowly a client may give or take bytes.
//!
//! A client has a purse of waiting time. Waiting for it empties the purse; each byte that moves pays some back, never above
//! the full purse. So silence is cut after `idle`, a trickle soon after, and a client at the lowest rate or above never.
//! Time in which the gateway itself makes the client wait (a slow origin, a full window) costs nothing.

use std::time::{Duration, Instant};

use crate::decision::rules::Pacing;
use crate::telemetry::metrics::Bound;

/// One transfer's purse.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    rules: Pacing,
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

impl Pace {
    /// A full purse.
    pub fn new(rules: Pacing) -> Self {
        Pace { rules, left: rules.idle.unwrap_or(Duration::MAX), waiting_since: None }
    }

    /// The client is waited for. Returns when its purse will be empty; `None` where there is no bound.
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

    /// The purse is full again, and nobody is waited for.
    pub fn restart(&mut self) {
        *self = Pace::new(self.rules);
    }

    /// Whether the client is waited for; if not, [`Pace::moved`] needs no clock.
    pub fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// `bytes` have moved. `now` matters only while [`Pace::is_waiting`].
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

    /// Why the purse is empty at `now`, or `None` if it is not.
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

    fn pace(rate: Option<u64>) -> (Pace, Instant) {
        (Pace::new(Pacing { idle: Some(10 * SECOND), rate: rate.and_then(NonZeroU64::new) }), Instant::now())
    }

    #[test]
    fn silence_is_cut_after_the_idle_time() {
        let (mut pace, start) = pace(Some(100));
        assert_eq!(pace.wait(start), Some(start + 10 * SECOND));
        assert_eq!(pace.too_slow(start + 9 * SECOND), None);
        assert_eq!(pace.too_slow(start + 10 * SECOND), Some(TooSlow::Idle));
    }

    #[test]
    fn a_trickle_is_cut_soon_after() {
        let (mut pace, start) = pace(Some(100));
        let mut now = start;
        let cut = loop {
            pace.wait(now);
            now += SECOND;
            if let Some(why) = pace.too_slow(now) {
                break why;
            }
            pace.moved(1, || now);
        };
        assert_eq!(cut, TooSlow::Rate);
        assert!(now - start <= 11 * SECOND, "{:?}", now - start);
    }

    #[test]
    fn the_lowest_rate_is_enough() {
        let (mut pace, mut now) = pace(Some(100));
        for _ in 0..1000 {
            pace.wait(now);
            now += SECOND;
            assert_eq!(pace.too_slow(now), None);
            pace.moved(100, || now);
        }
    }

    #[test]
    fn a_burst_does_not_pay_for_a_long_silence() {
        let (mut pace, start) = pace(Some(100));
        pace.moved(1_000_000, || start);
        assert_eq!(pace.wait(start), Some(start + 10 * SECOND));
    }

    #[test]
    fn without_a_rate_any_byte_starts_the_time_anew() {
        let (mut pace, start) = pace(None);
        pace.wait(start);
        pace.moved(1, || start + 9 * SECOND);
        assert_eq!(pace.wait(start + 9 * SECOND), Some(start + 19 * SECOND));
    }

    #[test]
    fn our_own_slowness_costs_the_client_nothing() {
        let (mut pace, start) = pace(Some(100));
        pace.wait(start);
        pace.pause(start + 4 * SECOND);
        let later = start + 1000 * SECOND;
        assert_eq!(pace.too_slow(later), None);
        assert_eq!(pace.wait(later), Some(later + 6 * SECOND));
    }

    #[test]
    fn without_an_idle_time_there_is_no_bound() {
        let mut pace = Pace::new(Pacing { idle: None, rate: NonZeroU64::new(1) });
        let start = Instant::now();
        assert_eq!(pace.wait(start), None);
        assert_eq!(pace.too_slow(start + 1_000_000 * SECOND), None);
    }
}
