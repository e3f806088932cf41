//! Whether traffic should be sent here, and if not, why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The reasons for not being ready, such as `starting`, `draining` or `upstream orders unresolved`. Ready without any.
#[derive(Debug, Default)]
pub struct Readiness {
    reasons: Mutex<BTreeSet<String>>,
    /// What an operator should know although it keeps no request away, by what it is about.
    notes: Mutex<BTreeMap<&'static str, String>>,
    /// Told of each reason that goes.
    cleared: Condvar,
}

impl Readiness {
    /// Adds a reason for not being ready. Adding it twice is adding it once.
    pub fn block(&self, reason: impl Into<String>) {
        self.lock().insert(reason.into());
    }

    /// Removes a reason.
    pub fn clear(&self, reason: &str) {
        self.lock().remove(reason);
        self.cleared.notify_all();
    }

    /// Every reason, sorted; ready if there is none.
    pub fn reasons(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    /// Says something that an operator should know. It replaces what was said before about the same.
    pub fn note(&self, about: &'static str, text: impl Into<String>) {
        self.lock_notes().insert(about, text.into());
    }

    /// Takes back what was said about it.
    pub fn clear_note(&self, about: &'static str) {
        self.lock_notes().remove(about);
    }

    /// Everything that an operator should know, by what it is about.
    pub fn notes(&self) -> BTreeMap<&'static str, String> {
        self.lock_notes().clone()
    }

    /// Waits until there is no reason left, on a thread that serves nothing.
    ///
    /// # Errors
    /// The reasons that are left at `deadline`.
    pub fn wait(&self, deadline: Instant) -> Result<(), Vec<String>> {
        let mut reasons = self.lock();
        loop {
            // Late is late, even where it would be ready by now.
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(reasons.iter().cloned().collect());
            }
            if reasons.is_empty() {
                return Ok(());
            }
            reasons = self.cleared.wait_timeout(reasons, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // The set is whole after every operation, so a panic elsewhere takes nothing from it.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_notes(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn waiting_ends_with_the_last_reason_or_in_time_with_those_that_are_left() {
        let readiness = Readiness::default();
        readiness.block("a");
        readiness.block("b");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| readiness.wait(Instant::now() + Duration::from_secs(60)));
            readiness.clear("a");
            readiness.clear("b");
            assert_eq!(waiting.join().unwrap(), Ok(()));
        });
        readiness.block("c");
        assert_eq!(readiness.wait(Instant::now() + Duration::from_millis(5)), Err(vec!["c".to_owned()]));
        readiness.clear("c");
        assert_eq!(readiness.wait(Instant::now()), Err(vec![]), "too late");
    }
}
