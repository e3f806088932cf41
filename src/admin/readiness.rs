//! Whether traffic should be sent here, and if not, why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// The reasons for not being ready, each a word for programs such as `starting` or `draining`. Ready without any.
#[derive(Debug, Default)]
pub struct Readiness {
    reasons: Mutex<BTreeSet<&'static str>>,
    /// What an operator should know although it keeps no request away, by subject.
    notes: Mutex<BTreeMap<String, String>>,
    /// Notified when a reason is removed.
    cleared: Condvar,
}

impl Readiness {
    /// Adds a reason for not being ready. Adding it twice is adding it once.
    pub fn block(&self, reason: &'static str) {
        self.reasons.lock().insert(reason);
    }

    /// Removes a reason.
    pub fn clear(&self, reason: &str) {
        self.reasons.lock().remove(reason);
        self.cleared.notify_all();
    }

    /// Every reason, sorted; ready if there is none.
    pub fn reasons(&self) -> Vec<String> {
        self.reasons.lock().iter().map(|&reason| reason.to_owned()).collect()
    }

    /// Notes something that an operator should know. It replaces the note before on the same subject.
    pub fn note(&self, subject: &'static str, text: impl Into<String>) {
        self.notes.lock().insert(subject.to_owned(), text.into());
    }

    /// Removes the note on `subject`.
    pub fn clear_note(&self, subject: &'static str) {
        self.notes.lock().remove(subject);
    }

    /// Every note, by subject.
    pub fn notes(&self) -> BTreeMap<String, String> {
        self.notes.lock().clone()
    }

    /// Waits until there is no reason left. It blocks the thread.
    ///
    /// # Errors
    /// The reasons that are left at `deadline`.
    pub fn wait(&self, deadline: Instant) -> Result<(), Vec<String>> {
        let mut reasons = self.reasons.lock();
        loop {
            // After the deadline it is too late, even without a reason left.
            if Instant::now() >= deadline {
                return Err(reasons.iter().map(|&reason| reason.to_owned()).collect());
            }
            if reasons.is_empty() {
                return Ok(());
            }
            let _ = self.cleared.wait_until(&mut reasons, deadline);
        }
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
