//! How far a handover is, and the orders that are carried out meanwhile.
//!
//! The new process does not know of an order that the old one carries out while the new one gets ready. So either the order is
//! carried out and the handover is refused, or, once the new process may serve, the order is. A new process that never gets
//! ready holds up no order.

use std::sync::Arc;

use parking_lot::Mutex;

/// Shared by handovers and orders.
#[derive(Debug, Default)]
pub(super) struct HandoverState(Mutex<HandoverProgress>);

#[derive(Debug, Default)]
struct HandoverProgress {
    phase: HandoverPhase,
    /// Orders that are being carried out.
    orders: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HandoverPhase {
    #[default]
    Free,
    /// A process gets ready. `ordered`: an order was carried out since it asked.
    Pending { ordered: bool },
    /// It may serve.
    Granted,
    /// The process of this number has taken over.
    Done(u32),
}

/// An order that is being carried out. No process takes over until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the order"]
pub struct OrderGuard(Arc<HandoverState>);

/// Another process takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderRefused;

impl HandoverState {
    /// Begins a handover.
    ///
    /// # Errors
    /// Why not: there is one at a time.
    pub(super) fn begin(&self) -> Result<(), String> {
        let mut progress = self.0.lock();
        match progress.phase {
            HandoverPhase::Free => {
                progress.phase = HandoverPhase::Pending { ordered: false };
                Ok(())
            }
            HandoverPhase::Pending { .. } | HandoverPhase::Granted => {
                Err("another process is taking over just now".to_owned())
            }
            HandoverPhase::Done(pid) => Err(format!("process {pid} has taken over already")),
        }
    }

    /// The new process may serve from now on.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn grant(&self) -> Result<(), &'static str> {
        let mut progress = self.0.lock();
        if progress.orders > 0 || progress.phase != (HandoverPhase::Pending { ordered: false }) {
            return Err("a command was carried out meanwhile: upgrade again");
        }
        progress.phase = HandoverPhase::Granted;
        Ok(())
    }

    /// The handover failed.
    pub(super) fn fail(&self) {
        self.0.lock().phase = HandoverPhase::Free;
    }

    /// The process `pid` has taken over.
    pub(super) fn done(&self, pid: u32) {
        self.0.lock().phase = HandoverPhase::Done(pid);
    }

    pub(super) fn is_granted(&self) -> bool {
        matches!(self.0.lock().phase, HandoverPhase::Granted | HandoverPhase::Done(_))
    }

    /// Begins an order.
    ///
    /// # Errors
    /// When another process may serve already.
    pub(super) fn order(self: &Arc<Self>) -> Result<OrderGuard, OrderRefused> {
        let mut progress = self.0.lock();
        match &mut progress.phase {
            HandoverPhase::Granted | HandoverPhase::Done(_) => return Err(OrderRefused),
            HandoverPhase::Pending { ordered } => *ordered = true,
            HandoverPhase::Free => {}
        }
        progress.orders += 1;
        Ok(OrderGuard(self.clone()))
    }
}

impl Drop for OrderGuard {
    fn drop(&mut self) {
        self.0.0.lock().orders -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_or_a_handover_is_carried_out_and_never_both() {
        let state = Arc::new(HandoverState::default());
        state.begin().unwrap();
        assert!(state.begin().unwrap_err().contains("just now"));
        drop(state.order().unwrap());
        assert!(state.grant().is_err(), "an order was carried out");
        state.fail();

        let order = state.order().unwrap();
        state.begin().unwrap();
        assert!(state.grant().is_err(), "an order is being carried out");
        state.fail();
        drop(order);

        state.begin().unwrap();
        state.grant().unwrap();
        assert_eq!(state.order().unwrap_err(), OrderRefused);
        assert!(state.is_granted());
        state.fail();
        drop(state.order().unwrap());

        state.begin().unwrap();
        state.grant().unwrap();
        state.done(7);
        assert_eq!(state.order().unwrap_err(), OrderRefused);
        assert!(state.begin().unwrap_err().contains("process 7"));
    }
}
