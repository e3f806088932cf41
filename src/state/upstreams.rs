//! Endpoints of upstreams: addresses, health, load. They survive reloads: what is still in the file keeps its state.
//!
//! Each configuration in use has an [`UpstreamState`] of its own for each of its upstreams, with its endpoints and settings.
//! What is known about an upstream and its endpoints ([`kept::Kept`], [`Endpoint`]) is shared by all that have one of
//! the same name, so that two configurations at a time see one health, one load and one ejection of one endpoint.

mod budget;
mod endpoint;
mod kept;
mod members;
mod passive;
mod reuse;
#[cfg(test)]
mod tests;
mod view;

use std::cell::Cell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use http::HeaderValue;

use crate::config::snapshot::{self, Health};
use crate::decision::access::Permit;
use crate::decision::outcome::Cause;
use crate::decision::request::RequestView;
use crate::decision::upstream::ejection::Admits;
use crate::decision::upstream::sticky::{Signer, Sticky};
use crate::decision::upstream::{self, Live, Millis, Pick, Wants, hash_input};
use crate::secret::Secret;
use crate::state::discovery::Discovery;
pub use budget::Budget;
pub use endpoint::{Chosen, Endpoint, HealthChange};
use kept::Kept;
use members::LiveMembers;
pub use members::{Located, Members};
pub use passive::Change;
pub use reuse::Reuse;
pub use view::{Condition, EndpointView};

/// Every upstream in use, by name.
pub struct Upstreams {
    by_name: Mutex<HashMap<Arc<str>, Weak<Kept>>>,
    /// Times are counted from here.
    epoch: Instant,
    /// Signs the cookies of upstreams that have no key of their own.
    sticky_key: Secret<[u8; 32]>,
}

/// An upstream of one configuration.
pub struct UpstreamState {
    kept: Arc<Kept>,
    upstream: snapshot::Upstream,
    members: ArcSwap<Members>,
    /// Held while new members are made.
    making: Mutex<()>,
    sticky: Option<(Sticky, Signer)>,
    epoch: Instant,
    /// Whether the upstream had no endpoint before this configuration: then those that come first have not joined anything.
    fresh: bool,
}

/// When a choice is made.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For what is measured.
    pub at: Instant,
    /// For what expires.
    pub time: SystemTime,
}

/// Why an endpoint can't be drained or restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// No upstream has that name.
    Upstream,
    /// No endpoint of the upstream has that name or address.
    Endpoint,
}

/// Tries to take the endpoint that was chosen, before the upstream counts as too busy: others may be faster each time.
const CLAIMS: usize = 8;

impl Upstreams {
    /// Without any upstream yet.
    ///
    /// # Panics
    /// If the system has no random numbers.
    pub fn new() -> Self {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).expect("BUG: a system without random numbers could not do TLS either");
        Upstreams { by_name: Mutex::default(), epoch: Instant::now(), sticky_key: Secret::new(key) }
    }

    /// A state for each of `upstreams`, in their order. Called when a configuration is to be used.
    ///
    /// Upstreams are known by name, and their endpoints by what was written and the address: what stays keeps its health
    /// and load. What is to be found has the endpoints that `discovery` knows by now.
    pub fn reconcile(&self, upstreams: &[snapshot::Upstream], discovery: &Discovery) -> Vec<Arc<UpstreamState>> {
        let mut by_name = lock(&self.by_name);
        let states: Vec<_> = upstreams
            .iter()
            .map(|upstream| {
                let known = by_name.get(&upstream.name).and_then(Weak::upgrade);
                let kept = known.unwrap_or_else(|| Arc::new(Kept::new(upstream.name.clone())));
                by_name.insert(upstream.name.clone(), Arc::downgrade(&kept));
                self.state(kept, upstream, discovery)
            })
            .collect();
        by_name.retain(|_, kept| kept.strong_count() > 0);
        for state in &states {
            state.kept.sweep();
        }
        states
    }

    /// Drains (or restores) the endpoints of `upstream` that are called `endpoint`, by their name or address: they get no new
    /// requests but those of clients that a sticky cookie leads to them, and finish those that they have. It outlives
    /// reloads.
    ///
    /// # Errors
    /// If there is no such upstream or endpoint.
    pub fn drain(&self, upstream: &str, endpoint: &str, draining: bool, now: Instant) -> Result<usize, Unknown> {
        let kept = lock(&self.by_name).get(upstream).and_then(Weak::upgrade).ok_or(Unknown::Upstream)?;
        match kept.drain(endpoint, draining, millis(self.epoch, now)) {
            0 => Err(Unknown::Endpoint),
            endpoints => Ok(endpoints),
        }
    }

    fn state(&self, kept: Arc<Kept>, upstream: &snapshot::Upstream, discovery: &Discovery) -> Arc<UpstreamState> {
        // Nobody probed before, so that what is known of their health is old.
        let probed_before = kept.states().last().is_none_or(|before| before.upstream.health.is_some());
        if upstream.health.is_some() && !probed_before {
            kept.endpoints().iter().for_each(|endpoint| endpoint.presume_healthy());
        }
        let sticky = upstream.sticky.as_ref().map(|sticky| {
            let key = sticky.key.as_ref().map_or(&self.sticky_key.expose()[..], |key| key.expose());
            (sticky.cookie.clone(), Signer::new(key, &upstream.name))
        });
        let state = Arc::new(UpstreamState {
            fresh: kept.endpoints().is_empty(),
            members: ArcSwap::from_pointee(Members::none(upstream)),
            making: Mutex::default(),
            upstream: upstream.clone(),
            sticky,
            epoch: self.epoch,
            kept,
        });
        state.kept.join(&state);
        state.make_members(discovery);
        state
    }
}

