//! One upstream of one configuration: selects endpoints for requests.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use http::HeaderValue;
use parking_lot::Mutex;

use super::connection_reuse::ConnectionReuse;
use super::endpoint::{EndpointState, HealthChange};
use super::endpoint_set::{EndpointSet, LiveEndpoints, LocatedEndpoint};
use super::retry_budget::RetryBudgetState;
use super::selected_endpoint::SelectedEndpoint;
use super::shared_upstream::{SharedUpstream, UpstreamSlot, UpstreamUse};
use crate::config::snapshot::{self, Health};
use crate::decision::access::Permit;
use crate::decision::outcome::Cause;
use crate::decision::request::RequestView;
use crate::decision::upstream::ejection::Admits;
use crate::decision::upstream::sticky::{Signer, Sticky};
use crate::decision::upstream::{self, Live, Millis, Pick, Wants, hash_input};
use crate::secret::Secret;
use crate::state::discovery::Discovery;

/// An upstream of one configuration.
pub struct UpstreamState {
    pub(super) shared: Arc<SharedUpstream>,
    pub(super) upstream: snapshot::Upstream,
    set: ArcSwap<EndpointSet>,
    /// Held while `set` is replaced, so that the older of two sets can't overwrite the newer one.
    replacing: Mutex<()>,
    sticky: Option<(Sticky, Signer)>,
    epoch: Instant,
    /// Whether the upstream had no endpoint before this configuration: its first endpoints then don't start slowly.
    fresh: bool,
    #[expect(dead_code, reason = "held for its life: the shared state knows by it which configurations are in use")]
    registration: Arc<UpstreamUse>,
}

/// The time of a selection, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct SelectionTime {
    /// For durations.
    pub at: Instant,
    /// For the expiry of cookies.
    pub time: SystemTime,
}

/// Attempts to claim an endpoint before the upstream counts as overloaded: another request may claim the selected one first.
const CLAIMS: usize = 8;

impl UpstreamState {
    pub(super) fn new(
        shared: Arc<SharedUpstream>,
        upstream: &snapshot::Upstream,
        sticky_key: &Secret<[u8; 32]>,
        epoch: Instant,
        discovery: &Discovery,
    ) -> Self {
        // Results of probes from before a time without probes are out of date.
        if upstream.health.is_some() && !shared.was_probed() {
            shared.endpoints().iter().for_each(|endpoint| endpoint.presume_healthy());
        }
        let sticky = upstream.sticky.as_ref().map(|sticky| {
            let key = sticky.key.as_ref().map_or(&sticky_key.expose()[..], |key| key.expose());
            (sticky.cookie.clone(), Signer::new(key, &upstream.name))
        });
        let state = UpstreamState {
            fresh: shared.endpoints().is_empty(),
            set: ArcSwap::from_pointee(EndpointSet::empty(upstream)),
            replacing: Mutex::default(),
            upstream: upstream.clone(),
            sticky,
            epoch,
            registration: shared.register(upstream.health.is_some()),
            shared,
        };
        state.discover(discovery);
        state
    }

    /// The retry budget.
    pub fn budget(&self) -> &RetryBudgetState {
        &self.shared.budget
    }

    /// Whether pooled connections may carry requests that must not be sent twice.
    pub fn reuse(&self) -> &ConnectionReuse {
        &self.shared.reuse
    }

    /// The upstream's name.
    pub fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    /// The endpoints as they are now.
    pub fn endpoints(&self) -> Arc<EndpointSet> {
        self.set.load_full()
    }

    /// The settings of the probes; `None` without probes.
    pub fn health(&self) -> Option<&Health> {
        self.upstream.health.as_ref()
    }

