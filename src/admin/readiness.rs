//! Whether traffic should be sent here, and if not, why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The reasons for not being ready, such as `starting`, `draining` or `upstream orders unresolved`. Ready without any.
#[derive(Debug, Default)]
pub struct Readiness {
    reasons: Mutex<BTreeSet<String>>,
    /// What an operator should know although it keeps no request away, by what it is about.
    notes: Mutex<BTreeMap<&'static str, String>>,
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

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // The set is whole after every operation, so a panic elsewhere takes nothing from it.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_notes(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
