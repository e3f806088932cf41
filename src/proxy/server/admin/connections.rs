//! The open connections of the admin listener, or of the control socket, and which one is closed when there are too many.
//!
//! Every new connection is taken. Beyond the bound, one of whoever holds the most is closed: first one that was answered, then the
//! oldest that has asked for nothing. So who opens many connections takes them from nobody but himself. `/livez` and `/readyz`
//! have [`PROBES`] places more than the bound, which no other request may keep: a probe takes no place from a scraper, and waits
//! for none.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

use crate::admin::connection::{ConnectionPhase, PhaseCell, serve_one};
use crate::admin::{AdminAuth, AdminHandler};
use crate::telemetry::metrics::Bound;

/// Places for `/livez`, `/readyz` and connections that have asked for nothing yet.
const PROBES: usize = 16;

/// The open connections of one socket, the oldest first, by whom they are from.
pub(super) struct AdminConnections<K> {
    admin: Arc<AdminHandler>,
    open: VecDeque<OpenConnection<K>>,
}

struct OpenConnection<K> {
    from: K,
    phase: Arc<PhaseCell>,
    task: AbortHandle,
}

impl<K: Copy + Eq + Hash> AdminConnections<K> {
    pub(super) fn new(admin: AdminHandler) -> Self {
        AdminConnections { admin: Arc::new(admin), open: VecDeque::new() }
    }

    /// Serves one more connection, which is `from` somebody and must be over within `time`. `bound`: how many may be open beside
    /// those of probes.
    pub(super) fn serve(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        from: K,
        auth: AdminAuth,
        bound: usize,
        time: Duration,
    ) {
        self.open.retain(|connection| !connection.task.is_finished());
        let seen: Vec<(K, ConnectionPhase)> =
            self.open.iter().map(|connection| (connection.from, connection.phase.get())).collect();
        if let Some(closed) = to_close(&seen, bound).and_then(|at| self.open.remove(at)) {
            self.admin.metrics.bound_hit(Bound::AdminConnections);
            closed.task.abort();
        }
        let admin = Arc::new(AdminHandler { auth, ..(*self.admin).clone() });
        let phase = Arc::new(PhaseCell::default());
        let connection = {
            let phase = phase.clone();
            async move {
                // A connection that fails is the client's business.
                if tokio::time::timeout(time, serve_one(stream, &admin, &phase)).await.is_err() {
                    admin.metrics.bound_hit(Bound::AdminTime);
                }
            }
        };
        self.open.push_back(OpenConnection { from, phase, task: tokio::spawn(connection).abort_handle() });
    }
}

/// Which of the connections `open`, the oldest first, is closed before another one is taken; `None` if there is room.
fn to_close<K: Copy + Eq + Hash>(open: &[(K, ConnectionPhase)], bound: usize) -> Option<usize> {
    let asked = open.iter().filter(|(_, phase)| *phase == ConnectionPhase::Asked).count();
    let closable = |phase: ConnectionPhase| asked <= bound || phase == ConnectionPhase::Asked;
    if asked <= bound && open.len() < bound + PROBES {
        return None;
    }
    let mut held = HashMap::new();
    for (from, _) in open {
        *held.entry(*from).or_insert(0_usize) += 1;
    }
    let candidates = open.iter().enumerate().filter(|(_, (_, phase))| closable(*phase));
    candidates.min_by_key(|(at, (from, phase))| (std::cmp::Reverse(held[from]), *phase, *at)).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::ConnectionPhase::{Answered, Asked, Probe, Silent};
    use super::*;

    #[test]
    fn whoever_holds_the_most_loses_one() {
        let silent = |from: &[u8]| -> Vec<_> { from.iter().map(|&from| (from, Silent)).collect() };
        let full = [vec![1; PROBES], vec![2, 2, 3]].concat();
        assert_eq!(to_close(&silent(&full[1..]), 3), None);
        assert_eq!(to_close(&silent(&full), 3), Some(0));
        let reversed: Vec<u8> = full.iter().rev().copied().collect();
        assert_eq!(to_close(&silent(&reversed), 3), Some(3), "the oldest of the most");
    }

    #[test]
    fn what_was_answered_goes_first_and_probes_go_last() {
        let others = (2..).map(|from| (from, Probe)).take(PROBES);
        for (most, closed) in [
            ([Probe, Asked, Silent, Answered], 3),
            ([Probe, Asked, Silent, Silent], 2),
            ([Probe, Asked, Asked, Probe], 1),
            ([Probe; 4], 0),
        ] {
            let open: Vec<(usize, ConnectionPhase)> =
                most.into_iter().map(|phase| (1, phase)).chain(others.clone()).collect();
            assert_eq!(to_close(&open, 4), Some(closed), "{most:?}");
        }
    }

    #[test]
    fn the_places_of_probes_are_for_nothing_else() {
        let asked = |count: usize| vec![(1, Asked); count];
        assert_eq!(to_close(&asked(3), 3), None);
        assert_eq!(to_close(&asked(4), 3), Some(0));
        let probes = [vec![(7, Probe); PROBES - 1], asked(3)].concat();
        assert_eq!(to_close(&probes, 3), None, "neither takes places of the other");
        let more = [vec![(7, Probe); PROBES - 1], asked(4)].concat();
        assert_eq!(to_close(&more, 3), Some(PROBES - 1), "one that asked for something else");
    }
}
