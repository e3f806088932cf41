//! Whether an upstream's pooled connections can be trusted with requests that must not be sent twice.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long an origin is not trusted after it ended a connection early.
const DISTRUST: Duration = Duration::from_secs(600);

/// An origin that ends connections sooner than the file says is not trusted with them for ten minutes.
#[derive(Debug)]
pub struct Reuse {
    epoch: Instant,
    /// Milliseconds after `epoch`; 0: never distrusted.
    distrusted_until: AtomicU64,
}

impl Reuse {
    pub fn new(epoch: Instant) -> Self {
        Reuse { epoch, distrusted_until: AtomicU64::new(0) }
    }

    /// The origin ended a connection that was to be trusted still.
    pub fn ended_early(&self, now: Instant) {
        self.distrusted_until.fetch_max(self.millis(now + DISTRUST), Ordering::Relaxed);
    }

    /// Whether the origin keeps connections as long as the file says, as far as is known.
    pub fn trusted(&self, now: Instant) -> bool {
        let until = self.distrusted_until.load(Ordering::Relaxed);
        until == 0 || self.millis(now) >= until
    }

    fn millis(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.epoch).as_millis().try_into().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_comes_back() {
        let start = Instant::now();
        let reuse = Reuse::new(start);
        assert!(reuse.trusted(start));
        reuse.ended_early(start);
        assert!(!reuse.trusted(start));
        assert!(!reuse.trusted(start + DISTRUST - Duration::from_millis(1)));
        assert!(reuse.trusted(start + DISTRUST));
    }
}
