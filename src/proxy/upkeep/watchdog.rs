//! Whether the threads that serve still do: what the service manager's watchdog hears.
//!
//! At each beat every listener has its runtime run a task on one of its threads, by chance, and waits for it as long as it
//! takes. A thread that hangs is met sooner or later, and then there is no beat any more: the service manager starts the
//! process anew.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

/// Says that the process is well whenever all of its listeners have been found so.
pub struct Watchdog {
    every: Duration,
    say: Box<dyn Fn() + Send + Sync>,
    found: Mutex<WatchdogRound>,
}

#[derive(Debug, Default)]
struct WatchdogRound {
    watched: usize,
    well: HashSet<usize>,
}

impl Watchdog {
    /// Calls `say` `every` so often.
    pub fn new(every: Duration, say: impl Fn() + Send + Sync + 'static) -> Arc<Watchdog> {
        Arc::new(Watchdog { every, say: Box::new(say), found: Mutex::default() })
    }

    /// One more listener to watch.
    pub(in crate::proxy) fn member(&self) -> usize {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.watched += 1;
        found.watched - 1
    }

    /// Watches the runtime that it is called on, in the name of `member`, until the process ends.
    pub(in crate::proxy) async fn watch(self: Arc<Self>, member: usize) {
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if pingora_runtime::current_handle().spawn(async {}).await.is_ok() {
                self.is_well(member);
            }
        }
    }

    fn is_well(&self, member: usize) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.well.insert(member);
        if found.well.len() == found.watched {
            found.well.clear();
            drop(found);
            (self.say)();
        }
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").field("every", &self.every).field("found", &self.found).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn all_must_be_well_for_a_beat() {
        let beats = Arc::new(AtomicUsize::new(0));
        let counted = beats.clone();
        let watchdog = Watchdog::new(Duration::from_secs(1), move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let members = [watchdog.member(), watchdog.member()];
        watchdog.is_well(members[0]);
        watchdog.is_well(members[0]);
        assert_eq!(beats.load(Ordering::Relaxed), 0);
        watchdog.is_well(members[1]);
        assert_eq!(beats.load(Ordering::Relaxed), 1);
        watchdog.is_well(members[1]);
        assert_eq!(beats.load(Ordering::Relaxed), 1);
    }
}
