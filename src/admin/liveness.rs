//! Whether the threads that serve still do, as far as they were heard of.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When the threads that serve were last found to work.
#[derive(Debug)]
pub struct Liveness {
    began: Instant,
    /// The last time, in milliseconds since `began`.
    pulse: AtomicU64,
    silence: Duration,
}

impl Liveness {
    /// Alive for as long as [`Liveness::pulse`] is called again within `silence`, from now on.
    pub fn new(silence: Duration) -> Self {
        Liveness { began: Instant::now(), pulse: AtomicU64::new(0), silence }
    }

    /// They work.
    pub fn pulse(&self) {
        self.pulse.store(millis(self.began.elapsed()), Ordering::Relaxed);
    }

    /// Whether they were found to work lately.
    pub fn is_alive(&self) -> bool {
        let silent = millis(self.began.elapsed()).saturating_sub(self.pulse.load(Ordering::Relaxed));
        silent <= millis(self.silence)
    }
}

/// Alive for ever: nobody is watched.
impl Default for Liveness {
    fn default() -> Self {
        Liveness::new(Duration::MAX)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_death_and_a_pulse_is_life() {
        assert!(Liveness::default().is_alive());
        let mut liveness = Liveness::new(Duration::from_secs(15));
        assert!(liveness.is_alive());
        liveness.began -= Duration::from_secs(20);
        assert!(!liveness.is_alive());
        liveness.pulse();
        assert!(liveness.is_alive());
    }
}
