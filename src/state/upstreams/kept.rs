//! What of an upstream outlives a configuration: its endpoints, whose turn it is, and what an operator drained.
//!
//! It belongs to a name. Every configuration in use that has an upstream of this name holds it, and it ends with the last.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use super::{Budget, Endpoint, Reuse, UpstreamState, lock};
use crate::decision::upstream::Millis;

/// What all configurations share that have an upstream of this name.
pub(super) struct Kept {
    pub name: Arc<str>,
    /// For round robin.
    pub turn: AtomicU64,
    /// Requests at a time, of those configurations that bound them.
    pub active: AtomicUsize,
    /// Choices that passed over an endpoint which was as busy as it may be.
    pub passed_over: AtomicU64,
    pub budget: Budget,
    pub reuse: Reuse,
    /// Held while it is decided whether one more endpoint may be left out.
    pub ejecting: Mutex<()>,
    endpoints: Mutex<HashMap<Key, Weak<Endpoint>>>,
    /// Names and addresses as an operator gave them. What DNS finds for a drained name later is drained too.
    drained: Mutex<BTreeSet<String>>,
    /// Those that have this upstream, the oldest first.
    states: Mutex<Vec<Weak<UpstreamState>>>,
}

/// The name as written and the address, which tell an endpoint from all others.
type Key = (Arc<str>, SocketAddr);

/// A request's place among those that an upstream may have at a time.
#[derive(Debug)]
pub(super) struct Place(Arc<Kept>);

impl Kept {
    pub(super) fn new(name: Arc<str>) -> Self {
        let now = Instant::now();
        Kept {
            name,
            budget: Budget::new(now),
            reuse: Reuse::new(now),
            turn: AtomicU64::new(0),
            active: AtomicUsize::new(0),
            passed_over: AtomicU64::new(0),
            ejecting: Mutex::default(),
            endpoints: Mutex::default(),
            drained: Mutex::default(),
            states: Mutex::default(),
        }
    }

    /// A place for one more request, unless `most` have one.
    pub(super) fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let place = Place(Arc::clone(self));
        (self.active.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }

    /// The endpoint `name` at `address`: the one that is known, or a new one that joins at `joins` (0: which was always there).
    pub(super) fn endpoint(&self, name: &str, address: SocketAddr, joins: Millis) -> Arc<Endpoint> {
        let name: Arc<str> = name.into();
        // In this order everywhere, so that nobody joins while somebody is drained.
        let drained = lock(&self.drained);
        let mut endpoints = lock(&self.endpoints);
        if let Some(known) = endpoints.get(&(name.clone(), address)).and_then(Weak::upgrade) {
            return known;
        }
        let endpoint = Arc::new(Endpoint::new(name.clone(), address, joins));
        endpoint.drain(is_drained(&drained, &endpoint), joins);
        endpoints.insert((name, address), Arc::downgrade(&endpoint));
        endpoint
    }

    /// Every endpoint in use.
    pub(super) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        lock(&self.endpoints).values().filter_map(Weak::upgrade).collect()
    }

    /// Drains or restores the endpoints called `which`, by their name or address. Gives how many there are.
    pub(super) fn drain(&self, which: &str, draining: bool, now: Millis) -> usize {
        let mut drained = lock(&self.drained);
        let endpoints = self.endpoints();
        let is_meant = |endpoint: &Endpoint| *endpoint.name == *which || endpoint.address.to_string() == which;
        let meant: Vec<_> = endpoints.iter().filter(|endpoint| is_meant(endpoint)).collect();
        if draining && !meant.is_empty() {
            drained.insert(which.to_owned());
        } else {
            for endpoint in &meant {
                if drained.remove(&*endpoint.name) {
                    // One address of a drained name comes back: the others stay drained.
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

    /// Those that have this upstream, the oldest first.
    pub(super) fn states(&self) -> Vec<Arc<UpstreamState>> {
        lock(&self.states).iter().filter_map(Weak::upgrade).collect()
    }

    /// `state` has this upstream from now on.
    pub(super) fn join(&self, state: &Arc<UpstreamState>) {
        lock(&self.states).push(Arc::downgrade(state));
    }

    /// Forgets what no configuration in use knows any more.
    pub(super) fn sweep(&self) {
        lock(&self.states).retain(|state| state.strong_count() > 0);
        lock(&self.endpoints).retain(|_, endpoint| endpoint.strong_count() > 0);
        let endpoints = self.endpoints();
        lock(&self.drained).retain(|which| {
            endpoints.iter().any(|endpoint| *endpoint.name == **which || endpoint.address.to_string() == *which)
        });
    }
}

fn is_drained(drained: &BTreeSet<String>, endpoint: &Endpoint) -> bool {
    !drained.is_empty() && (drained.contains(&*endpoint.name) || drained.contains(&endpoint.address.to_string()))
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("name", &self.name).finish_non_exhaustive()
    }
}