impl Default for Upstreams {
    fn default() -> Self {
        Upstreams::new()
    }
}

impl UpstreamState {
    /// What retries may be taken from.
    pub fn budget(&self) -> &Budget {
        &self.kept.budget
    }

    /// Whether pooled connections may carry what can't be repeated.
    pub fn reuse(&self) -> &Reuse {
        &self.kept.reuse
    }

    /// The upstream's name.
    pub fn name(&self) -> &Arc<str> {
        &self.kept.name
    }

    /// The endpoints as they are now.
    pub fn endpoints(&self) -> Arc<Members> {
        self.members.load_full()
    }

    /// How to probe, if at all.
    pub fn health(&self) -> Option<&Health> {
        self.upstream.health.as_ref()
    }

    /// Chooses an endpoint for an admitted request that has failed to connect to `tried` before. `random` is 64 random
    /// bits.
    ///
    /// `Ok(None)` when there is none left to try: the last failure is the answer then.
    ///
    /// # Errors
    /// [`Cause::UpstreamUnresolved`] while no name has an address; [`Cause::UpstreamUnhealthy`] when every endpoint is
    /// unhealthy or left out and the owner wants a refusal then; [`Cause::UpstreamDrained`] when an operator drained all of
    /// them; [`Cause::UpstreamOverloaded`] when they are as busy as they may be.
    pub fn choose(
        &self,
        permit: &Permit,
        request: &RequestView<'_>,
        tried: &[SocketAddr],
        random: u64,
        now: Moment,
    ) -> Result<Option<Chosen>, Cause> {
        let members = self.members.load();
        if members.endpoints.is_empty() {
            return Err(Cause::UpstreamUnresolved);
        }
        let place = match self.upstream.circuit_breaker.requests {
            None => None,
            Some(most) => Some(self.kept.enter(most).ok_or(Cause::UpstreamOverloaded)?),
        };
        let live = LiveMembers {
            endpoints: &members.endpoints,
            upstream: &self.upstream,
            tried,
            now: self.millis(now.at),
            passed_over: Cell::new(false),
        };
        let chosen = match self.comes_back(&members, &live, request, now.time) {
            Some(chosen) => Ok(Some(chosen)),
            None => self.balance(&members, &live, permit, request, random),
        };
        if live.passed_over.get() {
            self.kept.passed_over.fetch_add(1, Ordering::Relaxed);
        }
        let mut chosen = chosen?;
        if let Some(chosen) = &mut chosen {
            chosen.place = place;
        }
        Ok(chosen)
    }

    /// An endpoint for a copy of a request, which nobody waits for: it takes no place, no turn and no trial, so that it
    /// changes nothing for the requests that somebody does wait for.
    pub fn choose_for_copy(
        &self,
        permit: &Permit,
        request: &RequestView<'_>,
        random: u64,
        now: Instant,
    ) -> Option<Arc<Endpoint>> {
        let members = self.members.load();
        let now = self.millis(now);
        let live = LiveMembers {
            endpoints: &members.endpoints,
            upstream: &self.upstream,
            tried: &[],
            now,
            passed_over: Cell::new(false),
        };
        let number = match members.balanced.wants() {
            Wants::Turn | Wants::Random => random,
            Wants::Hash(key) => hash_input(key, request),
        };
        let Pick::Sound(member) = upstream::choose(permit, &members.balanced, &live, number) else { return None };
        let endpoint = &members.endpoints[member];
        let serves = self.upstream.ejection.is_none() || endpoint.standing().admits(now) == Admits::Requests;
        serves.then(|| Arc::clone(endpoint))
    }

