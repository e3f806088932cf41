//! The endpoints of an upstream at one time, made from the upstream's settings and its targets.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use super::endpoint::EndpointState;
use super::shared_upstream::SharedUpstream;
use crate::config::snapshot;
use crate::decision::upstream::ejection::Admits;
use crate::decision::upstream::sticky::EndpointId;
use crate::decision::upstream::{Balanced, Live, Member, Millis, warmup};
use crate::state::discovery::ResolvedTarget;

/// The endpoints of an upstream at one time. A change makes a new set, which shares the endpoints that stay.
#[derive(Debug)]
pub struct EndpointSet {
    /// By the index that `balanced` uses.
    pub endpoints: Vec<Arc<EndpointState>>,
    pub balanced: Balanced,
    /// By the same index: the target of each.
    pub located: Vec<LocatedEndpoint>,
    /// By the same index; empty without sticky sessions.
    pub(super) ids: Vec<EndpointId>,
}

/// An endpoint with an address, before it is joined with its state.
#[derive(Clone, Debug, PartialEq)]
pub struct LocatedEndpoint {
    /// `host:port` as written.
    pub name: Arc<str>,
    pub address: SocketAddr,
    /// At least 1.
    pub weight: u32,
    /// The lowest comes first.
    pub priority: u32,
    /// The zone that it runs in, if known.
    pub zone: Option<Arc<str>>,
}

impl From<ResolvedTarget> for LocatedEndpoint {
    fn from(target: ResolvedTarget) -> Self {
        let ResolvedTarget { endpoint, address, priority } = target;
        let name = endpoint.to_string().into();
        LocatedEndpoint { name, address, weight: endpoint.weight, priority, zone: endpoint.zone.map(Into::into) }
    }
}

impl EndpointSet {
    /// Without endpoints, until discovery gives the first.
    pub(super) fn empty(upstream: &snapshot::Upstream) -> Self {
        let balanced = Balanced::new(&upstream.balance, &[]);
        EndpointSet { endpoints: Vec::new(), balanced, located: Vec::new(), ids: Vec::new() }
    }

    /// Joins `located` with the states of the endpoints. `joins` gives the time at which a new endpoint joins.
    pub(super) fn new(
        located: Vec<LocatedEndpoint>,
        upstream: &snapshot::Upstream,
        shared: &SharedUpstream,
        id: impl Fn(SocketAddr) -> Option<EndpointId>,
        joins: impl Fn(&LocatedEndpoint) -> Millis,
    ) -> Self {
        let members: Vec<Member> = located
            .iter()
            .map(|located| Member {
                address: located.address,
                weight: located.weight,
                priority: located.priority,
                elsewhere: upstream.zone.is_some()
                    && located.zone.is_some()
                    && upstream.zone.as_deref() != located.zone.as_deref(),
            })
            .collect();
        EndpointSet {
            endpoints: located
                .iter()
                .map(|located| shared.endpoint(&located.name, located.address, joins(located)))
                .collect(),
            balanced: Balanced::new(&upstream.balance, &members),
            ids: located.iter().filter_map(|located| id(located.address)).collect(),
            located,
        }
    }
}

/// The endpoints as one request sees them that has tried some addresses.
pub(super) struct LiveEndpoints<'a> {
    pub endpoints: &'a [Arc<EndpointState>],
    pub upstream: &'a snapshot::Upstream,
    pub tried: &'a [SocketAddr],
    pub now: Millis,
    /// Whether an endpoint was passed over because it had as many requests as it may have.
    pub passed_over: Cell<bool>,
}

impl LiveEndpoints<'_> {
    /// Whether it is healthy and not ejected, drained or not.
    pub(super) fn works(&self, member: usize) -> bool {
        works(self.upstream, &self.endpoints[member], self.now)
    }
}

/// Whether `endpoint` is healthy by its probes and not ejected.
pub(super) fn works(upstream: &snapshot::Upstream, endpoint: &EndpointState, now: Millis) -> bool {
    (upstream.health.is_none() || endpoint.healthy())
        && (upstream.ejection.is_none() || endpoint.standing().admits(now) != Admits::Nothing)
}

impl Live for LiveEndpoints<'_> {
    fn sound(&self, member: usize) -> bool {
        !self.endpoints[member].drained() && self.works(member)
    }

    fn available(&self, member: usize) -> bool {
        !self.endpoints[member].drained()
    }

    fn has_room(&self, member: usize) -> bool {
        let bound = self.upstream.circuit_breaker.requests_per_endpoint;
        let room = bound.is_none_or(|most| self.endpoints[member].active() < most);
        if !room {
            self.passed_over.set(true);
        }
        room
    }

    fn tried(&self, member: usize) -> bool {
        self.tried.contains(&self.endpoints[member].address)
    }

    fn active(&self, member: usize) -> usize {
        self.endpoints[member].active()
    }

    fn share(&self, member: usize) -> u32 {
        share(self.upstream, &self.endpoints[member], self.now)
    }
}

/// The part of its share that `endpoint` takes during a slow start, out of [`warmup::FULL_SHARE`].
pub(super) fn share(upstream: &snapshot::Upstream, endpoint: &EndpointState, now: Millis) -> u32 {
    match (upstream.slow_start, endpoint.joined_since(now)) {
        (Some(slow_start), Some(since)) => warmup::share(since, slow_start),
        _ => warmup::FULL_SHARE,
    }
}
