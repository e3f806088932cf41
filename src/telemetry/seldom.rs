//! For messages about what strangers can make happen a thousand times a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two messages about the same.
const PAUSE: Duration = Duration::from_secs(10);

/// Lets one message through in ten seconds, and counts what it stands for.
#[derive(Debug)]
pub struct Seldom {
    epoch: Instant,
    /// Milliseconds after `epoch`.
    next: AtomicU64,
    untold: AtomicU64,
}

impl Seldom {
    /// The first message is due at once.
    pub fn new() -> Self {
        Seldom { epoch: Instant::now(), next: AtomicU64::new(0), untold: AtomicU64::new(0) }
    }

    /// Counts an event. If a message is due, gives the number of events since the last one.
    pub fn count(&self) -> Option<u64> {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Option<u64> {
        self.untold.fetch_add(1, Ordering::Relaxed);
        let now = millis(now.saturating_duration_since(self.epoch));
        let next = self.next.load(Ordering::Relaxed);
        let due = now >= next
            && self
                .next
                .compare_exchange(next, now.saturating_add(millis(PAUSE)), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        due.then(|| self.untold.swap(0, Ordering::Relaxed))
    }
}

impl Default for Seldom {
    fn default() -> Self {
        Seldom::new()
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
        let seldom = Seldom::new();
        let start = Instant::now();
        assert_eq!(seldom.count_at(start), Some(1));
        for _ in 0..100 {
            assert_eq!(seldom.count_at(start + PAUSE / 2), None);
        }
        assert_eq!(seldom.count_at(start + 2 * PAUSE), Some(101));
    }
}
