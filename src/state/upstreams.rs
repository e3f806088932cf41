//! Endpoints of upstreams: addresses, health, load. The state of an endpoint survives a reload if the file still lists it.
//!
//! Each configuration in use has one [`UpstreamState`] for each of its upstreams, with its endpoints and settings. The state
//! of the upstream and its endpoints (`SharedUpstream`, [`EndpointState`]) is shared by all configurations that have an
//! upstream of that name, so that two configurations in use at once see the same health, load and ejections.

mod connection_reuse;
mod endpoint;
mod endpoint_set;
mod endpoint_view;
mod passive_health;
mod retry_budget;
mod selected_endpoint;
mod shared_upstream;
#[cfg(test)]
mod tests;
mod upstream_state;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use crate::config::snapshot;
use crate::secret::Secret;
use crate::state::discovery::Discovery;
pub use connection_reuse::ConnectionReuse;
pub use endpoint::{EndpointState, HealthChange};
pub use endpoint_set::{EndpointSet, LocatedEndpoint};
pub use endpoint_view::{EndpointCondition, EndpointView};
pub use passive_health::EjectionChange;
pub use retry_budget::RetryBudgetState;
pub use selected_endpoint::SelectedEndpoint;
use shared_upstream::SharedUpstream;
pub use upstream_state::{SelectionTime, UpstreamState};

/// Every upstream in use, by name.
pub struct Upstreams {
    by_name: Mutex<HashMap<Arc<str>, Weak<SharedUpstream>>>,
    /// The zero of every [`Millis`](crate::decision::upstream::Millis).
    epoch: Instant,
    /// Signs the cookies of upstreams that have no key of their own.
    sticky_key: Secret<[u8; 32]>,
}

/// Why an endpoint can't be drained or restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownEndpoint {
    /// No upstream has that name.
    Upstream,
    /// No endpoint of the upstream has that name or address.
    Endpoint,
}

impl Upstreams {
    /// Without any upstream.
    ///
    /// # Panics
    /// If the system has no random numbers.
    pub fn new() -> Self {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).expect("BUG: a system without random numbers could not do TLS either");
        Upstreams { by_name: Mutex::default(), epoch: Instant::now(), sticky_key: Secret::new(key) }
    }

    /// A state for each of `upstreams`, in their order. Called when a configuration is about to be used.
    ///
    /// Upstreams are identified by name, their endpoints by `host:port` as written and address. What stays keeps its health
    /// and load. Discovered endpoints are those that `discovery` knows at this time.
    pub fn reconcile(&self, upstreams: &[snapshot::Upstream], discovery: &Discovery) -> Vec<Arc<UpstreamState>> {
        let mut by_name = self.by_name.lock();
        let states: Vec<_> = upstreams
            .iter()
            .map(|upstream| {
                let known = by_name.get(&upstream.name).and_then(Weak::upgrade);
                let shared = known.unwrap_or_else(|| Arc::new(SharedUpstream::new(upstream.name.clone())));
                by_name.insert(upstream.name.clone(), Arc::downgrade(&shared));
                Arc::new(UpstreamState::new(shared, upstream, &self.sticky_key, self.epoch, discovery))
            })
            .collect();
        by_name.retain(|_, shared| shared.strong_count() > 0);
        for state in &states {
            state.shared.sweep();
        }
        states
    }

    /// Drains (or restores) the endpoints of `upstream` whose name or address is `endpoint`. A drained endpoint finishes the
    /// requests that it has and gets new ones only from clients whose sticky cookie names it. It stays drained over reloads.
    /// Returns the number of endpoints.
    ///
    /// # Errors
    /// If there is no such upstream or endpoint.
    pub fn drain(
        &self,
        upstream: &str,
        endpoint: &str,
        draining: bool,
        now: Instant,
    ) -> Result<usize, UnknownEndpoint> {
        let shared = self.by_name.lock().get(upstream).and_then(Weak::upgrade).ok_or(UnknownEndpoint::Upstream)?;
        match shared.drain(endpoint, draining, upstream_state::millis(self.epoch, now)) {
            0 => Err(UnknownEndpoint::Endpoint),
            endpoints => Ok(endpoints),
        }
    }
}

impl Default for Upstreams {
    fn default() -> Self {
        Upstreams::new()
    }
}
