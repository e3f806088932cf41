//! The state of an upstream that outlives a configuration: its endpoints, the round-robin turn, and what an operator drained.
//!
//! There is one for each name. Every configuration in use that has an upstream of this name holds it; it ends with the last.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use super::connection_reuse::ConnectionReuse;
use super::endpoint::EndpointState;
use super::retry_budget::RetryBudgetState;
use crate::decision::upstream::Millis;

/// The state that all configurations with an upstream of this name share.
pub(super) struct SharedUpstream {
    pub name: Arc<str>,
    /// For round robin.
    pub turn: AtomicU64,
    /// Concurrent requests, of those configurations that bound them.
    pub active: AtomicUsize,
    /// Selections that passed over an endpoint because it had as many requests as it may have.
    pub passed_over: AtomicU64,
    pub budget: RetryBudgetState,
    pub reuse: ConnectionReuse,
    /// Held while it is decided whether one more endpoint may be ejected.
    pub ejecting: Mutex<()>,
    endpoints: Mutex<HashMap<EndpointKey, Weak<EndpointState>>>,
    /// Names and addresses as an operator gave them. Addresses that DNS finds later for a drained name are drained too.
    drained: Mutex<BTreeSet<String>>,
    /// Of the configurations in use, the oldest first.
    uses: Mutex<Vec<Weak<UpstreamUse>>>,
}

/// That one configuration uses the upstream.
#[derive(Debug)]
pub(super) struct UpstreamUse {
    /// Whether it probes the endpoints.
    probed: bool,
}

/// What identifies an endpoint: the name as written and the address.
type EndpointKey = (Arc<str>, SocketAddr);

/// A request's slot among the concurrent requests of an upstream. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct UpstreamSlot(Arc<SharedUpstream>);

impl SharedUpstream {
    pub(super) fn new(name: Arc<str>) -> Self {
        let now = Instant::now();
        SharedUpstream {
            name,
            budget: RetryBudgetState::new(now),
            reuse: ConnectionReuse::new(now),
            turn: AtomicU64::new(0),
            active: AtomicUsize::new(0),
            passed_over: AtomicU64::new(0),
            ejecting: Mutex::default(),
            endpoints: Mutex::default(),
            drained: Mutex::default(),
            uses: Mutex::default(),
        }
    }

    /// A slot for one more request, unless `most` are taken.
    pub(super) fn acquire_slot(self: &Arc<Self>, most: usize) -> Option<UpstreamSlot> {
        let slot = UpstreamSlot(Arc::clone(self));
        (self.active.fetch_add(1, Ordering::Relaxed) < most).then_some(slot)
    }

    /// The endpoint `name` at `address`: the known one, or a new one that joins at `joins` (0: it does not start slowly).
    pub(super) fn endpoint(&self, name: &str, address: SocketAddr, joins: Millis) -> Arc<EndpointState> {
        let name: Arc<str> = name.into();
        // Locked in this order everywhere; both, so that no endpoint joins while another call drains.
        let drained = self.drained.lock();
        let mut endpoints = self.endpoints.lock();
        if let Some(known) = endpoints.get(&(name.clone(), address)).and_then(Weak::upgrade) {
            return known;
        }
        let endpoint = Arc::new(EndpointState::new(name.clone(), address, joins));
        endpoint.drain(is_drained(&drained, &endpoint), joins);
        endpoints.insert((name, address), Arc::downgrade(&endpoint));
        endpoint
    }

    /// Every endpoint in use.
    pub(super) fn endpoints(&self) -> Vec<Arc<EndpointState>> {
        self.endpoints.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// Drains or restores the endpoints whose name or address is `which`. Returns how many there are.
    pub(super) fn drain(&self, which: &str, draining: bool, now: Millis) -> usize {
        let mut drained = self.drained.lock();
        let endpoints = self.endpoints();
        let is_meant = |endpoint: &EndpointState| *endpoint.name == *which || endpoint.address.to_string() == which;
        let meant: Vec<_> = endpoints.iter().filter(|endpoint| is_meant(endpoint)).collect();
        if draining && !meant.is_empty() {
            drained.insert(which.to_owned());
        } else {
            for endpoint in &meant {
                if drained.remove(&*endpoint.name) {
                    // One address of a drained name is restored: the others stay drained.
                    let others = endpoints.iter().filter(|other| other.name == endpoint.name && !is_meant(other));
                    drained.extend(others.map(|other| other.address.to_string()));
                }
                drained.remove(&endpoint.address.to_string());
            }
        }
        for endpoint in &endpoints {
            endpoint.drain(is_drained(&drained, endpoint), now);
        }
        meant.len()
    }

    /// Whether the newest configuration in use probes the endpoints; true without one.
    pub(super) fn was_probed(&self) -> bool {
        self.uses.lock().iter().filter_map(Weak::upgrade).next_back().is_none_or(|newest| newest.probed)
    }

    /// Registers one more configuration that uses this upstream, for as long as the returned value lives.
    pub(super) fn register(&self, probed: bool) -> Arc<UpstreamUse> {
        let registration = Arc::new(UpstreamUse { probed });
        self.uses.lock().push(Arc::downgrade(&registration));
        registration
    }

    /// Removes what no configuration in use refers to.
    pub(super) fn sweep(&self) {
        self.uses.lock().retain(|registration| registration.strong_count() > 0);
        self.endpoints.lock().retain(|_, endpoint| endpoint.strong_count() > 0);
        let endpoints = self.endpoints();
        self.drained.lock().retain(|which| {
            endpoints.iter().any(|endpoint| *endpoint.name == **which || endpoint.address.to_string() == *which)
        });
    }
}

fn is_drained(drained: &BTreeSet<String>, endpoint: &EndpointState) -> bool {
    !drained.is_empty() && (drained.contains(&*endpoint.name) || drained.contains(&endpoint.address.to_string()))
}

impl Drop for UpstreamSlot {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for SharedUpstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedUpstream").field("name", &self.name).finish_non_exhaustive()
    }
}
