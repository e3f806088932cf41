//! Endpoints of upstreams: addresses, health, load. They survive reloads: what is still in the file keeps its state.

mod budget;
mod endpoint;
mod members;
mod reuse;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::task::JoinSet;

use crate::config::snapshot::{self, Health};
use crate::decision::access::Permit;
use crate::decision::outcome::Cause;
use crate::decision::request::RequestView;
use crate::decision::upstream::{self, Pick, Wants, hash_input};
pub use budget::Budget;
pub use endpoint::{Chosen, Endpoint, HealthChange};
use members::Configured;
pub use members::Members;
pub use reuse::Reuse;

/// Every upstream in force, by name.
#[derive(Default)]
pub struct Upstreams {
    by_name: Mutex<HashMap<Arc<str>, Arc<UpstreamState>>>,
}

/// What an upstream's requests share.
pub struct UpstreamState {
    name: Arc<str>,
    members: ArcSwap<Members>,
    /// For round robin.
    turn: AtomicU64,
    /// What retries may be taken from.
    pub budget: Budget,
    /// Whether pooled connections may carry what can't be repeated.
    pub reuse: Reuse,
    /// What `members` is made of. Whoever changes it makes new members before letting go of the lock.
    configured: Mutex<Configured>,
}

/// What [`UpstreamState::resolve`] found.
#[derive(Debug, Default)]
pub struct Resolved {
    /// Whether the endpoints are others now.
    pub changed: bool,
    /// Names without an answer, and why. What was known about them before is kept.
    pub failures: Vec<(String, io::Error)>,
}

impl Upstreams {
    /// Without any upstream yet.
    pub fn new() -> Self {
        Upstreams::default()
    }

    /// The state of each of `upstreams`, in their order. Called when a configuration is published.
    ///
    /// Upstreams are known by name, and their endpoints by what was written and the address: what stays keeps its health
    /// and load. Names that are new must be resolved before they have endpoints.
    pub fn reconcile(&self, upstreams: &[snapshot::Upstream]) -> Vec<Arc<UpstreamState>> {
        let mut by_name = lock(&self.by_name);
        let states: Vec<_> = upstreams
            .iter()
            .map(|upstream| match by_name.get(&upstream.name) {
                Some(state) => {
                    state.change(|configured| configured.adopt(upstream));
                    Arc::clone(state)
                }
                None => Arc::new(UpstreamState::new(upstream)),
            })
            .collect();
        *by_name = states.iter().map(|state| (state.name.clone(), Arc::clone(state))).collect();
        states
    }
}

impl UpstreamState {
    /// The state of an upstream that was not there before. Its DNS names have no endpoints yet.
    pub fn new(upstream: &snapshot::Upstream) -> Self {
        let configured = Configured::new(upstream);
        let now = Instant::now();
        UpstreamState {
            name: upstream.name.clone(),
            members: ArcSwap::from_pointee(configured.members(&[])),
            turn: AtomicU64::new(0),
            budget: Budget::new(now),
            reuse: Reuse::new(now),
            configured: Mutex::new(configured),
        }
    }

    /// The upstream's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The endpoints as they are now.
    pub fn endpoints(&self) -> Arc<Members> {
        self.members.load_full()
    }

    /// How to probe, if at all.
    pub fn health(&self) -> Option<Health> {
        self.members.load().health.clone()
    }

    /// Chooses an endpoint for an admitted request that has failed to connect to `tried` before. `random` is 64 random
    /// bits.
    ///
    /// `Ok(None)` when there is none left to try: the last failure is the answer then.
    ///
    /// # Errors
    /// [`Cause::UpstreamUnresolved`] while no name has an address; [`Cause::UpstreamUnhealthy`] when every endpoint is
    /// unhealthy and the owner wants a refusal then.
    pub fn choose(
        &self,
        permit: &Permit,
        request: &RequestView<'_>,
        tried: &[SocketAddr],
        random: u64,
    ) -> Result<Option<Chosen>, Cause> {
        let members = self.members.load();
        if members.endpoints.is_empty() {
            return Err(Cause::UpstreamUnresolved);
        }
        let number = match members.balanced.wants() {
            Wants::Turn => self.turn.fetch_add(1, Ordering::Relaxed),
            Wants::Random => random,
            Wants::Hash(key) => hash_input(key, request),
        };
        match upstream::choose(permit, &members.balanced, &members.live(tried), number) {
            Pick::Healthy(member) => Ok(Some(Chosen::new(&members.endpoints[member], false))),
            Pick::Panic(member) if !members.refuse_when_unhealthy => {
                Ok(Some(Chosen::new(&members.endpoints[member], true)))
            }
            Pick::Panic(_) if tried.is_empty() => Err(Cause::UpstreamUnhealthy),
            Pick::Panic(_) | Pick::None => Ok(None),
        }
    }

    /// Counts the result of a probe. Says so when it changes the endpoint's health.
    pub fn record_probe(&self, endpoint: &Endpoint, ok: bool) -> Option<HealthChange> {
        // Without the setting, a probe that was under way during a reload must not condemn anyone.
        self.members.load().health.as_ref().and_then(|health| endpoint.record_probe(health, ok))
    }

    /// How often to [`UpstreamState::resolve`]; `None` if every endpoint is written as an address.
    pub fn resolve_every(&self) -> Option<Duration> {
        let configured = lock(&self.configured);
        configured.names().next().map(|_| configured.resolve_every())
    }

    /// Resolves the names among the endpoints, by the system's resolver and its timeouts.
    ///
    /// Every answer is used as it arrives. Off the request path, one call at a time: a resolver that hangs then holds one
    /// thread for each name and no more.
    pub async fn resolve(&self) -> Resolved {
        let mut lookups = JoinSet::new();
        for name in lock(&self.configured).names() {
            let name = name.to_owned();
            lookups.spawn(async move {
                let answer = tokio::net::lookup_host((name.as_str(), 0)).await;
                let answer: io::Result<Vec<_>> = answer.map(|found| found.map(|address| address.ip()).collect());
                (name, answer)
            });
        }
        let mut resolved = Resolved::default();
        while let Some(lookup) = lookups.join_next().await {
            // A lookup is neither cancelled nor does it panic; if it ever did, the name keeps its last answer.
            let Ok((name, answer)) = lookup else { continue };
            match self.learn(&name, answer) {
                Ok(changed) => resolved.changed |= changed,
                Err(error) => resolved.failures.push((name, error)),
            }
        }
        resolved
    }

    /// Uses the addresses of `name`. An error or an empty answer changes nothing.
    fn learn(&self, name: &str, answer: io::Result<Vec<IpAddr>>) -> io::Result<bool> {
        let addresses = answer?;
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(self.change(|configured| configured.learn(name, addresses)))
    }

    /// Makes new members if `change` says that something changed.
    fn change(&self, change: impl FnOnce(&mut Configured) -> bool) -> bool {
        let mut configured = lock(&self.configured);
        let changed = change(&mut configured);
        if changed {
            self.members.store(Arc::new(configured.members(&self.members.load().endpoints)));
        }
        changed
    }
}

/// A panic under the lock leaves what was there before, which is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