    /// Selects an endpoint for an admitted request, other than the addresses in `tried`. `random` is 64 random bits.
    ///
    /// `Ok(None)` when none is left to try: the last failure is then the answer.
    ///
    /// # Errors
    /// [`Cause::UpstreamUnresolved`] while no name has an address; [`Cause::UpstreamUnhealthy`] when every endpoint is
    /// unhealthy or ejected and the upstream is configured to refuse then; [`Cause::UpstreamDrained`] when an operator
    /// drained all of them; [`Cause::UpstreamOverloaded`] when they have as many requests as they may have.
    pub fn choose(
        &self,
        permit: &Permit,
        request: &RequestView<'_>,
        tried: &[SocketAddr],
        random: u64,
        now: SelectionTime,
    ) -> Result<Option<SelectedEndpoint>, Cause> {
        let set = self.set.load();
        if set.endpoints.is_empty() {
            return Err(Cause::UpstreamUnresolved);
        }
        let slot = self.slot()?;
        let live = self.live(&set, tried, now.at);
        let selected = match self.sticky_endpoint(&set, &live, request, now.time) {
            Some(selected) => Ok(Some(selected)),
            None => self.balance(&set, &live, permit, request, random),
        };
        if live.passed_over.get() {
            self.shared.passed_over.fetch_add(1, Ordering::Relaxed);
        }
        let mut selected = selected?;
        if let Some(selected) = &mut selected {
            selected.slot = slot;
        }
        Ok(selected)
    }

    /// The endpoint at `address` once more, for a client whose connection leads there, if it is usable and not in `tried`. A drained
    /// one is: its clients stay until they leave.
    pub fn choose_again(
        &self,
        _permit: &Permit,
        address: SocketAddr,
        tried: &[SocketAddr],
        now: SelectionTime,
    ) -> Option<SelectedEndpoint> {
        let set = self.set.load();
        let slot = self.slot().ok()?;
        let live = self.live(&set, tried, now.at);
        let index = set.endpoints.iter().position(|endpoint| endpoint.address == address)?;
        if live.tried(index) || !live.works(index) || !live.has_room(index) {
            return None;
        }
        let mut selected = self.claim(&set.endpoints[index], &live, false)?;
        selected.slot = slot;
        Some(selected)
    }

    /// A place among the requests that the upstream may have at once, if their number is bounded.
    fn slot(&self) -> Result<Option<UpstreamSlot>, Cause> {
        let most = self.upstream.circuit_breaker.requests;
        most.map(|most| self.shared.acquire_slot(most).ok_or(Cause::UpstreamOverloaded)).transpose()
    }

