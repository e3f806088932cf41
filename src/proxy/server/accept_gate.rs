//! When listeners begin to accept: at once, or only when this process may follow another one.

use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// The doors of all listeners, which open together.
#[derive(Debug)]
pub struct Opening {
    open: watch::Sender<bool>,
    /// How many doors there are that nobody stands at yet.
    closed: Mutex<usize>,
    stepped: Condvar,
}

/// One listener's door.
#[derive(Debug)]
pub struct Entrance {
    opening: Arc<Opening>,
}

impl Opening {
    /// With doors that are open, or that wait for [`Opening::open`].
    pub fn new(open: bool) -> Arc<Opening> {
        Arc::new(Opening { open: watch::Sender::new(open), closed: Mutex::new(0), stepped: Condvar::new() })
    }

    /// One more door.
    pub(in crate::proxy) fn entrance(self: &Arc<Self>) -> Entrance {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Entrance { opening: self.clone() }
    }

    /// Opens the doors and waits until everybody accepts, for `patience` at most. `false`: somebody does not.
    pub fn open(&self, patience: Duration) -> bool {
        self.open.send_replace(true);
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.stepped.wait_timeout_while(closed, patience, |closed| *closed > 0);
        let (closed, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *closed == 0
    }
}

impl Entrance {
    /// Waits until this listener may accept. `false`: the process `drains` before that.
    pub(in crate::proxy) async fn opens(self, drains: impl Future<Output = ()>) -> bool {
        let mut open = self.opening.open.subscribe();
        tokio::select! {
            biased;
            opened = open.wait_for(|open| *open) => if opened.is_err() { return false },
            () = drains => return false,
        }
        let mut closed = self.opening.closed.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = closed.saturating_sub(1);
        self.opening.stepped.notify_all();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn doors_open_together_and_a_drain_passes_none() {
        let opening = Opening::new(false);
        let entrances: Vec<_> = (0..2).map(|_| opening.entrance()).collect();
        assert!(!opening.open(Duration::ZERO), "nobody has come yet");
        for entrance in entrances {
            assert!(entrance.opens(std::future::pending()).await);
        }
        assert!(opening.open(Duration::ZERO));

        let waiting = Opening::new(false).entrance();
        assert!(!waiting.opens(std::future::ready(())).await);
    }
}
