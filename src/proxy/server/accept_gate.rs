//! When listeners begin to accept: when every upstream has had its first answer, and this process may follow another one.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

/// Holds all listeners back until it opens.
#[derive(Debug)]
pub struct AcceptGate {
    open: watch::Sender<bool>,
    /// No other process serves what the kernel has queued on the listeners.
    owns_queue: bool,
    /// How many listeners do not accept yet.
    waiting: Mutex<usize>,
    accepting: Condvar,
}

/// One listener's place at the gate.
#[derive(Debug)]
pub struct AcceptGateEntry {
    gate: Arc<AcceptGate>,
}

impl AcceptGate {
    /// A gate that waits for [`AcceptGate::open`]. `owns_queue`: what is queued on the listeners is this process's to serve, also in
    /// a drain that begins before.
    pub fn new(owns_queue: bool) -> Arc<AcceptGate> {
        let (open, waiting, accepting) = (watch::Sender::new(false), Mutex::new(0), Condvar::new());
        Arc::new(AcceptGate { open, owns_queue, waiting, accepting })
    }

    /// One more listener.
    pub(in crate::proxy) fn entry(self: &Arc<Self>) -> AcceptGateEntry {
        *self.waiting.lock() += 1;
        AcceptGateEntry { gate: self.clone() }
    }

    /// Lets all listeners accept.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until all listeners accept, for `timeout` at most. `false`: one does not.
    pub fn all_accept_within(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut waiting = self.waiting.lock();
        self.accepting.wait_while_until(&mut waiting, |waiting| *waiting > 0, deadline);
        *waiting == 0
    }
}

impl AcceptGateEntry {
    /// Waits until this listener may accept. `false`: the process `drains` before that, and another one serves.
    pub(in crate::proxy) async fn opens(self, drains: impl Future<Output = ()>) -> bool {
        let mut open = self.gate.open.subscribe();
        tokio::select! {
            biased;
            opened = open.wait_for(|open| *open) => if opened.is_err() { return false },
            () = drains => return self.gate.owns_queue,
        }
        let mut waiting = self.gate.waiting.lock();
        *waiting = waiting.saturating_sub(1);
        self.gate.accepting.notify_all();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn listeners_accept_together_and_in_a_drain_only_what_nobody_else_will() {
        let gate = AcceptGate::new(false);
        let entries: Vec<_> = (0..2).map(|_| gate.entry()).collect();
        gate.open();
        assert!(!gate.all_accept_within(Duration::ZERO), "no listener accepts yet");
        for entry in entries {
            assert!(entry.opens(std::future::pending()).await);
        }
        assert!(gate.all_accept_within(Duration::ZERO));

        for owns_queue in [false, true] {
            let waiting = AcceptGate::new(owns_queue).entry();
            assert_eq!(waiting.opens(std::future::ready(())).await, owns_queue);
        }
    }
}