    /// The endpoints of `set` as a choice at `at` sees them.
    fn live<'a>(&'a self, set: &'a EndpointSet, tried: &'a [SocketAddr], at: Instant) -> LiveEndpoints<'a> {
        LiveEndpoints {
            endpoints: &set.endpoints,
            upstream: &self.upstream,
            tried,
            now: self.millis(at),
            passed_over: Cell::new(false),
        }
    }

    /// An endpoint for the copy of a request that a mirror sends. It takes no slot, round-robin turn or trial, so that copies
    /// do not affect requests whose client waits for the answer.
    pub fn choose_for_copy(
        &self,
        permit: &Permit,
        request: &RequestView<'_>,
        random: u64,
        now: Instant,
    ) -> Option<Arc<EndpointState>> {
        let set = self.set.load();
        let now = self.millis(now);
        let live = LiveEndpoints {
            endpoints: &set.endpoints,
            upstream: &self.upstream,
            tried: &[],
            now,
            passed_over: Cell::new(false),
        };
        let number = match set.balanced.wants() {
            Wants::Turn | Wants::Random => random,
            Wants::Hash(key) => hash_input(key, request),
        };
        let Pick::Sound(index) = upstream::choose(permit, &set.balanced, &live, number) else { return None };
        let endpoint = &set.endpoints[index];
        let serves = self.upstream.ejection.is_none() || endpoint.standing().admits(now) == Admits::Requests;
        serves.then(|| Arc::clone(endpoint))
    }

    /// The endpoint that the client's cookie names, if it is usable. A drained one is: its clients stay until they leave.
    fn sticky_endpoint(
        &self,
        set: &EndpointSet,
        live: &LiveEndpoints<'_>,
        request: &RequestView<'_>,
        time: SystemTime,
    ) -> Option<SelectedEndpoint> {
        let (cookie, signer) = self.sticky.as_ref()?;
        let found = signer.read(cookie, request.fields, seconds(time))?;
        let index = set.ids.iter().position(|id| *id == found.endpoint)?;
        if live.tried(index) || !live.works(index) || !live.has_room(index) {
            return None;
        }
        let mut selected = self.claim(&set.endpoints[index], live, false)?;
        selected.assign = found.old;
        Some(selected)
    }

    fn balance(
        &self,
        set: &EndpointSet,
        live: &LiveEndpoints<'_>,
        permit: &Permit,
        request: &RequestView<'_>,
        random: u64,
    ) -> Result<Option<SelectedEndpoint>, Cause> {
        let number = match set.balanced.wants() {
            Wants::Turn => self.shared.turn.fetch_add(1, Ordering::Relaxed),
            Wants::Random => random,
            Wants::Hash(key) => hash_input(key, request),
        };
        let first_try = live.tried.is_empty();
        for _ in 0..CLAIMS {
            let (index, panic) = match upstream::choose(permit, &set.balanced, live, number) {
                Pick::Sound(index) => (index, false),
                Pick::Panic(index) if !self.upstream.refuse_when_unhealthy => (index, true),
                Pick::Panic(_) if first_try => return Err(Cause::UpstreamUnhealthy),
                Pick::None if first_try && set.endpoints.iter().all(|endpoint| endpoint.drained()) => {
                    return Err(Cause::UpstreamDrained);
                }
                Pick::Full | Pick::None if first_try => return Err(Cause::UpstreamOverloaded),
                Pick::Full | Pick::Panic(_) | Pick::None => return Ok(None),
            };
            if let Some(mut selected) = self.claim(&set.endpoints[index], live, panic) {
                selected.assign = self.sticky.is_some();
                return Ok(Some(selected));
            }
        }
        if first_try { Err(Cause::UpstreamOverloaded) } else { Ok(None) }
    }

    fn claim(&self, endpoint: &Arc<EndpointState>, live: &LiveEndpoints<'_>, panic: bool) -> Option<SelectedEndpoint> {
        let most = self.upstream.circuit_breaker.requests_per_endpoint;
        let ejects = self.upstream.ejection.is_some();
        SelectedEndpoint::claim(endpoint, panic, most, ejects.then_some(live.now))
    }

    /// The name of the sticky cookie, which is removed before the request goes to an endpoint.
    pub fn cookie_name(&self) -> Option<&str> {
        self.sticky.as_ref().map(|(cookie, _)| cookie.name.as_str())
    }

    /// The `Set-Cookie` that assigns the client to `selected`, if it needs one. `tls`: the request came by TLS.
    pub fn cookie(&self, selected: &SelectedEndpoint, tls: bool, time: SystemTime) -> Option<HeaderValue> {
        let (cookie, signer) = self.sticky.as_ref().filter(|_| selected.assign)?;
        signer.write(cookie, signer.id(selected.endpoint.address), seconds(time), tls)
    }

    /// Counts the result of a probe. Returns the change of the endpoint's health, if it caused one.
    pub fn record_probe(&self, endpoint: &EndpointState, ok: bool) -> Option<HealthChange> {
        endpoint.record_probe(self.upstream.health.as_ref()?, ok, self.millis(Instant::now()))
    }

    /// Uses the endpoints that `discovery` knows now. Returns whether they differ from those before.
    pub fn discover(&self, discovery: &Discovery) -> bool {
        let _replacing = self.replacing.lock();
        let located: Vec<LocatedEndpoint> =
            discovery.targets(&self.upstream).into_iter().map(LocatedEndpoint::from).collect();
        let (before, now) = (self.set.load(), self.millis(Instant::now()));
        if located == before.located {
            return false;
        }
        let joins = |located: &LocatedEndpoint| {
            // The first answer for a name of a new upstream is its initial state, not an addition.
            let known_name = before.located.iter().any(|other| other.name == located.name);
            if self.fresh && !known_name { 0 } else { now }
        };
        let id = |address| self.sticky.as_ref().map(|(_, signer)| signer.id(address));
        self.set.store(Arc::new(EndpointSet::new(located, &self.upstream, &self.shared, id, joins)));
        true
    }

    pub(super) fn millis(&self, now: Instant) -> Millis {
        millis(self.epoch, now)
    }
}

/// From `epoch` to `now`, at least 1: 0 stands for "never".
pub(super) fn millis(epoch: Instant, now: Instant) -> Millis {
    u64::try_from(now.saturating_duration_since(epoch).as_millis()).unwrap_or(u64::MAX - 1).max(1)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
