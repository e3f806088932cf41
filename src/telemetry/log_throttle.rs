//! Bounds log messages about events that clients can cause thousands of times a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two messages about the same event.
const PAUSE: Duration = Duration::from_secs(10);

/// Allows one message in ten seconds, and counts the events since the last one.
#[derive(Debug)]
pub struct LogThrottle {
    epoch: Instant,
    /// Milliseconds after `epoch`.
    next: AtomicU64,
    unreported: AtomicU64,
}

impl LogThrottle {
    /// The first message is due at once.
    pub fn new() -> Self {
        LogThrottle { epoch: Instant::now(), next: AtomicU64::new(0), unreported: AtomicU64::new(0) }
    }

    /// Counts an event. If a message is due, returns the number of events since the last one.
    pub fn count(&self) -> Option<u64> {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Option<u64> {
        self.unreported.fetch_add(1, Ordering::Relaxed);
        let now = millis(now.saturating_duration_since(self.epoch));
        let next = self.next.load(Ordering::Relaxed);
        let due = now >= next
            && self
                .next
                .compare_exchange(next, now.saturating_add(millis(PAUSE)), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        due.then(|| self.unreported.swap(0, Ordering::Relaxed))
    }
}

impl Default for LogThrottle {
    fn default() -> Self {
        LogThrottle::new()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_stands_for_all_since_the_last() {
        let seldom = LogThrottle::new();
        let start = Instant::now();
        assert_eq!(seldom.count_at(start), Some(1));
        for _ in 0..100 {
            assert_eq!(seldom.count_at(start + PAUSE / 2), None);
        }
        assert_eq!(seldom.count_at(start + 2 * PAUSE), Some(101));
    }
}
