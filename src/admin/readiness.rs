//! Whether traffic should be sent here, and if not, why.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The reasons for not being ready, such as `starting`, `draining` or `upstream orders unresolved`. Ready without any.
#[derive(Debug, Default)]
pub struct Readiness {
    reasons: Mutex<BTreeSet<String>>,
}

impl Readiness {
    /// Adds a reason for not being ready. Adding it twice is adding it once.
    pub fn block(&self, reason: impl Into<String>) {
        self.lock().insert(reason.into());
    }

    /// Removes a reason.
    pub fn clear(&self, reason: &str) {
        self.lock().remove(reason);
    }

    /// Every reason, sorted; ready if there is none.
    pub fn reasons(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // The set is whole after every operation, so a panic elsewhere takes nothing from it.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