    /// The endpoint that the client's cookie names, if it can be used. Drained ones can: their clients stay until they leave.
    fn comes_back(
        &self,
        members: &Members,
        live: &LiveMembers<'_>,
        request: &RequestView<'_>,
        time: SystemTime,
    ) -> Option<Chosen> {
        let (cookie, signer) = self.sticky.as_ref()?;
        let found = signer.read(cookie, request.fields, seconds(time))?;
        let member = members.ids.iter().position(|id| *id == found.endpoint)?;
        if live.tried(member) || !live.works(member) || !live.has_room(member) {
            return None;
        }
        let mut chosen = self.claim(&members.endpoints[member], live, false)?;
        chosen.assign = found.old;
        Some(chosen)
    }

    fn balance(
        &self,
        members: &Members,
        live: &LiveMembers<'_>,
        permit: &Permit,
        request: &RequestView<'_>,
        random: u64,
    ) -> Result<Option<Chosen>, Cause> {
        let number = match members.balanced.wants() {
            Wants::Turn => self.kept.turn.fetch_add(1, Ordering::Relaxed),
            Wants::Random => random,
            Wants::Hash(key) => hash_input(key, request),
        };
        let first_try = live.tried.is_empty();
        for _ in 0..CLAIMS {
            let (member, panic) = match upstream::choose(permit, &members.balanced, live, number) {
                Pick::Sound(member) => (member, false),
                Pick::Panic(member) if !self.upstream.refuse_when_unhealthy => (member, true),
                Pick::Panic(_) if first_try => return Err(Cause::UpstreamUnhealthy),
                Pick::None if first_try && members.endpoints.iter().all(|endpoint| endpoint.drained()) => {
                    return Err(Cause::UpstreamDrained);
                }
                Pick::Full | Pick::None if first_try => return Err(Cause::UpstreamOverloaded),
                Pick::Full | Pick::Panic(_) | Pick::None => return Ok(None),
            };
            if let Some(mut chosen) = self.claim(&members.endpoints[member], live, panic) {
                chosen.assign = self.sticky.is_some();
                return Ok(Some(chosen));
            }
        }
        if first_try { Err(Cause::UpstreamOverloaded) } else { Ok(None) }
    }

    fn claim(&self, endpoint: &Arc<Endpoint>, live: &LiveMembers<'_>, panic: bool) -> Option<Chosen> {
        let ejects = self.upstream.ejection.is_some();
        endpoint.claim(panic, self.upstream.circuit_breaker.requests_per_endpoint, ejects.then_some(live.now))
    }

    /// The name of the cookie that leads clients back, which is not for the endpoints to see.
    pub fn cookie_name(&self) -> Option<&str> {
        self.sticky.as_ref().map(|(cookie, _)| cookie.name.as_str())
    }

    /// `Set-Cookie` that leads the client back to `chosen`, if it needs one. `tls`: it came by TLS.
    pub fn cookie(&self, chosen: &Chosen, tls: bool, time: SystemTime) -> Option<HeaderValue> {
        let (cookie, signer) = self.sticky.as_ref().filter(|_| chosen.assign)?;
        signer.write(cookie, signer.id(chosen.endpoint.address), seconds(time), tls)
    }

    /// Counts the result of a probe. Says so when it changes the endpoint's health.
    pub fn record_probe(&self, endpoint: &Endpoint, ok: bool) -> Option<HealthChange> {
        endpoint.record_probe(self.upstream.health.as_ref()?, ok, self.millis(Instant::now()))
    }

    /// Uses the endpoints that are known by now. Says whether they are others than before.
    pub fn discover(&self, discovery: &Discovery) -> bool {
        self.make_members(discovery)
    }

    fn make_members(&self, discovery: &Discovery) -> bool {
        let _one = lock(&self.making);
        let located: Vec<Located> = discovery.targets(&self.upstream).into_iter().map(Located::from).collect();
        let (before, now) = (self.members.load(), self.millis(Instant::now()));
        if located == before.located {
            return false;
        }
        let joins = |located: &Located| {
            // The first answer for a name of a new upstream is its beginning, not an addition.
            let known_name = before.located.iter().any(|other| other.name == located.name);
            if self.fresh && !known_name { 0 } else { now }
        };
        let id = |address| self.sticky.as_ref().map(|(_, signer)| signer.id(address));
        self.members.store(Arc::new(Members::new(located, &self.upstream, &self.kept, id, joins)));
        true
    }

    fn millis(&self, now: Instant) -> Millis {
        millis(self.epoch, now)
    }
}

/// From `epoch` to `now`, at least 1: nothing stands for "never".
fn millis(epoch: Instant, now: Instant) -> Millis {
    u64::try_from(now.saturating_duration_since(epoch).as_millis()).unwrap_or(u64::MAX - 1).max(1)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A panic under the lock leaves what was there before, which is whole.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
