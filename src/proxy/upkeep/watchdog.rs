//! Whether the threads that serve still do: what the service manager's watchdog hears.
//!
//! At each interval every listener has its runtime run a task on a random thread, and waits for it without a bound. A thread that
//! hangs is chosen sooner or later; from then on the service manager is not notified, and it restarts the process.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

/// Notifies that the process works whenever all of its listeners have been found to work.
pub struct Watchdog {
    every: Duration,
    notify: Box<dyn Fn() + Send + Sync>,
    round: Mutex<WatchdogRound>,
}

#[derive(Debug, Default)]
struct WatchdogRound {
    watched: usize,
    working: HashSet<usize>,
}

impl Watchdog {
    /// Calls `notify` at every interval of the length `every`.
    pub fn new(every: Duration, notify: impl Fn() + Send + Sync + 'static) -> Arc<Watchdog> {
        Arc::new(Watchdog { every, notify: Box::new(notify), round: Mutex::default() })
    }

    /// One more listener to watch.
    pub(in crate::proxy) fn register(&self) -> usize {
        let mut round = self.round.lock();
        round.watched += 1;
        round.watched - 1
    }

    /// Watches the runtime that it is called on, in the name of `member`, until the process ends.
    pub(in crate::proxy) async fn watch(self: Arc<Self>, member: usize) {
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if pingora_runtime::current_handle().spawn(async {}).await.is_ok() {
                self.works(member);
            }
        }
    }

    fn works(&self, member: usize) {
        let mut round = self.round.lock();
        round.working.insert(member);
        if round.working.len() == round.watched {
            round.working.clear();
            drop(round);
            (self.notify)();
        }
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").field("every", &self.every).field("round", &self.round).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn all_must_work_for_a_notification() {
        let notifications = Arc::new(AtomicUsize::new(0));
        let counted = notifications.clone();
        let watchdog = Watchdog::new(Duration::from_secs(1), move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let members = [watchdog.register(), watchdog.register()];
        watchdog.works(members[0]);
        watchdog.works(members[0]);
        assert_eq!(notifications.load(Ordering::Relaxed), 0);
        watchdog.works(members[1]);
        assert_eq!(notifications.load(Ordering::Relaxed), 1);
        watchdog.works(members[1]);
        assert_eq!(notifications.load(Ordering::Relaxed), 1);
    }
}
