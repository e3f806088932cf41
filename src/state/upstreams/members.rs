//! The endpoints of an upstream at one time, and what they are made of: the upstream's settings and its targets.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Endpoint;
use super::kept::Kept;
use crate::config::snapshot;
use crate::decision::upstream::ejection::Admits;
use crate::decision::upstream::sticky::EndpointId;
use crate::decision::upstream::{Balanced, Live, Member, Millis, warmup};
use crate::state::discovery::Target;

/// The endpoints of an upstream at one time. A change makes new members, in which those that stay are the same.
#[derive(Debug)]
pub struct Members {
    /// By the index that `balanced` knows them by.
    pub endpoints: Vec<Arc<Endpoint>>,
    pub balanced: Balanced,
    /// By the same index: what the file or a resolver says of each.
    pub located: Vec<Located>,
    /// By the same index; empty without sticky sessions.
    pub(super) ids: Vec<EndpointId>,
}

/// An endpoint with an address, before it is joined with what is known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// `host:port` as written.
    pub name: Arc<str>,
    pub address: SocketAddr,
    /// At least 1.
    pub weight: u32,
    /// Those with the lowest come first.
    pub priority: u32,
    /// Where it runs, if that is known.
    pub zone: Option<Arc<str>>,
}

impl From<Target> for Located {
    fn from(target: Target) -> Self {
        let Target { endpoint, address, priority } = target;
        let name = endpoint.to_string().into();
        Located { name, address, weight: endpoint.weight, priority, zone: endpoint.zone.map(Into::into) }
    }
}

impl Members {
    /// Nobody, until the first are made.
    pub(super) fn none(upstream: &snapshot::Upstream) -> Self {
        let balanced = Balanced::new(&upstream.balance, &[]);
        Members { endpoints: Vec::new(), balanced, located: Vec::new(), ids: Vec::new() }
    }

    /// Joins `located` with what is known of the endpoints. `joins` tells since when one takes requests that is not known yet.
    pub(super) fn new(
        located: Vec<Located>,
        upstream: &snapshot::Upstream,
        kept: &Kept,
        id: impl Fn(SocketAddr) -> Option<EndpointId>,
        joins: impl Fn(&Located) -> Millis,
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
        Members {
            endpoints: located
                .iter()
                .map(|located| kept.endpoint(&located.name, located.address, joins(located)))
                .collect(),
            balanced: Balanced::new(&upstream.balance, &members),
            ids: located.iter().filter_map(|located| id(located.address)).collect(),
            located,
        }
    }
}

/// The members as one request sees them, which has tried some addresses.
pub(super) struct LiveMembers<'a> {
    pub endpoints: &'a [Arc<Endpoint>],
    pub upstream: &'a snapshot::Upstream,
    pub tried: &'a [SocketAddr],
    pub now: Millis,
    /// Whether an endpoint was passed over that was as busy as it may be.
    pub passed_over: Cell<bool>,
}

impl LiveMembers<'_> {
    /// Whether it works, drained or not.
    pub(super) fn works(&self, member: usize) -> bool {
        works(self.upstream, &self.endpoints[member], self.now)
    }
}

/// Whether probes speak for it, and it is not left out for the requests that it failed.
pub(super) fn works(upstream: &snapshot::Upstream, endpoint: &Endpoint, now: Millis) -> bool {
    (upstream.health.is_none() || endpoint.healthy())
        && (upstream.ejection.is_none() || endpoint.standing().admits(now) != Admits::Nothing)
}

impl Live for LiveMembers<'_> {
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

/// The part of its share that `endpoint` takes, of [`warmup::FULL_SHARE`].
pub(super) fn share(upstream: &snapshot::Upstream, endpoint: &Endpoint, now: Millis) -> u32 {
    match (upstream.slow_start, endpoint.joined_since(now)) {
        (Some(slow_start), Some(since)) => warmup::share(since, slow_start),
        _ => warmup::FULL_SHARE,
    }
}
