//! Whether an upstream's pooled connections may carry requests that must not be sent twice.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long pooled connections are not trusted after the origin closed one early.
const DISTRUST: Duration = Duration::from_secs(600);

/// Trust in an upstream's pooled connections. An origin that closes one before its configured idle time loses it for ten
/// minutes.
#[derive(Debug)]
pub struct ConnectionReuse {
    epoch: Instant,
    /// Milliseconds after `epoch`; 0: never distrusted.
    distrusted_until: AtomicU64,
}

impl ConnectionReuse {
    pub fn new(epoch: Instant) -> Self {
        ConnectionReuse { epoch, distrusted_until: AtomicU64::new(0) }
    }

    /// Records that the origin closed a connection before its configured idle time.
    pub fn ended_early(&self, now: Instant) {
        self.distrusted_until.fetch_max(self.millis(now + DISTRUST), Ordering::Relaxed);
    }

    /// Whether no connection was closed early within the last ten minutes.
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
        let reuse = ConnectionReuse::new(start);
        assert!(reuse.trusted(start));
        reuse.ended_early(start);
        assert!(!reuse.trusted(start));
        assert!(!reuse.trusted(start + DISTRUST - Duration::from_millis(1)));
        assert!(reuse.trusted(start + DISTRUST));
    }
}
