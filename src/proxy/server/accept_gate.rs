//! When listeners begin to accept: at once, or only when this process may follow another one.

use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// The doors of all listeners, which open together.
#[derive(Debug)]
pub struct AcceptGate {
    open: watch::Sender<bool>,
    /// How many doors there are that nobody stands at yet.
    closed: Mutex<usize>,
    stepped: Condvar,
}

/// One listener's door.
#[derive(Debug)]
pub struct AcceptGateEntry {
    accept_gate: Arc<AcceptGate>,
}

impl AcceptGate {
    /// With doors that are open, or that wait for [`AcceptGate::open`].
    pub fn new(open: bool) -> Arc<AcceptGate> {
        Arc::new(AcceptGate { open: watch::Sender::new(open), closed: Mutex::new(0), stepped: Condvar::new() })
    }

    /// One more door.
    pub(in crate::proxy) fn entry(self: &Arc<Self>) -> AcceptGateEntry {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        AcceptGateEntry { accept_gate: self.clone() }
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

impl AcceptGateEntry {
    /// Waits until this listener may accept. `false`: the process `drains` before that.
    pub(in crate::proxy) async fn opens(self, drains: impl Future<Output = ()>) -> bool {
        let mut open = self.accept_gate.open.subscribe();
        tokio::select! {
            biased;
            opened = open.wait_for(|open| *open) => if opened.is_err() { return false },
            () = drains => return false,
        }
        let mut closed = self.accept_gate.closed.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = closed.saturating_sub(1);
        self.accept_gate.stepped.notify_all();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn doors_open_together_and_a_drain_passes_none() {
        let accept_gate = AcceptGate::new(false);
        let entries: Vec<_> = (0..2).map(|_| accept_gate.entry()).collect();
        assert!(!accept_gate.open(Duration::ZERO), "nobody has come yet");
        for entry in entries {
            assert!(entry.opens(std::future::pending()).await);
        }
        assert!(accept_gate.open(Duration::ZERO));

        let waiting = AcceptGate::new(false).entry();
        assert!(!waiting.opens(std::future::ready(())).await);
    }
}
